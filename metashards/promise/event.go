package promise

import "github.com/contender/contender/disk"

// Kind says what has happened.
type Kind int

// The kinds of events.
const (
	// Silent: nothing was heard of the peer for D, so the promise to it has ended. The groups follow a leader there: they
	// wake, forget that leader and may campaign.
	Silent Kind = iota
	// Restarted: the peer lives another life; it leads nothing that it led before. The groups do as with Silent.
	Restarted
	// Released: the leader on the peer has let go of the groups. They do as with Silent.
	Released
	// Back: the peer promises again, perhaps in another life. The groups are led here and it is a member of them. It may have missed
	// what came meanwhile, and its promise may not count before it acknowledges their term: they wake, as far as that is so.
	Back
	// Lost: the groups are led here, and as the peer's promise has run out a majority is missing. They wake, so that
	// Raft decides whether they still lead.
	Lost
)

// Event is something that the caller must act on.
type Event struct {
	Kind   Kind
	Peer   disk.ID
	Groups []uint64 // ascending
}

// Tick returns what has happened since the last call, in order. It costs as much as there are peers, and besides a look
// at all groups for each peer that has changed. Calling it late delays only what it tells: promises and leases begin and end by
// themselves.
func (t *Table) Tick() []Event {
	now := t.opt.Now()
	for _, p := range t.order {
		if now >= p.until {
			t.end(p, Silent)
		}
		if p.held == 0 || now < p.held {
			continue
		}
		p.held = 0
		var lost []uint64
		for _, id := range t.pick(func(g *group) bool { return g.led != 0 && g.members.has(p.id) }) {
			if !t.Holds(id, t.groups[id].led) {
				lost = append(lost, id)
			}
		}
		if len(lost) > 0 {
			t.events = append(t.events, Event{Lost, p.id, lost})
		}
	}
	events := t.events
	t.events = nil
	return events
}
