package simtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

// node is one store with its disk. What a life of it has scheduled does not happen in the next life.
type node struct {
	c    *Cluster
	n    int
	id   disk.ID
	disk disk.Disk
	core *store.Core // nil while it is down

	remade uint64 // replicas, in earlier lives
	life   int
	inbox  []func()
	work   bool          // a work event is scheduled
	busy   bool          // a sync is under way
	paused time.Duration // until then
	cancel context.CancelFunc
}

// start opens the store on its disk.
func (n *node) start() {
	n.life++
	n.inbox, n.work, n.busy = nil, false, false
	life := n.life
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	core, err := store.Open(store.Options{
		Disk: n.disk, Sender: sender{n}, Puller: puller{n}, Logger: n.c.opt.Logger, Now: n.c.wall,
		Proposer: n.c.rand.Uint64(), Context: ctx, Replica: n.c.opt.Replica,
		Boot: uint64(n.life), Fresh: n.life == 1, BootClock: n.bootTime, PromiseTime: n.c.opt.PromiseTime, ReadByIndex: n.c.opt.ReadByIndex,
		CompareTicks:  20,
		BatchCommands: n.c.opt.BatchCommands,
		Go:            func(fn func()) { n.later(life, n.c.between(0, n.c.opt.JobTime), "job", fn) },
		Post:          func(fn func()) { n.mail(life, fn) },
	})
	if err != nil {
		n.c.fail("store %d does not open: %v", n.n, err)
		return
	}
	n.core = core
	n.tick(life)
	n.wake()
}

// bootTime is the store's boot-time clock, which runs a little faster or slower than those of others.
func (n *node) bootTime() time.Duration {
	return time.Hour + n.c.now + n.c.now/100*time.Duration(n.n%5-2)
}

// later schedules something of one life. While the store's process is paused nothing happens, though its clock goes on.
func (n *node) later(life int, d time.Duration, name string, fn func()) {
	n.c.after(d, n.n, name, func() {
		switch {
		case n.life != life || n.core == nil:
		case n.paused > n.c.now:
			n.later(life, n.paused-n.c.now, name, fn)
		default:
			fn()
		}
	})
}

func (n *node) tick(life int) {
	n.later(life, n.c.between(90*time.Millisecond, 110*time.Millisecond), "tick", func() {
		n.mail(life, n.core.Tick)
		n.tick(life)
	})
}

// mail puts an event into the store's mailbox.
func (n *node) mail(life int, fn func()) {
	if n.core == nil || n.life != life {
		return
	}
	n.inbox = append(n.inbox, fn)
	n.wake()
}

// wake has the store work soon, unless it is held by a sync.
func (n *node) wake() {
	if n.work || n.busy {
		return
	}
	n.work = true
	n.later(n.life, n.c.between(0, 50*time.Microsecond), "work", n.run)
}

// run takes the mail and does one round, one after the other: what comes amid a sync waits for its end.
func (n *node) run() {
	n.work = false
	if n.busy {
		return
	}
	inbox := n.inbox
	n.inbox = nil
	for _, fn := range inbox {
		fn()
	}
	if !n.core.Dirty() {
		return
	}
	if !n.core.Begin(context.Background()) {
		n.core.Finish(nil)
		n.wake()
		return
	}
	n.busy = true
	d := n.c.between(100*time.Microsecond, 400*time.Microsecond)
	if n.c.chance(50) {
		d = n.c.between(time.Millisecond, 50*time.Millisecond)
	}
	n.later(n.life, d, "sync", func() {
		n.busy = false
		n.core.Finish(n.disk.Log().Sync(context.Background()))
		n.wake()
	})
}

// crash ends the store at once. What its disk had not synced is gone.
func (n *node) crash(r *rand.Rand) {
	n.c.note("crash", uint64(n.n))
	n.remade += n.core.Status().Remade
	n.core.Drop()
	n.core = nil
	n.life++
	n.cancel()
	d, err := n.c.opt.Crash(n.disk, r)
	if err != nil {
		n.c.fail("disk of store %d after a crash: %v", n.n, err)
		return
	}
	n.disk = d
}

// sender is the network as a store sees it.
type sender struct{ *node }

// Send implements transport.Sender.
func (s sender) Send(m *transport.Message) {
	c := s.c
	to := c.byDisk(m.To)
	if m.Raft != nil {
		s.judge(m)
	}
	if to == nil || c.cut[link{s.n, to.n}] || c.faults && c.chance(c.opt.Loss) {
		return
	}
	c.note(m.Raft.GetType().String(), uint64(s.n), uint64(to.n), m.Raft.GetTerm(), m.Raft.GetIndex(), uint64(len(m.Raft.GetEntries())))
	if m.Raft.GetType() == raftpb.MsgSnap {
		c.snapshots++
	}
	d := c.underWay(20*time.Microsecond, 300*time.Microsecond)
	if c.faults && c.chance(40) {
		d = c.between(time.Millisecond, 300*time.Millisecond)
	}
	c.after(d, to.n, "message", func() {
		if to.core != nil {
			to.mail(to.life, func() { to.core.Receive(m) })
		}
	})
}

