package router_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/router"
	"github.com/contender/contender/metashards/store"
)

// batchOf returns puts at keys as one batch, with the payloads: the key again and again, of a length of its own each.
func batchOf(names ...string) (*metapb.Command, []byte) {
	batch, payload := new(metapb.Batch), []byte(nil)
	for i, n := range names {
		p := []byte(strings.Repeat(n, i%4))
		batch.Commands = append(batch.Commands, put(n, fmt.Sprintf("%d %s", i, n), false, p))
		payload = append(payload, p...)
	}
	return &metapb.Command{Format: 1, Bucket: 3, Key: []byte(names[0]), Op: &metapb.Command_Batch{Batch: batch}}, payload
}

// wantResults demands the answers of a batch of batchOf in the order of its commands.
func (s *space) wantResults(r *metapb.Result, err error, names ...string) {
	s.t.Helper()
	if err != nil || r.Status != metapb.Status_OK || len(r.Results) != len(names) || int(r.Time) != len(names) {
		s.t.Fatalf("%v %v", r, err)
	}
	for i, n := range names {
		if want := n + " " + strings.Repeat(n, i%4); r.Results[i].Detail != want || r.Results[i].Status != metapb.Status_OK {
			s.t.Errorf("answer %d is %v, want %q", i, r.Results[i], want)
		}
	}
}

// retries returns the keys whose commands came as retries.
func (s *space) retries() (names []string) {
	for id := range s.retry {
		_, key, _ := strings.Cut(id, " ")
		names = append(names, key)
	}
	slices.Sort(names)
	return names
}

// TestBatchOverRanges: a batch over three ranges, one of which is split while the batch comes and one of which changes its
// leader with the answer on its way, is carried out once, payloads with their commands, and answered in its order.
func TestBatchOverRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t, "h", "p")
		split, moved := false, false
		s.meddle = func(rangeID uint64, _ *metapb.Command) (*metapb.Result, error) {
			if rangeID == 3 && !split {
				split = true
				s.split("x", 4)
			}
			return nil, nil
		}
		s.after = func(rangeID uint64, _ *metapb.Command) error {
			if rangeID != 2 || moved {
				return nil
			}
			moved = true
			s.leads[2] = 3
			return &store.Refusal{Reason: store.Indeterminate, Range: 2, Leader: 3}
		}
		names := []string{"z", "a", "k", "q", "b", "y", "l", "q", "a", "x", "w", "m"}
		c, payload := batchOf(names...)
		r, err := s.Apply(t.Context(), c, payload)
		s.wantResults(r, err, names...)
		asked := s.take()
		slices.Sort(asked)
		if want := []string{"1 on 1", "2 on 1", "2 on 3", "3 on 1", "4 on 1"}; !slices.Equal(asked, want) {
			t.Errorf("asked %q, want %q", asked, want)
		}
		if got := s.retries(); !slices.Equal(got, []string{"k", "l", "m"}) {
			t.Errorf("%q were marked as retries", got)
		}
		if a, b := slices.Index(s.order, "1 a"), slices.Index(s.order, "8 a"); a > b {
			t.Errorf("carried out in the order %q", s.order)
		}
		if c.Retry || slices.ContainsFunc(c.GetBatch().Commands, func(c *metapb.Command) bool { return c.Retry }) {
			t.Error("the caller's commands were changed")
		}
	})
}

// TestBatchKeepsRetry catches the mutant batchretry: what may have been carried out by a range stays a retry for the range that
// took over a part of it, and what was refused for certain stays none.
func TestBatchKeepsRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t, "h")
		s.after = func(rangeID uint64, _ *metapb.Command) error {
			s.after = nil
			s.split("s", 3)
			return &store.Refusal{Reason: store.Indeterminate, Range: 2}
		}
		names := []string{"z", "k", "y", "l"}
		c, payload := batchOf(names...)
		r, err := s.Apply(t.Context(), c, payload)
		s.wantResults(r, err, names...)
		if got := s.retries(); !slices.Equal(got, []string{"k", "l", "y", "z"}) {
			t.Errorf("%q were marked as retries", got)
		}
		s.split("v", 4)
		names = []string{"z", "t"}
		c, payload = batchOf(names...)
		for i, sub := range c.GetBatch().Commands {
			sub.RequestId = fmt.Sprintf("%d-%s", i, names[i])
		}
		if r, err := s.Apply(t.Context(), c, payload); err != nil || len(r.Results) != 2 {
			t.Fatal(r, err)
		}
		if got := s.retries(); len(got) != 4 {
			t.Errorf("%q were marked as retries", got)
		}
	})
}

