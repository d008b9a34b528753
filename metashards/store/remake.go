package store

import (
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// A replica whose rows are not those of most is made anew, from the leader's. Its log is sound, so it stays a voter, keeps its
// id, its term and its vote, and takes a snapshot that has everything that its log has: what it acknowledged is in it, and it
// forgets nothing. So Raft need not know, and no acknowledged write depends on rows that are wrong:
//
//  1. The leader, whose sum is that of more than half of the voters, tells the replica (RemakeOrder). A leader that differs
//     itself hands over to one that does not, and has that one compare again (RemakeCompare).
//  2. The replica takes no further entries, so that its log ends, and says where, again and again (RemakeReady).
//  3. The leader, once it has applied that, sends a snapshot (Anew). The replica installs it as any other, in one step.
//  4. It has the leader compare again (RemakeCompare).
//
// A replica that believes that it differs asks for a comparison from time to time. If it does not, the leader says so (RemakeSound).
//
// Each message may be lost: the replica goes on as it was after a while, and a later comparison begins anew. One replica of a
// range is remade at a time; one that differs again soon waits longer each time, and the alarm stays.

// Ticks of remaking.
const (
	// heldTicks is how long a replica waits for the snapshot, and readyTicks how often it asks for it.
	heldTicks  = 100
	readyTicks = 5
	// remakePause is how long it takes at least from one remaking of a replica to the next, and from one comparison to the next
	// while replicas differ; twice as long each time, up to remakePauseMost.
	remakePause     = 600
	remakePauseMost = 36_000
)

// remaking is what a member knows of its own replica's remaking.
type remaking struct {
	odd   bool // its rows are not those of most, as it was told or as it found as leader
	held  int  // ticks for which it still takes no entries
	term  uint64
	quiet int // it is not remade again before this tick
	pause int // after the last time
	at    int // when that was, in ticks
	ask   int // the tick from which on the leader is to be asked to compare; 0: it need not be
}

// remake has a replica that differs made anew, one of a range at a time.
func (c *Core) remake(m *member, d *metapb.RangeDescriptor, truth uint64) {
	x, self := &m.compared, c.opt.Disk.ID()
	if slices.Contains(x.differ, self) {
		m.remade.odd, m.remade.ask = true, c.ticks
		c.handToSound(m)
		return
	}
	if m.remade.odd {
		m.remade.odd, m.remade.ask = false, 0
	}
	if len(x.differ) == 0 {
		return
	}
	told := func(id disk.ID) bool { return slices.ContainsFunc(x.sums, func(o sumOf) bool { return o.disk == id }) }
	switch {
	case x.ordered != 0 && !told(x.ordered) && machine.ReplicaOn(d, uint64(x.ordered)) != nil && c.ticks-x.orderedAt < remakePauseMost:
		return // it may be in the midst of it
	case x.orderedBy == x.index || m.replica.Changing():
		return
	}
	next := x.nextToRemake(truth)
	if next == 0 {
		return
	}
	x.ordered, x.orderedAt, x.orderedBy = next, c.ticks, x.index
	x.wait = min(max(remakePause, 2*x.wait), remakePauseMost)
	c.trouble(m)
	m.awake()
	c.tellRemake(m, next, transport.Remake{Step: transport.RemakeOrder})
}

// nextToRemake returns the disk after that of the last order whose replica was just found to differ, zero if there is none.
func (x *compared) nextToRemake(truth uint64) (next disk.ID) {
	var list []disk.ID
	for _, o := range x.sums {
		if o.sum != truth {
			list = append(list, o.disk)
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	i, found := slices.BinarySearch(list, x.ordered)
	if found {
		i++
	}
	return list[i%len(list)]
}

// handToSound hands a range whose rows here are not those of most over to a replica that has those.
func (c *Core) handToSound(m *member) {
	x := &m.compared
	to := m.replica.Successor(func(id disk.ID) bool {
		return !slices.Contains(x.differ, id) && slices.ContainsFunc(x.sums, func(o sumOf) bool { return o.disk == id })
	})
	if to == 0 {
		return
	}
	c.opt.Logger.Warn("a leader whose rows differ hands over", "range", m.rangeID, "disk", c.opt.Disk.ID(), "to", to)
	if err := c.TransferLeadership(m.rangeID, to); err != nil {
		c.opt.Logger.Debug("leadership is not handed over", "range", m.rangeID, "to", to, "error", err)
	}
}

// confess goes on, once in a while, with a replica that knows that it differs, or was remade: the leader is to compare.
func (c *Core) confess(m *member) {
	x := &m.remade
	if x.ask == 0 || c.ticks < x.ask {
		return
	}
	if m.term > 0 {
		if x.odd && len(m.compared.sums) > 0 {
			c.handToSound(m)
			return
		}
		m.compared.again, x.ask = true, 0
		if x.odd { // for when it does not lead any more once the sums are there
			x.ask = c.ticks + remakePause
		}
		return
	}
	to := m.replica.LeaderDisk()
	if to == 0 || to == c.opt.Disk.ID() {
		return
	}
	c.tellRemake(m, to, transport.Remake{Step: transport.RemakeCompare})
	x.ask = 0
	if x.odd {
		x.ask = max(x.quiet, c.ticks+remakePause)
	}
}

func (c *Core) tellRemake(m *member, to disk.ID, r transport.Remake) {
	r.Term = m.replica.HardState().Term
	c.opt.Sender.Send(&transport.Message{Range: m.rangeID, From: c.opt.Disk.ID(), To: to, Remake: &r})
}

// receiveRemake takes in a step of a remaking.
func (c *Core) receiveRemake(m *member, from disk.ID, r *transport.Remake) {
	if m == nil || m.replica == nil || m.replica.Failed() != nil || r.Term != m.replica.HardState().Term {
		return
	}
	switch r.Step {
	case transport.RemakeOrder:
		c.hold(m, from)
	case transport.RemakeReady:
		if m.term > 0 && !m.remade.odd && m.compared.ordered == from && slices.Contains(m.compared.differ, from) {
			c.sendAnew(m, from, r.Last)
		}
	case transport.RemakeCompare:
		if x := &m.compared; m.term > 0 {
			x.again = true
			c.trouble(m)
			if !slices.Contains(x.asked, from) && len(x.asked) < sumsMost {
				x.asked = append(x.asked, from)
			}
		}
	case transport.RemakeSound:
		if x := &m.remade; from == m.replica.LeaderDisk() && x.held == 0 {
			x.odd, x.ask = false, 0
			c.stir(m)
		}
	}
}

// acquit tells replicas that asked and hold what most hold that they do: one that was told to differ may believe so still.
func (c *Core) acquit(m *member, truth uint64) {
	x := &m.compared
	for _, o := range x.sums {
		if i := slices.Index(x.asked, o.disk); i >= 0 && o.sum == truth && !mutantNoAcquittal {
			x.asked = slices.Delete(x.asked, i, i+1)
			c.tellRemake(m, o.disk, transport.Remake{Step: transport.RemakeSound})
		}
	}
}

// hold has a replica take no more entries, as its leader wants to remake it.
func (c *Core) hold(m *member, leader disk.ID) {
	x := &m.remade
	if m.term > 0 || leader != m.replica.LeaderDisk() || x.held > 0 {
		return
	}
	x.odd = true
	c.stir(m)
	c.trouble(m)
	if c.ticks < x.quiet {
		c.opt.Logger.Error("a replica that was remade differs again, and rests", "range", m.rangeID, "disk", c.opt.Disk.ID(), "ticks", x.quiet-c.ticks)
		x.ask = x.quiet
		return
	}
	c.opt.Logger.Warn("a replica differs from the others and is to be remade", "range", m.rangeID, "disk", c.opt.Disk.ID(), "leader", leader)
	x.held, x.term, x.ask = heldTicks, m.replica.HardState().Term, c.ticks+remakePause
	m.awake()
	c.ready(m)
}

// tickHeld lets a tick pass for a replica that waits for its snapshot.
func (c *Core) tickHeld(m *member) {
	if m.remade.held == 0 {
		return
	}
	m.awake()
	if m.replica.HardState().Term != m.remade.term {
		m.remade.held = 0 // whoever leads now finds out by itself
		return
	}
	if m.remade.held--; m.remade.held%readyTicks == 0 {
		c.ready(m)
	}
}

// ready tells the leader what the snapshot must have.
func (c *Core) ready(m *member) {
	last, settled := m.replica.Kept()
	if to := m.replica.LeaderDisk(); settled && to != 0 && m.term == 0 {
		c.tellRemake(m, to, transport.Remake{Step: transport.RemakeReady, Last: last})
	}
}

// sendAnew sends the snapshot that a replica waits for, if it has all that is asked for.
func (c *Core) sendAnew(m *member, to disk.ID, last uint64) {
	if !m.replica.CanRead() || m.replica.Changing() || m.replica.Machine().State().AppliedIndex < last {
		return
	}
	msg, err := m.replica.Anew(to)
	if err != nil {
		c.opt.Logger.Warn("no snapshot for a replica that is to be remade", "range", m.rangeID, "to", to, "error", err)
		return
	}
	c.opt.Sender.Send(msg)
}

// holdsBack reports whether a message is not for a replica that waits for its snapshot, or brings one that it does not wait
// for.
func (c *Core) holdsBack(m *member, msg *transport.Message) bool {
	switch {
	case msg.Anew && m.remade.held == 0:
		c.giveBack(msg)
		return true
	case m.remade.held == 0 || m.term > 0:
		return false
	}
	return len(msg.Raft.GetEntries()) > 0
}

// remadeNow notes that a snapshot has replaced the rows of a replica that differed.
func (c *Core) remadeNow(m *member) {
	x := &m.remade
	if !x.odd {
		return
	}
	if x.at > 0 && c.ticks-x.at < remakePauseMost {
		x.pause = min(2*x.pause, remakePauseMost)
	} else {
		x.pause = remakePause
	}
	x.odd, x.held, x.at, x.quiet, x.ask = false, 0, c.ticks, c.ticks+x.pause, c.ticks
	c.remakes++
	c.remadeAt = c.opt.Now()
	c.stir(m)
	c.trouble(m)
	c.opt.Logger.Warn("a replica that differed was remade", "range", m.rangeID, "disk", c.opt.Disk.ID(), "times", c.remakes)
}
