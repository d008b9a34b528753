package store_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
