package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// session is one stream that a peer dialed.
type session struct {
	peers    *Peers
	peer     *peer
	instance uint64
	out      *outbox
	load     *budget // requests here, with their answers until they are written
	ctx      context.Context
	cancel   context.CancelFunc
	read     chan struct{} // closed when nothing is taken from it any more

	works sync.WaitGroup
	jobs  chan *job
	idle  atomic.Int32

	setBack map[disk.ID]bool // disks of the peer whose word does not count

	average atomic.Int64 // of the sizes of answers to queries

	mu    sync.Mutex
	calls map[uint64]context.CancelFunc
}

// job is a request.
type job struct {
	frame  frame
	ctx    context.Context
	cancel context.CancelFunc
	cost   int
}

// idleMost is how many goroutines of a session wait for requests.
const idleMost = 64

// ErrReplaced ends a stream whose dialer has dialed another.
var ErrReplaced = errors.New("the peer has dialed another stream")

// Serve serves a stream that a peer has dialed, until ctx or the connection ends, the peer dials another stream, or Peers
// are closed. It closes the connection, and returns why it ended once nothing works for it any more. node is the peer
// that the connection's authentication has shown.
func (p *Peers) Serve(ctx context.Context, conn net.Conn, node clustermap.NodeID) error {
	defer conn.Close()
	if !p.enter() {
		return errClosed
	}
	defer p.works.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	x := p.arrive(node)
	defer p.depart(x)
	s := &session{
		peers: p, peer: x, ctx: ctx, cancel: cancel, read: make(chan struct{}), jobs: make(chan *job),
		load: newBudget(p.opt.ServeCalls, p.opt.ServeBytes), calls: map[uint64]context.CancelFunc{},
	}
	s.average.Store(answerBytesFirst)
	s.out = newOutbox(newBudget(1, 1), &p.counters)
	s.out.wrote = s.load.release
	ear := &listener{conn: conn, clock: p.opt.Clock, silence: p.opt.SilenceTimeout, heard: &x.heard}
	in := newReader(ear)
	h, err := p.welcome(conn, in, node, s.begin)
	if err == nil {
		err = ear.begin()
	}
	if err != nil {
		s.leave()
		p.counters.sessionsRefused.Add(1)
		return fmt.Errorf("handshake with node %s: %w", node, err)
	}
	p.counters.sessionsServed.Add(1)
	x.wake()
	p.heardRevision(node, h.MapRevision)
	return s.run(conn, in)
}

// begin takes the place of an older session of the peer, and returns when nothing is taken from that any more. It is
// called before the peer gets the answer to its Hello: whatever it sends afterwards comes after what it sent before. It returns
// what was seen of the peer's disks that were set back.
func (s *session) begin(h *metapb.Hello) (unknown []DiskLife) {
	s.peer.mu.Lock()
	old := s.peer.session
	s.instance = h.Instance
	s.peer.session = s
	s.peer.mu.Unlock()
	if old != nil {
		old.cancel()
		<-old.read
	}
	unknown = s.peers.judgeLives(s.peer.node, h.Lives)
	s.setBack = map[disk.ID]bool{}
	for _, b := range unknown {
		s.setBack[b.Disk] = true
		s.peers.opt.Logger.Error("a disk of a peer was set back to an earlier state: nothing that it says counts", "node", s.peer.node, "disk", b.Disk, "start", b.Boot)
	}
	return unknown
}

// leave ends the session's part.
func (s *session) leave() {
	close(s.read)
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	if s.peer.session == s {
		s.peer.session = nil
	}
}

// run takes frames in until the connection ends.
func (s *session) run(conn net.Conn, in *reader) error {
	var writer sync.WaitGroup
	var writeErr error
	opt := &s.peers.opt
	writer.Go(func() {
		writeErr = s.out.run(s.ctx, conn, opt.Clock, opt.WriteTimeout)
		s.cancel()
	})
	err := s.takeAll(in)
	ended := s.ctx.Err() != nil
	s.leave()
	s.cancel()
	close(s.jobs)
	writer.Wait()
	s.out.close()
	s.works.Wait()
	switch {
	case !ended:
		return err
	case s.peers.ctx.Err() != nil:
		return errClosed
	case writeErr != nil && !errors.Is(writeErr, context.Canceled):
		return writeErr
	}
	return errors.Join(ErrReplaced, err)
}

// takeAll takes frames in.
func (s *session) takeAll(in *reader) error {
	var scratch metapb.ReplicaMessage
	for {
		f, err := in.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case kindRaft:
			err = s.raft(&f, &scratch)
		case kindPing:
			err = s.ping(&f)
		case kindPropose, kindQuery, kindRows, kindPayload, kindFetchMap, kindOfferMap:
			err = s.accept(f)
		case kindRelease:
			err = s.release(&f)
		case kindCancel:
			s.mu.Lock()
			cancel := s.calls[f.id]
			s.mu.Unlock()
			if cancel != nil {
				cancel()
			}
		default:
			err = &ProtocolError{Reason: fmt.Sprintf("frame of kind %d from the side that asks", f.kind)}
		}
		if err != nil {
			return err
		}
	}
}

