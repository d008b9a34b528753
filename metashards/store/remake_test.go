package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

// comparing has replicas compared every two seconds, but not where nothing has changed.
func comparing(c *store.Config) { c.CompareTicks = 20 }

// damage changes a row of a range on one disk behind the replica's back, once that has applied all: nil takes the row away.
func (g *group) damage(i int, row, value []byte) {
	g.t.Helper()
	for d := g.disks[i].ID(); ; {
		time.Sleep(200 * time.Millisecond) // virtual: the status is as of the last tick
		if s := g.stores[i].Status(); s.Replicas[0].Err != nil || s.Replicas[0].Role == "leader" {
			break
		}
		st := g.stores[g.leader()].Status().Replicas[0]
		f := slices.IndexFunc(st.Followers, func(f replica.Follower) bool { return f.Disk == d })
		if s := g.stores[i].Status().Replicas[0]; f >= 0 && st.Followers[f].Lag == 0 && s.Applied == st.Applied {
			break
		}
	}
	g.spoil(i, row, value)
}

// spoil is damage at once.
func (g *group) spoil(i int, row, value []byte) {
	g.t.Helper()
	b := g.disks[i].State().NewBatch()
	err := b.Delete(row)
	if value != nil {
		err = b.Set(row, value)
	}
	if err := errors.Join(err, b.Commit()); err != nil {
		g.t.Fatal(err)
	}
}

// rows returns all rows of the range's keys on a disk.
func (g *group) rows(i int) (out []disk.Row) {
	g.t.Helper()
	s := g.disks[i].State().Snapshot()
	defer s.Close()
	it, err := s.Iter([]byte{byte(keys.Current)}, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		out = append(out, disk.Row{Key: bytes.Clone(it.Key()), Value: bytes.Clone(it.Value())})
	}
	return out
}

func sameRows(a, b []disk.Row) bool {
	return slices.EqualFunc(a, b, func(x, y disk.Row) bool { return bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Value, y.Value) })
}

// until waits for something.
func (g *group) until(what string, d time.Duration, ok func() bool) {
	g.t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(100 * time.Millisecond) { // virtual
		if time.Now().After(end) {
			for _, s := range g.stores {
				g.t.Logf("%+v", s.Status())
			}
			g.t.Fatalf("not in %v: %s", d, what)
		}
	}
}

// differing says how many replicas are told to differ, by any store.
func (g *group) differing() (n int) {
	for _, s := range g.stores {
		n += s.Status().Differing
	}
	return n
}

// mended waits until the replica on one disk was remade, and no difference is told any more, and compares all rows.
func (g *group) mended(i int, times uint64) {
	g.t.Helper()
	g.until("remade", 3*time.Minute, func() bool { return g.stores[i].Status().Remade == times && g.differing() == 0 })
	for n, s := range g.stores {
		if st := s.Status(); n != i && st.Remade != 0 || n == i && st.RemadeAt.IsZero() {
			g.t.Errorf("store %d: %d remade, at %v", n, st.Remade, st.RemadeAt)
		}
	}
	want := g.applied(g.leader())
	g.await(i, "caught up", func(s replica.Status) bool { return s.Applied >= want })
	for n := range g.stores {
		if !sameRows(g.rows(n), g.rows(g.leader())) {
			g.t.Errorf("store %d has other rows than the leader", n)
		}
	}
}

