package store

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// Config is what a Store needs. Options.Go, Options.Post and Options.Context are the Store's own affair.
type Config struct {
	Options
	// Ticker makes the ticks: a channel and what ends it, as time.NewTicker does.
	Ticker func(time.Duration) (ticks <-chan time.Time, stop func())
	// Tick is the length of a tick. Default 100 ms: elections begin after one to two seconds without a leader.
	Tick time.Duration
	// MailboxMessages, MailboxBytes and MailboxRequests bound what waits for the core: Raft messages beyond are dropped,
	// proposals and reads (each) refused. Default 16,384, 64 MiB and 16,384.
	MailboxMessages, MailboxBytes, MailboxRequests int
}

// Store runs all replicas of one disk. It is safe for concurrent use.
type Store struct {
	core   *Core
	config Config
	box    *mailbox
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	status atomic.Pointer[Status]
	jobs   sync.WaitGroup
	done   chan struct{} // closed when Run has returned
	ran    atomic.Bool
	shown  int // ticks since status was stored; Run's alone
}

var _ transport.Receiver = (*Store)(nil)

// New opens the replicas of a disk. Nothing happens before Run. A Store that is not run must be closed, too.
func New(c Config) (*Store, error) {
	orDefault := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orDefault(&c.MailboxMessages, 16384)
	orDefault(&c.MailboxBytes, 64<<20)
	orDefault(&c.MailboxRequests, 16384)
	if c.Tick == 0 {
		c.Tick = 100 * time.Millisecond
	}
	s := &Store{config: c, box: newMailbox(c.MailboxMessages, c.MailboxBytes, c.MailboxRequests), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	c.Context = s.ctx
	c.Post = s.box.post
	c.Go = func(fn func()) { s.jobs.Go(fn) }
	core, err := Open(c.Options)
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.core = core
	s.publish()
	return s, nil
}

var errClosed = errors.New("the store is closed")

// Run works until ctx ends, Close is called or the disk is fenced; after that the store answers nothing but Status. It
// must be called once at most.
func (s *Store) Run(ctx context.Context) {
	s.ran.Store(true)
	defer close(s.done)
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	ticks, end := s.config.Ticker(s.config.Tick)
	defer end()
	fenced := s.config.Disk.Fenced()
	for s.ctx.Err() == nil {
		s.core.Cycle(s.ctx)
		if s.core.Stopped() != nil {
			s.publish()
			s.refuse(s.box.close())
			<-s.ctx.Done()
			break
		}
		select {
		case <-s.ctx.Done():
		case <-s.box.wake:
		case <-ticks:
			s.core.Tick()
			s.publishDue()
		case <-fenced:
			s.core.Stop(s.config.Disk.Err())
		}
		s.deliver(s.box.take())
	}
	s.core.Stop(errClosed)
	s.refuse(s.box.close())
	s.jobs.Wait()
	s.publish()
}

// deliver hands mail to the core.
func (s *Store) deliver(l mail) {
	for _, fn := range l.posts {
		fn()
	}
	for _, m := range l.beats {
		s.core.Receive(m)
	}
	for _, m := range l.messages {
		s.core.Receive(m)
	}
	for _, p := range l.proposals {
		s.core.Propose(p)
	}
	for _, r := range l.reads {
		s.core.Read(r)
	}
}

// refuse answers mail that the core will not see.
func (s *Store) refuse(l mail) {
	for _, p := range l.proposals {
		p.refuse(Closed, 0, s.core.Stopped())
	}
	for _, r := range l.reads {
		r.refuse(Closed, 0, s.core.Stopped())
	}
}

// publishEach is for how many replicas a tick passes between two states that are shown.
const publishEach = 1000

// publishDue shows how the store stands at each tick, or less often where many replicas make that dear.
func (s *Store) publishDue() {
	if s.shown++; s.shown > len(s.status.Load().Replicas)/publishEach {
		s.shown = 0
		s.publish()
	}
}

func (s *Store) publish() {
	status := s.core.Status()
	s.status.Store(&status)
}

// Close ends Run and waits for it. The disk stays open.
func (s *Store) Close() {
	s.cancel()
	if s.ran.Load() {
		<-s.done
		return
	}
	l := s.box.close()
	for _, p := range l.proposals {
		p.refuse(Closed, 0, errClosed)
	}
	for _, r := range l.reads {
		r.refuse(Closed, 0, errClosed)
	}
}

// Disk returns the id of the store's disk.
func (s *Store) Disk() disk.ID { return s.config.Disk.ID() }

// Status returns how the store stood at the last tick, or with thousands of replicas at one of the last.
func (s *Store) Status() Status { return *s.status.Load() }

// Receive implements transport.Receiver.
func (s *Store) Receive(m *transport.Message) { s.box.message(m) }

// ServeRows implements transport.Receiver.
func (s *Store) ServeRows(ctx context.Context, r transport.RowsRequest) (transport.Rows, error) {
	return s.core.ServeRows(ctx, r)
}

// ServePayload implements transport.Receiver.
func (s *Store) ServePayload(ctx context.Context, id disk.PayloadID) ([]byte, error) {
	return s.core.ServePayload(ctx, id)
}

// ServeRelease implements transport.Receiver.
func (s *Store) ServeRelease(token uint64) { s.core.ServeRelease(token) }

// TransferLeadership asks this store, as the leader of a range, to hand over to another disk. It may fail silently.
func (s *Store) TransferLeadership(ctx context.Context, rangeID uint64, to disk.ID) error {
	answer := make(chan error, 1)
	s.box.post(func() { answer <- s.core.TransferLeadership(rangeID, to) })
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errClosed
	}
}

