package store_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

// restless is a store that misses that leaders go to sleep, for a while, and counts how often others doubt that it leads.
type restless struct {
	*store.Store
	misses atomic.Bool
	missed atomic.Int64
	doubts atomic.Int64
}

func (r *restless) Receive(m *transport.Message) {
	if m.Sleep && r.misses.Load() {
		r.missed.Add(1)
		return
	}
	if m.Promise != nil {
		r.doubts.Add(int64(len(m.Promise.Doubts)))
	}
	r.Store.Receive(m)
}

// TestLostLullaby catches the mutant lullonce: a follower that missed that its leader went to sleep doubts it, and then sleeps,
// too, instead of doubting for ever.
func TestLostLullaby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		leader := g.leader()
		all := make([]*restless, len(g.stores))
		for i, s := range g.stores {
			all[i] = &restless{Store: s}
			all[i].misses.Store(i == (leader+1)%3)
			g.local.Register(g.disks[i].ID(), all[i])
		}
		g.mustPut("z", 1, []byte("v"))
		for range 1000 {
			if all[leader].doubts.Load() > 0 {
				break
			}
			time.Sleep(10 * time.Millisecond) // virtual
		}
		deaf := all[(leader+1)%3]
		if all[leader].doubts.Load() == 0 || deaf.missed.Load() == 0 {
			t.Fatalf("%d times it is doubted, %d times its going to sleep is missed", all[leader].doubts.Load(), deaf.missed.Load())
		}
		deaf.misses.Store(false)
		time.Sleep(10 * time.Second) // virtual
		before := all[leader].doubts.Load()
		time.Sleep(time.Minute) // virtual
		if n := all[leader].doubts.Load() - before; n > 0 {
			t.Errorf("in a quiet minute the sleeping leader was doubted %d times", n)
		}
		g.mustPut("z", 2, []byte("w"))
		g.mustGet("z", []byte("w"))
	})
}

// TestReturningFollowerIsCaughtUp catches the mutant backquiet: a follower that could not be heard when its leader went to
// sleep, and has missed an entry, gets it when it is heard again, though nobody asks for anything.
func TestReturningFollowerIsCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(filter)
		g := newGroup(t, 3, func(c *store.Config) {
			if f.Sender == nil {
				f.Sender = c.Sender
			}
			c.Sender = f
		})
		defer g.close()
		g.mustPut("z", 1, []byte("v"))
		time.Sleep(10 * time.Second) // virtual
		leader := g.leader()
		bad, lead := g.disks[(leader+1)%3].ID(), g.disks[leader].ID()
		var beats atomic.Int64
		f.hold(func(m *transport.Message) bool { // it hears that it has a leader, and no more
			if m.From == lead && m.Raft.GetType() == raftpb.MsgHeartbeat {
				beats.Add(1)
			}
			return m.From == bad || m.To == bad && len(m.Raft.GetEntries()) > 0
		})
		time.Sleep(10 * time.Second) // virtual
		g.mustPut("z", 2, []byte("w"))
		time.Sleep(10 * time.Second) // virtual
		before := beats.Load()
		time.Sleep(10 * time.Second) // virtual
		if n := beats.Load() - before; n > 0 {
			t.Fatalf("the leader does not sleep: %d heartbeats", n)
		}
		f.mu.Lock()
		f.keep, f.kept = nil, nil
		f.mu.Unlock()
		want := g.applied(leader)
		g.await((leader+1)%3, "caught up", func(s replica.Status) bool { return s.Applied >= want })
	})
}
