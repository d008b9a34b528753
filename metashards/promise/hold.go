package promise

import (
	"math"
	"slices"
	"time"

	"github.com/contender/contender/disk"
)

// Members are the stores of a group.
type Members struct {
	// Halves are the voters of each half of every configuration from the applied one to the end of the leader's log.
	Halves [][]disk.ID
	// Others have a replica without being in a half: learners, and voters that leave.
	Others []disk.ID
}

// all calls fn for each store, some more than once, until it returns false; it reports whether it did not.
func (m *Members) all(fn func(disk.ID) bool) bool {
	for _, half := range m.Halves {
		for _, id := range half {
			if !fn(id) {
				return false
			}
		}
	}
	for _, id := range m.Others {
		if !fn(id) {
			return false
		}
	}
	return true
}

func (m *Members) has(id disk.ID) bool { return !m.all(func(o disk.ID) bool { return o != id }) }

// Ask returns the request that is to be sent to a peer now. It must be made for this sending: what holds counts from now.
func (t *Table) Ask(to disk.ID) Request {
	p := t.peer(to)
	p.asked++
	r := Request{From: t.opt.Self, To: to, Boot: t.opt.Boot, Sequence: p.asked, Asked: t.opt.Now()}
	for i := range p.released[:min(len(p.released), claimsMost)] {
		x := &p.released[i]
		if x.first == 0 {
			x.first = p.asked
		}
		r.Released = append(r.Released, x.Claim)
	}
	return r
}

// Hear takes in an answer.
func (t *Table) Hear(a Answer) {
	p, now := t.peers[a.From], t.opt.Now()
	if p == nil || a.To != t.opt.Self || a.ToBoot != t.opt.Boot || a.Sequence > p.asked || a.Asked > now {
		return
	}
	stand := Stand{a.Boot, a.Stretch}
	switch c := stand.Compare(p.stand); {
	case c < 0:
		return
	case c > 0:
		p.stand, p.held = stand, 0
	}
	for len(p.released) > 0 && p.released[0].first != 0 && p.released[0].first <= a.Sequence {
		p.released = p.released[1:]
	}
	for _, c := range a.Doubts {
		t.judge(p, c)
	}
	from := a.Asked
	if mutantLate {
		from = now
	}
	back := now >= p.held
	p.held = max(p.held, from+t.opt.D/10*9)
	if !back || now >= p.held {
		return
	}
	if groups := t.pick(func(g *group) bool {
		return g.led != 0 && g.members.has(p.id) && (!mutantBackQuiet || !g.counts(p))
	}); len(groups) > 0 {
		t.events = append(t.events, Event{Back, p.id, groups})
	}
}

// judge tells a peer that this store does not lead as it thinks, if so.
func (t *Table) judge(p *peer, c Claim) {
	if g := t.groups[c.Group]; g != nil && g.led == c.Term {
		return
	}
	if !slices.ContainsFunc(p.released, func(r release) bool { return r.Claim == c }) {
		p.released = append(p.released, release{Claim: c})
	}
}

// Lead says that a replica here leads a group in a term, and who its members are. It is called before any message of the
// term leaves, and again before any message with another configuration in its entries does, and when one is applied. The
// members must not change afterwards. A term that was let go of is over: nothing happens.
func (t *Table) Lead(id, term uint64, m Members) {
	g := t.group(id)
	if term <= g.over && !mutantRegained || term < g.led {
		return
	}
	if term > g.led {
		t.Release(id, g.led)
		g.led, g.stretch, g.acks = term, 0, nil
	}
	g.members = m
	// Should a store come back as a member, it is with another replica, which has acknowledged nothing.
	g.acks = slices.DeleteFunc(g.acks, func(a ack) bool { return !mutantRemoved && !m.has(a.from) })
}

// Release lets go of the leadership of a group in a term: the lease is over for that term, whatever happens, and the
// followers are told that they may elect another. It is called when a leader steps down, fails or is destroyed, and before a
// transfer is so much as begun: a transfer that is given up may still succeed later, so the leader goes on without a
// lease, awake, until it leads in another term.
func (t *Table) Release(id, term uint64) {
	g := t.groups[id]
	if g == nil || term == 0 || g.led == 0 || g.led > term {
		return
	}
	c := Claim{id, g.led}
	g.over, g.led = max(g.over, term), 0
	g.members.all(func(to disk.ID) bool {
		if to == t.opt.Self {
			return true
		}
		p := t.peer(to)
		if n := len(p.released); n == 0 || p.released[n-1].Claim != c {
			p.released = append(p.released, release{Claim: c})
		}
		return true
	})
	g.members, g.acks = Members{}, nil
}

// Acknowledged notes that a store has acknowledged the term of a group led here, with the Stand that came along. The replica
// that did must be a member at this moment, by its id: an earlier one on the same store may have forgotten what it said.
func (t *Table) Acknowledged(id, term uint64, from disk.ID, stand Stand) {
	g := t.groups[id]
	if g == nil || g.led != term || term == 0 || stand == (Stand{}) {
		return
	}
	for i := range g.acks {
		if a := &g.acks[i]; a.from == from {
			if stand.Compare(a.stand) > 0 {
				a.stand = stand
			}
			return
		}
	}
	g.acks = append(g.acks, ack{from, stand})
}

// counts reports whether the promise of a peer is one for this group.
func (g *group) counts(p *peer) bool {
	if mutantUnacked {
		return true
	}
	for i := range g.acks {
		if a := &g.acks[i]; a.from == p.id {
			return a.stand == p.stand
		}
	}
	return false
}

// Until returns until when the lease of a group lasts that is led here in a term, as far as is known now: at each moment
// before, nobody has been elected in a later term. Zero if there is no lease. A read is answered after the leader has
// committed an entry of its term, at the commit index that it knows at a moment before Until and after the read came.
func (t *Table) Until(id, term uint64) time.Duration {
	g := t.groups[id]
	if g == nil || g.led != term || term == 0 || len(g.members.Halves) == 0 {
		return 0
	}
	until := time.Duration(math.MaxInt64)
	for _, half := range g.members.Halves {
		until = min(until, t.majority(g, half))
	}
	return until
}

// majority returns until when the promises of a majority of voters hold.
func (t *Table) majority(g *group, voters []disk.ID) time.Duration {
	if len(voters) == 0 {
		return 0
	}
	var room [8]time.Duration
	held := room[:0]
	for _, id := range voters {
		switch p := t.peers[id]; {
		case id == t.opt.Self:
			held = append(held, math.MaxInt64)
		case p != nil && g.counts(p):
			held = append(held, p.held)
		default:
			held = append(held, 0)
		}
	}
	slices.Sort(held)
	return held[(len(held)-1)/2]
}

// Holds reports whether the lease of a group lasts now.
func (t *Table) Holds(id, term uint64) bool { return t.opt.Now() < t.Until(id, term) }

// Settled reports whether a group that is led here may sleep: its lease holds, and every member whose promise holds has
// acknowledged the term. An event tells when that changes.
func (t *Table) Settled(id, term uint64) bool {
	now := t.opt.Now()
	if now >= t.Until(id, term) {
		return false
	}
	g := t.groups[id]
	return g.members.all(func(id disk.ID) bool {
		p := t.peers[id]
		return id == t.opt.Self || p == nil || now >= p.held || g.counts(p)
	})
}

// Stands reports whether a peer's promise holds now, for whatever groups.
func (t *Table) Stands(id disk.ID) bool {
	p := t.peers[id]
	return p != nil && t.opt.Now() < p.held
}
