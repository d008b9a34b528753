package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/placement"
)

var _ admin.Arranger = (*Node)(nil)

// Measures of naming buckets.
const (
	bucketPage     = 1000
	bucketPagesMax = 20
)

// Ranges implements admin.Arranger.
func (n *Node) Ranges(ctx context.Context, bucket string) (admin.RangeList, error) {
	m := n.topology.Map()
	shown, names := m.Ranges, map[uint64]string{}
	if bucket != "" {
		id, err := n.bucketID(ctx, bucket)
		if err != nil {
			return admin.RangeList{}, err
		}
		shown, names[id] = nil, bucket
		for _, r := range m.Ranges {
			if keys.Overlap(r.Start, r.End, keys.Position(id, nil), keys.Position(id+1, nil)) {
				shown = append(shown, r)
			}
		}
	}
	if err := n.nameBuckets(ctx, shown, names); err != nil {
		return admin.RangeList{}, err
	}
	list := admin.RangeList{Format: admin.RangesFormat, Revision: m.Revision}
	s := newShower(m, names)
	for i := range shown {
		list.Ranges = append(list.Ranges, s.show(&shown[i]))
	}
	return list, nil
}

// bucketID looks a bucket up.
func (n *Node) bucketID(ctx context.Context, name string) (uint64, error) {
	a, err := n.meta.Query(ctx, &metapb.Query{
		Format: 1, Bucket: metashards.SystemBucket, Key: metapb.BucketKey(name),
		Op: &metapb.Query_GetBucket_{GetBucket_: &metapb.GetBucket{Name: name}},
	})
	switch {
	case err != nil:
		return 0, err
	case a.Status == metapb.Status_NO_SUCH_BUCKET:
		return 0, noBucket(name)
	case a.Status != metapb.Status_OK:
		return 0, fmt.Errorf("look up bucket %q: %v %s", name, a.Status, a.Detail)
	}
	return a.Bucket.Id, nil
}

// nameBuckets finds the names of the buckets in which ranges begin or end, as far as some pages of the list of buckets tell
// them.
func (n *Node) nameBuckets(ctx context.Context, ranges []clustermap.Range, names map[uint64]string) error {
	asked := map[uint64]bool{}
	for i := range ranges {
		for _, at := range [][]byte{ranges[i].Start, ranges[i].End} {
			if bucket, _, err := keys.ParsePosition(at); err == nil && bucket != metashards.SystemBucket && names[bucket] == "" {
				asked[bucket] = true
			}
		}
	}
	after := ""
	for range bucketPagesMax {
		if len(asked) == 0 {
			break
		}
		a, err := n.meta.Query(ctx, &metapb.Query{
			Format: 1, Bucket: metashards.SystemBucket, Key: metapb.BucketKey(""),
			Op: &metapb.Query_ListBuckets{ListBuckets: &metapb.ListBuckets{After: after, Limit: bucketPage}},
		})
		if err == nil && a.Status != metapb.Status_OK {
			err = fmt.Errorf("list buckets: %v %s", a.Status, a.Detail)
		}
		if err != nil {
			return err
		}
		for _, b := range a.Buckets {
			if asked[b.Id] {
				names[b.Id] = b.Name
				delete(asked, b.Id)
			}
			after = b.Name
		}
		if !a.Truncated || len(a.Buckets) == 0 {
			break
		}
	}
	return nil
}

// shower makes the operator's form of ranges.
type shower struct {
	members map[disk.ID]admin.Member
	names   map[uint64]string // of buckets
}

func newShower(m *clustermap.Map, names map[uint64]string) *shower {
	s := &shower{make(map[disk.ID]admin.Member, len(m.Disks)), names}
	nodes := make(map[clustermap.NodeID]string, len(m.Nodes))
	for _, x := range m.Nodes {
		nodes[x.ID] = x.Name
	}
	for _, d := range m.Disks {
		s.members[d.ID] = admin.Member{Disk: d.ID.String(), Node: nodes[d.Node], Path: d.Path}
	}
	return s
}

func (s *shower) member(id disk.ID) admin.Member {
	if x, ok := s.members[id]; ok {
		return x
	}
	return admin.Member{Disk: id.String()}
}

func (s *shower) show(r *clustermap.Range) admin.Range {
	out := admin.Range{ID: r.ID, Generation: r.Generation, Start: s.position(r.Start), End: s.position(r.End), Replicas: []admin.Replica{}}
	for _, x := range r.Replicas {
		out.Replicas = append(out.Replicas, admin.Replica{
			ID: x.ID, Member: s.member(x.Disk), Learner: x.Learner, Incoming: x.Incoming, Outgoing: x.Outgoing,
		})
	}
	if r.Leader != 0 {
		leader := s.member(r.Leader)
		out.Leader = &leader
	}
	if r.Move != nil {
		out.Move = &admin.Move{From: r.Move.From.String(), To: r.Move.To.String()}
	}
	return out
}

