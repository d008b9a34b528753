package router_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/router"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// topology is a map that a test changes.
type topology struct {
	mu      sync.Mutex
	m       *clustermap.Map
	changed chan struct{}
}

func (t *topology) Map() *clustermap.Map {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m
}

func (t *topology) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

func (t *topology) set(m *clustermap.Map) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.m = m
	close(t.changed)
	t.changed = make(chan struct{})
}

// cluster is three running stores, with ranges that meet at the given positions, and a router over them.
type cluster struct {
	*router.Router
	disks  []*disktest.Memory
	stores []*store.Store
	top    *topology
	all    sync.WaitGroup
}

func newCluster(t *testing.T, bounds ...[]byte) *cluster {
	t.Helper()
	c := &cluster{top: &topology{m: new(clustermap.Map), changed: make(chan struct{})}}
	local := transport.NewLocal(nil)
	for i := range 3 {
		c.disks = append(c.disks, disktest.NewMemory(disk.ID(i+1)))
	}
	var start []byte
	for n, end := range append(bounds, nil) {
		d := &metapb.RangeDescriptor{Id: uint64(n + 1), Start: start, End: end}
		r := clustermap.Range{ID: d.Id, Start: start, End: end}
		for i := range c.disks {
			d.Replicas = append(d.Replicas, &metapb.Replica{Id: uint64(i + 1), Disk: uint64(i + 1)})
			r.Replicas = append(r.Replicas, clustermap.Replica{ID: uint64(i + 1), Disk: disk.ID(i + 1)})
		}
		for _, m := range c.disks {
			if err := store.Bootstrap(t.Context(), m, d, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		c.top.m.Ranges = append(c.top.m.Ranges, r)
		start = end
	}
	for i, m := range c.disks {
		s, err := store.New(store.Config{
			Options: store.Options{
				Disk: m, Sender: local, Puller: local, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
				Proposer: uint64(i+1) << 32, Boot: 1, Fresh: true,
			},
			Ticker: func(d time.Duration) (<-chan time.Time, func()) {
				t := time.NewTicker(d)
				return t.C, t.Stop
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		local.Register(m.ID(), s)
		c.stores = append(c.stores, s)
	}
	for _, s := range c.stores {
		c.all.Go(func() { s.Run(context.Background()) })
	}
	c.Router = router.New(router.Options{Topology: c.top, Clock: router.Wall{}, Target: c.target})
	return c
}

func (c *cluster) target(id disk.ID) (router.Target, bool) {
	for _, s := range c.stores {
		if s.Disk() == id {
			return s, true
		}
	}
	return nil, false
}

func (c *cluster) close() {
	for _, s := range c.stores {
		s.Close()
	}
	c.all.Wait()
}

// leader returns the store that leads a range, as of the last tick.
func (c *cluster) leader(rangeID uint64) int {
	for i, s := range c.stores {
		for _, r := range s.Status().Replicas {
			if r.Range == rangeID && r.Role == "leader" {
				return i
			}
		}
	}
	return -1
}

func put(key, id string, ifAbsent bool, payload []byte) *metapb.Command {
	return &metapb.Command{
		Format: 1, RequestId: id, Bucket: 3, Key: []byte(key), Generation: 1, Time: uint64(time.Now().UnixMicro()),
		PayloadLength: uint64(len(payload)),
		Op: &metapb.Command_Put{Put: &metapb.PutVersion{
			Version:   &metapb.Version{Format: 1, Size: uint64(len(payload))},
			Condition: &metapb.Condition{IfAbsent: ifAbsent},
		}},
	}
}

func get(key string) *metapb.Query {
	return &metapb.Query{
		Format: 1, Bucket: 3, Key: []byte(key), Generation: 1, Op: &metapb.Query_Get{Get: &metapb.GetVersion{Payload: true}},
	}
}

func isKind(err error, k metashards.Kind) bool { return metashards.Is(err, k) }

// TestLeaderDies: while 16 clients create keys that must not exist, the leader's disk fails. Every creation
// succeeds exactly once: a retry finds the answer of the attempt that took effect.
func TestLeaderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		for _, d := range c.disks {
			d.SetHook(func(_ context.Context, op string) error {
				if op == "sync" {
					time.Sleep(time.Millisecond) // virtual
				}
				return nil
			})
		}
		var all sync.WaitGroup
		var done atomic.Int64
		for w := range 16 {
			all.Go(func() {
				for n := range 200 {
					key := fmt.Sprintf("w%d-%d", w, n)
					r, err := c.Apply(t.Context(), put(key, key, true, []byte(key)), []byte(key))
					if err != nil || r.Status != metapb.Status_OK {
						t.Errorf("%s: %v %v", key, r, err)
					}
					done.Add(1)
				}
			})
		}
		for done.Load() < 500 {
			time.Sleep(100 * time.Microsecond) // virtual
		}
		time.Sleep(200 * time.Millisecond) // virtual: a tick, so that the status tells
		l := c.leader(1)
		if l < 0 || done.Load() >= 16*200 {
			t.Fatalf("leader %d, %d done: the test shows nothing", l, done.Load())
		}
		c.disks[l].Fence(errors.New("gone"))
		all.Wait()
		for w := range 16 {
			key := fmt.Sprintf("w%d-199", w)
			a, err := c.Query(t.Context(), get(key))
			if err != nil || string(a.Payload) != key {
				t.Errorf("%s: %v %v", key, a, err)
			}
		}
		a, err := c.Query(t.Context(), &metapb.Query{
			Format: 1, Bucket: 3, Generation: 1, Op: &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Limit: 10000}},
		})
		if err != nil || len(a.Items) != 3200 {
			t.Errorf("%d keys, want 3200 (%v)", len(a.GetItems()), err)
		}
	})
}

