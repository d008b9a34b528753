package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/store"
)

func few(c *store.Config) {
	c.Replica = replica.Options{TruncateEntries: 20, KeepEntries: 5, CacheBytes: 1, SnapshotTicks: 20}
}

func reasonOf(err error) store.Reason {
	var r *store.Refusal
	if !errors.As(err, &r) {
		return 255
	}
	return r.Reason
}

// crash ends a store without a word and leaves its disk as a power cut would.
func (g *group) crash(i int) {
	g.stop[i]()
	g.disks[i] = g.disks[i].Crash(nil)
}

func (g *group) restart(i int) {
	g.open(i)
	g.run(i)
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{1, 3} {
			g := newGroup(t, n, nil)
			g.fresh = true
			for k := range 20 {
				g.mustPut(fmt.Sprint("k", k), 1, []byte(fmt.Sprint("v", k)))
			}
			for i := range n {
				g.crash(i)
			}
			begin := time.Now()
			for i := range n {
				g.open(i)
			}
			for i := range n {
				g.run(i)
			}
			for k := range 20 {
				g.mustGet(fmt.Sprint("k", k), []byte(fmt.Sprint("v", k)))
			}
			if d := time.Since(begin); d > time.Second {
				t.Errorf("%d replicas: ready after %v", n, d)
			}
			g.close()
		}
	})
}

// TestLowestDiskGone: the replica that campaigns at once is not there; another one does soon.
func TestLowestDiskGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.fresh = true
		g.mustPut("k", 1, []byte("v"))
		for i := range 3 {
			g.crash(i)
		}
		begin := time.Now()
		g.restart(1)
		g.restart(2)
		g.stores[0] = g.stores[1]
		g.mustGet("k", []byte("v"))
		if d := time.Since(begin); d > time.Second {
			t.Errorf("ready after %v", d)
		}
	})
}

// TestLeaderFenced: the leader's disk fails while clients wait. All of them are answered, none is told a lie, and the
// others go on.
func TestLeaderFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		old := g.leader()
		g.mustPut("k", 1, []byte("before"))
		held := make(chan struct{})
		g.disks[old].SetHook(func(_ context.Context, op string) error {
			if op == "sync" {
				<-held
			}
			return nil
		})
		var all sync.WaitGroup
		reasons := make([]store.Reason, 10)
		for i := range reasons {
			all.Go(func() {
				_, err := g.stores[old].Propose(t.Context(), rangeID, put(fmt.Sprint("w", i), 1, nil), nil)
				reasons[i] = reasonOf(err)
			})
		}
		synctest.Wait()
		g.disks[old].Fence(errors.New("the device is gone"))
		close(held)
		all.Wait()
		for i, r := range reasons {
			if r != store.Indeterminate && r != store.Closed {
				t.Errorf("client %d: %v", i, r)
			}
		}
		begin := time.Now()
		for served := false; !served; time.Sleep(time.Millisecond) { // virtual
			for i, s := range g.stores {
				if i != old && !served {
					_, err := s.Query(t.Context(), rangeID, get("k"))
					served = err == nil
				}
			}
		}
		if d := time.Since(begin); d > 200*time.Millisecond {
			t.Errorf("another replica serves after %v", d)
		}
		if st := g.stores[old].Status(); st.Err == nil {
			t.Error("the store does not say that its disk is fenced")
		}
		if _, err := g.stores[old].Query(t.Context(), rangeID, get("k")); reasonOf(err) != store.Closed {
			t.Errorf("query on a fenced store: %v", err)
		}
		g.mustGet("k", []byte("before"))
		g.mustPut("k", 2, []byte("after"))
		g.mustGet("k", []byte("after"))
	})
}

