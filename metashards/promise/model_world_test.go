package promise_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/promise"
)

type kind uint8

const (
	ask kind = iota
	answer
	vote
	voted
	appendLog
	acked
	timeoutNow
)

// message is anything that one store sends to another.
type message struct {
	at       time.Duration
	n        int
	kind     kind
	from, to int
	request  promise.Request
	answer   promise.Answer

	group    int
	id       uint8 // of the replica that is meant; 0: whichever is there
	term     uint64
	transfer bool
	sleep    bool
	log      []entry
	logTerm  uint64
	match    int
	by       uint8 // the replica that acknowledges
	commit   int
	stand    promise.Stand
}

type messages []*message

func (q messages) Len() int { return len(q) }
func (q messages) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].n < q[j].n
}
func (q messages) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *messages) Push(x any)   { *q = append(*q, x.(*message)) }
func (q *messages) Pop() any {
	old := *q
	m := old[len(old)-1]
	*q = old[:len(old)-1]
	return m
}

// flaws are mistakes of the caller's that the checks must notice.
type flaws struct{ transferKeeps, oneHalf, acksLate bool }

// mood is how unkind a history is: chances in a thousand.
type mood struct{ lose, double, slow, crash, pause, cut, change, transfer, lag, destroy, hasty int }

// counts say that histories are not empty.
type counts struct{ elected, transferred, leases, restarts, joint, returned, raft int }

// world is stores under one clock and one seed.
type world struct {
	rand   *rand.Rand
	flaws  flaws
	mood   mood
	calm   bool // an orderly network
	now    time.Duration
	n      int
	queue  messages
	stores []*store
	cut    [2][storesMost][storesMost]bool // of beats, of Raft
	chain  [][]uint64                      // by group: the terms of committed entries
	chief  []uint64                        // by group: the highest term in which somebody was elected
	by     []map[uint64]int                // by group and term: who
	broken string
	counts counts
}

// store is one store: what a crash leaves of it, and its table while it lives.
type store struct {
	w        *world
	n        int
	table    *promise.Table
	boot     uint64
	offset   time.Duration
	rate     time.Duration // per thousand
	paused   bool
	mail     []*message // came while it was paused
	replicas []*replica
	gone     []uint8  // by group: the highest id of a replica that was destroyed here
	terms    []uint64 // by group: what is kept while there is no replica
	votes    []int    // by group
	ticks    int
	next     time.Duration
}

const d = promise.DefaultD

func diskOf(n int) disk.ID { return disk.ID(100 + n) }

func newWorld(seed uint64, stores, groups int) *world {
	w := &world{rand: rand.New(rand.NewPCG(seed, 0x9e37)), chain: make([][]uint64, groups), chief: make([]uint64, groups)}
	for range groups {
		w.by = append(w.by, map[uint64]int{})
	}
	for n := range stores {
		s := &store{w: w, n: n, replicas: make([]*replica, groups), gone: make([]uint8, groups)}
		s.terms, s.votes = make([]uint64, groups), make([]int, groups)
		s.next = w.between(0, 100*time.Millisecond)
		w.stores = append(w.stores, s)
	}
	for g := range groups {
		c := &conf{now: uint8(1<<stores - 1)}
		for n := range stores {
			c.last++
			c.id[n] = c.last
		}
		w.chain[g] = []uint64{1}
		for n, s := range w.stores {
			s.replicas[g] = &replica{
				store: s, group: g, id: c.id[n], term: 1, log: []entry{{1, c}}, commit: 1, applied: 1, conf: c, awake: true,
			}
		}
	}
	for _, s := range w.stores {
		s.start()
	}
	return w
}

func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rand.Int64N(int64(hi-lo)))
}

func (w *world) chance(thousandths int) bool { return w.rand.IntN(1000) < thousandths }

func (w *world) fail(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf("at %v: ", w.now) + fmt.Sprintf(format, args...)
	}
}

// start begins a life. The machine may have been started anew, too.
func (s *store) start() {
	w := s.w
	s.boot++
	if s.boot == 1 || w.chance(500) {
		s.rate = []time.Duration{950, 950, 1000, 1050, 1050}[w.rand.IntN(5)]
		s.offset = w.between(0, time.Hour) - w.now*s.rate/1000
	}
	t, err := promise.New(promise.Options{Self: diskOf(s.n), Boot: s.boot, Now: s.clock, Fresh: s.boot == 1})
	if err != nil {
		panic(err)
	}
	s.table = t
	for _, r := range s.replicas {
		if r != nil {
			r.restart()
		}
	}
}

