package router_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/router"
	"github.com/contender/contender/metashards/store"
)

// expect applies a command at a key and demands who was asked for it, without any pause.
func (s *space) expect(key string, asked ...string) {
	s.t.Helper()
	begin := time.Now()
	r, err := s.Apply(s.t.Context(), put(key, fmt.Sprint(key, len(s.done)), false, nil), nil)
	if err != nil || r.Status != metapb.Status_OK {
		s.t.Errorf("%s: %v %v", key, r, err)
	}
	if got := s.take(); !slices.Equal(got, asked) {
		s.t.Errorf("%s: asked range %q, want %q", key, got, asked)
	}
	if d := time.Since(begin); d > 0 {
		s.t.Errorf("%s: paused for %v", key, d)
	}
}

func (s *space) wantOwner(key string, id, generation uint64) {
	s.t.Helper()
	g, ok := s.RangeOf(3, []byte(key))
	if !ok || g.ID != id || g.Generation != generation {
		s.t.Errorf("the range of %s is %+v, want %d in generation %d", key, g, id, generation)
	}
}

// TestSplitIsFollowed catches the mutant staleowner: while the map stays as it was, the answers of the ranges lead a request to
// the owner of its position at once, and those after it go there straight.
func TestSplitIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		s.expect("z", "1 on 1")
		s.split("m", 2)
		s.expect("z", "1 on 1", "2 on 1")
		s.expect("y", "2 on 1")
		s.expect("a", "1 on 1")
		s.wantOwner("z", 2, 2)
		s.wantOwner("a", 1, 1)
		s.split("t", 3)
		s.leads[3] = 2 // it moved at once
		s.expect("z", "2 on 1", "3 on 2")
		s.wantOwner("z", 3, 3)
		s.wantOwner("n", 2, 2) // where it ends now was not said
		s.split("v", 4)
		if a, err := s.Query(t.Context(), get("z")); err != nil || a.Detail != "z" {
			t.Errorf("%v %v", a, err)
		}
		if got := s.take(); !slices.Equal(got, []string{"3 on 2", "4 on 2"}) {
			t.Errorf("a query asked %q", got)
		}
		if g, _ := s.RangeOf(3, []byte("z")); g.Leader != 2 || len(g.Replicas) != 3 {
			t.Errorf("%+v", g)
		}
		g, _ := s.RangeOf(3, []byte("z"))
		g.Replicas[0].Disk, g.Start[0] = 9, 9
		s.expect("z", "4 on 2")
		s.top.set(s.mapNow())
		s.expect("u", "3 on 2")
		s.expect("n", "2 on 1")
		s.wantOwner("a", 1, 2)
	})
}

// TestResultsTeach: what the answers to a split and to a change of replicas say is used without a detour.
func TestResultsTeach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		s.meddle = func(uint64, *metapb.Command) (*metapb.Result, error) {
			s.meddle = nil
			left, right := s.split("m", 2)
			return &metapb.Result{Range: left, Split: right}, nil
		}
		command := &metapb.Command{Bucket: 3, Key: []byte("a"), Op: &metapb.Command_Split{Split: &metapb.SplitRange{IfGeneration: 1}}}
		if _, err := s.Apply(t.Context(), command, nil); err != nil {
			t.Fatal(err)
		}
		s.take()
		s.wantOwner("a", 1, 2)
		s.expect("z", "2 on 1")
		s.meddle = func(uint64, *metapb.Command) (*metapb.Result, error) {
			s.meddle = nil
			d := s.owner("z").CloneVT()
			d.Generation, d.Replicas = 3, replicas(4, 5, 6)
			s.ranges[1], s.leads[2] = d, 5
			return &metapb.Result{Range: d}, nil
		}
		command = &metapb.Command{Bucket: 3, Key: []byte("z"), Op: &metapb.Command_ChangeReplicas{ChangeReplicas: &metapb.ChangeReplicas{}}}
		if _, err := s.Apply(t.Context(), command, nil); err != nil {
			t.Fatal(err)
		}
		if g, ok := s.RangeOf(3, []byte("z")); !ok || g.ID != 2 || len(g.Replicas) != 3 || g.Replicas[2].Disk != 6 {
			t.Errorf("%+v", g)
		}
	})
}

