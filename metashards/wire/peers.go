package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/contender/contender/metashards/clustermap"
)

// Peers joins this node to all others. It is safe for concurrent use.
//
// A node is dialed when there is first something to say to it, and from then on again and again, with growing pauses,
// for as long as the directory knows it. While it can't be reached, calls fail at once and Raft messages are dropped.
type Peers struct {
	opt      Options
	counters counters
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	works    sync.WaitGroup
	behind   chan newerMap

	mu     sync.Mutex // taken after a peer's
	closed bool
	peers  map[clustermap.NodeID]*peer
}

// peer is another node.
type peer struct {
	node  clustermap.NodeID
	calls *budget       // requests under way
	woken chan struct{} // it may be worth a try
	users int           // streams that it dialed and that have not ended; guarded by Peers
	heard atomic.Int64  // Unix nanoseconds: when bytes came last, by whichever connection

	health atomic.Pointer[[]byte] // what it told last; nil if it did not

	mu      sync.Mutex
	dialed  bool     // there is a goroutine that keeps a link
	link    *link    // nil while it can't be reached
	err     error    // why the last link ended
	session *session // the stream that it dialed, nil if there is none
}

var (
	errUnknownNode = errors.New("the cluster map has no such node")
	errUnknownDisk = errors.New("the cluster map has no such disk")
	errThisNode    = errors.New("the disk is of this node and has no store now")
	errClosed      = errors.New("the node is shutting down")
)

// New returns Peers. They end when ctx ends or Close is called; Close must be called in any case.
func New(ctx context.Context, opt Options) *Peers {
	p := &Peers{opt: opt.withDefaults(), behind: make(chan newerMap, 1), peers: map[clustermap.NodeID]*peer{}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	if p.opt.Maps != nil {
		p.works.Go(p.followMaps)
	}
	return p
}

// Close ends all connections and waits until nothing works any more.
func (p *Peers) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.works.Wait()
}

// enter begins work that Close waits for; false after Close.
func (p *Peers) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.works.Add(1)
	return true
}

// peer returns the record of a node.
func (p *Peers) peer(node clustermap.NodeID) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record(node)
}

// record is peer, with the lock held.
func (p *Peers) record(node clustermap.NodeID) *peer {
	x := p.peers[node]
	if x == nil {
		x = &peer{node: node, calls: newBudget(p.opt.Calls, p.opt.CallBytes), woken: make(chan struct{}, 1)}
		p.peers[node] = x
	}
	return x
}

// arrive returns the record of a node that has dialed a stream; depart must follow.
func (p *Peers) arrive(node clustermap.NodeID) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.record(node)
	x.users++
	return x
}

// depart follows arrive. Nothing is kept of a node that the directory does not know, a front-end, once its last stream has
// ended: it never comes back under its id.
func (p *Peers) depart(x *peer) {
	_, known := p.opt.Directory.Address(x.node)
	dialed := x.isDialed()
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.users--; x.users == 0 && !known && !dialed {
		delete(p.peers, x.node)
	}
}

// known returns the records of all nodes, ascending by node.
func (p *Peers) known() []*peer {
	p.mu.Lock()
	list := make([]*peer, 0, len(p.peers))
	for _, x := range p.peers {
		list = append(list, x)
	}
	p.mu.Unlock()
	slices.SortFunc(list, func(a, b *peer) int { return cmp.Compare(a.node, b.node) })
	return list
}

// reach returns the link to a node, and the error that there is none.
func (p *Peers) reach(node clustermap.NodeID) (*peer, *link, error) {
	x := p.peer(node)
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.dialed {
		if _, ok := p.opt.Directory.Address(node); !ok {
			return x, nil, errUnknownNode
		}
		if !p.enter() {
			return x, nil, errClosed
		}
		x.dialed = true
		// What is said until the first attempt has succeeded or failed waits for it.
		x.link = newLink(p, x)
		go p.keep(x, x.link)
	}
	if x.link == nil {
		return x, nil, cmp.Or(x.err, errClosed)
	}
	return x, x.link, nil
}

