package node

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/placement"
)

// fullPercent is how much of a disk may be live bytes before it takes no new shards.
const fullPercent = 95

// Words for the state of a disk that is not up.
const (
	stateMissing     = "missing"
	stateFailed      = "failed"
	stateUnreachable = "unreachable"
	stateSlow        = "slow"     // its writes take very long, or hang
	stateReplaced    = "replaced" // by another that is in its place; nothing of it is expected back
)

var _ admin.Source = (*Node)(nil)

// usageTimeout bounds how long a status waits for the ranges' counts.
const usageTimeout = 2 * time.Second

// Status implements admin.Source.
func (n *Node) Status(ctx context.Context) (admin.Status, error) {
	m := n.topology.Map()
	s := admin.Status{
		Format: admin.StatusFormat, Version: n.cfg.Version, Cluster: m.Cluster, Policy: m.Policy,
		Ranges: admin.Ranges{Count: len(m.Ranges), ReplicasWanted: placement.Replicas(m)},
		Groups: admin.Groups{Count: len(m.Groups)}, FrontEnds: n.frontEnds(m),
	}
	whole := true
	for i := range m.Nodes {
		node := n.nodeStatus(m, &m.Nodes[i])
		if node.State != stateReplaced {
			whole = whole && node.State == admin.StateUp && !node.ClockOff
		}
		for _, d := range node.Disks {
			whole = whole && (d.State == admin.StateUp || d.State == stateReplaced)
		}
		s.Nodes = append(s.Nodes, node)
	}
	for i := range m.Ranges {
		if n.liveReplicas(&m.Ranges[i]) < s.Ranges.ReplicasWanted {
			s.Ranges.UnderReplicated++
		}
	}
	for i := range m.Disks {
		h, _ := n.diskOf(m.Disks[i].ID)
		s.Ranges.Differing += h.Differing
		s.Ranges.Remade += h.Remade
		s.Ranges.RemadeLast = max(s.Ranges.RemadeLast, h.RemadeAt)
	}
	usage, err := n.wholeUsage(ctx)
	s.BytesBelowPolicy = placement.BelowPolicy(m, usage)
	if err != nil {
		n.env.Log.Warn("status: the bytes below policy are not known", "error", err)
		usage, s.BytesBelowPolicy, whole = nil, admin.BytesUnknown, false
	}
	for i := range m.Groups {
		if placement.InUse(&m.Groups[i], usage) && !n.whole(&m.Groups[i]) {
			s.Groups.AtRisk++
		}
	}
	s.Healthy = whole && s.Groups.AtRisk == 0 && s.Ranges.UnderReplicated == 0 && s.Ranges.Differing == 0
	s.Tolerates = admin.Tolerates(placement.Tolerates(m, n.alive, usage))
	return s, nil
}

// whole reports whether all disks of a group serve.
func (n *Node) whole(g *clustermap.Group) bool {
	return !slices.ContainsFunc(g.Slots, func(s clustermap.Slot) bool { return !n.alive(s.Owner) })
}

// wholeUsage asks all ranges in which codings and layouts their bytes lie. It goes from range to range as they are now. Where
// one was split its parts count modulo 2^64, and their sum is right before and after they are counted; in the seconds between
// it may be too high.
func (n *Node) wholeUsage(ctx context.Context) (*metapb.Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	type coding struct {
		k, m, layout uint32
		copies       bool
	}
	sum := map[coding]uint64{}
	for at := []byte(nil); ; {
		a, err := n.askRange(ctx, &metapb.RangeDescriptor{Start: at}, &metapb.Query{Op: &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{All: true}}})
		if err != nil {
			return nil, err
		}
		for _, c := range a.Usage.GetCoded() {
			sum[coding{c.K, c.M, c.Layout, c.Copies}] += c.Bytes
		}
		if at = a.GetRange().GetRange().GetEnd(); len(at) == 0 {
			break
		}
	}
	u := new(metapb.Usage)
	for c, bytes := range sum {
		if int64(bytes) > 0 {
			u.Coded = append(u.Coded, &metapb.CodedBytes{K: c.k, M: c.m, Layout: c.layout, Copies: c.copies, Bytes: bytes})
		}
	}
	return u, nil
}

// atStart begins a query at the position where a range starts; an empty one is that of the first range.
func atStart(start []byte) (*metapb.Query, error) {
	q := &metapb.Query{Format: 1}
	if len(start) == 0 {
		return q, nil
	}
	var err error
	q.Bucket, q.Key, err = keys.ParsePosition(start)
	return q, err
}

func (n *Node) nodeStatus(m *clustermap.Map, c *clustermap.Node) admin.Node {
	out := admin.Node{ID: c.ID.String(), Name: c.Name, S3: c.S3, Peer: c.Peer, State: admin.StateUp, Site: c.Site, Rack: c.Rack, Disks: []admin.Disk{}}
	if c.ID != n.self() && !n.peers.Reachable(c.ID) {
		out.State = stateUnreachable
	}
	if c.ReplacedBy != 0 {
		out.State, out.ReplacedBy = stateReplaced, c.ReplacedBy.String()
	}
	if n.isWorkedOn(c) {
		out.MaintenanceUntil = c.Maintenance
	}
	for i := range m.Disks {
		d := &m.Disks[i]
		if d.Node != c.ID {
			continue
		}
		h, state := n.diskOf(d.ID)
		out.ClockOff = out.ClockOff || h.ClockOff
		if math.Abs(h.ClockAhead) > math.Abs(out.ClockAheadSeconds) {
			out.ClockAheadSeconds = h.ClockAhead
		}
		if h.CapacityBytes == 0 {
			h.CapacityBytes = d.CapacityBytes
		}
		x := admin.Disk{
			ID: d.ID.String(), Path: d.Path, Device: d.Device, State: state, UsedBytes: h.UsedBytes, CapacityBytes: h.CapacityBytes,
		}
		if d.ReplacedBy != 0 {
			x.State, x.ReplacedBy = stateReplaced, d.ReplacedBy.String()
		} else if c.ReplacedBy != 0 {
			x.State = stateReplaced
		}
		out.Disks = append(out.Disks, x)
	}
	return out
}

func (n *Node) liveReplicas(r *clustermap.Range) (live int) {
	for _, x := range r.Replicas {
		if !x.Learner && n.alive(x.Disk) && n.serves(x.Disk, r.ID) {
			live++
		}
	}
	return live
}

// serves reports whether a disk's replica of a range takes part. Of another node's disk nothing more is known here than
// that it lives.
func (n *Node) serves(id disk.ID, rangeID uint64) bool {
	s := n.stores[id]
	if s == nil {
		return n.disks[id] == nil
	}
	st := s.Status()
	if st.Err != nil {
		return false
	}
	for _, r := range st.Replicas {
		if r.Range == rangeID {
			return r.Err == nil && (r.Role == roleLeader || r.Role == roleFollower || r.Role == roleCandidate)
		}
	}
	return false
}