// TestRepeatable: a split and a correction of usage may be sent again, for they are refused the second time.
func TestRepeatable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []*metapb.Command{
			{Bucket: 3, Key: []byte("a"), Op: &metapb.Command_Split{Split: new(metapb.SplitRange)}},
			{Bucket: 3, Key: []byte("a"), Op: &metapb.Command_CorrectUsage{CorrectUsage: new(metapb.CorrectUsage)}},
		} {
			s := newSpace(t)
			s.meddle = func(uint64, *metapb.Command) (*metapb.Result, error) {
				s.meddle = nil
				return nil, &store.Refusal{Reason: store.Indeterminate}
			}
			if _, err := s.Apply(t.Context(), c, nil); err != nil || len(s.take()) != 2 {
				t.Errorf("%T: %v", c.Op, err)
			}
		}
	})
}

// TestStaleStoreDoesNotBounce: a store that has not heard of the split yet names the range as it was before. Nobody is sent
// back there, and the request does not spin until the store is wiser.
func TestStaleStoreDoesNotBounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		old := s.ranges[0]
		s.split("m", 2)
		s.expect("z", "1 on 1", "2 on 1")
		wise := time.Now().Add(time.Second)
		s.meddle = func(rangeID uint64, _ *metapb.Command) (*metapb.Result, error) {
			if rangeID != 2 || time.Now().After(wise) {
				return nil, nil
			}
			return &metapb.Result{Status: metapb.Status_WRONG_RANGE, Range: old}, nil
		}
		if _, err := s.Apply(t.Context(), put("z", "late", false, nil), nil); err != nil {
			t.Fatal(err)
		}
		asked := s.take()
		if i := slices.IndexFunc(asked, func(a string) bool { return a != "2 on 1" }); i >= 0 || len(asked) < 3 || len(asked) > 50 {
			t.Errorf("asked %q", asked)
		}
	})
}

// TestContradictionsEnd: two stores that outbid each other about who owns a position do not keep a request busy.
func TestContradictionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		asks := uint64(0)
		s.leads[2] = 1
		s.meddle = func(rangeID uint64, _ *metapb.Command) (*metapb.Result, error) {
			if asks++; asks > 100_000 {
				return new(metapb.Result), nil
			}
			other := &metapb.RangeDescriptor{Id: 3 - rangeID, Generation: asks + 1, Start: keys.Position(1, nil), Replicas: replicas(1)}
			return &metapb.Result{Status: metapb.Status_WRONG_RANGE, Range: other}, nil
		}
		_, err := s.Apply(t.Context(), put("z", "never", false, nil), nil)
		if !isKind(err, metashards.KindUnavailable) || asks > 1000 {
			t.Errorf("%d attempts, %v", asks, err)
		}
	})
}

// TestWrongRangeLeavesNothingUncertain: whoever was told that the range does not own the position was told that nothing was
// changed.
func TestWrongRangeLeavesNothingUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		s.split("m", 2)
		s.meddle = func(rangeID uint64, c *metapb.Command) (*metapb.Result, error) {
			if c.Retry {
				t.Error("sent as a retry")
			}
			if rangeID == 2 {
				return nil, &store.Refusal{Reason: store.Unavailable}
			}
			return nil, nil
		}
		if _, err := s.Apply(t.Context(), put("z", "id", false, nil), nil); !isKind(err, metashards.KindUnavailable) {
			t.Errorf("%v", err)
		}
	})
}

// TestWrongRangeWithoutOwnerWaits: a refusal that names nobody is tried again after pauses, and as soon as a newer map is here.
func TestWrongRangeWithoutOwnerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		s.split("m", 2)
		s.meddle = func(rangeID uint64, _ *metapb.Command) (*metapb.Result, error) {
			if rangeID == 1 {
				return &metapb.Result{Status: metapb.Status_WRONG_RANGE}, nil
			}
			return nil, nil
		}
		begin := time.Now()
		time.AfterFunc(2*time.Second, func() { s.top.set(s.mapNow()) })
		if _, err := s.Apply(t.Context(), put("z", "id", false, nil), nil); err != nil {
			t.Error(err)
		}
		asked := s.take()
		if d := time.Since(begin); d != 2*time.Second || len(asked) > 50 || asked[len(asked)-1] != "2 on 1" {
			t.Errorf("after %v: %d attempts, the last at %s", d, len(asked), asked[len(asked)-1])
		}
	})
}

