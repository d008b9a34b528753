package store_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

// spare adds a running store without replicas.
func (g *group) spare() int {
	g.t.Helper()
	i := len(g.disks)
	g.disks = append(g.disks, disktest.NewMemory(disk.ID(i+1)))
	g.stores, g.stop = append(g.stores, nil), append(g.stop, nil)
	g.restart(i)
	return i
}

// change carries a change of replicas out, wherever the leader is, and returns the descriptor.
func (g *group) change(c *metapb.ChangeReplicas) *metapb.RangeDescriptor {
	g.t.Helper()
	for range 300 {
		r, err := g.stores[g.leader()].Propose(g.t.Context(), rangeID, &metapb.Command{
			Format: 1, Bucket: 3, Key: []byte("k"), Time: 1, Op: &metapb.Command_ChangeReplicas{ChangeReplicas: c},
		}, nil)
		if err == nil && r.Status == metapb.Status_OK {
			return r.Range
		}
		if err == nil {
			g.t.Fatalf("%v: %v %s", c, r.Status, r.Detail)
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	g.t.Fatalf("%v: no success", c)
	return nil
}

// caughtUp waits until a store has what the leader has.
func (g *group) caughtUp(i int) {
	g.t.Helper()
	want := g.applied(g.leader())
	g.await(i, "caught up", func(s replica.Status) bool { return s.Applied >= want && s.Role == "follower" })
}

// rangeRows counts what a disk holds of the range: rows, entries and payloads.
func (g *group) rangeRows(i int) (rows int) {
	g.t.Helper()
	s := g.disks[i].State().Snapshot()
	defer s.Close()
	it, err := s.Iter([]byte{byte(keys.Local)}, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if keys.Column(it.Key()[0]) != keys.Store {
			rows++
		}
	}
	if first, last, ok := g.disks[i].Log().Bounds(rangeID); ok {
		rows += int(last - first + 1)
	}
	return rows
}

// empty checks that nothing of the range is left on a disk.
func (g *group) empty(i int) {
	g.t.Helper()
	time.Sleep(300 * time.Millisecond) // virtual: the status is as of the last tick
	if n := g.rangeRows(i); n != 0 {
		g.t.Errorf("%d rows and entries are left", n)
	}
	if st := g.stores[i].Status(); len(st.Replicas) != 0 {
		g.t.Errorf("%+v", st)
	}
}

// TestExchange: a spare disk takes over from the leader's, with all that was written; the old replica is destroyed and
// leaves nothing but its tombstone, which holds after a restart.
func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, few)
		defer g.close()
		for k := range 30 {
			g.mustPut(fmt.Sprint("k", k), 1, fmt.Appendf(nil, "value %d", k))
		}
		old, spare := g.leader(), g.spare()
		if d := g.change(&metapb.ChangeReplicas{IfGeneration: 0, Add: []uint64{uint64(spare + 1)}}); !d.Replicas[3].Learner {
			t.Fatal(d)
		}
		g.caughtUp(spare)
		g.change(&metapb.ChangeReplicas{IfGeneration: 1, Promote: []uint64{uint64(spare + 1)}, Demote: []uint64{uint64(old + 1)}})
		g.mustPut("joint", 1, []byte("written while both count"))
		g.change(&metapb.ChangeReplicas{IfGeneration: 2, Leave: true})
		if g.leader() == old {
			t.Error("a replica without a vote leads")
		}
		d := g.change(&metapb.ChangeReplicas{IfGeneration: 3, Remove: []uint64{uint64(old + 1)}})
		if err := g.stores[old].Destroy(t.Context(), rangeID, uint64(old+1)); err == nil {
			t.Error("a replica was destroyed whose id may come again")
		}
		if err := g.stores[old].Destroy(t.Context(), rangeID, d.NextReplica); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			g.empty(old)
			g.crash(old)
			g.restart(old)
		}
		g.caughtUp(spare)
		for k := range 30 {
			g.mustGet(fmt.Sprint("k", k), fmt.Appendf(nil, "value %d", k))
		}
		g.mustGet("joint", []byte("written while both count"))
		// The disk comes again, under a new id.
		g.change(&metapb.ChangeReplicas{IfGeneration: 4, Add: []uint64{uint64(old + 1)}})
		g.caughtUp(old)
	})
}

