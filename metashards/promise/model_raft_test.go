package promise_test

import (
	"math/bits"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/promise"
)

// The model's Raft: elections, a log that is sent whole, commit by majorities, joint configurations that take effect when
// they are applied. It has no timeouts: who campaigns when is for the history. It uses a promise.Table as a store must.

const storesMost = 5

type role uint8

const (
	follower role = iota
	candidate
	leader
)

// conf is a configuration: sets of voters by store, and the replica id of each member; 0: it is none.
type conf struct {
	now, old uint8
	id       [storesMost]uint8
	last     uint8 // the highest id that was ever given
}

func (c *conf) voter(s int) bool { return (c.now|c.old)>>s&1 == 1 }

// quorum reports whether a set is a majority of each half.
func (c *conf) quorum(set uint8) bool {
	most := func(half uint8) bool { return 2*bits.OnesCount8(half&set) > bits.OnesCount8(half) }
	return most(c.now) && (c.old == 0 || most(c.old))
}

type entry struct {
	term uint64
	conf *conf
}

// replica is a member of a group. What a crash takes is reset by restart.
type replica struct {
	store *store
	group int
	id    uint8

	term    uint64
	vote    int // 1 + store
	log     []entry
	commit  int
	applied int
	conf    *conf

	role  role
	lead  int // 1 + store
	votes uint8
	match [storesMost]int
	owed  []*message // acknowledgements that have not left
	given uint64     // the term in which it began a transfer

	awake, told, broken  bool // of orderly runs
	idle, patience, mute int
	contact              uint8
}

func (r *replica) restart() {
	r.role, r.lead, r.awake, r.owed = follower, 0, true, nil
}

func (r *replica) key() uint64             { return uint64(r.group) + 1 }
func (r *replica) table() *promise.Table   { return r.store.table }
func (r *replica) self() int               { return r.store.n }
func (r *replica) lastTerm() (term uint64) { return r.log[len(r.log)-1].term }

// members tells the table who counts.
func (r *replica) members() (m promise.Members) {
	var seen, voters uint8
	take := func(c *conf) {
		halves := []uint8{c.now, c.old}
		if r.store.w.flaws.oneHalf && c.old != 0 {
			halves = halves[r.term%2:][:1]
		}
		for _, half := range halves {
			if half != 0 {
				m.Halves = append(m.Halves, disks(half))
			}
		}
		voters |= c.now | c.old
		for s, id := range c.id {
			if id != 0 {
				seen |= 1 << s
			}
		}
	}
	take(r.conf)
	for _, e := range r.log[r.applied:] {
		if e.conf != nil {
			take(e.conf)
		}
	}
	m.Others = disks(seen &^ voters)
	return m
}

func disks(set uint8) (out []disk.ID) {
	for s := range storesMost {
		if set>>s&1 == 1 {
			out = append(out, diskOf(s))
		}
	}
	return out
}

// stepTo makes it a follower in a term that is at least its own.
func (r *replica) stepTo(term uint64, lead int) {
	if r.role == leader {
		r.table().Release(r.key(), r.term)
	}
	if term > r.term {
		r.term, r.vote = term, 0
	}
	r.role, r.lead = follower, lead
	r.awake = r.awake || lead == 0
}

// stepDown is what a leader does that is in doubt of itself.
func (r *replica) stepDown() {
	if r.role == leader {
		r.stepTo(r.term, 0)
	}
}

// canCampaign reports whether Raft allows a campaign.
func (r *replica) canCampaign() bool {
	if r.role == leader || !r.conf.voter(r.self()) || r.conf.id[r.self()] != r.id {
		return false
	}
	for _, e := range r.log[r.applied:r.commit] {
		if e.conf != nil {
			return false
		}
	}
	return true
}

func (r *replica) campaign(transfer bool) {
	if !r.canCampaign() || !r.table().MayCampaign(r.key(), transfer) {
		return
	}
	r.term++
	r.role, r.lead, r.vote, r.votes = candidate, 0, 1+r.self(), 1<<r.self()
	for s := range storesMost {
		if r.conf.voter(s) && s != r.self() {
			r.send(s, r.conf.id[s], &message{kind: vote, match: len(r.log), logTerm: r.lastTerm(), transfer: transfer})
		}
	}
	r.count(transfer)
}

func (r *replica) count(transfer bool) {
	if !r.conf.quorum(r.votes) {
		return
	}
	r.role, r.match = leader, [storesMost]int{}
	r.told, r.contact, r.mute = false, 0, 0
	r.store.w.elect(r, transfer)
	r.append(entry{term: r.term})
	r.replicate(false)
}

// append adds an entry to a leader's log and says so to the table before anybody hears of it.
func (r *replica) append(e entry) {
	r.log = append(r.log[:len(r.log):len(r.log)], e)
	r.match[r.self()] = len(r.log)
	r.told, r.awake = false, true
	r.table().Lead(r.key(), r.term, r.members())
	r.advance()
}

// send sends a message of the replica's term.
func (r *replica) send(to int, id uint8, m *message) {
	m.from, m.to, m.group, m.id, m.term = r.self(), to, r.group, id, r.term
	r.store.w.send(m)
}

// replicate sends the log to all members of the applied configuration.
func (r *replica) replicate(sleep bool) {
	for s, id := range r.conf.id {
		if id != 0 && s != r.self() {
			r.send(s, id, &message{kind: appendLog, log: r.log, commit: r.commit, sleep: sleep})
		}
	}
}