func (s *shower) position(at []byte) *admin.Position {
	bucket, key, err := keys.ParsePosition(at)
	if len(at) == 0 || err != nil {
		return nil
	}
	p := &admin.Position{BucketID: bucket, Bucket: s.names[bucket], Key: string(key)}
	if !utf8.Valid(key) {
		p.Key, p.KeyBytes = "", bytes.Clone(key)
	}
	return p
}

// SplitRange implements admin.Arranger.
func (n *Node) SplitRange(ctx context.Context, q admin.SplitRequest) (a admin.SplitAnswer, err error) {
	at, err := n.splitPosition(ctx, q)
	if err != nil {
		return a, err
	}
	res, err := n.splitRange(ctx, at)
	switch {
	case errors.Is(err, errNoSplit):
		return a, &admin.RequestError{Kind: admin.Conflict, Text: "The range cannot be split there now: a range begins there already, or its replicas are being exchanged."}
	case err != nil:
		return a, err
	}
	parts := []clustermap.Range{rangeOf(res.Range), rangeOf(res.Split)}
	names := map[uint64]string{}
	if err := n.nameBuckets(ctx, parts, names); err != nil {
		return a, err
	}
	s := newShower(n.topology.Map(), names)
	return admin.SplitAnswer{Left: s.show(&parts[0]), Right: s.show(&parts[1])}, nil
}

// splitPosition finds where to split: at a key, or in the middle of a range.
func (n *Node) splitPosition(ctx context.Context, q admin.SplitRequest) ([]byte, error) {
	if q.Range == 0 {
		id, err := n.bucketID(ctx, q.Bucket)
		return keys.Position(id, []byte(q.Key)), err
	}
	r := n.topology.Map().Range(q.Range)
	switch {
	case r == nil:
		return nil, noRange(q.Range)
	case len(r.Start) == 0:
		return nil, &admin.RequestError{Kind: admin.Conflict, Text: "The range of the system records is not split."}
	}
	a, err := n.askRange(ctx, descriptorOf(r), &metapb.Query{Op: &metapb.Query_FindSplit{FindSplit: &metapb.FindSplit{}}})
	if err == nil && len(a.Split) == 0 {
		err = &admin.RequestError{Kind: admin.Conflict, Text: fmt.Sprintf("Range %d holds too little to be split.", q.Range)}
	}
	return a.GetSplit(), err
}

func noBucket(name string) error {
	return &admin.RequestError{Kind: admin.NotFound, Text: fmt.Sprintf("There is no bucket %q.", name)}
}

func noRange(id uint64) error {
	return &admin.RequestError{Kind: admin.NotFound, Text: fmt.Sprintf("There is no range %d.", id)}
}

// MoveReplica implements admin.Arranger. A new order takes the place of one that is under way; the planner then clears away
// what that one has begun.
func (n *Node) MoveReplica(ctx context.Context, q admin.MoveRequest) error {
	from, err := disk.ParseID(q.From)
	if err != nil {
		return &admin.RequestError{Kind: admin.Invalid, Text: fmt.Sprintf("%q is no disk id.", q.From)}
	}
	to, err := disk.ParseID(q.To)
	if err != nil {
		return &admin.RequestError{Kind: admin.Invalid, Text: fmt.Sprintf("%q is no disk id.", q.To)}
	}
	order := clustermap.Move{From: from, To: to}
	return n.changeMap(ctx, func(m *clustermap.Map) (bool, error) {
		r := m.Range(q.Range)
		switch {
		case r == nil:
			return false, noRange(q.Range)
		case clustermap.SameMove(r.Move, &order):
			return false, nil
		}
		if err := placement.CheckMove(m, r, order, n.alive); err != nil {
			return false, &admin.RequestError{Kind: admin.Conflict, Text: "Not moved: " + err.Error() + "."}
		}
		r.Move = &order
		m.Copysets = placement.AddCopyset(m, slices.DeleteFunc(append(votersOf(r), to), func(d disk.ID) bool { return d == from }))
		return true, nil
	})
}

func votersOf(r *clustermap.Range) (disks []disk.ID) {
	for _, x := range r.Replicas {
		if !x.Learner && !x.Outgoing {
			disks = append(disks, x.Disk)
		}
	}
	return disks
}
