package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/objectlayer/placement"
)

// Measures of growth.
const (
	growTick = 500 * time.Millisecond
	// growPause is how long the cluster's disks must have been the same before placement groups are laid anew: nodes
	// seldom come alone.
	growPause = 2 * time.Second
	// leaderPause is how long a range must have had the same leader before the map names it.
	leaderPause = 2 * time.Second
	// growLagMax is how many entries a learner may miss and count as caught up.
	growLagMax = 1000
	// growTimeout bounds one step.
	growTimeout = 10 * time.Second
)

// growth is what the planner remembers between two looks.
type growth struct {
	disks  []disk.ID // as the map listed them
	since  time.Time // and since when
	judged uint64    // the revision of the map that needs no other groups, or can't have them
}

// grow has placement groups and the replicas of ranges spread over the disks that come, until ctx ends. The node that
// leads the system range plans; every node tends the ranges that it leads, and lets go of what it keeps for ranges that have
// left it.
func (n *Node) grow(ctx context.Context) {
	ticker := time.NewTicker(growTick)
	defer ticker.Stop()
	var g growth
	t := tending{leaders: map[uint64]leaderSince{}, sized: map[uint64]sizedAt{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !n.settled.Load() {
			continue
		}
		if n.leads(systemRange) {
			n.plan(ctx, &g)
		}
		n.tend(ctx, &t)
		n.collect(ctx)
	}
}

// plan takes one step for the groups and one for each range.
func (n *Node) plan(ctx context.Context, g *growth) {
	ctx, cancel := context.WithTimeout(ctx, growTimeout)
	defer cancel()
	if err := n.growGroups(ctx, g); err != nil && ctx.Err() == nil {
		n.env.Log.Warn("placement groups cannot be laid over the cluster's disks now", "error", err)
	}
	m := n.topology.Map()
	for i := range m.Ranges {
		if err := n.moveReplicas(ctx, m.Ranges[i].ID); err != nil && ctx.Err() == nil {
			n.env.Log.Warn("the replicas of a range cannot be moved now", "range", m.Ranges[i].ID, "error", err)
		}
	}
}

// growGroups lays placement groups over disks that have none.
func (n *Node) growGroups(ctx context.Context, g *growth) error {
	m := n.topology.Map()
	var disks []disk.ID
	for _, d := range m.Disks {
		disks = append(disks, d.ID)
	}
	now := n.env.Clock()
	if !slices.Equal(disks, g.disks) {
		g.disks, g.since = disks, now
	}
	if now.Sub(g.since) < growPause || g.judged == m.Revision {
		return nil
	}
	if _, changed, err := placement.GrowGroups(m); err != nil || !changed {
		g.judged = m.Revision
		return err
	}
	return n.changeMap(ctx, func(m *clustermap.Map) (bool, error) {
		grown, changed, err := placement.GrowGroups(m)
		if err != nil || !changed {
			return false, err
		}
		n.env.Log.Info("placement groups are laid over the cluster's disks", "disks", len(m.Disks), "groups", len(grown.Groups)-len(m.Groups))
		*m = *grown
		return true, nil
	})
}

// moveReplicas takes the next step that brings the replicas of a range to where they should be, if any: where an order sends
// them, then where they are best. What the map shows of the range says whether it is worth asking.
func (n *Node) moveReplicas(ctx context.Context, rangeID uint64) error {
	m := n.topology.Map()
	if len(m.Nodes) > 1 && n.keptNodes.Load() < 2 {
		return nil // see freshOf
	}
	r := m.Range(rangeID)
	if r == nil {
		return nil
	}
	if r.Move == nil {
		if _, ok := placement.NextReplicas(m, r, n.aliveFor(r), func(disk.ID) bool { return true }); !ok {
			return nil
		}
	}
	report, err := n.rangeReport(ctx, r)
	if err != nil {
		return err
	}
	now := rangeOf(report.Range)
	if now.ID != rangeID {
		return nil // it was split, and the map does not show it yet
	}
	if now.Move = r.Move; now.Move != nil {
		return n.followOrder(ctx, &now, caughtUp(report))
	}
	change, ok := placement.NextReplicas(m, &now, n.aliveFor(&now), caughtUp(report))
	if !ok {
		return nil
	}
	n.env.Log.Info("the replicas of a range change", "range", rangeID, "add", change.Add, "promote", change.Promote, "demote", change.Demote, "remove", change.Remove, "leave", change.Leave)
	return n.changeReplicas(ctx, &now, change)
}

// followOrder takes the next step that an order asks for, and drops the order once it is carried out, or can't be any more.
func (n *Node) followOrder(ctx context.Context, r *clustermap.Range, caughtUp func(disk.ID) bool) error {
	change, state := placement.MoveReplica(r, n.alive, caughtUp)
	switch state {
	case placement.OrderStep:
		n.env.Log.Info("the replicas of a range change by order", "range", r.ID, "from", r.Move.From, "to", r.Move.To)
		return n.changeReplicas(ctx, r, change)
	case placement.OrderDone, placement.OrderOff:
		n.env.Log.Info("the order that a replica move ends", "range", r.ID, "from", r.Move.From, "to", r.Move.To, "done", state == placement.OrderDone)
		return n.dropOrder(ctx, r.ID, r.Move)
	}
	return nil
}

// aliveFor says which disks count for a range. That a disk is away is no reason to take a replica from it: it may come back
// soon.
func (n *Node) aliveFor(r *clustermap.Range) func(disk.ID) bool {
	return func(id disk.ID) bool {
		return slices.ContainsFunc(r.Replicas, func(x clustermap.Replica) bool { return x.Disk == id }) || n.alive(id)
	}
}

// rangeReport asks the leader of a range for its descriptor and its replicas' progress.
func (n *Node) rangeReport(ctx context.Context, r *clustermap.Range) (*metapb.RangeReport, error) {
	q, err := atStart(r)
	if err != nil {
		return nil, err
	}
	q.Op = &metapb.Query_GetRange{GetRange: &metapb.GetRange{}}
	a, err := n.meta.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.Status != metapb.Status_OK || a.Range.GetRange() == nil {
		return nil, fmt.Errorf("report of range %d: %v", r.ID, a.Status)
	}
	return a.Range, nil
}

// caughtUp tells which disks' replicas miss so little that they may vote.
func caughtUp(report *metapb.RangeReport) func(disk.ID) bool {
	return func(id disk.ID) bool {
		for _, p := range report.Replicas {
			if disk.ID(p.Disk) == id {
				return p.Active && p.Replicating && p.Lag <= growLagMax
			}
		}
		return false
	}
}

// changeReplicas asks a range for one step. A step that somebody else was quicker with is no error.
func (n *Node) changeReplicas(ctx context.Context, r *clustermap.Range, change placement.ReplicaChange) error {
	q, err := atStart(r)
	if err != nil {
		return err
	}
	res, err := n.meta.Apply(ctx, &metapb.Command{
		Format: 1, Bucket: q.Bucket, Key: q.Key, Time: uint64(n.env.Clock().UnixMicro()),
		Op: &metapb.Command_ChangeReplicas{ChangeReplicas: &metapb.ChangeReplicas{
			IfGeneration: r.Generation, Add: numbers(change.Add), Promote: numbers(change.Promote),
			Demote: numbers(change.Demote), Remove: numbers(change.Remove), Leave: change.Leave,
		}},
	}, nil)
	switch {
	case err != nil:
		return err
	case res.Status == metapb.Status_OK:
		return n.showRanges(ctx, rangeOf(res.Range))
	case res.Status == metapb.Status_REVISION_MISMATCH:
		return nil
	}
	return fmt.Errorf("%v: %s", res.Status, res.Detail)
}

func numbers(ids []disk.ID) (out []uint64) {
	for _, id := range ids {
		out = append(out, uint64(id))
	}
	return out
}

// rangeOf makes the map's form of a descriptor.
func rangeOf(d *metapb.RangeDescriptor) clustermap.Range {
	r := clustermap.Range{ID: d.Id, Generation: d.Generation, Start: d.Start, End: d.End}
	for _, x := range d.Replicas {
		r.Replicas = append(r.Replicas, clustermap.Replica{
			ID: x.Id, Disk: disk.ID(x.Disk), Learner: x.Learner, Incoming: x.Incoming, Outgoing: x.Outgoing,
		})
	}
	return r
}

// collect takes replicas off this node's disks that are no members of their ranges any more. The map is a hint where to
// look; what the range itself says, decides.
func (n *Node) collect(ctx context.Context) {
	m := n.topology.Map()
	known := make(map[uint64]*clustermap.Range, len(m.Ranges))
	for i := range m.Ranges {
		known[m.Ranges[i].ID] = &m.Ranges[i]
	}
	for id, s := range n.stores {
		for _, x := range s.Status().Replicas {
			r := known[x.Range]
			if r == nil || !takesPart(&x) || slices.ContainsFunc(r.Replicas, func(x clustermap.Replica) bool { return x.Disk == id }) {
				continue
			}
			if err := n.letGo(ctx, r, id, s.Destroy); err != nil && ctx.Err() == nil {
				n.env.Log.Debug("a replica that may be in nobody's use stays for now", "range", r.ID, "disk", id, "error", err)
			}
		}
	}
}

// takesPart reports whether a replica can be destroyed: it takes part, or knows itself to be no member any more.
func takesPart(r *replica.Status) bool {
	switch r.Role {
	case roleLeader, roleFollower, roleCandidate, roleRemoved:
		return true
	}
	return false
}

// letGo destroys a disk's replica of a range if the range says that it is no member.
func (n *Node) letGo(ctx context.Context, r *clustermap.Range, id disk.ID, destroy func(ctx context.Context, rangeID, least uint64) error) error {
	ctx, cancel := context.WithTimeout(ctx, growTimeout)
	defer cancel()
	report, err := n.rangeReport(ctx, r)
	if err != nil {
		return err
	}
	d := report.Range
	if d.Id != r.ID || d.Generation < r.Generation || slices.ContainsFunc(d.Replicas, func(x *metapb.Replica) bool { return disk.ID(x.Disk) == id }) {
		return nil
	}
	return destroy(ctx, r.ID, d.NextReplica)
}