// TestDifferingFollowerIsRemade: a follower whose rows are not those of most, whatever is wrong with them, is found, told and
// made anew under writes that go on; it keeps its id and its vote, and nothing that was acknowledged is missed afterwards,
// even if only it and one other are left.
func TestDifferingFollowerIsRemade(t *testing.T) {
	row := keys.KeyRow(keys.Current, 3, []byte("k7"))
	for what, damage := range map[string]func(g *group, i int){
		"a row is lost":      func(g *group, i int) { g.damage(i, row, nil) },
		"a row is rubbish":   func(g *group, i int) { g.damage(i, row, []byte("rubbish")) },
		"a row is too many":  func(g *group, i int) { g.damage(i, keys.KeyRow(keys.Current, 3, []byte("k7x")), []byte{}) },
		"versions are wrong": func(g *group, i int) { g.damageVersions(i) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, 3, comparing)
				defer g.close()
				for k := range 50 {
					g.mustPut(fmt.Sprint("k", k), 1, []byte("v"))
				}
				bad := (g.leader() + 1) % 3
				damage(g, bad)
				n := g.writing(func() {
					g.until("told", time.Minute, func() bool { return g.differing() > 0 })
					g.until("remade", time.Minute, func() bool { return g.stores[bad].Status().Remade > 0 })
				})
				g.mended(bad, 1)
				if d := g.stores[g.leader()].Status(); d.Differed == 0 {
					t.Errorf("the alarm was not counted: %+v", d)
				}
				if id := g.stores[bad].Status().Replicas[0].Descriptor.Replicas[bad].Id; id != uint64(bad+1) {
					t.Errorf("replica %d has become %d", bad+1, id)
				}
				g.crash((bad + 1) % 3)
				g.mustGet("more", fmt.Append(nil, "v", n))
				g.mustGet("k7", []byte("v"))
			})
		})
	}
}

// writing has two clients write, each one thing after the other, while fn runs, and returns what one of them wrote last to the key "more".
func (g *group) writing(fn func()) (last int) {
	g.t.Helper()
	var all sync.WaitGroup
	stores := slices.Clone(g.stores) // one that is started again is not asked
	ended := make(chan struct{})
	write := func(key string) (n int) {
		for n = 2; ; n++ {
			select {
			case <-ended:
				return n - 1
			default:
			}
			for i, tries := 0, 0; ; i, tries = (i+1)%len(stores), tries+1 {
				payload := fmt.Append(nil, "v", n)
				if r, err := stores[i].Propose(g.t.Context(), rangeID, put(key, n, payload), payload); err == nil && r.Status == metapb.Status_OK {
					break
				}
				if tries == 3000 {
					g.t.Errorf("put %s: no success", key)
					return n
				}
				time.Sleep(10 * time.Millisecond) // virtual
			}
			time.Sleep(20 * time.Millisecond) // virtual
		}
	}
	all.Go(func() { last = write("more") })
	all.Go(func() { write("other") })
	end := sync.OnceFunc(func() {
		close(ended)
		all.Wait()
	})
	defer end() // where the test fails, too
	fn()
	end()
	return last
}

// damageVersions writes rubbish over half of the version rows on a disk, and takes the others away.
func (g *group) damageVersions(i int) {
	g.damage(i, keys.KeyRow(keys.Current, 3, []byte("k7")), nil)
	for n, r := range g.rows(i) {
		switch {
		case r.Key[0] != byte(keys.Versions):
		case n%2 == 0:
			g.spoil(i, r.Key, []byte("rubbish"))
		default:
			g.spoil(i, r.Key, nil)
		}
	}
}

// TestDifferingLeaderIsRemade: a leader whose rows are not those of most hands over to one that has those, and is remade.
func TestDifferingLeaderIsRemade(t *testing.T) {
	for _, n := range []int{3, 5} {
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t, n, comparing)
			defer g.close()
			for k := range 20 {
				g.mustPut(fmt.Sprint("k", k), 1, []byte("v"))
			}
			bad := g.leader()
			g.damage(bad, keys.KeyRow(keys.Current, 3, []byte("k7")), nil)
			g.mustPut("more", 1, []byte("v"))
			g.mended(bad, 1)
			if g.leader() == bad {
				t.Error("it leads still, or again")
			}
			g.mustGet("k7", []byte("v"))
		})
	}
}

// TestTwoOfFiveDiffer: they are remade one after the other.
func TestTwoOfFiveDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 5, comparing)
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		a, b := (g.leader()+1)%5, (g.leader()+2)%5
		g.damage(a, keys.KeyRow(keys.Current, 3, []byte("lost")), []byte("x"))
		g.damage(b, keys.KeyRow(keys.Current, 3, []byte("lost")), []byte("y"))
		g.mustPut("more", 1, []byte("v"))
		g.until("both", 5*time.Minute, func() bool {
			x, y := g.stores[a].Status(), g.stores[b].Status()
			if x.Replicas[0].Role == "installing" && y.Replicas[0].Role == "installing" {
				t.Fatal("both at once")
			}
			return x.Remade == 1 && y.Remade == 1 && g.differing() == 0
		})
	})
}

