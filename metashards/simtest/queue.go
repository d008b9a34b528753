package simtest

import (
	"container/heap"
	"encoding/binary"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// event is something that happens at a moment.
type event struct {
	at   time.Duration
	n    uint64 // order of scheduling, decides among events of one moment
	name string
	node int
	fn   func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := len(old) - 1
	x := old[last]
	old[last] = event{}
	*e = old[:last]
	return x
}

// queue is virtual time.
type queue struct {
	rand   *rand.Rand
	now    time.Duration
	n      uint64
	events events
	trace  hash.Hash64
}

func newQueue(seed uint64) *queue {
	return &queue{rand: rand.New(rand.NewPCG(seed, 0x5eed)), trace: fnv.New64a()}
}

// after schedules fn.
func (q *queue) after(d time.Duration, node int, name string, fn func()) {
	q.n++
	heap.Push(&q.events, event{q.now + d, q.n, name, node, fn})
}

// between draws a duration.
func (q *queue) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(q.rand.Int64N(int64(hi-lo)+1))
}

// chance is true once in n times on average; never if n is 0.
func (q *queue) chance(n int) bool { return n > 0 && q.rand.IntN(n) == 0 }

// note adds to the trace.
func (q *queue) note(name string, numbers ...uint64) {
	var b [8]byte
	_, _ = q.trace.Write([]byte(name))
	for _, n := range numbers {
		binary.BigEndian.PutUint64(b[:], n)
		_, _ = q.trace.Write(b[:])
	}
}

// step lets the next event happen; false if there is none before the end.
func (q *queue) step(end time.Duration) bool {
	if len(q.events) == 0 || q.events[0].at > end {
		q.now = max(q.now, end)
		return false
	}
	e := heap.Pop(&q.events).(event)
	q.now = e.at
	q.note(e.name, uint64(e.at), uint64(e.node))
	e.fn()
	return true
}