// TestBatchInOneRound: a batch of one range is one command, and one that is wrong about a split goes on without a pause.
func TestBatchInOneRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		names := []string{"z", "a", "k"}
		c, payload := batchOf(names...)
		r, err := s.Apply(t.Context(), c, payload)
		s.wantResults(r, err, names...)
		if asked := s.take(); !slices.Equal(asked, []string{"1 on 1"}) {
			t.Errorf("asked %q", asked)
		}
		s.split("f", 2)
		s.split("p", 3)
		begin := time.Now()
		s.done, s.order = map[string]string{}, nil
		r, err = s.Apply(t.Context(), c, payload)
		s.wantResults(r, err, names...)
		if asked := s.take(); len(asked) != 3 || time.Since(begin) > 0 {
			t.Errorf("asked %q in %v", asked, time.Since(begin))
		}
	})
}

// TestBatchWaitsForMap: parts whose owner nobody names wait for the map, and what was answered is not sent again.
func TestBatchWaitsForMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpace(t)
		s.split("m", 2)
		s.leads[1] = 0
		silent := map[string]int{}
		s.Router = router.New(router.Options{
			Topology: s.top, Clock: router.Wall{},
			Target: func(disk.ID) (router.Target, bool) {
				return target{func(c *metapb.Command) (*metapb.Result, error) {
					out := new(metapb.Result)
					for _, sub := range c.GetBatch().Commands {
						silent[string(sub.Key)]++
						r := &metapb.Result{Detail: string(sub.Key)}
						if len(s.top.Map().Ranges) == 1 && string(sub.Key) >= "m" {
							r.Status = metapb.Status_WRONG_RANGE
						}
						out.Results = append(out.Results, r)
					}
					return out, nil
				}}, true
			},
		})
		begin := time.Now()
		time.AfterFunc(time.Second, func() { s.top.set(s.mapNow()) })
		c, payload := batchOf("z", "a")
		r, err := s.Apply(t.Context(), c, payload)
		if err != nil || len(r.Results) != 2 || r.Results[0].Detail != "z" || r.Results[1].Detail != "a" {
			t.Fatal(r, err)
		}
		if d := time.Since(begin); d != time.Second || silent["a"] != 1 || silent["z"] < 3 || silent["z"] > 30 {
			t.Errorf("%v in %v", silent, d)
		}
	})
}

// TestBatchFails walks what is said of a batch of which a part can't be carried out.
func TestBatchFails(t *testing.T) {
	gone := &store.Refusal{Reason: store.Unavailable}
	frozen := &metapb.Result{Results: []*metapb.Result{{Status: metapb.Status_FROZEN}}}
	tests := []struct {
		name   string
		meddle func(rangeID uint64, c *metapb.Command) (*metapb.Result, error)
		kind   metashards.Kind
	}{
		{"one part is done", func(id uint64, _ *metapb.Command) (*metapb.Result, error) {
			if id == 2 {
				return nil, gone
			}
			return nil, nil
		}, metashards.KindIndeterminate},
		{"nothing is done", func(uint64, *metapb.Command) (*metapb.Result, error) { return nil, gone }, metashards.KindUnavailable},
		{"the rest was refused", func(id uint64, _ *metapb.Command) (*metapb.Result, error) {
			if id == 2 {
				return nil, gone
			}
			return frozen, nil
		}, metashards.KindUnavailable},
		{"a part may be done", func(id uint64, c *metapb.Command) (*metapb.Result, error) {
			if id == 1 && !c.Retry {
				return nil, &store.Refusal{Reason: store.Indeterminate}
			}
			return nil, gone
		}, metashards.KindIndeterminate},
		{"a part makes no sense", func(id uint64, _ *metapb.Command) (*metapb.Result, error) {
			if id == 2 {
				return nil, &store.Refusal{Reason: store.Invalid}
			}
			return frozen, nil
		}, metashards.KindInvalid},
		{"nobody owns a part", func(id uint64, _ *metapb.Command) (*metapb.Result, error) {
			if id == 2 {
				return &metapb.Result{Results: []*metapb.Result{{Status: metapb.Status_WRONG_RANGE}}}, nil
			}
			return frozen, nil
		}, metashards.KindUnavailable},
		{"too few answers", func(uint64, *metapb.Command) (*metapb.Result, error) { return new(metapb.Result), nil }, metashards.KindIndeterminate},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSpace(t, "h")
				s.meddle = test.meddle
				c, payload := batchOf("z", "a")
				begin := time.Now()
				r, err := s.Apply(t.Context(), c, payload)
				if !isKind(err, test.kind) || r != nil || time.Since(begin) > 11*time.Second {
					t.Errorf("%v %v after %v", r, err, time.Since(begin))
				}
				if asked := s.take(); len(asked) > 1000 {
					t.Errorf("%d attempts", len(asked))
				}
			})
		})
	}
}

