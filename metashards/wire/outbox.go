package wire

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/contender/contender/metashards/transport"
)

// Measures of a flush.
const (
	// flushBytes bounds the requests or answers, and again the Raft messages, of one flush, but for one of each.
	flushBytes = 512 * kib
	// A write that must make progress within the time of a write is at most this long.
	writeBytes = 256 * kib
	// Pieces of at least this many bytes are not copied, on a connection that writes several at once, and on others,
	// where each piece costs a write of its own.
	referenceVector = 2 * kib
	referenceSingle = 32 * kib
	// controlMost bounds pings, pongs and cancellations that wait.
	controlMost = 4096
)

// packet is an encoded frame.
type packet struct {
	bytes []byte
	tail  []byte // follows; never changes
	cost  int    // what the outbox's owner counts it as
	call  *call  // whose request it is, nil for an answer
}

// outbox is what waits to be written on a connection. It is safe for concurrent use.
type outbox struct {
	wake chan struct{}
	// raft counts the Raft messages, those that are being written among them.
	raft *budget
	// wrote is told of what packets cost that have been written. It may be nil.
	wrote func(items, cost int)

	mu       sync.Mutex
	closed   bool
	control  [][]byte
	offer    *packet // of a map; a newer one takes its place
	packets  queue[*packet]
	messages queue[*transport.Message]

	// Raft messages that did not fit into a frame, and that were sent.
	unfit, sent *atomic.Int64
}

func newOutbox(raft *budget, c *counters) *outbox {
	return &outbox{wake: make(chan struct{}, 1), raft: raft, unfit: &c.raftUnfit, sent: &c.raftSent}
}

func (o *outbox) ring() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// putControl queues a small frame that leaves before all others; false if too many wait or the outbox is closed.
func (o *outbox) putControl(b []byte) bool {
	o.mu.Lock()
	ok := !o.closed && len(o.control) < controlMost
	if ok {
		o.control = append(o.control, b)
	}
	o.mu.Unlock()
	if ok {
		o.ring()
	}
	return ok
}

// putOffer queues the offer of a map in the place of an older one.
func (o *outbox) putOffer(p *packet) {
	o.mu.Lock()
	if !o.closed {
		o.offer = p
	}
	o.mu.Unlock()
	o.ring()
}

// put queues a request or an answer; false if the outbox is closed. Its owner bounds how many there are.
func (o *outbox) put(p *packet) bool {
	o.mu.Lock()
	ok := !o.closed
	if ok {
		o.packets.push(p)
	}
	o.mu.Unlock()
	if ok {
		o.ring()
	}
	return ok
}

// putMessage queues a Raft message; false if it is dropped.
func (o *outbox) putMessage(m *transport.Message) bool {
	n := m.Bytes()
	if !o.raft.try(n) {
		return false
	}
	o.mu.Lock()
	ok := !o.closed
	if ok {
		o.messages.push(m)
	}
	o.mu.Unlock()
	if ok {
		o.ring()
	} else {
		o.raft.release(1, n)
	}
	return ok
}

// remove takes the request of a call out, and reports whether it was written or is being written.
func (o *outbox) remove(c *call) (sent bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.sent {
		o.packets.remove(func(p *packet) bool { return p.call == c })
	}
	return c.sent
}

// close ends the outbox. After it returned, no call's request begins to be written.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.control, o.offer = nil, nil
	o.packets, o.messages = queue[*packet]{}, queue[*transport.Message]{}
}

// load is what a flush takes out of the outbox.
type load struct {
	packets     []*packet
	cost        int
	messages    []*transport.Message
	messageSize int
}

// take fills a batch with what is to be written next.
func (o *outbox) take(b *batch, l *load) {
	o.mu.Lock()
	for _, c := range o.control {
		b.buf = append(b.buf, c...)
	}
	clear(o.control)
	o.control = o.control[:0]
	for n := 0; n < flushBytes; {
		p, ok := o.packets.pop()
		if !ok {
			break
		}
		if p.call != nil {
			p.call.sent = true
		}
		n += len(p.bytes) + len(p.tail)
		l.cost += p.cost
		l.packets = append(l.packets, p)
	}
	if o.offer != nil {
		l.packets = append(l.packets, o.offer)
		o.offer = nil
	}
	for l.messageSize < flushBytes {
		m, ok := o.messages.pop()
		if !ok {
			break
		}
		l.messageSize += m.Bytes()
		l.messages = append(l.messages, m)
	}
	o.mu.Unlock()
	for _, p := range l.packets {
		b.piece(p.bytes)
		if len(p.tail) > 0 {
			b.piece(p.tail)
		}
	}
	for _, m := range l.messages {
		if err := b.message(m); err != nil {
			o.unfit.Add(1)
		}
	}
	b.cut()
}

// run writes what is put until ctx ends or the connection fails.
func (o *outbox) run(ctx context.Context, conn net.Conn, clock Clock, timeout time.Duration) error {
	b := &batch{reference: referenceSingle}
	if _, ok := conn.(*net.TCPConn); ok {
		b.reference = referenceVector
	}
	var l load
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.wake:
		}
		for {
			// Whoever else is about to put something does it now: a write costs more than all that is in it.
			runtime.Gosched()
			if o.take(b, &l); b.bytes == 0 {
				break
			}
			err := writeAll(conn, b.list, clock, timeout)
			o.sent.Add(int64(len(l.messages)))
			o.raft.release(len(l.messages), l.messageSize)
			if o.wrote != nil {
				o.wrote(len(l.packets), l.cost)
			}
			clear(l.packets)
			clear(l.messages)
			l = load{packets: l.packets[:0], messages: l.messages[:0]}
			b.reset()
			if err != nil {
				return err
			}
		}
	}
}

// writeAll writes buffers in portions, each of which must be through within the timeout.
func writeAll(conn net.Conn, list net.Buffers, clock Clock, timeout time.Duration) error {
	for len(list) > 0 {
		if err := conn.SetWriteDeadline(clock.Now().Add(timeout)); err != nil {
			return err
		}
		if p := list[0]; len(p) > writeBytes || len(list) == 1 {
			n := min(len(p), writeBytes)
			if _, err := conn.Write(p[:n]); err != nil {
				return err
			}
			if list[0] = p[n:]; n == len(p) {
				list = list[1:]
			}
			continue
		}
		n, size := 0, 0
		for n < len(list) && size+len(list[n]) <= writeBytes {
			size += len(list[n])
			n++
		}
		portion := list[:n]
		if _, err := portion.WriteTo(conn); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// queue is first in, first out.
type queue[T any] struct {
	items []T
	at    int
}

func (q *queue[T]) push(x T) { q.items = append(q.items, x) }

func (q *queue[T]) pop() (x T, ok bool) {
	var none T
	if q.at == len(q.items) {
		return none, false
	}
	x, q.items[q.at] = q.items[q.at], none
	if q.at++; q.at == len(q.items) {
		q.items, q.at = q.items[:0], 0
	} else if q.at > 1024 && 2*q.at > len(q.items) {
		q.items, q.at = slices.Delete(q.items, 0, q.at), 0
	}
	return x, true
}

// remove takes the first item out that fits.
func (q *queue[T]) remove(fits func(T) bool) bool {
	i := slices.IndexFunc(q.items[q.at:], fits)
	if i < 0 {
		return false
	}
	q.items = slices.Delete(q.items, q.at+i, q.at+i+1)
	if q.at == len(q.items) {
		q.items, q.at = q.items[:0], 0
	}
	return true
}

func (q *queue[T]) len() int { return len(q.items) - q.at }