func (s *store) clock() time.Duration { return s.offset + s.w.now*s.rate/1000 }
func (s *store) runs() bool           { return s.table != nil && !s.paused }

func (s *store) crash() {
	s.table, s.paused, s.mail = nil, false, nil
	for _, r := range s.replicas {
		if r != nil {
			r.restart()
		}
	}
}

func (s *store) resume() {
	mail := s.mail
	s.paused, s.mail = false, nil
	for _, m := range mail {
		s.receive(m)
		s.w.check()
	}
}

func (s *store) destroy(r *replica) {
	r.stepDown()
	s.table.Forget(r.key())
	s.gone[r.group], s.replicas[r.group] = max(s.gone[r.group], r.id), nil
	s.terms[r.group], s.votes[r.group] = r.term, r.vote
}

// voteAbsent votes for a replica that is not here yet. Its log is empty.
func (s *store) voteAbsent(m *message) {
	g := m.group
	if m.id <= s.gone[g] || m.term < s.terms[g] || !s.table.MayVote(uint64(g)+1, diskOf(m.from), m.transfer) {
		return
	}
	if m.term > s.terms[g] {
		s.terms[g], s.votes[g] = m.term, 0
	}
	if s.votes[g] == 0 || s.votes[g] == 1+m.from {
		s.votes[g] = 1 + m.from
		s.w.send(&message{kind: voted, from: s.n, to: m.from, group: g, term: m.term, transfer: m.transfer})
	}
}

// beat asks all others for their promises.
func (s *store) beat() {
	for n := range s.w.stores {
		if n != s.n {
			s.w.send(&message{kind: ask, from: s.n, to: n, request: s.table.Ask(diskOf(n))})
		}
	}
}

// receive takes in a message.
func (s *store) receive(m *message) {
	switch {
	case s.table == nil:
	case s.paused:
		s.mail = append(s.mail, m)
	case m.kind == ask:
		if a, ok := s.table.Answer(m.request); ok {
			s.w.send(&message{kind: answer, from: s.n, to: m.from, answer: a})
		}
	case m.kind == answer:
		s.table.Hear(m.answer)
	case m.kind == vote && s.replicas[m.group] == nil:
		s.voteAbsent(m)
	default:
		if r := s.replica(m); r != nil && !r.broken {
			r.step(m)
		}
	}
}

// replica finds or makes the replica that a message is for.
func (s *store) replica(m *message) *replica {
	r := s.replicas[m.group]
	switch {
	case m.id == 0 || r != nil && r.id == m.id:
		return r
	case m.kind != appendLog || m.id <= s.gone[m.group] || r != nil && r.id > m.id:
		return nil
	case r != nil:
		s.destroy(r) // a later one is meant
	}
	if s.gone[m.group] > 0 {
		s.w.counts.returned++
	}
	r = &replica{store: s, group: m.group, id: m.id, log: m.log, commit: m.commit, applied: m.commit, awake: true}
	r.term, r.vote = s.terms[m.group], s.votes[m.group]
	for _, e := range m.log[:m.commit] { // as a snapshot does
		if e.conf != nil {
			r.conf = e.conf
		}
	}
	s.replicas[m.group] = r
	return r
}

// send puts a message under way, or loses it.
func (w *world) send(m *message) {
	class := 0
	if m.kind > answer {
		class = 1
		w.counts.raft++
	}
	if w.cut[class][m.from][m.to] {
		return
	}
	if w.calm {
		w.post(m, w.between(time.Millisecond, 10*time.Millisecond))
		return
	}
	if w.chance(w.mood.lose) {
		return
	}
	w.post(m, w.delay())
	if w.chance(w.mood.double) {
		again := *m
		w.post(&again, w.delay())
	}
}

func (w *world) delay() time.Duration {
	if w.chance(w.mood.slow) {
		return w.between(0, 2*d)
	}
	return w.between(0, 40*time.Millisecond)
}

func (w *world) post(m *message, after time.Duration) {
	w.n++
	m.n, m.at = w.n, w.now+after
	heap.Push(&w.queue, m)
}

// deliver delivers the next message that is due before a moment, and reports whether there was one.
func (w *world) deliver(before time.Duration) bool {
	if len(w.queue) == 0 || w.queue[0].at > before {
		return false
	}
	m := heap.Pop(&w.queue).(*message)
	w.now = max(w.now, m.at)
	w.stores[m.to].receive(m)
	return true
}