// Meet has this node keep a link to another one, as if there were something to say to it. It never waits.
func (p *Peers) Meet(node clustermap.NodeID) { _, _, _ = p.reach(node) }

// Reachable reports whether the stream that this node dials to another one is up. It costs little.
func (p *Peers) Reachable(node clustermap.NodeID) bool {
	p.mu.Lock()
	x := p.peers[node]
	p.mu.Unlock()
	if x == nil {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.link != nil && x.link.established.Load()
}

// Health returns what a node told of itself last, in any life of its process; nil if it never did. It is shared: read only.
func (p *Peers) Health(node clustermap.NodeID) []byte {
	p.mu.Lock()
	x := p.peers[node]
	p.mu.Unlock()
	if x == nil {
		return nil
	}
	if h := x.health.Load(); h != nil {
		return *h
	}
	return nil
}

// health returns what is told of this node.
func (p *Peers) health() []byte {
	if p.opt.Health == nil {
		return nil
	}
	if h := p.opt.Health(); len(h) <= HealthBytesMax {
		return h
	}
	return nil
}

// tellHealth keeps what the node told of itself, if it did.
func (x *peer) tellHealth(told []byte) {
	if len(told) > 0 {
		x.health.Store(&told)
	}
}

// isDialed reports whether this node keeps a link to the other one, or tries to.
func (x *peer) isDialed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.dialed
}

// keep keeps a link to a node until Peers end or the directory does not know it any more.
func (p *Peers) keep(x *peer, l *link) {
	defer p.works.Done()
	var pause time.Duration
	for {
		begun := p.opt.Clock.Now()
		err := l.run(p.ctx, func() {
			begun = p.opt.Clock.Now()
			x.set(l, nil)
		})
		gone := errors.Is(err, errUnknownNode) || p.ctx.Err() != nil
		x.mu.Lock()
		x.link, x.err, x.dialed = nil, err, !gone
		x.mu.Unlock()
		if gone {
			return
		}
		p.counters.linksEnded.Add(1)
		p.opt.Logger.Info("no connection to a node", "node", x.node, "established", l.established.Load(), "error", err)
		if l.established.Load() && p.opt.Clock.Now().Sub(begun) >= pause {
			pause = 0 // it was worth the wait
		}
		pause = min(max(2*pause, p.opt.BackoffLeast), p.opt.BackoffMost)
		d := pause
		if p.opt.Jitter != nil {
			d = d/2 + p.opt.Jitter(d/2)
		}
		p.opt.Clock.Sleep(p.ctx, d, x.woken)
		l = newLink(p, x)
	}
}

func (x *peer) set(l *link, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.link, x.err = l, err
}

// wake has an unreachable node tried again at once.
func (x *peer) wake() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dialed && x.link == nil {
		select {
		case x.woken <- struct{}{}:
		default:
		}
	}
}

// Status says how the connections to a node stand.
type Status struct {
	Node clustermap.NodeID
	// Reachable: the stream that this node dials is up. Err is why it is not.
	Reachable bool
	Err       error
	// Served: the stream that the other node dials is up.
	Served bool
	// Instance is the life of the other node's process that was spoken to last, zero if it is not known.
	Instance uint64
	// LastHeard is when bytes came last, by whichever stream; zero: never.
	LastHeard time.Time
	// RoundTrip is how long the last ping took, zero if none was answered on this stream.
	RoundTrip time.Duration
	// RaftMessages and RaftBytes wait to be written.
	RaftMessages, RaftBytes int
	// Calls are under way.
	Calls int
}

// Status returns how the connections stand, ascending by node. A node that was never spoken to is not among them.
func (p *Peers) Status() []Status {
	list := p.known()
	out := make([]Status, 0, len(list))
	for _, x := range list {
		out = append(out, x.status())
	}
	return out
}

func (x *peer) status() Status {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := Status{Node: x.node, Err: x.err, Served: x.session != nil}
	if n := x.heard.Load(); n != 0 {
		s.LastHeard = time.Unix(0, n)
	}
	s.Calls, _ = x.calls.used()
	if x.session != nil {
		s.Instance = x.session.instance
	}
	if l := x.link; l != nil {
		s.Reachable = l.established.Load()
		if s.Reachable {
			s.Instance = l.instance.Load()
		}
		s.RoundTrip = time.Duration(l.roundTrip.Load())
		s.RaftMessages, s.RaftBytes = l.out.raft.used()
	}
	return s
}

