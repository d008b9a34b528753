package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rangeID = 7

// group is a few stores with one range, running.
type group struct {
	t      testing.TB
	disks  []*disktest.Memory
	local  *transport.Local
	stores []*store.Store
	stop   []func()
	life   uint64
	fresh  bool // all stores end together, as those of one node alone do: nobody holds a promise of an earlier life
	tune   func(*store.Config)
}

func newGroup(t testing.TB, n int, tune func(*store.Config)) *group {
	g := &group{t: t, local: transport.NewLocal(nil), tune: tune}
	d := &metapb.RangeDescriptor{Id: rangeID}
	for i := range n {
		g.disks = append(g.disks, disktest.NewMemory(disk.ID(i+1)))
		d.Replicas = append(d.Replicas, &metapb.Replica{Id: uint64(i + 1), Disk: uint64(i + 1)})
	}
	g.stores = make([]*store.Store, n)
	g.stop = make([]func(), n)
	for i := range n {
		if err := store.Bootstrap(t.Context(), g.disks[i], d, time.Now()); err != nil {
			t.Fatal(err)
		}
		g.open(i)
	}
	for i := range n {
		g.run(i)
	}
	return g
}

func ticker(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}

func (g *group) open(i int) {
	g.life++
	c := store.Config{
		Options: store.Options{
			Disk: g.disks[i], Sender: g.local, Puller: g.local, Logger: slog.New(slog.DiscardHandler),
			Now: time.Now, Proposer: g.life << 32, Boot: g.life, Fresh: g.fresh || g.life <= uint64(len(g.disks)),
		},
		Ticker: ticker,
	}
	if g.tune != nil {
		g.tune(&c)
	}
	s, err := store.New(c)
	if err != nil {
		g.t.Fatal(err)
	}
	g.stores[i] = s
	g.local.Register(g.disks[i].ID(), s)
}

func (g *group) run(i int) {
	var done sync.WaitGroup
	s := g.stores[i]
	done.Go(func() { s.Run(context.Background()) })
	g.stop[i] = func() {
		g.local.Unregister(g.disks[i].ID())
		s.Close()
		done.Wait()
		g.stop[i] = func() {}
	}
}

func (g *group) close() {
	for _, stop := range g.stop {
		stop()
	}
}

// leader waits for a leader and returns it.
func (g *group) leader() int {
	g.t.Helper()
	for range 1000 {
		for i, s := range g.stores {
			st := s.Status()
			if st.Err == nil && len(st.Replicas) == 1 && st.Replicas[0].Role == "leader" {
				return i
			}
		}
		time.Sleep(10 * time.Millisecond) // virtual
	}
	g.t.Fatal("no leader")
	return -1
}

// applied returns how far a store has applied the log.
func (g *group) applied(i int) uint64 {
	time.Sleep(300 * time.Millisecond) // virtual: the status is as of the last tick
	return g.stores[i].Status().Replicas[0].Applied
}

// await waits until the replica of a store is in a state.
func (g *group) await(i int, what string, ok func(replica.Status) bool) {
	g.t.Helper()
	for range 3000 {
		if st := g.stores[i].Status(); len(st.Replicas) == 1 && ok(*st.Replicas[0]) {
			return
		}
		time.Sleep(10 * time.Millisecond) // virtual
	}
	g.t.Fatalf("store %d: not %s: %+v", i, what, g.stores[i].Status())
}

func put(key string, n int, payload []byte) *metapb.Command {
	return &metapb.Command{
		Format: 1, RequestId: fmt.Sprintf("%s-%d", key, n), Bucket: 3, Key: []byte(key), Generation: 1,
		Time: uint64(n + 1), PayloadLength: uint64(len(payload)),
		Op: &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{Format: 1, Size: uint64(len(payload)), Nonce: uint64(n)}}},
	}
}

func get(key string) *metapb.Query {
	return &metapb.Query{
		Format: 1, Bucket: 3, Key: []byte(key), Generation: 1, Op: &metapb.Query_Get{Get: &metapb.GetVersion{Payload: true}},
	}
}

// mustPut writes through whichever store leads.
func (g *group) mustPut(key string, n int, payload []byte) {
	g.t.Helper()
	for range 100 {
		r, err := g.stores[g.leader()].Propose(g.t.Context(), rangeID, put(key, n, payload), payload)
		if err == nil {
			if r.Status != metapb.Status_OK {
				g.t.Fatalf("put %s: %v %s", key, r.Status, r.Detail)
			}
			return
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	g.t.Fatalf("put %s: no success", key)
}

func (g *group) mustGet(key string, payload []byte) {
	g.t.Helper()
	a, err := g.stores[g.leader()].Query(g.t.Context(), rangeID, get(key))
	if err != nil || a.Status != metapb.Status_OK || string(a.Payload) != string(payload) {
		g.t.Fatalf("get %s: %v %v, want %q", key, a, err, payload)
	}
}

// TestSyncsOneWriter: one writer, 1,000 puts, one sync per acknowledging replica and put.
func TestSyncsOneWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		leader := g.leader()
		payload := make([]byte, 4096)
		g.mustPut("warm", 0, payload)
		synctest.Wait()
		var before [3]int64
		for i, d := range g.disks {
			before[i] = d.Syncs()
		}
		const puts = 1000
		for n := range puts {
			if _, err := g.stores[leader].Propose(t.Context(), rangeID, put("k", n, payload), payload); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for i, d := range g.disks {
			if got := d.Syncs() - before[i]; got != puts {
				t.Errorf("store %d: %d syncs for %d puts", i, got, puts)
			}
		}
	})
}

// TestSyncs64Writers: 64 writers share syncs: at most 0.2 per acknowledging replica and put.
func TestSyncs64Writers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		leader := g.leader()
		for _, d := range g.disks {
			d.SetHook(func(ctx context.Context, op string) error {
				if op == "sync" {
					time.Sleep(160 * time.Microsecond) // virtual: what a sync takes
				}
				return nil
			})
		}
		payload := make([]byte, 4096)
		g.mustPut("warm", 0, payload)
		var before [3]int64
		for i, d := range g.disks {
			before[i] = d.Syncs()
		}
		const writers, puts = 64, 50
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				key := fmt.Sprint("w", w)
				for n := range puts {
					if _, err := g.stores[leader].Propose(t.Context(), rangeID, put(key, n, payload), payload); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for i, d := range g.disks {
			got := float64(d.Syncs()-before[i]) / (writers * puts)
			t.Logf("store %d: %.3f syncs a put", i, got)
			if got > 0.2 {
				t.Errorf("store %d: %.3f syncs a put, want at most 0.2", i, got)
			}
		}
	})
}
