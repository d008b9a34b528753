package promise

import (
	"slices"
	"time"

	"github.com/contender/contender/disk"
)

// Answer gives the promise that a request asks for, from now on. A request that is late, doubled or of an earlier life
// gets none, and no answer.
func (t *Table) Answer(r Request) (a Answer, ok bool) {
	p := t.peer(r.From)
	if r.To != t.opt.Self || r.From == t.opt.Self || r.Boot < p.boot || r.Boot == p.boot && r.Sequence <= p.sequence {
		return Answer{}, false
	}
	now := t.opt.Now()
	switch {
	case r.Boot > p.boot:
		t.end(p, Restarted)
	case now >= p.until:
		t.end(p, Silent)
	}
	p.boot, p.sequence = r.Boot, r.Sequence
	t.free(p, r.Released)
	if p.stretch == 0 {
		t.stretches++
		p.stretch = t.stretches
	}
	p.until = now + t.opt.D
	a = Answer{
		From: t.opt.Self, To: r.From, Boot: t.opt.Boot, ToBoot: r.Boot, Sequence: r.Sequence, Asked: r.Asked,
		Stretch: p.stretch, Doubts: p.doubts,
	}
	p.doubts = nil // what is still in doubt comes again
	return a, true
}

// end ends the promise to a peer, if there is one: the next is another.
func (t *Table) end(p *peer, why Kind) {
	if p.stretch == 0 {
		return
	}
	if mutantLapse && why == Silent {
		return
	}
	stretch := p.stretch
	p.stretch, p.doubts = 0, nil
	t.events = append(t.events, Event{why, p.id, t.pick(func(g *group) bool {
		return g.leader == p.id && g.stretch == stretch
	})})
}

// free notes leaderships that a peer has let go of.
func (t *Table) free(p *peer, released []Claim) {
	var freed []uint64
	for _, c := range released {
		g := t.groups[c.Group]
		if g == nil {
			continue
		}
		g.freed = max(g.freed, c.Term)
		if g.leader == p.id && g.term <= c.Term && g.stretch != 0 {
			g.stretch = 0
			freed = append(freed, c.Group)
		}
		p.doubts = slices.DeleteFunc(p.doubts, func(o Claim) bool { return o == c })
	}
	if len(freed) > 0 {
		slices.Sort(freed)
		t.events = append(t.events, Event{Released, p.id, freed})
	}
}

// Acknowledge returns what an acknowledgement of a leader's term carries, and binds this store by it. It is called when
// the acknowledgement leaves, and only if the replica's term is that term at this moment; see the package's comment for
// the messages that are such. Where the Stand is zero the leader can't count on this store yet, and nothing is bound.
func (t *Table) Acknowledge(id uint64, leader disk.ID, term uint64) Stand {
	p := t.peers[leader]
	if p == nil || p.stretch == 0 || t.opt.Now() >= p.until {
		return Stand{}
	}
	g := t.group(id)
	if term < g.term || term <= g.freed || term <= g.led {
		return Stand{}
	}
	t.Release(id, g.led) // another leads
	g.leader, g.term, g.stretch = leader, term, p.stretch
	return Stand{t.opt.Boot, p.stretch}
}

// bound returns the store that leads a group under a promise that holds, nil if there is none.
func (t *Table) bound(g *group, now time.Duration) *peer {
	if g == nil || g.stretch == 0 {
		return nil
	}
	if p := t.peers[g.leader]; p.stretch == g.stretch && now < p.until {
		return p
	}
	return nil
}

// MayVote reports whether a replica here may be asked for a vote, or a vote before the vote, by the candidate on another
// store. If not, the message is dropped. A transfer is a campaign that the leader has asked for: it let go before.
func (t *Table) MayVote(id uint64, candidate disk.ID, transfer bool) bool {
	if transfer {
		return true
	}
	if t.Quiet() {
		return false
	}
	p := t.bound(t.groups[id], t.opt.Now())
	if p == nil || p.id == candidate {
		return true
	}
	t.Doubt(id)
	return false
}

// MayCampaign reports whether a replica here may campaign. Raft begins campaigns in ticks, so a follower that may not is
// not ticked.
func (t *Table) MayCampaign(id uint64, transfer bool) bool {
	return transfer || t.MayCampaignBy(id, t.opt.Now())
}

// MayCampaignBy is MayCampaign, without the leader's word, by a moment that Now returned: so that the clock is read once for many
// replicas. A moment that has passed since forbids no less.
func (t *Table) MayCampaignBy(id uint64, now time.Duration) bool {
	return now >= t.quiet && t.bound(t.groups[id], now) == nil
}

// Now returns the moment by the store's clock.
func (t *Table) Now() time.Duration { return t.opt.Now() }

// Quiet reports whether the store still neither votes nor campaigns because of what it may have promised in an earlier
// life.
func (t *Table) Quiet() bool { return t.opt.Now() < t.quiet }

// Doubt has the store of a group's leader asked whether it still leads. It is for a follower that is awake, may not
// campaign, and has heard nothing of its leader for as long as it would otherwise campaign.
func (t *Table) Doubt(id uint64) {
	g := t.groups[id]
	p := t.bound(g, t.opt.Now())
	if p == nil || len(p.doubts) >= claimsMost {
		return
	}
	if c := (Claim{id, g.term}); !slices.Contains(p.doubts, c) {
		p.doubts = append(p.doubts, c)
	}
}
