package store

import (
	"cmp"
	"maps"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// How many ticks pass between two looks at which ranges are to be compared: at all of them, and at those where replicas differ, or
// did. With very many ranges it is the looking that costs.
const (
	compareAll   = 600
	compareSweep = 50
)

// compared is what a member knows of comparisons.
type compared struct {
	applied uint64 // the entry that compared last, as leader; what follows it is the comparison's own
	moved   bool   // entries after that one are applied
	at      int    // and when, in ticks
	index   uint64 // of the sums
	sums    []sumOf
	differ  []disk.ID // whose rows are not those of most, or not the leader's where no most agree; until they are found to be
	again   bool      // it is asked for, or a replica is being remade
	asked   []disk.ID // whose replicas asked, and were not told yet that they are right
	wait    int       // ticks after which it comes again while replicas differ, 0: as always

	ordered   disk.ID // whose replica was last to be remade
	orderedAt int     // when, in ticks
	orderedBy uint64  // the index of the sums by which
	found     uint64  // the index of the last sums that differ
}

// sumOf is what the replica on a disk sums up to.
type sumOf struct {
	disk disk.ID
	sum  uint64
}

// compareDue has the ranges compared that are led here, have changed since they were, and were not for long. Sleeping ones
// wake for it. Where a replica that differs is being remade, or somebody asks, it comes sooner.
func (c *Core) compareDue() {
	c.ticks++
	switch {
	case c.ticks%compareAll == 0, c.opt.CompareTicks <= compareSweep:
		for _, m := range c.members {
			c.compareOne(m)
		}
	case c.ticks%compareSweep == 0 && len(c.troubled) > 0:
		for _, m := range slices.SortedFunc(maps.Keys(c.troubled), func(a, b *member) int { return cmp.Compare(a.rangeID, b.rangeID) }) {
			if c.compareOne(m); !m.troubled() || c.byRange[m.rangeID] != m {
				delete(c.troubled, m)
			}
		}
	}
}

func (c *Core) compareOne(m *member) {
	if m.replica == nil {
		return
	}
	c.confess(m)
	if c.isDue(m) && m.replica.CanRead() {
		c.askSums(m)
	}
}

// trouble has a range looked at more often than others, as long as it is troubled.
func (c *Core) trouble(m *member) { c.troubled[m] = struct{}{} }

// troubled reports whether a replica differs, or asks whether it does, or somebody else does.
func (m *member) troubled() bool {
	return m.remade.ask > 0 || m.compared.again || m.compared.wait > 0
}

// isDue reports whether the replicas of a range, if it is led here, are to be compared now. It looks at nothing but the member, which
// is what many sleeping ranges cost.
func (c *Core) isDue(m *member) bool {
	x, since := &m.compared, c.ticks-m.compared.at
	return x.again || x.wait > 0 && since >= x.wait ||
		since >= c.opt.CompareTicks && x.moved
}

// noteMoved notes whether entries were applied since the replicas of a range were compared.
func (m *member) noteMoved() {
	m.compared.moved = m.replica.Machine().State().AppliedIndex > m.compared.applied
}

// askSums has all replicas of a range summed up as they are after one entry.
func (c *Core) askSums(m *member) {
	m.compared.at, m.compared.again = c.ticks, false
	d := m.replica.Machine().Descriptor()
	cmd := &metapb.Command{Format: machine.Format, Time: m.now(), Op: &metapb.Command_Compare{Compare: &metapb.CompareReplicas{}}}
	cmd.Bucket, cmd.Key = machine.First(d)
	p, err := NewProposal(m.rangeID, cmd, nil, func(*metapb.Result, error) {})
	if err != nil {
		c.opt.Logger.Error("replicas can't be compared", "range", m.rangeID, "error", err)
		return
	}
	c.Propose(p)
}

// compare has the rows of a replica summed up, beside the core, where an entry has asked for it.
func (c *Core) compare(m *member) {
	x := m.replica.Comparison()
	if x == nil {
		return
	}
	c.opt.Go(func() {
		sum, err := machine.Sum(x.View, m.rangeID)
		if e := x.View.Close(); err == nil {
			err = e
		}
		c.opt.Post(func() { c.summed(m, x.Index, sum, err) })
	})
}

// summed takes the sum of this store's replica in, or tells the leader of it.
func (c *Core) summed(m *member, index, sum uint64, err error) {
	switch {
	case c.stopped != nil || m.replica == nil:
	case err != nil:
		c.opt.Logger.Error("a replica's rows can't be summed up", "range", m.rangeID, "disk", c.opt.Disk.ID(), "error", err)
	case m.term > 0:
		m.compared.applied = max(m.compared.applied, index)
		m.noteMoved()
		c.takeSum(m, c.opt.Disk.ID(), &transport.Sum{Index: index, Sum: sum})
	default:
		if to := m.replica.LeaderDisk(); to != 0 {
			c.opt.Sender.Send(&transport.Message{Range: m.rangeID, From: c.opt.Disk.ID(), To: to, Sum: &transport.Sum{Index: index, Sum: sum}})
		}
	}
}

// takeSum compares what the replicas sum up to, as far as they have said so, once the leader's own sum is there.
func (c *Core) takeSum(m *member, from disk.ID, s *transport.Sum) {
	x := &m.compared
	if m.term == 0 || s.Index < x.index {
		return
	}
	if s.Index > x.index {
		x.index, x.sums = s.Index, nil
	}
	of := func(id disk.ID) int { return slices.IndexFunc(x.sums, func(o sumOf) bool { return o.disk == id }) }
	if of(from) < 0 && len(x.sums) < sumsMost {
		x.sums = append(x.sums, sumOf{from, s.Sum})
	}
	own := of(c.opt.Disk.ID())
	if own < 0 {
		return
	}
	d := m.replica.Machine().Descriptor()
	truth, agreed := mostAgree(d, x.sums)
	if !agreed {
		truth = x.sums[own].sum
	}
	c.note(m, d, truth, agreed)
	if agreed {
		c.acquit(m, truth)
		c.remake(m, d, truth)
	}
}

// sumsMost bounds the sums of one comparison.
const sumsMost = 64

// mostAgree returns the sum that more than half of a range's voters have. False: there is none, or not enough of them have
// told theirs yet, or two configurations count now. Then nobody knows which replica is right: with two that differ there is
// an alarm and never a repair.
func mostAgree(d *metapb.RangeDescriptor, sums []sumOf) (sum uint64, agreed bool) {
	if mutantNoMajority {
		return sums[0].sum, true
	}
	if machine.Joint(d) {
		return 0, false
	}
	voters := 0
	for _, r := range d.Replicas {
		if !r.Learner {
			voters++
		}
	}
	for _, x := range sums {
		n := 0
		for _, o := range sums {
			if r := machine.ReplicaOn(d, uint64(o.disk)); r != nil && !r.Learner && o.sum == x.sum {
				n++
			}
		}
		if 2*n > voters {
			return x.sum, true
		}
	}
	return 0, false
}

// note keeps and tells which replicas differ. One that was found to differ does until it is found not to.
func (c *Core) note(m *member, d *metapb.RangeDescriptor, truth uint64, agreed bool) {
	x := &m.compared
	was := slices.Clone(x.differ)
	x.differ = slices.DeleteFunc(x.differ, func(id disk.ID) bool { return machine.ReplicaOn(d, uint64(id)) == nil })
	for _, o := range x.sums {
		known := slices.Contains(x.differ, o.disk)
		switch {
		case o.sum != truth && !known:
			x.differ = append(x.differ, o.disk)
		case o.sum == truth && known:
			x.differ = slices.DeleteFunc(x.differ, func(id disk.ID) bool { return id == o.disk })
			if o.disk == x.ordered {
				c.opt.Logger.Info("a replica holds again what most others hold", "range", m.rangeID, "index", x.index, "disk", o.disk)
			}
		}
		if last := x.sums[len(x.sums)-1]; o.sum != truth && (last == o || last.disk == c.opt.Disk.ID()) {
			c.opt.Logger.Error("replicas of a range differ", "range", m.rangeID, "index", x.index, "leader", c.opt.Disk.ID(),
				"disk", o.disk, "sum", o.sum, "others", truth, "most_agree", agreed)
		}
	}
	if len(x.differ) == 0 {
		x.wait, x.ordered = 0, 0
	} else if x.found != x.index {
		x.found = x.index
		c.differed++
	}
	if !slices.Equal(was, x.differ) {
		c.stir(m)
	}
}