// advance commits what majorities have.
func (r *replica) advance() {
	for n := len(r.log); n > r.commit && r.log[n-1].term == r.term; n-- {
		var have uint8
		for s, m := range r.match {
			if m >= n {
				have |= 1 << s
			}
		}
		if r.conf.quorum(have) {
			r.commit = n
			r.store.w.committed(r)
			return
		}
	}
}

// apply applies one entry.
func (r *replica) apply() {
	if r.applied == r.commit {
		return
	}
	e := r.log[r.applied]
	r.applied++
	if e.conf == nil {
		return
	}
	r.conf = e.conf
	switch {
	case r.role != leader:
	case r.conf.voter(r.self()) && r.conf.id[r.self()] == r.id:
		r.table().Lead(r.key(), r.term, r.members())
		r.advance()
	default:
		r.stepDown() // its vote is gone
	}
}

// readable reports whether it leads and has applied an entry of its own term.
func (r *replica) readable() bool {
	return r.role == leader && r.log[r.applied-1].term == r.term
}

// reconfigure leaves a joint configuration, makes all stores members, or enters one with other voters.
func (r *replica) reconfigure() {
	if !r.readable() {
		return
	}
	for _, e := range r.log[r.applied:] {
		if e.conf != nil {
			return
		}
	}
	c, w := *r.conf, r.store.w
	all := uint8(1<<len(w.stores) - 1)
	var ready, members uint8
	for s, id := range c.id {
		if id != 0 {
			members |= 1 << s
			if r.match[s] >= r.commit {
				ready |= 1 << s
			}
		}
	}
	switch {
	case c.old != 0 && c.now>>r.self()&1 == 0:
		r.transfer(w.rand.IntN(len(w.stores))) // its vote is to go
		return
	case c.old != 0:
		c.old = 0
		for s := range w.stores {
			if c.now>>s&1 == 0 && w.rand.IntN(4) > 0 {
				c.id[s] = 0 // the rest stay as learners
			}
		}
	case members != all && w.rand.IntN(2) == 0:
		for s := range w.stores {
			if c.id[s] == 0 {
				c.last++
				c.id[s], r.match[s] = c.last, 0
			}
		}
	default:
		c.old, c.now = c.now, ready&^c.now|1<<r.self() // quite other voters
		if w.chance(w.mood.hasty) {
			ready = members
		}
		if w.rand.IntN(2) == 0 {
			c.now = ready&uint8(w.rand.IntN(256)) | 1<<r.self()
		}
		w.counts.joint++
	}
	r.append(entry{term: r.term, conf: &c})
}

// transfer has another voter campaign. The lease goes first.
func (r *replica) transfer(to int) {
	if r.role != leader || !r.conf.voter(to) || to == r.self() {
		return
	}
	if !r.store.w.flaws.transferKeeps {
		r.table().Release(r.key(), r.term)
	}
	r.given = r.term
	r.send(to, r.conf.id[to], &message{kind: timeoutNow})
}

// step takes in a message that is for this replica.
func (r *replica) step(m *message) {
	switch m.kind {
	case vote:
		r.stepVote(m)
	case voted:
		if r.role == candidate && m.term == r.term {
			r.votes |= 1 << m.from
			r.count(m.transfer)
		}
	case appendLog:
		r.stepAppend(m)
	case acked:
		r.stepAcked(m)
	case timeoutNow:
		if m.term == r.term {
			r.campaign(true)
		}
	}
}

func (r *replica) stepVote(m *message) {
	if !r.table().MayVote(r.key(), diskOf(m.from), m.transfer) {
		return
	}
	if m.term > r.term {
		r.stepTo(m.term, 0)
	}
	upToDate := m.logTerm > r.lastTerm() || m.logTerm == r.lastTerm() && m.match >= len(r.log)
	if m.term < r.term || r.lead != 0 || r.vote != 0 && r.vote != 1+m.from || !upToDate {
		return
	}
	r.vote, r.idle = 1+m.from, 0
	r.send(m.from, 0, &message{kind: voted, transfer: m.transfer})
}

func (r *replica) stepAppend(m *message) {
	if m.term < r.term {
		r.send(m.from, 0, &message{kind: acked})
		return
	}
	r.stepTo(m.term, 1+m.from)
	same := 0
	for same < len(m.log) && same < len(r.log) && m.log[same].term == r.log[same].term {
		same++
	}
	if same < len(m.log) {
		if same < r.commit {
			r.store.w.fail("model: a committed entry is overwritten")
		}
		r.log = m.log
	}
	r.commit = max(r.commit, min(m.commit, len(m.log)))
	r.store.w.committed(r)
	r.idle, r.awake = 0, !m.sleep
	r.owed = append(r.owed, &message{
		kind: acked, from: r.self(), to: m.from, group: r.group, term: r.term, match: len(m.log), by: r.id,
	})
	if w := r.store.w; w.calm || w.chance(700) {
		r.settle()
	}
}

// settle sends what is owed.
func (r *replica) settle() {
	for _, m := range r.owed {
		if m.term == r.term || r.store.w.flaws.acksLate {
			m.stand = r.table().Acknowledge(r.key(), diskOf(m.to), m.term)
		}
		r.store.w.send(m)
	}
	r.owed = nil
}

func (r *replica) stepAcked(m *message) {
	if m.term > r.term {
		r.stepTo(m.term, 0)
		r.awake = true
	}
	if m.term < r.term || r.role != leader {
		return
	}
	if m.by != r.conf.id[m.from] {
		return // of a replica that is gone
	}
	r.table().Acknowledged(r.key(), r.term, diskOf(m.from), m.stand)
	r.contact |= 1 << m.from
	r.match[m.from] = max(r.match[m.from], m.match)
	r.advance()
}
