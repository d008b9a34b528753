package store

import (
	"slices"

	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// Ticks of absence, and how many ranges are remembered.
const (
	// absentTicks is how long a disk does not answer for a range that it has just heard of: a replica of it may come about
	// any moment by a split that the others have applied already, and a snapshot would be in vain.
	absentTicks = 3
	// refusedTicks is how long it does not answer after a snapshot was refused, since the reason lasts.
	refusedTicks = 20
	absentMost   = 4096
)

// absence is what is known of a range that has no replica here and is spoken to.
type absence struct {
	silent int // ticks in which it is not answered for; below zero: so long ago was the last of them
	leader int // ticks in which a leader that was heard of keeps the disk from voting
}

// answersFor reports whether the disk answers for a range that it has no replica of. It is silent at first.
func (c *Core) answersFor(rangeID uint64) bool {
	a, known := c.absent[rangeID]
	if !known {
		if len(c.absent) >= absentMost {
			clear(c.absent)
		}
		c.absent[rangeID] = absence{silent: absentTicks}
	}
	return known && a.silent <= 0
}

// heardLeader notes that a range that has no replica here has a leader.
func (c *Core) heardLeader(rangeID uint64) {
	a := c.absent[rangeID]
	a.leader = c.opt.Replica.ElectionTicks
	c.absent[rangeID] = a
}

// tickAbsent lets a tick pass for the ranges that are not answered for. One that was not spoken of for long is forgotten.
func (c *Core) tickAbsent() {
	for id, a := range c.absent {
		a.silent--
		a.leader = max(0, a.leader-1)
		if a.silent < -refusedTicks && a.leader == 0 {
			delete(c.absent, id)
			continue
		}
		c.absent[id] = a
	}
}

// vote answers a candidate of a range that has no replica here, once the log keeps it. It reports whether the message was
// one of a candidate.
func (c *Core) vote(msg *transport.Message) bool {
	b, candidate := replica.AbsentVote(c.env(), msg)
	if b.Answer == nil || c.absent[msg.Range].leader > 0 && !b.Transfer ||
		slices.ContainsFunc(c.ballots, func(o replica.Ballot) bool { return o.Hard.Range == msg.Range }) {
		return candidate
	}
	c.ballots = append(c.ballots, b)
	return true
}

// keepBallots adds the votes to the append.
func (c *Core) keepBallots() {
	for _, b := range c.ballots {
		if b.Keep && c.byRange[b.Hard.Range] == nil {
			c.append.HardStates = append(c.append.HardStates, b.Hard)
		}
	}
}

// sendBallots sends the votes, which are kept now. What a replica that came about meanwhile has to say, it says itself.
func (c *Core) sendBallots() {
	for _, b := range c.ballots {
		if c.byRange[b.Hard.Range] == nil {
			c.opt.Sender.Send(b.Answer)
		}
	}
	c.ballots = nil
}