// LastHeard returns when bytes of a node came last, by whichever stream; the zero time if none ever did.
func (p *Peers) LastHeard(node clustermap.NodeID) time.Time {
	p.mu.Lock()
	x := p.peers[node]
	p.mu.Unlock()
	if x == nil || x.heard.Load() == 0 {
		return time.Time{}
	}
	return time.Unix(0, x.heard.Load())
}

// counters are what Counters returns.
type counters struct {
	raftSent, raftFull, raftDown, raftUnfit atomic.Int64
	raftReceived, raftForeign, raftNowhere  atomic.Int64
	raftSetBack                             atomic.Int64
	callsServed, callsRefused, linksEnded   atomic.Int64
	sessionsServed, sessionsRefused         atomic.Int64
}

// Counters are what Peers counted since New.
type Counters struct {
	// Raft messages written; dropped since the queue was full, or the node could not be reached, or they fit no frame.
	RaftSent, RaftDroppedFull, RaftDroppedUnreachable, RaftDroppedUnfit int64
	// Raft messages that came; of them dropped since they claimed a disk that the cluster map does not give to the
	// peer, or were for a disk that has no store here, or came from one that was set back.
	RaftReceived, RaftDroppedForeign, RaftDroppedNowhere, RaftDroppedSetBack int64
	// Requests answered, and refused since too many were there.
	CallsServed, CallsRefused int64
	// Links are streams dialed that ended or never began; sessions are streams that peers dialed, refused ones apart.
	LinksEnded, Sessions, SessionsRefused int64
}

// Counters returns what was counted.
func (p *Peers) Counters() Counters {
	c := &p.counters
	return Counters{
		RaftSent: c.raftSent.Load(), RaftDroppedFull: c.raftFull.Load(), RaftDroppedUnreachable: c.raftDown.Load(),
		RaftDroppedUnfit: c.raftUnfit.Load(), RaftReceived: c.raftReceived.Load(), RaftDroppedForeign: c.raftForeign.Load(),
		RaftDroppedNowhere: c.raftNowhere.Load(), RaftDroppedSetBack: c.raftSetBack.Load(), CallsServed: c.callsServed.Load(), CallsRefused: c.callsRefused.Load(),
		LinksEnded: c.linksEnded.Load(), Sessions: c.sessionsServed.Load(), SessionsRefused: c.sessionsRefused.Load(),
	}
}

// call sends a request to a node and waits for its answer. Errors are *lostError.
func (p *Peers) call(ctx context.Context, node clustermap.NodeID, k kind, m message, payload []byte) (frame, error) {
	x, l, err := p.reach(node)
	if err != nil {
		return frame{}, &lostError{node: node, err: err}
	}
	size := headerBytes + len(payload)
	if m != nil {
		size += m.SizeVT()
	}
	if err := x.calls.wait(ctx, size); err != nil {
		return frame{}, &lostError{node: node, err: fmt.Errorf("too many requests are under way: %w", err)}
	}
	defer x.calls.release(1, size)
	h := header{kind: k, wait: p.waitOf(ctx)}
	b, err := appendFrame(make([]byte, 0, size), h, m, len(payload))
	if err != nil {
		return frame{}, &lostError{node: node, err: err}
	}
	return l.do(ctx, &packet{bytes: append(b, payload...)})
}

// waitOf returns how long a request may take, in milliseconds: a little less than its context, so that the answer that
// the time is over, which knows more, comes before it is.
func (p *Peers) waitOf(ctx context.Context) uint32 {
	d := p.opt.CallMost
	if t, ok := ctx.Deadline(); ok {
		d = t.Sub(p.opt.Clock.Now())
		d -= min(d/8, 50*time.Millisecond)
	}
	return uint32(min(max(d.Milliseconds(), 1), p.opt.CallMost.Milliseconds()))
}
