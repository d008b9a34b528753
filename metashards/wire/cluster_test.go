package wire_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/router"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
	"github.com/contender/contender/metashards/wire"
)

var (
	_ wire.Store    = (*store.Store)(nil)
	_ router.Target = (*wire.Target)(nil)
)

const rangeID = 7

// replicated is nodes with one disk each, and a range with a replica on each disk.
type replicated struct {
	*network
	disks   []*disktest.Memory
	nodes   []*node
	stores  []*store.Store
	routers []*router.Router
	ends    []func()
	life    uint64
}

// fixed is a topology that does not change.
type fixed struct{ m *clustermap.Map }

func (f fixed) Map() *clustermap.Map     { return f.m }
func (f fixed) Changed() <-chan struct{} { return nil }

func ticker(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}

func newReplicated(t testing.TB, tcp bool, count int) *replicated {
	r := &replicated{network: newNetwork(t, tcp)}
	d := &metapb.RangeDescriptor{Id: rangeID}
	for i := range count {
		d.Replicas = append(d.Replicas, &metapb.Replica{Id: uint64(i + 1), Disk: uint64(10 * (i + 1))})
	}
	for i := range count {
		m := disktest.NewMemory(disk.ID(10 * (i + 1)))
		if err := store.Bootstrap(t.Context(), m, d, time.Now()); err != nil {
			t.Fatal(err)
		}
		r.disks = append(r.disks, m)
	}
	r.nodes, r.stores = make([]*node, count), make([]*store.Store, count)
	r.routers, r.ends = make([]*router.Router, count), make([]func(), count)
	for i := range count {
		r.up(i)
	}
	return r
}

// up starts a node.
func (r *replicated) up(i int) {
	x := r.start(clustermap.NodeID(i + 1))
	local := transport.NewLocal(x.peers)
	r.life++
	s, err := store.New(store.Config{
		Options: store.Options{
			Disk: r.disks[i], Sender: local, Puller: local, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Proposer: r.life << 32,
			Boot: r.life, Fresh: r.life <= uint64(len(r.disks)), PromiseTime: 20 * 20 * time.Millisecond,
			Replica: replica.Options{TruncateEntries: 20, KeepEntries: 5, CacheBytes: 1},
		},
		Ticker: ticker, Tick: 20 * time.Millisecond,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	local.Register(s.Disk(), s)
	x.add(s.Disk(), s)
	var done sync.WaitGroup
	done.Go(func() { s.Run(context.Background()) })
	g := clustermap.Range{ID: rangeID}
	for k, m := range r.disks {
		g.Replicas = append(g.Replicas, clustermap.Replica{ID: uint64(k + 1), Disk: m.ID()})
	}
	r.nodes[i], r.stores[i] = x, s
	r.routers[i] = router.New(router.Options{
		Topology: fixed{&clustermap.Map{Ranges: []clustermap.Range{g}}}, Clock: router.Wall{}, Timeout: 20 * time.Second,
		Target: func(id disk.ID) (router.Target, bool) {
			if id == s.Disk() {
				return s, true
			}
			return x.peers.Target(id)
		},
	})
	r.ends[i] = func() {
		s.Close()
		done.Wait()
		r.stopNode(x)
	}
}

// down ends a node as a power cut would.
func (r *replicated) down(i int) {
	r.ends[i]()
	r.ends[i] = func() {}
	r.disks[i] = r.disks[i].Crash(nil)
}

func (r *replicated) end() {
	for _, e := range r.ends {
		e()
	}
	r.close()
}

// leader waits for a leader among the nodes that are up.
func (r *replicated) leader() (at int) {
	eventually(r.t, "a leader", func() bool {
		for i, s := range r.stores {
			st := s.Status()
			if st.Err == nil && len(st.Replicas) == 1 && st.Replicas[0].Role == "leader" {
				at = i
				return true
			}
		}
		return false
	})
	return at
}

func put(key string, n int, payload []byte) *metapb.Command {
	return &metapb.Command{
		Format: 1, RequestId: fmt.Sprintf("%s-%d", key, n), Bucket: 3, Key: []byte(key), Generation: 1,
		Time: uint64(time.Now().UnixMicro()), PayloadLength: uint64(len(payload)),
		Op: &metapb.Command_Put{Put: &metapb.PutVersion{
			Version:   &metapb.Version{Format: 1, Size: uint64(len(payload)), Nonce: uint64(n)},
			Condition: &metapb.Condition{IfAbsent: n == 1},
		}},
	}
}

func get(key string) *metapb.Query {
	return &metapb.Query{
		Format: 1, Bucket: 3, Key: []byte(key), Generation: 1, Op: &metapb.Query_Get{Get: &metapb.GetVersion{Payload: true}},
	}
}

// mustPut writes through a node.
func (r *replicated) mustPut(i int, key string, n int, payload []byte) {
	a, err := r.routers[i].Apply(r.t.Context(), put(key, n, payload), payload)
	if err != nil || a.Status != metapb.Status_OK {
		r.t.Errorf("put %s through node %d: %v %v", key, i, a, err)
	}
}

func (r *replicated) mustGet(i int, key string, payload []byte) {
	a, err := r.routers[i].Query(r.t.Context(), get(key))
	if err != nil || a.Status != metapb.Status_OK || string(a.Payload) != string(payload) {
		r.t.Errorf("get %s through node %d: %v %v, want %q", key, i, a, err, payload)
	}
}

// TestRangeOverNodes: a range whose replicas lie on three nodes is written and read through any of them. Connections
// break all the time, and leaders change; every key that must not exist is created exactly once.
func TestRangeOverNodes(t *testing.T) {
	r := newReplicated(t, true, 3)
	defer r.end()
	// Connections break by what was done, not by time: on a slow machine they would break faster than they are made.
	const writers, puts, unbroken = 6, 150, 7
	var all sync.WaitGroup
	var done atomic.Int64
	for w := range writers {
		all.Go(func() {
			for n := range puts {
				key := fmt.Sprintf("w%d-%d", w, n)
				r.mustPut(w%3, key, 1, []byte(key))
				if n := int(done.Add(1)); n%unbroken == 0 {
					r.nodes[n/unbroken%3].breakAll()
				}
			}
		})
	}
	eventually(t, "half of the puts", func() bool { return done.Load() >= writers*puts/2 })
	from := r.leader()
	_ = r.stores[from].TransferLeadership(t.Context(), rangeID, r.disks[(from+1)%3].ID()) // may have moved by itself
	all.Wait()
	for w := range writers {
		key := fmt.Sprintf("w%d-%d", w, puts-1)
		r.mustGet((w+1)%3, key, []byte(key))
	}
	a, err := r.routers[1].Query(t.Context(), &metapb.Query{
		Format: 1, Bucket: 3, Generation: 1, Op: &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Limit: 1000}},
	})
	if err != nil || len(a.Items) != writers*puts {
		t.Errorf("%d keys, want %d (%v)", len(a.GetItems()), writers*puts, err)
	}
	if c := r.nodes[0].peers.Counters(); c.LinksEnded < 2 || c.RaftDroppedForeign+c.RaftDroppedUnfit > 0 {
		t.Errorf("counters %+v", c)
	}
}

