package simtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// Add adds what another history came to.
func (m *Moves) Add(o Moves) {
	m.Adds += o.Adds
	m.Exchanges += o.Exchanges
	m.Leaves += o.Leaves
	m.Removes += o.Removes
	m.Demoted += o.Demoted
	m.LeaderDemoted += o.LeaderDemoted
	m.Destroys += o.Destroys
	m.Returns += o.Returns
	m.Broken += o.Broken
	m.Splits += o.Splits
	m.Learning += o.Learning
}

// moverOf returns the mover of a range, nil if it has none.
func (c *Cluster) moverOf(rangeID uint64) *mover {
	for _, m := range c.movers {
		if m.rangeID == rangeID {
			return m
		}
	}
	return nil
}

// discover gives a mover to each range that has come about somewhere.
func (c *Cluster) discover() {
	for _, n := range c.nodes {
		if n.core == nil {
			continue
		}
		for _, s := range n.core.Status().Replicas {
			if c.moverOf(s.Range) != nil {
				continue
			}
			c.movers = append(c.movers, newMover(c, s.Range))
			c.moverOf(s.Range).moves.Splits++
		}
	}
}

// split has the range split at a key once in a while, until there are enough; true if a split was asked for.
func (m *mover) split(leader int, d *metapb.RangeDescriptor) bool {
	c := m.c
	if len(c.movers) > c.opt.Splits || !c.faults || machine.Joint(d) || !c.chance(8) {
		return false
	}
	at := keys.Position(bucketID, fmt.Appendf(nil, "k%d", c.rand.IntN(c.opt.Keys)))
	if left, _, _ := machine.SplitDescriptor(d, at, c.nextRange); left == nil {
		return false
	}
	m.splitAt(leader, d, at)
	return true
}

// splitAt asks for a split.
func (m *mover) splitAt(leader int, d *metapb.RangeDescriptor, at []byte) {
	c := m.c
	if slices.ContainsFunc(d.Replicas, func(r *metapb.Replica) bool { return r.Learner }) {
		m.moves.Learning++
	}
	split := &metapb.SplitRange{IfGeneration: d.Generation, At: at, NewRange: c.nextRange}
	c.nextRange++
	m.propose(leader, d, &metapb.Command{Op: &metapb.Command_Split{Split: split}})
}

// middle returns where a range that keeps too much is to be split, as the node that leads it does it; else nil.
func (m *mover) middle(v *store.View, bucket uint64, key []byte) []byte {
	c := m.c
	if c.opt.RangeBytes == 0 || machine.Joint(v.Descriptor()) {
		return nil
	}
	ask := func(q *metapb.Query) *metapb.Answer {
		q.Format, q.Bucket, q.Key = 1, bucket, key
		a, err := v.Answer(context.Background(), q)
		if err != nil || a.Status != metapb.Status_OK {
			c.fail("range %d can't be measured: %v %v", m.rangeID, a, err)
		}
		return a
	}
	u := ask(&metapb.Query{Op: &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{All: true}}}).GetUsage()
	if u.GetHalved() != 0 || u.GetKeptBytes() <= c.opt.RangeBytes {
		return nil
	}
	return ask(&metapb.Query{Op: &metapb.Query_FindSplit{FindSplit: &metapb.FindSplit{}}}).GetSplit()
}

// find returns what clients know of the range that owns a position.
func (c *Cluster) find(position []byte) *metapb.RangeDescriptor {
	n := len(c.known)
	for n > 1 && bytes.Compare(c.known[n-1].Start, position) > 0 {
		n--
	}
	return c.known[n-1]
}

// learn takes in what a range says of itself: it replaces what is known of its span that is older.
func (c *Cluster) learn(d *metapb.RangeDescriptor) {
	var next []*metapb.RangeDescriptor
	for _, k := range c.known {
		if k.Id == d.Id || !keys.Overlap(k.Start, k.End, d.Start, d.End) {
			continue
		}
		if k.Generation > d.Generation {
			return // the news is old
		}
		// What is left of it on either side is its own still, or of a range that is not known yet.
		if bytes.Compare(k.Start, d.Start) < 0 {
			l := k.CloneVT()
			l.End = d.Start
			next = append(next, l)
		}
		if len(d.End) > 0 && (len(k.End) == 0 || bytes.Compare(d.End, k.End) < 0) {
			r := k.CloneVT()
			r.Start = d.End
			next = append(next, r)
		}
	}
	for _, k := range c.known {
		switch {
		case k.Id == d.Id && k.Generation > d.Generation:
			return
		case k.Id == d.Id:
			if len(d.End) > 0 && (len(k.End) == 0 || bytes.Compare(d.End, k.End) < 0) {
				r := k.CloneVT()
				r.Start = d.End
				next = append(next, r)
			}
		case !keys.Overlap(k.Start, k.End, d.Start, d.End):
			next = append(next, k)
		}
	}
	c.known = append(next, d)
	slices.SortFunc(c.known, func(a, b *metapb.RangeDescriptor) int { return bytes.Compare(a.Start, b.Start) })
}

// position is where an attempt goes.
func (a *attempt) position() []byte {
	if a.command != nil {
		return keys.Position(a.command.Bucket, a.command.Key)
	}
	return keys.Position(a.query.Bucket, a.query.Key)
}

// settled has movers make no new plans, and reports whether all ranges are known and have come to rest.
func (c *Cluster) settled() bool {
	for _, m := range c.movers {
		m.ends = true
		if !m.settled() {
			return false
		}
	}
	return c.tiled()
}

// tiled reports whether the ranges, as their leaders showed them last, lie beside each other without gap or overlap.
func (c *Cluster) tiled() bool {
	var all []*metapb.RangeDescriptor
	for _, m := range c.movers {
		all = append(all, m.seen)
	}
	slices.SortFunc(all, func(a, b *metapb.RangeDescriptor) int { return bytes.Compare(a.Start, b.Start) })
	for i, d := range all {
		if i == 0 && len(d.Start) > 0 || i > 0 && !bytes.Equal(all[i-1].End, d.Start) || i > 0 && len(d.Start) == 0 {
			return false
		}
	}
	return len(all[len(all)-1].End) == 0
}

// counted reports whether no range's usage is halved any more.
func (c *Cluster) counted() bool {
	for _, r := range c.ranges() {
		n := c.leaderOf(r)
		if n < 0 {
			return false
		}
		s := c.nodes[n].disk.State().Snapshot()
		list, err := machine.Corrections(s, r)
		if e := s.Close(); err == nil {
			err = e
		}
		if err != nil {
			c.fail("usage of range %d: %v", r, err)
		}
		if len(list) > 0 {
			return false
		}
	}
	return true
}
