package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
)

// link is one stream that this node dials, from the dial to its end.
type link struct {
	peers *Peers
	node  clustermap.NodeID
	peer  *peer
	out   *outbox

	established atomic.Bool
	instance    atomic.Uint64
	roundTrip   atomic.Int64 // of the last answered ping, in nanoseconds

	mu    sync.Mutex
	calls map[uint64]*call
	next  uint64
	err   error // why it ended
	ping  uint64
	asked time.Time // when the ping that is not answered yet was sent; zero: there is none
}

// call is a request that waits for its answer.
type call struct {
	id   uint64
	sent bool // guarded by the outbox
	done chan outcome
}

type outcome struct {
	frame frame
	err   error
}

func newLink(p *Peers, x *peer) *link {
	return &link{
		peers: p, node: x.node, peer: x, calls: map[uint64]*call{},
		out: newOutbox(newBudget(p.opt.RaftMessages, p.opt.RaftBytes), &p.counters),
	}
}

var errSilent = errors.New("the peer is silent")

// run dials, works until ctx or the connection ends, and returns why it ended.
func (l *link) run(ctx context.Context, up func()) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { l.fail(err) }()
	opt := &l.peers.opt
	address, ok := opt.Directory.Address(l.node)
	if !ok {
		return errUnknownNode
	}
	dialing, stop := opt.Clock.WithTimeout(ctx, opt.HandshakeTimeout)
	conn, err := opt.Dial(dialing, l.node, address)
	stop()
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	ear := &listener{conn: conn, clock: opt.Clock, silence: opt.SilenceTimeout, heard: &l.peer.heard}
	in := newReader(ear)
	h, err := l.peers.greet(conn, in, l.node)
	if err == nil {
		err = ear.begin()
	}
	if err != nil {
		return fmt.Errorf("handshake with %s: %w", address, err)
	}
	l.instance.Store(h.Instance)
	l.established.Store(true)
	up()
	l.peers.heardRevision(l.node, h.MapRevision)
	var works sync.WaitGroup
	works.Go(func() { l.pings(ctx) })
	works.Go(func() {
		if err := l.out.run(ctx, conn, opt.Clock, opt.WriteTimeout); err != nil {
			l.end(err)
			cancel()
		}
	})
	err = l.read(in)
	l.end(err)
	cancel()
	works.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// end notes why the link ends; the first reason stays.
func (l *link) end(err error) {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		err = fmt.Errorf("%w: %w", errSilent, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// fail answers every call that waits.
func (l *link) fail(err error) {
	l.end(err)
	l.out.close()
	l.mu.Lock()
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	for _, c := range calls {
		c.done <- outcome{err: &lostError{node: l.node, sent: c.sent, err: err}}
	}
}

// read takes answers in.
func (l *link) read(in *reader) error {
	for {
		f, err := in.next()
		if err != nil {
			return noEOF(err)
		}
		switch f.kind {
		case kindPong:
			if err := l.pong(&f); err != nil {
				return err
			}
		case kindResult, kindAnswer, kindRowsAnswer, kindPayloadAnswer, kindMapAnswer, kindFailure:
			l.mu.Lock()
			c := l.calls[f.id]
			delete(l.calls, f.id)
			l.mu.Unlock()
			if c != nil { // else its caller has gone
				f.own()
				c.done <- outcome{frame: f}
			}
		default:
			return &ProtocolError{Reason: fmt.Sprintf("frame of kind %d from the side that answers", f.kind)}
		}
	}
}

func (l *link) pong(f *frame) error {
	var b metapb.Beat
	if err := b.UnmarshalVT(f.body); err != nil {
		return &ProtocolError{Reason: "pong: " + err.Error()}
	}
	l.mu.Lock()
	if f.id == l.ping && !l.asked.IsZero() {
		l.roundTrip.Store(int64(l.peers.opt.Clock.Now().Sub(l.asked)))
		l.asked = time.Time{}
	}
	l.mu.Unlock()
	l.peers.heardRevision(l.node, b.MapRevision)
	l.peer.tellHealth(f.payload)
	return nil
}

// pings sends a ping from time to time, one at a time.
func (l *link) pings(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		free := l.asked.IsZero()
		if free {
			l.ping++
			l.asked = l.peers.opt.Clock.Now()
		}
		id := l.ping
		l.mu.Unlock()
		if free {
			l.sendPing(id)
		}
		l.peers.opt.Clock.Sleep(ctx, l.peers.opt.PingEvery, nil)
	}
}

// sendPing sends a ping, with the health of this node.
func (l *link) sendPing(id uint64) {
	health := l.peers.health()
	b, err := appendFrame(nil, header{kind: kindPing, id: id}, &metapb.Beat{MapRevision: l.peers.revision()}, len(health))
	if err == nil {
		l.out.putControl(append(b, health...))
	}
}

// do sends a request and waits for its answer. packet has the frame; its id is filled in here. Errors are *lostError.
func (l *link) do(ctx context.Context, p *packet) (frame, error) {
	c := &call{done: make(chan outcome, 1)}
	p.call = c
	l.mu.Lock()
	if l.err != nil || l.calls == nil {
		err := l.err
		l.mu.Unlock()
		return frame{}, &lostError{node: l.node, err: err}
	}
	l.next++
	c.id = l.next
	l.calls[c.id] = c
	l.mu.Unlock()
	binary.LittleEndian.PutUint64(p.bytes[8:], c.id)
	// If the outbox is closed, fail answers the call, or has.
	l.out.put(p)
	select {
	case o := <-c.done:
		return o.frame, o.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	delete(l.calls, c.id)
	l.mu.Unlock()
	select {
	case o := <-c.done: // it came at the same moment
		return o.frame, o.err
	default:
	}
	sent := l.out.remove(c)
	if sent {
		l.out.putControl(cancelFrame(c.id))
	}
	return frame{}, &lostError{node: l.node, sent: sent, err: ctx.Err()}
}

func cancelFrame(id uint64) []byte {
	b := make([]byte, headerBytes)
	header{kind: kindCancel, id: id}.put(b)
	return b
}