type outcome struct {
	result *metapb.Result
	err    error
}

// Propose carries a command out on a range that this store leads, and returns the result once a majority has it. The
// error is a *Refusal; when ctx ends it says whether the command may still take effect. Neither the command nor the
// payload is kept.
func (s *Store) Propose(ctx context.Context, rangeID uint64, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	answer := make(chan outcome, 1)
	p, err := NewProposal(rangeID, c.CloneVT(), bytes.Clone(payload), func(r *metapb.Result, err error) {
		answer <- outcome{r, err}
	})
	if err != nil {
		return nil, err
	}
	if open, taken := s.box.proposal(p); !taken {
		return nil, refusal(open, rangeID)
	}
	select {
	case o := <-answer:
		return o.result, o.err
	case <-ctx.Done():
	}
	if p.Abandon() {
		return nil, &Refusal{Reason: Unavailable, Range: rangeID, Err: ctx.Err()}
	}
	select {
	case o := <-answer:
		return o.result, o.err
	default:
		return nil, &Refusal{Reason: Indeterminate, Range: rangeID, Err: ctx.Err()}
	}
}

func refusal(open bool, rangeID uint64) error {
	if !open {
		return &Refusal{Reason: Closed, Range: rangeID}
	}
	return &Refusal{Reason: Unavailable, Range: rangeID, Err: errors.New("too many requests wait")}
}

// reading is a read whose caller may have gone.
type reading struct {
	mu   sync.Mutex
	gone bool
	view *View
	err  error
	done chan struct{}
}

func (r *reading) finish(v *View, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		if v != nil {
			_ = v.Close() // nothing was read from it
		}
		return
	}
	r.view, r.err = v, err
	close(r.done)
}

// leave ends the caller's interest and returns what came before.
func (r *reading) leave() *View {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	return r.view
}

// Query answers a query on a range that this store leads, linearizably. The work is done by the caller's goroutine. The
// error is a *Refusal, or what reading the rows gave.
func (s *Store) Query(ctx context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error) {
	if v, ok := s.core.Glance(rangeID); ok {
		return s.answer(ctx, rangeID, v, q)
	}
	r := &reading{done: make(chan struct{})}
	if open, taken := s.box.read(&Read{Range: rangeID, Bucket: q.GetBucket(), Key: q.GetKey(), Done: r.finish}); !taken {
		return nil, refusal(open, rangeID)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if v := r.leave(); v != nil {
			_ = v.Close() // nothing was read from it
		}
		return nil, &Refusal{Reason: Unavailable, Range: rangeID, Err: ctx.Err()}
	}
	if r.err != nil {
		return nil, r.err
	}
	return s.answer(ctx, rangeID, r.view, q)
}

// answer answers a query from a view, and closes it.
func (s *Store) answer(ctx context.Context, rangeID uint64, v *View, q *metapb.Query) (*metapb.Answer, error) {
	a, err := v.Answer(ctx, q)
	if e := v.Close(); err == nil {
		err = e
	}
	if err == nil && a.GetRange() != nil {
		s.report(rangeID, a.Range)
	}
	return a, err
}

// report adds to an answer what this store, which leads the range, knows of the other replicas.
func (s *Store) report(rangeID uint64, to *metapb.RangeReport) {
	r, ok := s.status.Load().Of(rangeID)
	if !ok {
		return
	}
	to.Commit, to.Leader = r.Commit, uint64(r.Disk)
	for _, f := range r.Followers {
		to.Replicas = append(to.Replicas, &metapb.ReplicaProgress{
			Replica: f.Replica, Disk: uint64(f.Disk), Match: f.Match, Lag: f.Lag, Active: f.Active, Replicating: f.State == replica.StateReplicating,
		})
	}
}