// TestSnapshot: a follower that missed more than the log keeps gets a snapshot, with payloads, and drops what the old
// rows referred to.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, few)
		defer g.close()
		value := func(k, n int) []byte { return []byte(fmt.Sprintf("value %d of %d", n, k)) }
		for k := range 10 {
			g.mustPut(fmt.Sprint("k", k), 1, value(k, 1))
		}
		leader := g.leader()
		away := (leader + 1) % 3
		g.await(away, "caught up", func(s replica.Status) bool { return s.Applied == s.Last && s.Applied > 15 })
		g.crash(away)
		for n := 2; n < 8; n++ {
			for k := range 10 {
				g.mustPut(fmt.Sprint("k", k), n, value(k, n))
			}
		}
		g.restart(away)
		want := g.applied(g.leader())
		g.await(away, "caught up", func(s replica.Status) bool { return s.Applied >= want })
		if s := g.stores[away].Status().Replicas[0]; s.First <= 20 {
			t.Errorf("no snapshot came: %+v", s)
		}
		// It serves everything by itself.
		if err := g.stores[g.leader()].TransferLeadership(t.Context(), rangeID, g.disks[away].ID()); err != nil {
			t.Fatal(err)
		}
		g.await(away, "leader", func(s replica.Status) bool { return s.Role == "leader" })
		for k := range 10 {
			a, err := g.stores[away].Query(t.Context(), rangeID, get(fmt.Sprint("k", k)))
			if err != nil || string(a.Payload) != string(value(k, 7)) {
				t.Errorf("k%d: %v %v", k, a, err)
			}
		}
	})
}

// TestSnapshotCrashes: a power cut at any step of a snapshot's arrival leaves a disk from which the replica catches up.
func TestSnapshotCrashes(t *testing.T) {
	for step := 0; ; step++ {
		op := ""
		synctest.Test(t, func(t *testing.T) { op = snapshotCrash(t, step) })
		if op == "" {
			if step < 5 {
				t.Errorf("only %d steps", step)
			}
			return
		}
		t.Logf("step %d: %s", step, op)
	}
}

// snapshotCrash cuts the power before one operation of a follower that a snapshot comes to, and returns which it was;
// empty if there are not that many.
func snapshotCrash(t *testing.T, step int) (at string) {
	g := newGroup(t, 3, few)
	defer g.close()
	value := func(k, n int) []byte { return []byte(fmt.Sprintf("value %d of %d", n, k)) }
	g.mustPut("k0", 1, value(0, 1))
	leader := g.leader()
	away := (leader + 1) % 3
	g.await(away, "caught up", func(s replica.Status) bool { return s.Applied > 11 })
	g.crash(away)
	for n := 2; n < 6; n++ {
		for k := range 10 {
			g.mustPut(fmt.Sprint("k", k), n, value(k, n))
		}
	}
	want := g.applied(leader)
	dying := g.disks[away]
	var mu sync.Mutex
	var left *disktest.Memory
	count := 0
	dying.SetHook(func(_ context.Context, op string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "payload" || op == "entries" || left != nil {
			return nil
		}
		if count++; count > step {
			left, at = dying.Crash(nil), op
			dying.Fence(errors.New("power cut"))
		}
		return nil
	})
	g.restart(away)
	g.await(away, "caught up or dead", func(s replica.Status) bool { return s.Applied >= want || s.Role == "failed" })
	if s := g.stores[away].Status().Replicas[0]; left == nil && s.First < 20 {
		t.Fatalf("no snapshot came: %+v", s)
	}
	g.stop[away]()
	dying.SetHook(nil)
	if left != nil {
		g.disks[away] = left
	}
	g.restart(away)
	g.await(away, "caught up", func(s replica.Status) bool { return s.Applied >= want })
	if err := g.stores[leader].TransferLeadership(t.Context(), rangeID, g.disks[away].ID()); err != nil {
		t.Fatal(err)
	}
	g.await(away, "leader", func(s replica.Status) bool { return s.Role == "leader" })
	for k := range 10 {
		a, err := g.stores[away].Query(t.Context(), rangeID, get(fmt.Sprint("k", k)))
		if err != nil || string(a.Payload) != string(value(k, 5)) {
			t.Errorf("crash before operation %d (%s): k%d: %v %v", step, at, k, a, err)
		}
	}
	return at
}