// TestLearnedRangesAreBounded: a router that learns 600 ranges knows the last 256 of them, and what it forgot it is
// told again.
func TestLearnedRangesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		key := func(i int) string { return fmt.Sprintf("k%04d", i) }
		for i := 599; i >= 0; i-- { // each splits off from what the map knows
			s.split(key(i), uint64(2+i))
			s.expect(key(i), "1 on 1", fmt.Sprintf("%d on 1", 2+i))
		}
		known := 0
		for i := range 600 {
			if g, ok := s.RangeOf(3, []byte(key(i))); ok && g.ID == uint64(2+i) {
				known++
			} else if i < 256 {
				t.Fatalf("%s was learned last and is forgotten: %+v", key(i), g)
			}
		}
		if known != 256 {
			t.Errorf("%d ranges are known", known)
		}
		s.expect(key(599), "1 on 1", "601 on 1")
	})
}

// TestLearnedRangesGiveWay: what was learned holds until the map knows as much, not longer and not less long.
func TestLearnedRangesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		before := s.mapNow()
		s.split("m", 2)
		s.expect("z", "1 on 1", "2 on 1")
		other := before.Clone()
		s.top.set(other) // newer, but not about this
		s.wantOwner("z", 2, 2)
		same := s.mapNow()
		same.Ranges[1].Leader = 3
		s.top.set(same)
		s.wantOwner("z", 2, 2)
		s.top.set(before) // a map that is older would show whether it was forgotten
		s.wantOwner("z", 1, 1)
		s.expect("z", "1 on 1", "2 on 1")
		s.split("t", 3) // contradicts what is known of range 2, which the map then has as its left half
		s.top.set(s.mapNow())
		s.wantOwner("n", 2, 3)
		s.top.set(before)
		s.wantOwner("n", 1, 1)
		s.wantOwner("z", 1, 1)
	})
}

// TestMapWithGaps: the map may show a range that was split off before it shows the one that it came from, or leave its place
// empty. What was learned of that one counts there as before, and may be learned then, too.
func TestMapWithGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		s.split("m", 2)
		s.expect("z", "1 on 1", "2 on 1")
		s.split("t", 3)
		late := s.top.Map().Clone()
		late.ShowRange(s.mapNow().Ranges[2])
		s.top.set(late) // 1 up to t, as if there were no range 2
		s.expect("n", "2 on 1")
		s.expect("z", "3 on 1")
		s.Router = s.router()
		s.expect("n", "1 on 1", "2 on 1")
		s.expect("o", "2 on 1")
		gap := s.mapNow()
		gap.Ranges = slices.Delete(gap.Ranges, 1, 2)
		s.top.set(gap)
		s.expect("n", "2 on 1")
		s.expect("a", "1 on 1")
	})
}

// TestOldNewsAreNoNews: a descriptor of an earlier generation does not replace a later one, whether that came from the map or
// from an answer, and counts only where nothing newer is known.
func TestOldNewsAreNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		first := s.ranges[0]
		tell := func(d *metapb.RangeDescriptor) {
			s.meddle = func(uint64, *metapb.Command) (*metapb.Result, error) {
				s.meddle = nil
				return &metapb.Result{Range: d}, nil
			}
			if _, err := s.Apply(t.Context(), put("a", "id", false, nil), nil); err != nil {
				t.Fatal(err)
			}
		}
		_, second := s.split("m", 2)
		_, third := s.split("t", 3)
		tell(third)
		tell(second) // older than the third, newer than the map
		tell(first)
		s.wantOwner("a", 1, 1)
		s.wantOwner("n", 2, 2)
		s.wantOwner("z", 3, 3)
		moved := third.CloneVT()
		moved.Generation, moved.Replicas = 4, replicas(7)
		tell(moved)
		tell(third)
		if g, _ := s.RangeOf(3, []byte("z")); g.Generation != 4 || g.Replicas[0].Disk != 7 {
			t.Errorf("%+v", g)
		}
	})
}

