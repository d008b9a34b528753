package store

import (
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// compareSweep is how many ticks pass between two looks at which ranges are to be compared.
const compareSweep = 50

// compared is what a member knows of comparisons.
type compared struct {
	applied uint64 // the entry that compared last, as leader; what follows it is the comparison's own
	at      int    // and when, in ticks
	index   uint64 // of the sums
	sums    []sumOf
	differ  []disk.ID // whose rows were not the leader's
}

// sumOf is what the replica on a disk sums up to.
type sumOf struct {
	disk disk.ID
	sum  uint64
}

// compareDue has the ranges compared that are led here, have changed since they were, and were not for long. Sleeping ones
// wake for it.
func (c *Core) compareDue() {
	c.ticks++
	if c.ticks%compareSweep != 0 && c.opt.CompareTicks > compareSweep {
		return
	}
	for _, m := range c.members {
		if m.replica == nil || !m.replica.CanRead() || c.ticks-m.compared.at < c.opt.CompareTicks || m.replica.Machine().State().AppliedIndex <= m.compared.applied {
			continue
		}
		m.compared.at = c.ticks
		d := m.replica.Machine().Descriptor()
		cmd := &metapb.Command{Format: machine.Format, Time: m.now(), Op: &metapb.Command_Compare{Compare: &metapb.CompareReplicas{}}}
		cmd.Bucket, cmd.Key = machine.First(d)
		p, err := NewProposal(m.rangeID, cmd, nil, func(*metapb.Result, error) {})
		if err != nil {
			c.opt.Logger.Error("replicas can't be compared", "range", m.rangeID, "error", err)
			continue
		}
		c.Propose(p)
	}
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
		c.takeSum(m, c.opt.Disk.ID(), &transport.Sum{Index: index, Sum: sum})
	default:
		if to := m.replica.LeaderDisk(); to != 0 {
			c.opt.Sender.Send(&transport.Message{Range: m.rangeID, From: c.opt.Disk.ID(), To: to, Sum: &transport.Sum{Index: index, Sum: sum}})
		}
	}
}

// takeSum compares what a replica sums up to with the leader's own, once both are there.
func (c *Core) takeSum(m *member, from disk.ID, s *transport.Sum) {
	x := &m.compared
	if m.term == 0 || s.Index < x.index {
		return
	}
	if s.Index > x.index {
		x.index, x.sums = s.Index, nil
	}
	if len(x.sums) < sumsMost {
		x.sums = append(x.sums, sumOf{from, s.Sum})
	}
	own := slices.IndexFunc(x.sums, func(o sumOf) bool { return o.disk == c.opt.Disk.ID() })
	if own < 0 {
		return
	}
	var differ []disk.ID
	for _, o := range x.sums {
		if o.sum != x.sums[own].sum && !slices.Contains(differ, o.disk) {
			differ = append(differ, o.disk)
		}
	}
	if !slices.Equal(differ, x.differ) {
		x.differ = differ
		c.stir(m)
	}
	if len(differ) > 0 {
		c.opt.Logger.Error("replicas of a range differ", "range", m.rangeID, "index", x.index, "leader", c.opt.Disk.ID(), "differ", differ)
	}
}

// sumsMost bounds the sums of one comparison.
const sumsMost = 64