// raft hands a Raft message to its store.
func (s *session) raft(f *frame, scratch *metapb.ReplicaMessage) error {
	m, err := decodeRaft(f, scratch)
	if err != nil {
		return err
	}
	c := &s.peers.counters
	c.raftReceived.Add(1)
	if node, ok := s.peers.opt.Directory.NodeOf(m.From); !ok || node != s.peer.node {
		c.raftForeign.Add(1)
		return nil
	}
	if s.setBack[m.From] {
		c.raftSetBack.Add(1)
		return nil
	}
	t, ok := s.peers.opt.Store(m.To)
	if !ok {
		c.raftNowhere.Add(1)
		return nil
	}
	t.Receive(m)
	return nil
}

func (s *session) ping(f *frame) error {
	var b metapb.Beat
	if err := b.UnmarshalVT(f.body); err != nil {
		return &ProtocolError{Reason: "ping: " + err.Error()}
	}
	s.peers.heardRevision(s.peer.node, b.MapRevision)
	s.peer.tellHealth(f.payload)
	var health []byte
	if !s.peer.isDialed() && !mutantMutePong { // whom this node dials, it tells by its own pings
		health = s.peers.health()
	}
	answer, err := appendFrame(nil, header{kind: kindPong, id: f.id}, &metapb.Beat{MapRevision: s.peers.revision()}, len(health))
	if err != nil {
		return err
	}
	return s.control(append(answer, health...))
}

// control answers outside of the limits of requests, but for its own.
func (s *session) control(b []byte) error {
	if !s.out.putControl(b) {
		return &ProtocolError{Reason: "the peer asks and does not listen"}
	}
	return nil
}

func (s *session) release(f *frame) error {
	var r metapb.ReleaseRequest
	if err := r.UnmarshalVT(f.body); err != nil {
		return &ProtocolError{Reason: "release: " + err.Error()}
	}
	if t, ok := s.peers.opt.Store(disk.ID(r.Disk)); ok {
		t.ServeRelease(r.Token)
	}
	return nil
}

// What an answer is thought to need before it is known. That of a query follows what queries needed.
const (
	resultBytes      = 4 * kib
	answerBytesFirst = 64 * kib
	answerBytesLeast = 16 * kib
	pullAnswerBytes  = 1 * mib
)

// expect returns what the answer of a request may need.
func (s *session) expect(k kind) int {
	switch k {
	case kindQuery:
		return max(answerBytesLeast, int(s.average.Load()))
	case kindRows:
		return pullAnswerBytes
	}
	return resultBytes
}

// learn takes the size of an answer into account.
func (s *session) learn(k kind, size int) {
	if k == kindQuery {
		old := s.average.Load()
		s.average.Store(old + (int64(size)-old)/16) // two at once: one is as good as the other
	}
}

// accept has a request answered, or refuses it if too many are there.
func (s *session) accept(f frame) error {
	cost := headerBytes + len(f.body) + len(f.payload) + s.expect(f.kind)
	if !s.load.try(cost) {
		s.peers.counters.callsRefused.Add(1)
		if f.kind != kindOfferMap {
			return s.refuse(&f)
		}
		return nil // the next ping tells of the map
	}
	f.own()
	j := &job{frame: f, cost: cost}
	wait := s.peers.opt.CallMost
	if d := millis(f.wait); d > 0 {
		wait = min(wait, d)
	}
	j.ctx, j.cancel = s.peers.opt.Clock.WithTimeout(s.ctx, wait)
	if f.kind != kindOfferMap {
		s.mu.Lock()
		_, double := s.calls[f.id]
		s.calls[f.id] = j.cancel
		s.mu.Unlock()
		if double {
			j.cancel()
			return &ProtocolError{Reason: fmt.Sprintf("two requests with id %d", f.id)}
		}
	}
	select {
	case s.jobs <- j:
	default:
		s.works.Go(func() { s.work(j) })
	}
	return nil
}

var errTooMany = errors.New("too many requests are under way")

// refuse answers a request that nothing was done about.
func (s *session) refuse(f *frame) error {
	var err error = &store.Refusal{Reason: store.Unavailable, Err: errTooMany}
	if f.kind == kindRows || f.kind == kindPayload {
		err = disk.Errorf("pull", disk.KindClosed, "", errTooMany)
	}
	b, err := appendFrame(nil, header{kind: kindFailure, id: f.id}, encodeFailure(err), 0)
	if err != nil {
		return err
	}
	return s.control(b)
}

// work answers a request, and further ones as they come.
func (s *session) work(j *job) {
	s.serve(j)
	for s.idle.Add(1) <= idleMost {
		j, ok := <-s.jobs
		s.idle.Add(-1)
		if !ok {
			return
		}
		s.serve(j)
	}
	s.idle.Add(-1)
}