// elect notes who was elected.
func (w *world) elect(r *replica, transfer bool) {
	if o, ok := w.by[r.group][r.term]; ok && o != r.self() {
		w.fail("model: two leaders of term %d", r.term)
	}
	w.by[r.group][r.term] = r.self()
	w.chief[r.group] = max(w.chief[r.group], r.term)
	w.counts.elected++
	if transfer {
		w.counts.transferred++
	}
}

// committed notes what a replica knows to be committed: the model itself must be right.
func (w *world) committed(r *replica) {
	chain := w.chain[r.group]
	for i, e := range r.log[:r.commit] {
		switch {
		case i == len(chain):
			chain = append(chain, e.term)
		case chain[i] != e.term:
			w.fail("model: two committed entries at %d", i)
		}
	}
	w.chain[r.group] = chain
}

// check is the promise: while a leader has a lease nobody was elected after it, so what it knows to be committed is all
// that was ever acknowledged. A paused store counts: it may go on at any moment.
func (w *world) check() {
	for _, s := range w.stores {
		if s.table == nil {
			continue
		}
		for g, r := range s.replicas {
			if r == nil || r.role != leader || r.term == w.chief[g] {
				continue
			}
			if s.table.Holds(r.key(), r.term) {
				w.fail("group %d: store %d has a lease of term %d, and store %d was elected in term %d",
					g, s.n, r.term, w.by[g][w.chief[g]], w.chief[g])
			}
		}
	}
}

// chaos lets a history happen.
func (w *world) chaos(span time.Duration) {
	end := w.now + span
	for w.now < end && w.broken == "" {
		next := w.now + w.between(0, 30*time.Millisecond)
		for w.broken == "" && w.deliver(next) {
			w.check()
		}
		w.now = next
		w.act()
		w.check()
	}
}

// act does something to a store.
func (w *world) act() {
	w.disturb()
	s := w.stores[w.rand.IntN(len(w.stores))]
	if !s.runs() {
		return
	}
	r := s.replicas[w.rand.IntN(len(s.replicas))]
	switch what := w.rand.IntN(100); {
	case what < 25:
		s.beat()
	case what < 30:
		s.table.Tick()
	case r == nil:
	case what < 35:
		r.settle()
	case what < 48:
		r.campaign(false)
	case what < 75:
		if r.role == leader {
			if w.chance(200) {
				r.append(entry{term: r.term})
			}
			r.replicate(false)
			if s.table.Holds(r.key(), r.term) {
				w.counts.leases++
			}
		}
	case what < 96:
		for range 3 {
			if !w.chance(w.mood.lag) {
				r.apply()
			}
		}
		if w.chance(w.mood.change) {
			r.reconfigure()
		}
		if r.conf.id[s.n] == 0 && w.chance(w.mood.destroy) {
			s.destroy(r)
		}
	case what < 98:
		if w.chance(w.mood.transfer) {
			r.transfer(w.rand.IntN(len(w.stores)))
		}
	case w.chance(300):
		r.stepDown()
	}
}

// disturb crashes, pauses, cuts, and ends such.
func (w *world) disturb() {
	s := w.stores[w.rand.IntN(len(w.stores))]
	switch {
	case s.table == nil:
		if w.chance(50) {
			s.start()
			w.counts.restarts++
		}
	case s.paused:
		if w.chance(50) {
			s.resume()
		}
	case w.chance(w.mood.crash):
		s.crash()
	case w.chance(w.mood.pause):
		s.paused = true
	}
	switch {
	case w.chance(w.mood.cut):
		from, to := w.rand.IntN(len(w.stores)), w.rand.IntN(len(w.stores))
		w.part(1<<from, 1<<to)
	case w.chance(w.mood.cut / 4):
		side := uint8(w.rand.IntN(1 << len(w.stores)))
		w.part(side, ^side)
	case w.chance(w.mood.cut / 4):
		w.cut = [2][storesMost][storesMost]bool{}
	}
}

// part cuts beats, Raft or both between two sets of stores, one way or both.
func (w *world) part(from, to uint8) {
	class, both := w.rand.IntN(3), w.chance(700)
	for c := range w.cut {
		if class != 2 && class != c {
			continue
		}
		for a := range w.stores {
			for b := range w.stores {
				if from>>a&1 == 1 && to>>b&1 == 1 {
					w.cut[c][a][b] = true
					w.cut[c][b][a] = w.cut[c][b][a] || both
				}
			}
		}
	}
}