// judge checks what a message promises against what its sender's disk keeps.
func (s sender) judge(m *transport.Message) {
	if m.Raft.GetType() == raftpb.MsgPreVote || m.Raft.GetType() == raftpb.MsgPreVoteResp || m.Raft.GetReject() {
		return
	}
	if m.Raft.GetType() == raftpb.MsgReadIndex {
		return // it promises nothing, and may be passed on to the leader in the name of who asked
	}
	if v := s.c.moverOf(m.Range); v != nil && m.Raft.GetFrom() <= v.destroyed[s.id] {
		s.c.fail("store %d speaks for replica %d of range %d, which was destroyed: %v", s.n, m.Raft.GetFrom(), m.Range, m.Raft)
	}
	if m.Raft.GetType() == raftpb.MsgHeartbeatResp {
		return // it promises nothing, and a disk that has no replica yet says it, too
	}
	h, ok := s.disk.Log().HardState(m.Range)
	if ok && m.Raft.GetTerm() > h.Term || !ok && m.Raft.GetTerm() > machine.FirstTerm {
		s.c.fail("store %d speaks in term %d and keeps term %d: %v", s.n, m.Raft.GetTerm(), h.Term, m.Raft)
	}
	switch m.Raft.GetType() {
	case raftpb.MsgVoteResp:
		if h.Term < m.Raft.GetTerm() || h.Term == m.Raft.GetTerm() && h.Vote != m.Raft.GetTo() {
			s.c.fail("store %d votes and keeps %+v: %v", s.n, h, m.Raft)
		}
	case raftpb.MsgAppResp:
		if h.Term > m.Raft.GetTerm() {
			return // what it says of an older term may have been replaced in the same round, as if it had been kept before
		}
		_, last, _ := s.disk.Log().Bounds(m.Range)
		if st, ok := s.c.status(s.n, m.Range); ok && m.Raft.GetIndex() > max(last, st.Applied) {
			s.c.fail("store %d acknowledges %d and keeps %d", s.n, m.Raft.GetIndex(), last)
		}
	}
}

// puller is the same for pulls, which are answered at once.
type puller struct{ *node }

func (p puller) ask(from disk.ID) (*node, error) {
	n := p.c.byDisk(from)
	if p.c.faults && p.core != nil && p.c.opt.Crashes > 0 && p.c.chance(60) {
		// The store that pulls crashes amid its work, which gets no further.
		p.c.broken++
		p.noteFirst()
		life := p.life
		p.c.after(0, p.n, "crash amid a pull", func() {
			if p.life == life {
				p.c.crashFor(p.n)
			}
		})
		return nil, disk.Errorf("pull", disk.KindIO, from.String(), nil)
	}
	if n == nil || n.core == nil || p.c.cut[link{p.n, n.n}] || p.c.cut[link{n.n, p.n}] || p.c.faults && p.c.chance(20) {
		return nil, disk.Errorf("pull", disk.KindIO, from.String(), nil)
	}
	return n, nil
}

// noteFirst counts a crash amid a snapshot that makes a replica where there was none.
func (p puller) noteFirst() {
	s := p.disk.State().Snapshot()
	defer func() { _ = s.Close() }()
	for _, r := range p.core.Status().Replicas {
		v := p.c.moverOf(r.Range)
		if v == nil || r.Role != "installing" {
			continue
		}
		if _, err := machine.Load(s, r.Range); errors.Is(err, machine.ErrNoRange) {
			v.moves.Broken++
		}
	}
}

// Rows implements transport.Puller.
func (p puller) Rows(ctx context.Context, r transport.RowsRequest) (transport.Rows, error) {
	n, err := p.ask(r.From)
	if err != nil {
		return transport.Rows{}, err
	}
	r.Bytes = 2000 // many pages
	return n.core.ServeRows(ctx, r)
}

// Payload implements transport.Puller.
func (p puller) Payload(ctx context.Context, from disk.ID, id disk.PayloadID) ([]byte, error) {
	n, err := p.ask(from)
	if err != nil {
		return nil, err
	}
	return n.core.ServePayload(ctx, id)
}

// Release implements transport.Puller.
func (p puller) Release(from disk.ID, token uint64) {
	if n, err := p.ask(from); err == nil {
		n.core.ServeRelease(token)
	}
}