// TestLeaderNodeDies: the node of the leader dies, and comes back from its disk. What it missed is more than the log
// keeps: the snapshot and its payloads come over the wire.
func TestLeaderNodeDies(t *testing.T) {
	r := newReplicated(t, true, 3)
	defer r.end()
	value := func(k, n int) []byte { return fmt.Appendf(nil, "value %d of %d", n, k) }
	for k := range 10 {
		r.mustPut(k%3, fmt.Sprint("k", k), 1, value(k, 1))
	}
	gone := r.leader()
	r.down(gone)
	other := (gone + 1) % 3
	for n := 2; n < 6; n++ {
		for k := range 10 {
			r.mustPut(other, fmt.Sprint("k", k), n, value(k, n))
		}
	}
	r.up(gone)
	eventually(t, "the snapshot", func() bool {
		st := r.stores[gone].Status()
		lead := r.stores[r.leader()].Status()
		return len(st.Replicas) == 1 && st.Replicas[0].First > 20 && st.Replicas[0].Applied >= lead.Replicas[0].Applied
	})
	eventually(t, "the leadership", func() bool {
		l := r.leader()
		if l != gone {
			_ = r.stores[l].TransferLeadership(t.Context(), rangeID, r.disks[gone].ID()) // tried again
		}
		return l == gone
	})
	for k := range 10 {
		r.mustGet(other, fmt.Sprint("k", k), value(k, 5))
		r.mustGet(gone, fmt.Sprint("k", k), value(k, 5))
	}
}

// TestRottenPayloadOverNodes: a payload that is damaged at the leader comes from another node.
func TestRottenPayloadOverNodes(t *testing.T) {
	r := newReplicated(t, false, 3)
	defer r.end()
	r.mustPut(0, "k", 1, []byte("value"))
	l := r.leader()
	a, err := r.stores[l].Query(t.Context(), rangeID, get("k"))
	if err != nil {
		t.Fatal(err)
	}
	in := a.Version.GetInline()
	if !r.disks[l].CorruptPayload(disk.PayloadID{Range: in.Range, Term: in.Term, Index: in.Index, N: in.N}) {
		t.Fatal("no payload to damage")
	}
	for i := range 3 {
		r.mustGet(i, "k", []byte("value"))
	}
}
