package router_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/router"
	"github.com/contender/contender/metashards/store"
)

// space is ranges over bucket 3 that split and move under a router whose map does not know. Each is led by one disk, which
// answers what is said of a position that it does not own with the range that does.
type space struct {
	t   *testing.T
	top *topology
	*router.Router

	mu     sync.Mutex
	ranges []*metapb.RangeDescriptor // ascending, one beside the other
	leads  map[uint64]disk.ID
	asked  []string          // "range on disk", of every attempt at a leader
	done   map[string]string // request id → what it was carried out with
	order  []string          // the request ids, as they were carried out
	retry  map[string]bool   // request ids that came as retries
	// meddle, if set, is called before a leader judges a command, and may answer in its place.
	meddle func(rangeID uint64, c *metapb.Command) (*metapb.Result, error)
	after  func(rangeID uint64, c *metapb.Command) error // and after it was carried out
}

// newSpace returns ranges 1, 2, … that meet at keys of bucket 3, with generation 1, led by disk 1, and a map that has them.
func newSpace(t *testing.T, at ...string) *space {
	t.Helper()
	s := &space{
		t: t, top: &topology{changed: make(chan struct{})}, leads: map[uint64]disk.ID{}, done: map[string]string{},
		retry: map[string]bool{},
	}
	start := keys.Position(1, nil)
	for i, key := range append(at, "") {
		end := keys.Position(3, []byte(key))
		if key == "" {
			end = nil
		}
		s.ranges = append(s.ranges, &metapb.RangeDescriptor{Id: uint64(i + 1), Generation: 1, Start: start, End: end, Replicas: replicas(1, 2, 3)})
		s.leads[uint64(i+1)] = 1
		start = end
	}
	s.top.m = s.mapNow()
	s.Router = s.router()
	return s
}

// router returns a router over the space that knows nothing but the map.
func (s *space) router() *router.Router {
	return router.New(router.Options{Topology: s.top, Clock: router.Wall{}, Target: func(id disk.ID) (router.Target, bool) {
		return spaceDisk{s, id}, true
	}})
}

func replicas(disks ...uint64) (r []*metapb.Replica) {
	for i, d := range disks {
		r = append(r, &metapb.Replica{Id: uint64(i + 1), Disk: d})
	}
	return r
}

// mapNow returns the map as it should be.
func (s *space) mapNow() *clustermap.Map {
	m := new(clustermap.Map)
	for _, d := range s.ranges {
		g := clustermap.Range{ID: d.Id, Generation: d.Generation, Start: d.Start, End: d.End}
		for _, r := range d.Replicas {
			g.Replicas = append(g.Replicas, clustermap.Replica{ID: r.Id, Disk: disk.ID(r.Disk)})
		}
		m.Ranges = append(m.Ranges, g)
	}
	return m
}

// owner returns the range of a key.
func (s *space) owner(key string) *metapb.RangeDescriptor {
	for _, d := range s.ranges {
		if keys.Contains(d.Start, d.End, 3, []byte(key)) {
			return d
		}
	}
	s.t.Errorf("no range has %q", key)
	return s.ranges[0]
}

// split cuts the range of a key there; the right half stays where the left is.
func (s *space) split(key string, id uint64) (left, right *metapb.RangeDescriptor) {
	old := s.owner(key)
	left, right = old.CloneVT(), old.CloneVT()
	left.Generation++
	right.Generation, right.Id = left.Generation, id
	left.End = keys.Position(3, []byte(key))
	right.Start = left.End
	i := slices.Index(s.ranges, old)
	s.ranges = slices.Replace(s.ranges, i, i+1, left, right)
	s.leads[id] = s.leads[old.Id]
	return left, right
}

// answer judges a command that lies in a range.
func (s *space) answer(rangeID uint64, c *metapb.Command, payload []byte) *metapb.Result {
	own := s.owner(string(c.Key))
	if own.Id != rangeID {
		return &metapb.Result{Status: metapb.Status_WRONG_RANGE, Range: own}
	}
	what := fmt.Sprintf("%s %s", c.Key, payload)
	if c.Retry {
		s.retry[c.RequestId] = true
	}
	if old, ok := s.done[c.RequestId]; ok {
		if !c.Retry {
			s.t.Errorf("%s was carried out and came again, and not as a retry", c.RequestId)
		}
		if old != what {
			s.t.Errorf("%s was %q and came again as %q", c.RequestId, old, what)
		}
	} else {
		s.done[c.RequestId] = what
		s.order = append(s.order, c.RequestId)
	}
	return &metapb.Result{Detail: what, Time: uint64(len(s.order))}
}

// take returns what was asked since it was called last.
func (s *space) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// spaceDisk is the store of one disk.
type spaceDisk struct {
	*space
	id disk.ID
}

// refuse answers unless the disk leads the range.
func (d spaceDisk) refuse(rangeID uint64) error {
	if d.leads[rangeID] != d.id {
		return &store.Refusal{Reason: store.NotLeader, Range: rangeID, Leader: d.leads[rangeID]}
	}
	d.asked = append(d.asked, fmt.Sprintf("%d on %d", rangeID, d.id))
	return nil
}

func (d spaceDisk) Propose(_ context.Context, rangeID uint64, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refuse(rangeID); err != nil {
		return nil, err
	}
	if d.meddle != nil {
		if r, err := d.meddle(rangeID, c); r != nil || err != nil {
			return r, err
		}
	}
	var out *metapb.Result
	if batch := c.GetBatch(); batch == nil {
		out = d.answer(rangeID, c, payload)
	} else {
		out = new(metapb.Result)
		for _, sub := range batch.Commands {
			out.Results = append(out.Results, d.answer(rangeID, sub, payload[:sub.PayloadLength]))
			payload = payload[sub.PayloadLength:]
		}
		if len(payload) > 0 {
			d.t.Errorf("%q too much", payload)
		}
	}
	if d.after != nil {
		if err := d.after(rangeID, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d spaceDisk) Query(_ context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refuse(rangeID); err != nil {
		return nil, err
	}
	if own := d.owner(string(q.Key)); own.Id != rangeID {
		return &metapb.Answer{Status: metapb.Status_WRONG_RANGE, Range: &metapb.RangeReport{Range: own}}, nil
	}
	return &metapb.Answer{Detail: string(q.Key)}, nil
}