// TestBatchRefusedAsAWhole: what a range says of the batch it says of each command in it.
func TestBatchRefusedAsAWhole(t *testing.T) {
	s := newSpace(t, "h")
	s.meddle = func(id uint64, _ *metapb.Command) (*metapb.Result, error) {
		if id == 2 {
			return &metapb.Result{Status: metapb.Status_INVALID_REQUEST, Detail: "no"}, nil
		}
		return nil, nil
	}
	c, payload := batchOf("z", "a", "y")
	r, err := s.Apply(t.Context(), c, payload)
	if err != nil || len(r.Results) != 3 {
		t.Fatal(r, err)
	}
	for i, want := range []metapb.Status{metapb.Status_INVALID_REQUEST, metapb.Status_OK, metapb.Status_INVALID_REQUEST} {
		if r.Results[i].Status != want {
			t.Errorf("%d: %v", i, r.Results[i])
		}
	}
}

// TestBatchMakesNoSense: nothing of such a batch is sent.
func TestBatchMakesNoSense(t *testing.T) {
	s := newSpace(t, "h")
	sound := func() (*metapb.Command, []byte) { return batchOf("z", "a", "k") }
	for name, spoil := range map[string]func(*metapb.Command, []byte) []byte{
		"a command that is none": func(c *metapb.Command, p []byte) []byte { c.GetBatch().Commands[1].Op = nil; return p },
		"a payload of its own":   func(c *metapb.Command, p []byte) []byte { c.PayloadLength = 1; return append(p, 0) },
		"too few bytes":          func(_ *metapb.Command, p []byte) []byte { return p[1:] },
		"too many bytes":         func(_ *metapb.Command, p []byte) []byte { return append(p, 0) },
		"a batch within a batch": func(c *metapb.Command, p []byte) []byte {
			c.GetBatch().Commands[0].Op = &metapb.Command_Batch{Batch: new(metapb.Batch)}
			return p
		},
	} {
		c, payload := sound()
		payload = spoil(c, payload)
		if r, err := s.Apply(t.Context(), c, payload); !isKind(err, metashards.KindInvalid) || len(s.take()) > 0 {
			t.Errorf("%s: %v %v", name, r, err)
		}
	}
	r, err := s.Apply(t.Context(), &metapb.Command{Op: &metapb.Command_Batch{Batch: new(metapb.Batch)}}, nil)
	if err != nil || len(r.Results) > 0 || len(s.take()) > 0 {
		t.Errorf("nothing: %v %v", r, err)
	}
}

// slow answers a batch after a while and counts how many are under way.
type slow struct{ now, most *atomic.Int64 }

func (s slow) Query(context.Context, uint64, *metapb.Query) (*metapb.Answer, error) { panic("a query") }

func (s slow) Propose(_ context.Context, _ uint64, c *metapb.Command, _ []byte) (*metapb.Result, error) {
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for m := s.most.Load(); n > m && !s.most.CompareAndSwap(m, n); m = s.most.Load() {
	}
	time.Sleep(time.Millisecond) // virtual
	out := new(metapb.Result)
	for range c.GetBatch().GetCommands() {
		out.Results = append(out.Results, new(metapb.Result))
	}
	return out, nil
}

// TestBatchInParallel: the ranges of a batch are asked side by side, and never more than eight.
func TestBatchInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(clustermap.Map)
		var names []string
		for i := range 20 {
			key := fmt.Sprintf("k%02d", i)
			names = append(names, key)
			m.Ranges = append(m.Ranges, clustermap.Range{
				ID: uint64(i + 1), Start: keys.Position(3, []byte(key)), End: keys.Position(3, fmt.Appendf(nil, "k%02d", i+1)),
				Replicas: []clustermap.Replica{{ID: 1, Disk: 1}},
			})
		}
		s := slow{new(atomic.Int64), new(atomic.Int64)}
		r := router.New(router.Options{
			Topology: &topology{m: m, changed: make(chan struct{})}, Clock: router.Wall{},
			Target: func(disk.ID) (router.Target, bool) { return s, true },
		})
		begin := time.Now()
		c, payload := batchOf(names...)
		if res, err := r.Apply(t.Context(), c, payload); err != nil || len(res.Results) != 20 {
			t.Fatal(res, err)
		}
		if d := time.Since(begin); d != 3*time.Millisecond || s.most.Load() != 8 {
			t.Errorf("%d at once, %v", s.most.Load(), d)
		}
	})
}