// TestRottenPayload: a payload that fails its checksum on the leader is fetched from another replica, and written again.
func TestRottenPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.mustPut("k", 1, []byte("value"))
		leader := g.leader()
		a, err := g.stores[leader].Query(t.Context(), rangeID, get("k"))
		if err != nil {
			t.Fatal(err)
		}
		in := a.Version.GetInline()
		id := disk.PayloadID{Range: in.Range, Term: in.Term, Index: in.Index, N: in.N}
		if !g.disks[leader].CorruptPayload(id) {
			t.Fatal("no payload to damage")
		}
		g.mustGet("k", []byte("value"))
		synctest.Wait()
		if b, err := g.disks[leader].Log().Payload(t.Context(), id); err != nil || string(b) != "value" {
			t.Errorf("the payload was not written again: %q %v", b, err)
		}
		for _, d := range g.disks {
			d.CorruptPayload(id)
		}
		if _, err := g.stores[leader].Query(t.Context(), rangeID, get("k")); !disk.Is(err, disk.KindCorrupt) {
			t.Errorf("a payload that is rotten everywhere: %v", err)
		}
	})
}

// TestRottenPayloadForFollower: the payload that a slow follower needs is rotten on the leader.
func TestRottenPayloadForFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, func(c *store.Config) { c.Replica.CacheBytes = 1 })
		defer g.close()
		g.mustPut("a", 1, []byte("a"))
		leader := g.leader()
		away := (leader + 1) % 3
		g.crash(away)
		g.mustPut("k", 1, []byte("value"))
		g.mustPut("z", 1, []byte("z"))
		a, err := g.stores[leader].Query(t.Context(), rangeID, get("k"))
		if err != nil {
			t.Fatal(err)
		}
		in := a.Version.GetInline()
		id := disk.PayloadID{Range: in.Range, Term: in.Term, Index: in.Index, N: in.N}
		g.disks[leader].CorruptPayload(id)
		g.restart(away)
		want := g.applied(leader)
		g.await(away, "caught up", func(s replica.Status) bool { return s.Applied >= want })
		for i, d := range g.disks {
			if b, err := d.Log().Payload(t.Context(), id); err != nil || string(b) != "value" {
				t.Errorf("store %d: %q %v", i, b, err)
			}
		}
	})
}

// TestDamagedRows: a replica whose rows can't be read takes no part; the others go on.
func TestDamagedRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		hurt := g.leader()
		g.stop[hurt]()
		b := g.disks[hurt].State().NewBatch()
		if err := errors.Join(b.Set(keys.StateRow(rangeID), []byte("rubbish")), b.Commit()); err != nil {
			t.Fatal(err)
		}
		g.restart(hurt)
		g.mustPut("k", 2, []byte("w"))
		g.mustGet("k", []byte("w"))
		if st := g.stores[hurt].Status(); st.Replicas[0].Role != "failed" || st.Replicas[0].Err == nil {
			t.Errorf("the damage is not told: %+v", st)
		}
		if _, err := g.stores[hurt].Query(t.Context(), rangeID, get("k")); reasonOf(err) != store.Unavailable {
			t.Errorf("a damaged replica answers: %v", err)
		}
	})
}

// TestDamagedLog: entries that can't be read back stop the one replica.
func TestDamagedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, func(c *store.Config) { c.Replica.CacheBytes = 1 })
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		leader := g.leader()
		away := (leader + 1) % 3
		g.crash(away)
		g.mustPut("k", 2, []byte("w"))
		g.mustPut("k", 3, []byte("x"))
		g.disks[leader].SetHook(func(_ context.Context, op string) error {
			if op == "entries" {
				return disk.Errorf("entries", disk.KindCorrupt, "", nil)
			}
			return nil
		})
		g.restart(away)
		g.await(leader, "failed", func(s replica.Status) bool { return s.Role == "failed" })
		g.mustGet("k", []byte("x"))
		g.mustPut("k", 4, []byte("y"))
		g.mustGet("k", []byte("y"))
	})
}

