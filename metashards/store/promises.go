package store

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/promise"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// Ticks of promises and sleep.
const (
	// beatTicks is how often each store that shares a range is asked for its promise.
	beatTicks = 3
	// sleepTicks is how long nothing must have come to a range before its leader goes to sleep.
	sleepTicks = 3
	// turnTicks is how long a replica that looks for a leader waits for another one of its range whose turn is before: one more
	// for each turnEach replicas that are awake here, since where very many look for leaders, all take longer.
	turnTicks = 3
	turnEach  = 1000
	// campaignsMost is how many replicas begin to look for a leader in one tick.
	campaignsMost = 500
)

// lullaby is what a sleeping leader said last.
type lullaby struct{ term, index uint64 }

// beat asks the stores that share ranges for their promises, and acts on what has become of those before.
func (c *Core) beat() {
	c.owners.refresh(c.members)
	if c.beats--; c.beats <= 0 {
		c.beats = beatTicks
		for _, to := range c.owners.peers {
			if to == c.opt.Disk.ID() {
				continue
			}
			ask := c.table.Ask(to)
			c.opt.Sender.Send(&transport.Message{From: c.opt.Disk.ID(), To: to, Ask: &ask})
		}
		c.judgeClocks()
	}
	for _, e := range c.table.Tick() {
		c.happened(e)
	}
}

// happened wakes the ranges that an event concerns.
func (c *Core) happened(e promise.Event) {
	for _, id := range e.Groups {
		m := c.byRange[id]
		if m == nil || m.replica == nil || e.Kind == promise.Back && c.sleepsWell(m) {
			continue
		}
		m.awake()
		switch e.Kind {
		case promise.Silent, promise.Restarted, promise.Released:
			m.replica.Orphan()
		}
		c.touch(m)
	}
}

// sleepsWell reports whether a leader sleeps that all members follow, those that were gone when it went to sleep among them.
func (c *Core) sleepsWell(m *member) bool {
	return m.asleep && c.table.Settled(m.rangeID, m.term) && m.replica.Idle(func(disk.ID) bool { return false })
}

// receiveBeat takes in a beat.
func (c *Core) receiveBeat(msg *transport.Message) {
	if msg.Ask != nil {
		if a, ok := c.table.Answer(*msg.Ask); ok {
			a.Wall, a.Clock = c.opt.Now().UnixNano(), c.opt.ClockID
			c.opt.Sender.Send(&transport.Message{From: c.opt.Disk.ID(), To: msg.From, Promise: &a})
		}
	}
	if msg.Promise != nil {
		c.hearClock(msg.Promise)
		c.table.Hear(*msg.Promise)
		c.lullAgain(msg.Promise)
	}
}

// mayVote reports whether a message may be handed on: promises forbid this store to vote against whom they were given.
func (c *Core) mayVote(msg *transport.Message) bool {
	switch msg.Raft.GetType() {
	case raftpb.MsgVote, raftpb.MsgPreVote:
		return c.table.MayVote(msg.Range, msg.From, replica.ByTransfer(msg.Raft))
	}
	return true
}

// acknowledge sends this store's promise along with what acknowledges a leader's term. A leader of an earlier term is answered
// with this term, too, and is promised nothing: it does not lead in it.
func (c *Core) acknowledge(m *member, msg *transport.Message) {
	switch msg.Raft.GetType() {
	case raftpb.MsgAppResp, raftpb.MsgHeartbeatResp:
		term := msg.Raft.GetTerm()
		if m.replica.HardState().Term == term && (m.replica.Follows(msg.Raft.GetTo()) || mutantStranger) {
			msg.Stand = c.table.Acknowledge(m.rangeID, msg.To, term)
		}
	}
}

// acknowledged notes the promise that came with an acknowledgement, if it is of the replica that is a member now.
func (c *Core) acknowledged(m *member, msg *transport.Message) {
	if msg.Stand == (promise.Stand{}) {
		return
	}
	if r := machine.ReplicaOn(m.replica.Machine().Descriptor(), uint64(msg.From)); r != nil && r.Id == msg.Raft.GetFrom() {
		c.table.Acknowledged(m.rangeID, msg.Raft.GetTerm(), msg.From, msg.Stand)
	}
}

// lead lets the promises know who the members are of a range that is led here. While the log holds a change of them there
// is no lease: reads ask a majority of every configuration.
func (m *member) lead() {
	term, leads := m.replica.Leads()
	if !leads {
		m.shown = nil
		return
	}
	d := m.replica.Machine().Descriptor()
	if m.replica.Changing() {
		m.shut()
		members := promise.Members{} // in no half, but all are to be told if the leader lets go
		for _, r := range d.Replicas {
			members.Others = append(members.Others, disk.ID(r.Disk))
		}
		m.core.table.Lead(m.rangeID, term, members)
		m.shown = nil
		return
	}
	if m.shown != d {
		m.core.table.Lead(m.rangeID, term, membersOf(d))
		m.shown = d
	}
}

// membersOf returns the stores of a range, the voters by the halves of its configuration.
func membersOf(d *metapb.RangeDescriptor) promise.Members {
	var before, now, others []disk.ID
	joint := false
	for _, r := range d.Replicas {
		joint = joint || r.Incoming || r.Outgoing
		if !r.Learner && !r.Incoming {
			before = append(before, disk.ID(r.Disk))
		}
		if !r.Learner && !r.Outgoing {
			now = append(now, disk.ID(r.Disk))
		} else {
			others = append(others, disk.ID(r.Disk))
		}
	}
	if joint {
		return promise.Members{Halves: [][]disk.ID{before, now}, Others: others}
	}
	return promise.Members{Halves: [][]disk.ID{now}, Others: others}
}