// answered hands a store appends for a replica that is not here, for a second, and says whether it answers. At first it does
// not: the replica may come about by a split.
func (g *group) answered(i int, id uint64) bool {
	g.t.Helper()
	heard := new(recorder)
	g.local.Register(99, heard)
	defer g.local.Unregister(99)
	for range 10 {
		g.stores[i].Receive(&transport.Message{Range: rangeID, From: 99, To: disk.ID(i + 1), Raft: &raftpb.Message{
			Type: raftpb.MsgApp.Enum(), From: new(uint64(77)), To: new(id), Term: new(uint64(9)), Index: new(uint64(40)), LogTerm: new(uint64(9)),
		}})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	return len(heard.got) > 0
}

// recorder is a store that notes what comes.
type recorder struct {
	transport.Receiver
	got []*transport.Message
}

func (r *recorder) Receive(m *transport.Message) { r.got = append(r.got, m) }

// TestTombstoneBeforeArrival: a member that is removed before anything of it came to its disk does not come afterwards,
// either, after a restart neither; its successor does.
func TestTombstoneBeforeArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 1, nil)
		defer g.close()
		spare := g.spare()
		if !g.answered(spare, 4) {
			t.Fatal("a new member does not answer its leader")
		}
		if err := g.stores[spare].Destroy(t.Context(), rangeID, 5); err != nil {
			t.Fatal(err)
		}
		if err := g.stores[spare].Destroy(t.Context(), rangeID, 3); err != nil { // a late, lower word
			t.Fatal(err)
		}
		for range 2 {
			if g.answered(spare, 4) {
				t.Error("a removed member answers")
			}
			if !g.answered(spare, 5) {
				t.Error("its successor does not answer")
			}
			g.crash(spare)
			g.restart(spare)
		}
	})
}

// TestRemovedAndRestarted: a replica that has applied its own removal and was restarted can be destroyed.
func TestRemovedAndRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, few)
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		spare := g.spare()
		g.change(&metapb.ChangeReplicas{IfGeneration: 0, Add: []uint64{uint64(spare + 1)}})
		g.caughtUp(spare)
		want := g.applied(g.leader())
		d := g.change(&metapb.ChangeReplicas{IfGeneration: 1, Remove: []uint64{uint64(spare + 1)}})
		g.await(spare, "removed", func(s replica.Status) bool { return s.Applied > want })
		if err := g.disks[spare].State().Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.crash(spare)
		g.restart(spare)
		if st := g.stores[spare].Status(); len(st.Replicas) != 1 || st.Replicas[0].Role != "removed" {
			t.Errorf("%+v", st)
		}
		if err := g.stores[spare].Destroy(t.Context(), rangeID, d.NextReplica); err != nil {
			t.Fatal(err)
		}
		g.empty(spare)
	})
}

// TestOverlapWaits: a disk takes no replica of a range whose span another replica of it owns, one that is no member any
// more among them.
func TestOverlapWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, few)
		defer g.close()
		for k := range 30 {
			g.mustPut(fmt.Sprint("k", k), 1, []byte("v"))
		}
		i := len(g.disks)
		g.disks = append(g.disks, disktest.NewMemory(disk.ID(i+1)))
		g.stores, g.stop = append(g.stores, nil), append(g.stop, nil)
		other := &metapb.RangeDescriptor{Id: 8, Replicas: []*metapb.Replica{{Id: 1, Disk: uint64(i + 1)}}}
		if err := store.Bootstrap(t.Context(), g.disks[i], other, time.Now()); err != nil {
			t.Fatal(err)
		}
		g.restart(i)
		g.change(&metapb.ChangeReplicas{IfGeneration: 0, Add: []uint64{uint64(i + 1)}})
		time.Sleep(20 * time.Second) // virtual
		if st := g.stores[i].Status(); len(st.Replicas) != 1 || st.Replicas[0].Range != 8 {
			t.Fatalf("%+v", st)
		}
		if err := g.stores[i].Destroy(t.Context(), 8, 2); err != nil {
			t.Fatal(err)
		}
		g.caughtUp(i)
	})
}