// TestTheNewestIsBelieved tells a router, in any order, what ranges were at some moments of their history: of each position it
// believes the newest that it was told.
func TestTheNewestIsBelieved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(i int) []byte { return keys.Position(3, []byte{byte(i)}) }
		root := &metapb.RangeDescriptor{Id: 1, Start: at(0), Replicas: replicas(1)}
		now, history := []*metapb.RangeDescriptor{root}, []*metapb.RangeDescriptor{root}
		for n := range rapid.IntRange(1, 20).Draw(t, "steps") {
			i := rapid.IntRange(0, len(now)-1).Draw(t, "range")
			left := now[i].CloneVT()
			left.Generation++
			now[i] = left
			history = append(history, left)
			cut := rapid.IntRange(1, 99).Draw(t, "cut")
			if bytes.Compare(at(cut), left.Start) <= 0 || len(left.End) > 0 && bytes.Compare(at(cut), left.End) >= 0 {
				continue // a change of replicas
			}
			right := left.CloneVT()
			right.Id, right.Start, left.End = uint64(n+2), at(cut), at(cut)
			now, history = append(now, right), append(history, right)
		}
		told := rapid.SliceOfN(rapid.SampledFrom(history), 1, 20).Draw(t, "told")
		var next *metapb.RangeDescriptor
		m := &clustermap.Map{Ranges: []clustermap.Range{{ID: 1, Start: at(0), Replicas: []clustermap.Replica{{ID: 1, Disk: 1}}}}}
		r := router.New(router.Options{
			Topology: &topology{m: m, changed: make(chan struct{})}, Clock: router.Wall{},
			Target: func(disk.ID) (router.Target, bool) {
				return target{func(*metapb.Command) (*metapb.Result, error) { return &metapb.Result{Range: next}, nil }}, true
			},
		})
		for _, next = range told {
			if _, err := r.Apply(context.Background(), put("x", "id", false, nil), nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 100 {
			want := root
			for _, d := range told {
				if d.Generation > want.Generation && keys.Contains(d.Start, d.End, 3, []byte{byte(i)}) {
					want = d
				}
			}
			if g, ok := r.RangeOf(3, []byte{byte(i)}); !ok || g.ID != want.Id || g.Generation != want.Generation {
				t.Fatalf("position %d: %+v, want %v", i, g, want)
			}
		}
	})
}

// TestRangeOfNothing: without a range there is none.
func TestRangeOfNothing(t *testing.T) {
	r := router.New(router.Options{Topology: &topology{m: new(clustermap.Map), changed: make(chan struct{})}, Clock: router.Wall{}})
	if g, ok := r.RangeOf(3, nil); ok {
		t.Errorf("%+v", g)
	}
}

// TestSplitsUnderLoad splits real ranges again and again under writers whose map is never told: every write succeeds once, none
// waits long, and a list shows them all in their order.
func TestSplitsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keys.Position(1, nil))
		defer c.close()
		for _, d := range c.disks {
			d.SetHook(func(_ context.Context, op string) error {
				if op == "sync" {
					time.Sleep(time.Millisecond) // virtual
				}
				return nil
			})
		}
		if _, err := c.Apply(t.Context(), put("first", "first", true, nil), nil); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for w := range 8 {
			all.Go(func() {
				for n := range 100 {
					key := fmt.Sprintf("%02d-%d", n, w)
					begin := time.Now()
					r, err := c.Apply(t.Context(), put(key, key, true, []byte(key)), []byte(key))
					if err != nil || r.Status != metapb.Status_OK {
						t.Errorf("%s: %v %v", key, r, err)
					}
					if d := time.Since(begin); d > time.Second {
						t.Errorf("%s took %v", key, d)
					}
				}
			})
		}
		for i := range 9 {
			at := fmt.Appendf(nil, "%02d", 10*(i+1))
			g, _ := c.RangeOf(3, at)
			r, err := c.Apply(t.Context(), &metapb.Command{
				Format: 1, Bucket: 3, Key: at,
				Op: &metapb.Command_Split{Split: &metapb.SplitRange{IfGeneration: g.Generation, At: keys.Position(3, at), NewRange: uint64(10 + i)}},
			}, nil)
			if err != nil || r.Status != metapb.Status_OK {
				t.Fatal(r, err)
			}
			time.Sleep(5 * time.Millisecond) // virtual
		}
		all.Wait()
		a, err := c.Query(t.Context(), &metapb.Query{
			Format: 1, Bucket: 3, Generation: 1, Op: &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Limit: 10000}},
		})
		if err != nil || len(a.Items) != 801 || a.Truncated || !slices.IsSortedFunc(a.Items, func(x, y *metapb.ListItem) int { return bytes.Compare(x.Key, y.Key) }) {
			t.Errorf("%d keys, %v", len(a.GetItems()), err)
		}
		batch := new(metapb.Batch)
		for n := range 100 {
			batch.Commands = append(batch.Commands, put(fmt.Sprintf("%02d-0", 99-n), fmt.Sprint("again ", n), true, nil))
		}
		r, err := c.Apply(t.Context(), &metapb.Command{Format: 1, Bucket: 3, Op: &metapb.Command_Batch{Batch: batch}}, nil)
		if err != nil || len(r.Results) != 100 {
			t.Fatal(r, err)
		}
		for i, one := range r.Results {
			if one.Status != metapb.Status_PRECONDITION_FAILED {
				t.Errorf("key %d of a batch: %v", i, one)
			}
		}
	})
}