// TestNoMajority: a command that was proposed has an unknown outcome, one that was not is unavailable, and a query, too.
func TestNoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.close()
		if _, err := c.Apply(t.Context(), put("k", "1", false, nil), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // virtual
		l := c.leader(1)
		for i, d := range c.disks {
			if i != l {
				d.Fence(errors.New("gone"))
			}
		}
		synctest.Wait()
		begin := time.Now()
		if _, err := c.Apply(t.Context(), put("k", "2", false, nil), nil); !isKind(err, metashards.KindIndeterminate) {
			t.Errorf("%v", err)
		}
		if d := time.Since(begin); d < 9*time.Second || d > 11*time.Second {
			t.Errorf("gave up after %v", d)
		}
		// Now nobody leads.
		if _, err := c.Apply(t.Context(), put("k", "3", false, nil), nil); !isKind(err, metashards.KindUnavailable) {
			t.Errorf("%v", err)
		}
		for has, takes := range map[time.Duration]time.Duration{time.Second: time.Second, 12 * time.Hour: 10 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), has)
			begin := time.Now()
			if _, err := c.Query(ctx, get("k")); !isKind(err, metashards.KindUnavailable) {
				t.Errorf("%v", err)
			}
			if d := time.Since(begin); d < takes || d > takes+time.Second {
				t.Errorf("gave up after %v, having %v", d, has)
			}
			cancel()
		}
	})
}