// TestGetRange: the report names the replicas and how far they are.
func TestGetRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		leader := g.leader()
		commit := g.applied(leader)
		a, err := g.stores[leader].Query(t.Context(), rangeID, &metapb.Query{
			Format: 1, Bucket: 3, Key: []byte("k"), Op: &metapb.Query_GetRange{GetRange: new(metapb.GetRange)},
		})
		if err != nil || a.Status != metapb.Status_OK {
			t.Fatalf("%v %v", a, err)
		}
		if len(a.Range.Range.GetReplicas()) != 3 || len(a.Range.Replicas) != 2 || a.Range.Commit != commit ||
			disk.ID(a.Range.Leader) != g.disks[leader].ID() {
			t.Errorf("%v, commit index %d", a.Range, commit)
		}
		for _, p := range a.Range.Replicas {
			if p.Match != commit || p.Lag != 0 || !p.Active || !p.Replicating {
				t.Errorf("%v", p)
			}
		}
	})
}

// TestChangesSideBySide: of many changes of one generation at once one takes effect; the others are told so, and clients
// beside them are served.
func TestChangesSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		leader := g.leader()
		g.mustPut("warm", 1, nil)
		answers := make(chan string, 20)
		for n := range 10 {
			go func() {
				r, err := g.stores[leader].Propose(t.Context(), rangeID, &metapb.Command{
					Format: 1, Bucket: 3, Key: []byte("k"), Time: 1,
					Op: &metapb.Command_ChangeReplicas{ChangeReplicas: &metapb.ChangeReplicas{Add: []uint64{uint64(50 + n)}}},
				}, nil)
				if err != nil {
					answers <- reasonOf(err).String()
					return
				}
				answers <- r.Status.String()
			}()
			go func() {
				_, err := g.stores[leader].Propose(t.Context(), rangeID, put(fmt.Sprint("w", n), 1, nil), nil)
				answers <- fmt.Sprint("put ", err)
			}()
		}
		count := map[string]int{}
		for range 20 {
			count[<-answers]++
		}
		if count["OK"] != 1 || count["OK"]+count["REVISION_MISMATCH"]+count["unavailable"] != 10 || count["put <nil>"] != 10 {
			t.Errorf("%v", count)
		}
		if st := g.stores[leader].Status(); st.Replicas[0].Err != nil || strings.Contains(st.Replicas[0].Role, "failed") {
			t.Errorf("%+v", st)
		}
	})
}

// TestRemovedReplicaIsReplaced: a disk that missed the removal of its replica, and becomes a member anew before anybody has
// destroyed that, lets it go for the new one.
func TestRemovedReplicaIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, few)
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		old, spare := (g.leader()+1)%3, g.spare()
		g.change(&metapb.ChangeReplicas{IfGeneration: 0, Add: []uint64{uint64(spare + 1)}})
		g.caughtUp(spare)
		g.change(&metapb.ChangeReplicas{IfGeneration: 1, Promote: []uint64{uint64(spare + 1)}, Demote: []uint64{uint64(old + 1)}})
		g.change(&metapb.ChangeReplicas{IfGeneration: 2, Leave: true})
		g.crash(old)
		g.change(&metapb.ChangeReplicas{IfGeneration: 3, Remove: []uint64{uint64(old + 1)}})
		d := g.change(&metapb.ChangeReplicas{IfGeneration: 4, Add: []uint64{uint64(old + 1)}})
		g.mustPut("k", 2, []byte("w"))
		g.restart(old)
		g.caughtUp(old)
		g.change(&metapb.ChangeReplicas{IfGeneration: 5, Promote: []uint64{uint64(old + 1)}})
		g.change(&metapb.ChangeReplicas{IfGeneration: 6, Leave: true})
		if id := d.Replicas[len(d.Replicas)-1].Id; g.answered(old, id-1) {
			t.Error("the replica that was removed still answers")
		}
		g.mustGet("k", []byte("w"))
	})
}