// TestWhereMostDoNotAgree: two replicas that differ, or three of which each differs, are told and left as they are: nobody
// knows which is right. It catches the mutant nomajority.
func TestWhereMostDoNotAgree(t *testing.T) {
	for _, n := range []int{2, 3} {
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t, n, comparing)
			defer g.close()
			g.mustPut("k", 1, []byte("v"))
			leader := g.leader()
			g.applied(leader)
			before := make([][]disk.Row, n)
			for i := range n {
				if i != leader {
					g.damage(i, keys.KeyRow(keys.Current, 3, []byte("lost")), fmt.Append(nil, "on ", i))
				}
			}
			g.mustPut("more", 1, []byte("v"))
			g.until("told", time.Minute, func() bool { return g.differing() > 0 })
			for i := range n {
				before[i] = g.rows(i)
			}
			time.Sleep(3 * time.Minute) // virtual
			for i, s := range g.stores {
				if st := s.Status(); st.Remade > 0 || !sameRows(before[i], g.rows(i)) {
					t.Errorf("store %d of %d: %d remade", i, n, st.Remade)
				}
			}
			if g.differing() == 0 || g.leader() != leader {
				t.Errorf("%d differ, store %d leads, %d led", g.differing(), g.leader(), leader)
			}
		})
	}
}

// TestDiffersAgain: a replica that is damaged again and again is remade at ever longer intervals, and told meanwhile.
func TestDiffersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, comparing)
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		bad := (g.leader() + 1) % 3
		var at []time.Time
		begin := time.Now()
		for n := 2; time.Since(begin) < 9*time.Minute; n++ {
			g.mustPut("more", n, []byte("v"))
			g.damage(bad, keys.KeyRow(keys.Current, 3, []byte("k")), []byte("x"))
			time.Sleep(time.Second) // virtual
			if r := g.stores[bad].Status().Remade; int(r) > len(at) {
				at = append(at, time.Now())
			}
		}
		if len(at) < 3 || len(at) > 6 {
			t.Errorf("remade %d times: %v", len(at), at)
		}
		for i := 2; i < len(at); i++ {
			if a, b := at[i-1].Sub(at[i-2]), at[i].Sub(at[i-1]); b < a*3/2 {
				t.Errorf("remade after %v, and again after %v", a, b)
			}
		}
		if g.differing() == 0 {
			t.Error("not told")
		}
	})
}

// TestReplicaThatIsRightAgain: a replica that was told to differ, and holds again what most hold without having been remade,
// is told so: the alarm ends. It catches the mutant noacquittal.
func TestReplicaThatIsRightAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(filter)
		g := newGroup(t, 3, func(c *store.Config) {
			comparing(c)
			if f.Sender == nil {
				f.Sender = c.Sender
			}
			c.Sender = f
		})
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		bad, row := (g.leader()+1)%3, keys.KeyRow(keys.Current, 3, []byte("k7x"))
		f.hold(func(m *transport.Message) bool { return m.Anew })
		g.damage(bad, row, []byte{})
		g.mustPut("more", 1, nil)
		g.until("knows that it differs", time.Minute, func() bool { return g.stores[bad].Status().Differing > 0 })
		g.spoil(bad, row, nil)
		g.until("the alarm ends", 3*time.Minute, func() bool { return g.differing() == 0 })
		if n := g.stores[bad].Status().Remade; n != 0 {
			t.Errorf("remade %d times", n)
		}
	})
}