// TestNotRepeatable: a command without request id is not tried again once it may have taken effect.
func TestNotRepeatable(t *testing.T) {
	calls := 0
	r := router.New(router.Options{
		Topology: &topology{m: oneRange(), changed: make(chan struct{})}, Clock: router.Wall{},
		Target: func(disk.ID) (router.Target, bool) {
			return target{func(*metapb.Command) (*metapb.Result, error) {
				calls++
				return nil, &store.Refusal{Reason: store.Indeterminate}
			}}, true
		},
	})
	if _, err := r.Apply(t.Context(), put("k", "", false, nil), nil); !isKind(err, metashards.KindIndeterminate) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func oneRange() *clustermap.Map {
	return &clustermap.Map{Ranges: []clustermap.Range{{ID: 1, Replicas: []clustermap.Replica{{ID: 1, Disk: 1}, {ID: 2, Disk: 2}}}}}
}

// target answers commands by a function.
type target struct {
	propose func(*metapb.Command) (*metapb.Result, error)
}

func (t target) Propose(_ context.Context, _ uint64, c *metapb.Command, _ []byte) (*metapb.Result, error) {
	return t.propose(c)
}

func (t target) Query(context.Context, uint64, *metapb.Query) (*metapb.Answer, error) {
	return nil, &store.Refusal{Reason: store.Closed}
}

// TestAnswers walks what stores may say and what the caller is told.
func TestAnswers(t *testing.T) {
	refuse := func(r store.Reason) error { return &store.Refusal{Reason: r, Range: 1} }
	ok := &metapb.Result{}
	type say struct {
		result *metapb.Result
		err    error
	}
	tests := []struct {
		name  string
		says  []say // of the attempts in order; the last for all further ones
		kind  metashards.Kind
		err   bool
		retry bool // the last attempt was marked as a retry
	}{
		{"at once", []say{{ok, nil}}, 0, false, false},
		{"not leader, then it answers", []say{{nil, refuse(store.NotLeader)}, {nil, refuse(store.Unavailable)}, {ok, nil}}, 0, false, false},
		{"a retry that answers", []say{{nil, refuse(store.Indeterminate)}, {ok, nil}}, 0, false, true},
		{"stale generation is an answer", []say{{&metapb.Result{Status: metapb.Status_STALE_GENERATION}, nil}}, 0, false, false},
		{"a retry not remembered", []say{{nil, refuse(store.Indeterminate)}, {&metapb.Result{Status: metapb.Status_UNKNOWN_OUTCOME}, nil}}, metashards.KindIndeterminate, true, true},
		{"never", []say{{nil, refuse(store.NotLeader)}}, metashards.KindUnavailable, true, false},
		{"perhaps", []say{{nil, refuse(store.Indeterminate)}, {nil, refuse(store.NotLeader)}}, metashards.KindIndeterminate, true, true},
		{"full", []say{{nil, refuse(store.Full)}}, metashards.KindFull, true, false},
		{"full after a first attempt", []say{{nil, refuse(store.Indeterminate)}, {nil, refuse(store.Full)}}, metashards.KindIndeterminate, true, true},
		{"invalid", []say{{nil, refuse(store.Invalid)}}, metashards.KindInvalid, true, false},
		{"all closed", []say{{nil, refuse(store.Closed)}}, metashards.KindClosed, true, false},
		{"damaged", []say{{nil, disk.Errorf("x", disk.KindCorrupt, "", nil)}}, metashards.KindDamaged, true, false},
		{"wrong range, then the right one", []say{{&metapb.Result{Status: metapb.Status_WRONG_RANGE}, nil}, {ok, nil}}, 0, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, retry := 0, false
				r := router.New(router.Options{
					Topology: &topology{m: oneRange(), changed: make(chan struct{})}, Clock: router.Wall{},
					Target: func(disk.ID) (router.Target, bool) {
						return target{func(c *metapb.Command) (*metapb.Result, error) {
							s := test.says[min(n, len(test.says)-1)]
							n++
							retry = c.Retry
							return s.result, s.err
						}}, true
					},
				})
				result, err := r.Apply(t.Context(), put("k", "id", false, nil), nil)
				if (err != nil) != test.err || err != nil && !isKind(err, test.kind) || err == nil && result == nil || retry != test.retry {
					t.Errorf("%v %v, retry %v", result, err, retry)
				}
			})
		})
	}
}

// TestMapNamesLeader: whoever knows nothing of a range yet asks the leader that the map names, and goes on from there if the
// map is wrong; what was seen counts for more than the map.
func TestMapNamesLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := oneRange()
		m.Ranges[0].Leader = 2
		leads := disk.ID(2)
		var asked []disk.ID
		r := router.New(router.Options{
			Topology: &topology{m: m, changed: make(chan struct{})}, Clock: router.Wall{},
			Target: func(id disk.ID) (router.Target, bool) {
				return target{func(*metapb.Command) (*metapb.Result, error) {
					asked = append(asked, id)
					if id != leads {
						return nil, &store.Refusal{Reason: store.NotLeader, Range: 1, Leader: leads}
					}
					return new(metapb.Result), nil
				}}, true
			},
		})
		for _, now := range []disk.ID{2, 1, 1} {
			leads = now
			if _, err := r.Apply(t.Context(), put("k", "id", false, nil), nil); err != nil {
				t.Error(err)
			}
		}
		if want := []disk.ID{2, 2, 1, 1}; !slices.Equal(asked, want) {
			t.Errorf("asked %v instead of %v", asked, want)
		}
	})
}

