package store

import (
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// born takes ranges into use that were split off a member by what it has just applied.
//
// Their rows came with the parent's, so that a crash can take them away again, until the parent's log is applied once more.
// What their replicas promise must not be lost with them: so the log keeps, with the next append, and hence before any of
// them speaks, that the split is committed. From then on the parent's replica here applies the split, and neither takes a
// snapshot over it nor is destroyed before.
func (c *Core) born(parent *member, ranges []uint64) {
	if len(ranges) == 0 {
		return
	}
	c.parents = append(c.parents, parent)
	c.owners.changed()
	parent.uncounted = true
	_, leads := parent.replica.Leads()
	for _, id := range ranges {
		m := c.byRange[id]
		switch {
		case m == nil:
			m = c.enrol(id)
			c.load(m)
		case m.replica != nil:
			c.opt.Logger.Error("a range was split off that is here already", "range", parent.rangeID, "new", id)
			continue
		}
		if m.replica == nil {
			continue // what goes on with it now looks for it afterwards
		}
		c.opt.Logger.Info("a range was split", "range", parent.rangeID, "new", id, "disk", c.opt.Disk.ID())
		m.uncounted = true
		if leads && c.mayCampaign(m, c.table.Now()) {
			m.replica.Inherit()
		} else {
			m.replica.Wait(turnTicks)
		}
	}
}

// keepCommits adds to the append what the parents of new ranges know to be committed, unless it is in it already.
func (c *Core) keepCommits() {
	for _, m := range c.parents {
		if m.replica == nil || m.replica.Failed() != nil || mutantSplitCommit {
			continue
		}
		h := m.replica.HardState()
		if !slices.ContainsFunc(c.append.HardStates, func(x disk.HardState) bool { return x.Range == h.Range }) {
			c.append.HardStates = append(c.append.HardStates, h)
		}
	}
}

// countsMost is in how many ranges buckets are counted at once.
const countsMost = 16

// count has the halved usage of a led range's buckets counted, beside the core, and set right by commands. It is tried again
// with a later tick until there is nothing halved left: a new leader begins anew.
func (c *Core) count(m *member) {
	if !m.uncounted || m.counting || m.replica == nil || !m.replica.CanRead() {
		return
	}
	if !m.replica.Machine().Halved() {
		m.uncounted = false
		return
	}
	if c.counts >= countsMost {
		return
	}
	m.counting, m.uncounted = true, false
	c.counts++
	c.opt.Go(func() {
		s := c.opt.Disk.State().Snapshot()
		list, err := machine.Corrections(s, m.rangeID)
		if e := s.Close(); err == nil {
			err = e
		}
		c.opt.Post(func() { c.counted(m, list, err) })
	})
}

// counted proposes what was found.
func (c *Core) counted(m *member, list []machine.Correction, err error) {
	m.counting = false
	c.counts--
	if c.stopped != nil || m.replica == nil {
		return
	}
	if err != nil {
		c.opt.Logger.Error("the usage of a range's buckets can't be counted", "range", m.rangeID, "error", err)
		return
	}
	for _, x := range list {
		m.uncounted = true // whether it was set right is seen by counting once more
		p, err := NewProposal(m.rangeID, c.correction(m, x), nil, func(*metapb.Result, error) {})
		if err != nil {
			c.opt.Logger.Error("a correction can't be proposed", "range", m.rangeID, "error", err)
			continue
		}
		c.Propose(p)
	}
}

// correction makes the command, at a position of the bucket that the range owns.
func (c *Core) correction(m *member, x machine.Correction) *metapb.Command {
	return &metapb.Command{
		Format: machine.Format, Bucket: x.Bucket, Key: machine.FirstKey(m.replica.Machine().Descriptor(), x.Bucket), Time: m.now(),
		Op: &metapb.Command_CorrectUsage{CorrectUsage: x.Change},
	}
}
