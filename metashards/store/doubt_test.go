package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/promise"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

// ear is a store whose messages are kept.
type ear struct {
	*store.Store
	mu   sync.Mutex
	kept []*transport.Message
}

func (e *ear) Receive(m *transport.Message) {
	e.mu.Lock()
	e.kept = append(e.kept, m)
	e.mu.Unlock()
	e.Store.Receive(m)
}

// last returns the last message of a kind from a disk, nil if there is none.
func (e *ear) last(from disk.ID, kind raftpb.MessageType) *transport.Message {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := len(e.kept) - 1; i >= 0; i-- {
		if m := e.kept[i]; m.From == from && m.Raft != nil && m.Raft.GetType() == kind {
			return m
		}
	}
	return nil
}

// TestDeposedLeaderIsPromisedNothing: what a deposed leader says late is answered with the term of now, but without a promise
// for it: that would bind the store to one that does not lead, and that does not know it. It catches the mutant stranger.
func TestDeposedLeaderIsPromisedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		old := g.leader()
		next, third := (old+1)%3, (old+2)%3
		all := make([]*ear, len(g.stores))
		for i, s := range g.stores {
			all[i] = &ear{Store: s}
			g.local.Register(g.disks[i].ID(), all[i])
		}
		id := func(i int) disk.ID { return g.disks[i].ID() }
		g.mustPut("z", 1, []byte("v"))
		beat := all[third].last(id(old), raftpb.MsgApp)
		if beat == nil {
			t.Fatal("the leader has sent nothing")
		}
		if err := g.stores[old].TransferLeadership(t.Context(), rangeID, id(next)); err != nil {
			t.Fatal(err)
		}
		g.await(next, "leading", func(s replica.Status) bool { return s.Role == "leader" })
		g.mustPut("z", 2, []byte("w"))
		g.await(third, "following", func(s replica.Status) bool { return s.Leader == id(next) })
		all[third].Receive(beat)
		synctest.Wait()
		answer := all[old].last(id(third), raftpb.MsgAppResp)
		if answer == nil || answer.Raft.GetTerm() <= beat.Raft.GetTerm() {
			t.Fatalf("the deposed leader got %v", answer)
		}
		if answer.Stand != (promise.Stand{}) {
			t.Errorf("the leader of term %d was deposed, and is promised %v in term %d", beat.Raft.GetTerm(), answer.Stand, answer.Raft.GetTerm())
		}
		if own := all[next].last(id(third), raftpb.MsgAppResp); own == nil || own.Stand == (promise.Stand{}) {
			t.Errorf("the new leader got %v", own)
		}
	})
}

// muffled is a store that hears beats only, for a while.
type muffled struct {
	*store.Store
	on atomic.Bool
}

func (m *muffled) Receive(msg *transport.Message) {
	if m.on.Load() && msg.Raft != nil {
		return
	}
	m.Store.Receive(msg)
}

// TestDoubtAmidRequests: a follower that is bound to a leader and hears nothing of it asks whether it leads still, however many
// clients come to that follower meanwhile. It catches the mutant busydoubt.
func TestDoubtAmidRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		leader := g.leader()
		g.mustPut("z", 1, []byte("v"))
		asked := &restless{Store: g.stores[leader]}
		g.local.Register(g.disks[leader].ID(), asked)
		follower := (leader + 1) % 3
		deaf := &muffled{Store: g.stores[follower]}
		deaf.on.Store(true)
		g.local.Register(g.disks[follower].ID(), deaf)
		for n := range 100 {
			_, err := g.stores[follower].Propose(t.Context(), rangeID, put("k", n, nil), nil)
			var r *store.Refusal
			if !errors.As(err, &r) {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond) // virtual
		}
		if asked.doubts.Load() == 0 {
			t.Error("it did not ask")
		}
	})
}
