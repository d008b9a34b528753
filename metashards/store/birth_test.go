package store_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

// lagging is a store to which nothing of the group's range comes for a while.
type lagging struct {
	*store.Store
	deaf      atomic.Bool
	snapshots atomic.Int64 // of the range that was split off
}

func (l *lagging) Receive(m *transport.Message) {
	if m.Range == rangeID && l.deaf.Load() {
		return
	}
	if m.Range == bornID && m.Raft.GetType() == raftpb.MsgSnap {
		l.snapshots.Add(1)
	}
	l.Store.Receive(m)
}

// TestLateSplitNeedsNoSnapshot catches the mutant nobirth: a store that has not applied a split yet does not ask for a snapshot
// of what was split off, however long that takes; the range serves meanwhile, and its replica comes with the split.
func TestLateSplitNeedsNoSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.mustPut("z", 1, []byte("before"))
		leader := g.leader()
		late := (leader + 1) % 3
		l := &lagging{Store: g.stores[late]}
		g.local.Register(g.disks[late].ID(), l)
		l.deaf.Store(true)
		g.proposeSplit(leader, "m")
		g.eventually("z", bornID, "before")
		time.Sleep(20 * time.Second) // virtual
		if r, err := g.stores[leader].Propose(t.Context(), bornID, put("x", 2, []byte("x")), []byte("x")); err != nil || r.Status != metapb.Status_OK {
			t.Errorf("the range that was split off takes no write: %v %v", r, err)
		}
		if n := l.snapshots.Load(); n > 0 {
			t.Errorf("%d snapshots were sent", n)
		}
		l.deaf.Store(false)
		for range 1000 {
			st := g.stores[late].Status()
			if born, ok := st.Of(bornID); ok && born.Applied == g.bornApplied(leader) {
				if born.Leader != disk.ID(leader+1) || l.snapshots.Load() > 0 {
					t.Errorf("%+v, %d snapshots", born, l.snapshots.Load())
				}
				return
			}
			time.Sleep(10 * time.Millisecond) // virtual
		}
		t.Errorf("the replica did not come: %+v", g.stores[late].Status())
	})
}

// bornApplied returns how far a store has applied the log of the range that was split off.
func (g *group) bornApplied(i int) uint64 {
	st := g.stores[i].Status()
	r, _ := st.Of(bornID)
	return r.Applied
}