// readUnderLease answers the reads at once if the range's lease holds, and reports whether it did. The view is made first: a
// process that was paused in between must not answer with what was true before.
func (m *member) readUnderLease() bool {
	if m.core.opt.ReadByIndex || m.replica.Unapplied() || !m.leased() {
		return false
	}
	reads := m.reads
	snapshot := m.core.share(len(reads))
	if !m.leased() {
		_ = snapshot.leave(len(reads)) // nothing was read from it
		return false
	}
	m.reads = nil
	m.openUp(snapshot)
	m.show(reads, snapshot)
	return true
}

func (m *member) leased() bool {
	return mutantLease || m.core.table.Holds(m.rangeID, m.term)
}

// mayCampaign reports whether promises let a replica campaign. One that is the only voter needs nobody's vote, and nobody
// leads without its own.
func (c *Core) mayCampaign(m *member, now time.Duration) bool {
	return c.table.MayCampaignBy(m.rangeID, now) || m.replica.Only()
}

// tick tells a replica of a tick, unless it follows and may not campaign: Raft campaigns in ticks.
func (c *Core) tick(m *member, now time.Duration) {
	m.idle++
	_, leads := m.replica.Leads()
	if !leads && !c.mayCampaign(m, now) {
		m.yielded = 0
		c.tickBound(m)
		return
	}
	if !leads && c.yields(m) {
		return
	}
	m.replica.Tick(&c.turns)
	c.count(m)
	c.touch(m)
	if leads {
		c.lull(m)
	}
}

// tickBound lets a tick pass for a replica that may not campaign. It goes to sleep when its leader has; if it hears nothing
// for as long as it would otherwise campaign, it asks whether that leader still leads.
func (c *Core) tickBound(m *member) {
	m.unheard++
	switch {
	case m.lulled.term > 0 && m.replica.Rests(m.lulled.term, m.lulled.index):
		m.asleep = true
	case m.unheard >= c.opt.Replica.ElectionTicks:
		m.unheard = 0
		c.table.Doubt(m.rangeID)
	}
}

// lull lets a leader go to sleep to which nothing has come for a while.
func (c *Core) lull(m *member) {
	if m.idle < sleepTicks || len(m.pending)+len(m.batches)+len(m.reads)+len(m.asked)+len(m.released) > 0 || m.uncounted || m.counting ||
		!c.table.Settled(m.rangeID, m.term) || !m.replica.Idle(c.gone) {
		return
	}
	for _, msg := range m.replica.Lullaby() {
		c.opt.Sender.Send(msg)
	}
	m.asleep = true
}

// lullAgain has followers sleep that doubt a leader who sleeps here: the heartbeat by which it went to sleep was lost.
func (c *Core) lullAgain(a *promise.Answer) {
	for _, d := range a.Doubts {
		m := c.byRange[d.Group]
		if m == nil || !m.asleep || m.term != d.Term || mutantLullOnce {
			continue
		}
		for _, msg := range m.replica.Lullaby() {
			if msg.To == a.From {
				c.opt.Sender.Send(msg)
			}
		}
	}
}

// gone reports whether a store promises nothing.
func (c *Core) gone(id disk.ID) bool { return !c.table.Stands(id) }

// mayLive reports whether a store may be thought to live: it promises, or there was no time yet to hear of it.
func (c *Core) mayLive(id disk.ID) bool {
	return id == c.opt.Disk.ID() || c.table.Stands(id) || c.ticks < 2*beatTicks
}

// awake has the member ticked.
func (m *member) awake() {
	m.asleep, m.idle, m.lulled = false, 0, lullaby{}
	if mutantBusyDoubt {
		m.unheard = 0
	}
	m.core.watch(m)
}

// watch has ticks look at a member.
func (c *Core) watch(m *member) {
	if !m.watched {
		m.watched = true
		c.watched = append(c.watched, m)
	}
}

// tickAll tells the members that do not sleep of a tick. It costs nothing for those that do, however many they are.
func (c *Core) tickAll() {
	kept, now := 0, c.table.Now()
	c.turns = replica.Turns{Ticks: turnTicks + len(c.watched)/turnEach, Alive: c.mayLive, Left: campaignsMost}
	for i := 0; i < len(c.watched); i++ {
		m := c.watched[i]
		if c.byRange[m.rangeID] != m || !c.tickOne(m, now) {
			m.watched = false
			continue
		}
		c.watched[kept] = m
		kept++
	}
	clear(c.watched[kept:])
	c.watched = c.watched[:kept]
}

// tickOne tells a member of a tick, and reports whether the next one concerns it, too.
func (c *Core) tickOne(m *member, now time.Duration) bool {
	switch {
	case m.replica != nil:
		c.tickHeld(m)
		c.tick(m, now)
		return !m.asleep
	case m.rest > 0:
		if m.rest--; m.rest == 0 {
			c.load(m)
		}
		return m.rest > 0 || m.replica != nil
	}
	return false
}

// hear wakes the member, but for what the followers of a sleeping leader say.
func (m *member) hear(msg *transport.Message) {
	if m.ofLeader(msg) {
		m.unheard = 0
	}
	switch t := msg.Raft.GetType(); {
	case t == raftpb.MsgHeartbeatResp:
	case t == raftpb.MsgHeartbeat && !msg.Sleep && !m.asleep:
		m.idle = 0
	case t == raftpb.MsgHeartbeat && msg.Sleep:
		m.awake()
		m.lulled = lullaby{msg.Raft.GetTerm(), msg.Raft.GetCommit()}
	default:
		m.awake()
	}
}

// ofLeader reports whether a message is one that only the leader of this replica's term sends, or of a later one.
func (m *member) ofLeader(msg *transport.Message) bool {
	switch msg.Raft.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		return msg.Raft.GetTerm() >= m.replica.HardState().Term
	}
	return false
}