// TestDifferingReplicaKeepsItsLog: the third replica is away while the one that differs is remade, and comes back before that
// is over; what was acknowledged before and meanwhile is there when the leader goes afterwards.
func TestDifferingReplicaKeepsItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, comparing)
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		leader := g.leader()
		bad, away := (leader+1)%3, (leader+2)%3
		g.damage(bad, keys.KeyRow(keys.Current, 3, []byte("k")), nil)
		g.disks[bad].SetHook(func(_ context.Context, op string) error {
			if op == "ingest" {
				time.Sleep(8 * time.Second) // virtual
			}
			return nil
		})
		last := g.writing(func() {
			g.await(bad, "being remade", func(s replica.Status) bool { return s.Role == "installing" })
			g.crash(away)
			time.Sleep(3 * time.Second) // virtual
			g.restart(away)
			g.until("remade", time.Minute, func() bool { return g.stores[bad].Status().Remade == 1 })
		})
		g.mended(bad, 1)
		g.crash(g.leader())
		g.stores[leader] = g.stores[bad] // its last status says still that it leads
		g.mustGet("more", fmt.Append(nil, "v", last))
		g.mustGet("k", []byte("v"))
	})
}

// filter passes on the messages that it does not keep.
type filter struct {
	transport.Sender
	mu   sync.Mutex
	keep func(*transport.Message) bool // nil: none
	kept []*transport.Message
}

func (f *filter) Send(m *transport.Message) {
	f.mu.Lock()
	if f.keep != nil && f.keep(m) {
		f.kept = append(f.kept, m)
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	f.Sender.Send(m)
}

// hold keeps messages from now on, and passes those on that were kept before.
func (f *filter) hold(keep func(*transport.Message) bool) {
	f.mu.Lock()
	kept := f.kept
	f.keep, f.kept = keep, nil
	f.mu.Unlock()
	for _, m := range kept {
		f.Sender.Send(m)
	}
}

// TestRemadeReplicaForgetsNothing: the replica that is to be remade has acknowledged an entry, and its word is still on its
// way: the leader has not applied that entry, so no snapshot has it. Once the word arrives the write is acknowledged, and it
// must be there when the leader goes and the third, which has never heard of it, comes back. It catches the mutant
// remakeforgets.
func TestRemadeReplicaForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(filter)
		g := newGroup(t, 3, func(c *store.Config) {
			comparing(c)
			if f.Sender == nil {
				f.Sender = c.Sender
			}
			c.Sender = f
		})
		defer g.close()
		g.mustPut("k", 1, []byte("v"))
		leader := g.leader()
		bad, away := (leader+1)%3, (leader+2)%3
		from := g.disks[bad].ID()
		f.hold(func(m *transport.Message) bool { return m.Remake != nil })
		g.damage(bad, keys.KeyRow(keys.Current, 3, []byte("k")), nil)
		g.mustPut("more", 1, nil)
		g.until("told", time.Minute, func() bool { return g.differing() > 0 })
		g.crash(away)
		acknowledges := func(m *transport.Message) bool {
			return m.From == from && m.Raft.GetType() == raftpb.MsgAppResp && !m.Raft.GetReject()
		}
		f.mu.Lock()
		f.keep = func(m *transport.Message) bool { return m.Remake != nil || acknowledges(m) }
		f.mu.Unlock()
		acked := make(chan error, 1)
		go func() {
			_, err := g.stores[leader].Propose(t.Context(), rangeID, put("late", 1, nil), nil)
			acked <- err
		}()
		synctest.Wait()
		f.mu.Lock()
		kept := f.kept
		f.kept, f.keep = nil, func(m *transport.Message) bool {
			return acknowledges(m) || m.To == from && len(m.Raft.GetEntries()) > 0
		}
		f.mu.Unlock()
		for _, m := range kept {
			if m.Remake != nil {
				g.local.Send(m)
			}
		}
		time.Sleep(3 * time.Second) // virtual
		for _, m := range kept {
			if m.Remake == nil {
				g.local.Send(m)
			}
		}
		if err := <-acked; err != nil {
			t.Fatal(err)
		}
		g.crash(leader)
		g.stores[leader] = g.stores[bad] // its last status says still that it leads
		f.hold(nil)
		g.restart(away)
		g.until("one of the others leads", 20*time.Second, func() bool {
			return g.stores[bad].Status().Replicas[0].Role == "leader" || g.stores[away].Status().Replicas[0].Role == "leader"
		})
		g.mustGet("late", nil)
		g.restart(leader)
		g.mended(bad, 1)
		g.mustGet("k", []byte("v"))
	})
}