// TestMapArrives: a request waits for the map that has its range.
func TestMapArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		top := &topology{m: new(clustermap.Map), changed: make(chan struct{})}
		r := router.New(router.Options{
			Topology: top, Clock: router.Wall{},
			Target: func(disk.ID) (router.Target, bool) {
				return target{func(*metapb.Command) (*metapb.Result, error) { return new(metapb.Result), nil }}, true
			},
		})
		go func() {
			time.Sleep(2 * time.Second) // virtual
			top.set(oneRange())
		}()
		if _, err := r.Apply(t.Context(), put("k", "id", false, nil), nil); err != nil {
			t.Error(err)
		}
	})
}

// TestListAcrossRanges: pages do not show where ranges meet.
func TestListAcrossRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keys.Position(1, nil), keys.Position(3, []byte("d/2")), keys.Position(3, []byte("m")))
		defer c.close()
		names := []string{"a", "d/1", "d/2", "d/3", "e", "m", "z"}
		for _, n := range names {
			if _, err := c.Apply(t.Context(), put(n, n, false, nil), nil); err != nil {
				t.Fatal(err)
			}
		}
		list := func(delimiter string, limit uint32) (got []string, pages int) {
			q := &metapb.ListKeys{Delimiter: []byte(delimiter), Limit: limit}
			for {
				pages++
				a, err := c.Query(t.Context(), &metapb.Query{Format: 1, Bucket: 3, Generation: 1, Op: &metapb.Query_ListKeys{ListKeys: q}})
				if err != nil || a.Status != metapb.Status_OK {
					t.Fatalf("%v %v", a, err)
				}
				q.After, q.AfterPrefix = nil, nil
				for _, i := range a.Items {
					got = append(got, string(i.Key))
					if q.After, q.AfterPrefix = i.Key, nil; i.CommonPrefix {
						q.After, q.AfterPrefix = nil, i.Key
					}
				}
				if !a.Truncated {
					return got, pages
				}
			}
		}
		for limit := uint32(1); limit < 9; limit++ {
			if got, pages := list("", limit); fmt.Sprint(got) != fmt.Sprint(names) || pages > len(names)/int(limit)+1 {
				t.Errorf("limit %d: %v in %d pages", limit, got, pages)
			}
			want := []string{"a", "d/", "e", "m", "z"}
			if got, _ := list("/", limit); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("limit %d with delimiter: %v", limit, got)
			}
		}
		// One range knows another generation: the page ends before it, and the query for the rest is refused.
		fenced, err := c.Apply(t.Context(), &metapb.Command{
			Format: 1, Bucket: 3, Key: []byte("e"), Op: &metapb.Command_Fence{Fence: &metapb.FenceBucket{Fence: &metapb.Fence{Generation: 2}}},
		}, nil)
		if err != nil || fenced.Status != metapb.Status_OK || fenced.Range.GetId() != 3 {
			t.Fatalf("%v %v", fenced, err)
		}
		q := &metapb.Query{
			Format: 1, Bucket: 3, Generation: 1, Op: &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Limit: 10}},
		}
		a, err := c.Query(t.Context(), q)
		if err != nil || a.Status != metapb.Status_OK || len(a.Items) != 2 || !a.Truncated || string(a.Next) != "d/2" {
			t.Fatalf("%v %v", a, err)
		}
		q.Key = a.Next
		if a, err = c.Query(t.Context(), q); err != nil || a.Status != metapb.Status_STALE_GENERATION || a.Generation != 2 {
			t.Fatalf("%v %v", a, err)
		}
	})
}