// TestFull: without room, commands with payloads are refused and others are not; a follower without room rests and comes
// back.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		leader := g.leader()
		follower := (leader + 1) % 3
		g.disks[follower].SetCapacity(1)
		g.mustPut("k", 2, make([]byte, 4000))
		g.await(follower, "resting", func(s replica.Status) bool { return s.Role == "resting" })
		g.disks[follower].SetCapacity(disktest.DefaultCapacityBytes)
		want := g.applied(leader)
		g.await(follower, "back", func(s replica.Status) bool { return s.Applied >= want })

		g.disks[leader].SetCapacity(g.disks[leader].Usage().UsedBytes + 100)
		time.Sleep(time.Second) // virtual: the room is looked at every few ticks
		_, err := g.stores[leader].Propose(t.Context(), rangeID, put("k", 3, make([]byte, 50)), make([]byte, 50))
		if reasonOf(err) != store.Full {
			t.Errorf("put on a full disk: %v", err)
		}
	})
}

// TestGivenUp: a caller that goes away knows whether its command may take effect.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, func(c *store.Config) { c.MailboxRequests = 2 })
		defer g.close()
		leader := g.leader()
		g.mustPut("k", 1, nil)
		held := make(chan struct{})
		g.disks[leader].SetHook(func(_ context.Context, op string) error {
			if op == "sync" {
				<-held
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 4)
		propose := func(key string) {
			_, err := g.stores[leader].Propose(ctx, rangeID, put(key, 1, nil), nil)
			errs <- err
		}
		go propose("taken")
		synctest.Wait() // the core now waits for its sync
		go propose("waits")
		go propose("waits too")
		synctest.Wait()
		propose("one too many")
		if err := <-errs; reasonOf(err) != store.Unavailable {
			t.Errorf("the mailbox is full: %v", err)
		}
		cancel()
		counts := map[store.Reason]int{}
		for range 3 {
			counts[reasonOf(<-errs)]++
		}
		if counts[store.Indeterminate] != 1 || counts[store.Unavailable] != 2 {
			t.Errorf("%v", counts)
		}
		close(held)
		g.disks[leader].SetHook(nil)
		g.mustPut("k", 2, nil)
		for key, want := range map[string]metapb.Status{
			"taken": metapb.Status_OK, "waits": metapb.Status_NO_SUCH_KEY, "waits too": metapb.Status_NO_SUCH_KEY,
		} {
			if a, err := g.stores[g.leader()].Query(t.Context(), rangeID, get(key)); err != nil || a.Status != want {
				t.Errorf("%s: %v %v", key, a, err)
			}
		}
	})
}

// TestClose: everybody who waits is answered.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		leader := g.leader()
		for i := range 3 {
			if i != leader {
				g.stop[i]()
			}
		}
		errs := make(chan error, 2)
		go func() {
			_, err := g.stores[leader].Propose(t.Context(), rangeID, put("k", 1, nil), nil)
			errs <- err
		}()
		go func() {
			_, err := g.stores[leader].Query(t.Context(), rangeID, get("k"))
			errs <- err
		}()
		synctest.Wait()
		g.close()
		for range 2 {
			if r := reasonOf(<-errs); r != store.Indeterminate && r != store.Closed {
				t.Errorf("%v", r)
			}
		}
		if _, err := g.stores[leader].Propose(t.Context(), rangeID, put("k", 2, nil), nil); reasonOf(err) != store.Closed {
			t.Errorf("propose after close: %v", err)
		}
	})
}

func TestBootstrapRefusesOverlap(t *testing.T) {
	d := disktest.NewMemory(1)
	one := &metapb.RangeDescriptor{Id: 1, End: keys.Position(5, nil), Replicas: []*metapb.Replica{{Id: 1, Disk: 1}}}
	two := &metapb.RangeDescriptor{Id: 2, Start: keys.Position(5, nil), Replicas: []*metapb.Replica{{Id: 1, Disk: 1}}}
	three := &metapb.RangeDescriptor{Id: 3, Start: keys.Position(9, nil), Replicas: []*metapb.Replica{{Id: 1, Disk: 1}}}
	for _, desc := range []*metapb.RangeDescriptor{one, two} {
		if err := store.Bootstrap(t.Context(), d, desc, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, desc := range []*metapb.RangeDescriptor{one, three} {
		if err := store.Bootstrap(t.Context(), d, desc, time.Now()); err == nil {
			t.Errorf("range %d was founded over another", desc.Id)
		}
	}
}
