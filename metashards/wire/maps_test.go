package wire_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/wire"
)

// text is a map that is only a number and a text.
type text struct {
	mu       sync.Mutex
	revision uint64
	b        string
	taken    []string
	picky    bool // wants whole maps
}

func (m *text) Revision() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revision
}

func (m *text) Encoded() (uint64, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revision, []byte(m.b), nil
}

func (m *text) Take(from clustermap.NodeID, revision, base uint64, b []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if revision <= m.revision {
		return true
	}
	if base != 0 && (m.picky || base != m.revision) {
		return false
	}
	m.taken = append(m.taken, fmt.Sprintf("%d from node %d on %d", revision, from, base))
	if base != 0 {
		m.b += string(b)
	} else {
		m.b = string(b)
	}
	m.revision = revision
	return true
}

func (m *text) set(revision uint64, b string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision, m.b = revision, b
}

// TestMaps: a newer map reaches the other nodes: offered, whole or as a change, or by the beats.
func TestMaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false)
		defer n.close()
		maps := map[clustermap.NodeID]*text{1: {}, 2: {}, 3: {picky: true}, 4: {revision: 1, b: "first"}}
		n.tune = func(o *wire.Options) { o.Maps = maps[o.Node] }
		var nodes []*node
		for id := range clustermap.NodeID(4) {
			nodes = append(nodes, n.start(id+1))
		}
		all := func(what, b string) {
			t.Helper()
			for id, m := range maps {
				if _, got, _ := m.Encoded(); string(got) != b {
					t.Errorf("%s: node %d has %q, want %q", what, id, got, b)
				}
			}
		}
		// Node 4 has a newer one: it tells in its Hello to node 1, and node 1 in its own to the others.
		nodes[3].target(10)
		synctest.Wait()
		nodes[0].target(20)
		nodes[0].target(30)
		nodes[0].target(40)
		synctest.Wait()
		all("hello", "first")
		begin := time.Now()
		maps[1].set(2, "first, second")
		if err := nodes[0].peers.OfferMap(2, 1, []byte(", second")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		all("a change", "first, second")
		maps[1].set(3, "third")
		if err := nodes[0].peers.OfferMap(3, 0, []byte("third")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		all("a whole map", "third")
		if !time.Now().Equal(begin) {
			t.Error("an offer takes time")
		}
		maps[3].set(4, "fourth")
		time.Sleep(3 * time.Second) // virtual
		all("beats", "fourth")
		want := fmt.Sprint([]string{"1 from node 1 on 0", "2 from node 1 on 1", "3 from node 1 on 0", "4 from node 1 on 0"})
		if got := fmt.Sprint(maps[2].taken); got != want {
			t.Errorf("node 2 took %s, want %s", got, want)
		}
		if revision, b, err := nodes[1].peers.FetchMap(t.Context(), 4); revision != 4 || string(b) != "fourth" || err != nil {
			t.Error(revision, b, err)
		}
	})
}

func realMap(revision uint64, change func(*clustermap.Map)) *clustermap.Map {
	m := &clustermap.Map{Format: clustermap.Format, Revision: revision, Cluster: cluster.String(), Nodes: []clustermap.Node{
		{ID: 1, Peer: "one:1"}, {ID: 2, Peer: "two:2"}, {ID: 3},
	}, Disks: []clustermap.Disk{{ID: 10, Node: 1, Device: "a"}, {ID: 20, Node: 2, Device: "a"}}}
	if change != nil {
		change(m)
	}
	return m
}

// TestMapCopy: a copy takes newer whole maps that are right, and gives out what it holds.
func TestMapCopy(t *testing.T) {
	held := mapcopy.New(realMap(5, nil))
	c := wire.NewMapCopy(held, slog.New(slog.DiscardHandler))
	for _, x := range []struct {
		what           string
		revision, base uint64
		m              *clustermap.Map
		taken          bool
		holds          uint64
	}{
		{"older", 4, 0, realMap(4, nil), true, 5},
		{"same", 5, 0, realMap(5, nil), true, 5},
		{"a whole map for a change", 6, 5, realMap(6, nil), false, 5},
		{"another revision inside", 6, 0, realMap(7, nil), false, 5},
		{"another cluster", 6, 0, realMap(6, func(m *clustermap.Map) { m.Cluster = "00000000000000000000000000000000" }), false, 5},
		{"not valid", 6, 0, realMap(6, func(m *clustermap.Map) { m.Disks[0].Node = 7 }), false, 5},
		{"newer", 7, 0, realMap(7, nil), true, 7},
	} {
		b, err := x.m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Take(2, x.revision, x.base, b); got != x.taken || c.Revision() != x.holds {
			t.Errorf("%s: %v, now %d", x.what, got, c.Revision())
		}
	}
	if c.Take(2, 9, 0, []byte("{")) {
		t.Error("garbage taken")
	}
	revision, b, err := c.Encoded()
	m, e := clustermap.Unmarshal(b)
	if revision != 7 || err != nil || e != nil || m.Revision != 7 {
		t.Error(revision, err, e)
	}
}

// wide is a map of so many disks.
func wide(revision uint64, disks int) *clustermap.Map {
	return realMap(revision, func(m *clustermap.Map) {
		m.Disks = nil
		for id := range disks {
			m.Disks = append(m.Disks, clustermap.Disk{ID: disk.ID(id + 1), Node: 1, Device: "a", CapacityBytes: int64(revision)})
			if id > 1 {
				m.Disks[id].CapacityBytes = 1 // only the first two differ from revision to revision
			}
		}
	})
}

// TestMapCopyOffersChanges: what one copy offers the other takes, if it holds the map that the change is for.
func TestMapCopyOffersChanges(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	one, two := mapcopy.New(wide(1, 50)), mapcopy.New(wide(1, 50))
	from, to := wire.NewMapCopy(one, logger), wire.NewMapCopy(two, logger)
	same := func(what string) {
		t.Helper()
		_, a, e := from.Encoded()
		if _, b, err := to.Encoded(); err != nil || e != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %s, want %s", what, b, a)
		}
	}
	offer := func(what string, since, wantBase uint64, taken bool) {
		t.Helper()
		revision, base, b, err := from.Offerable(since)
		if err != nil || revision != from.Revision() || base != wantBase {
			t.Fatalf("%s: revision %d on %d, %v", what, revision, base, err)
		}
		if _, whole, _ := from.Encoded(); base != 0 && len(b) >= len(whole) || base == 0 && !bytes.Equal(b, whole) {
			t.Errorf("%s: %d bytes on %d, the map has %d", what, len(b), base, len(whole))
		}
		if got := to.Take(1, revision, base, b); got != taken {
			t.Errorf("%s: taken is %v", what, got)
		}
	}
	offer("nothing new", 1, 0, true)
	one.Offer(wide(2, 50))
	offer("a change", 1, 1, true)
	same("a change")
	one.Offer(wide(3, 50))
	one.Offer(wide(4, 50))
	offer("for a map that is not held", 3, 3, false)
	offer("two at once", 2, 2, true)
	same("two at once")
	for revision := uint64(5); revision < 20; revision++ {
		one.Offer(wide(revision, 50))
	}
	offer("of one long gone", 4, 0, true)
	same("of one long gone")
	one.Offer(wide(20, 50))
	offer("of one that never was", 77, 0, true)
	one.Offer(wide(21, 2))
	offer("where all changed", 20, 0, true)
	same("where all changed")

	two.Offer(wide(30, 3)) // another history, which must not be: it is found out
	one.Offer(wide(30, 2))
	one.Offer(realMap(31, func(m *clustermap.Map) { *m = *wide(30, 2); m.Revision = 31 }))
	d, err := clustermap.Diff(one.At(30), one.At(31))
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Marshal()
	if err != nil || to.Take(1, 31, 30, b) || to.Revision() != 30 {
		t.Errorf("taken on another map: %v", err)
	}
	if to.Take(1, 31, 30, []byte("{")) {
		t.Error("garbage taken")
	}
}

// TestMapDirectory: the directory follows the map.
func TestMapDirectory(t *testing.T) {
	held := mapcopy.New(realMap(5, nil))
	d := wire.NewMapDirectory(held)
	if n, ok := d.NodeOf(20); n != 2 || !ok {
		t.Error(n, ok)
	}
	if _, ok := d.NodeOf(30); ok {
		t.Error("a disk that is not there")
	}
	if a, ok := d.Address(2); a != "two:2" || !ok {
		t.Error(a, ok)
	}
	for _, id := range []clustermap.NodeID{3, 4} {
		if a, ok := d.Address(id); ok {
			t.Errorf("node %v: %q", id, a)
		}
	}
	held.Offer(realMap(6, func(m *clustermap.Map) { m.Nodes[1].Peer, m.Disks[1].Node = "moved:2", 1 }))
	if a, _ := d.Address(2); a != "moved:2" {
		t.Error(a)
	}
	if n, _ := d.NodeOf(20); n != 1 {
		t.Error(n)
	}
}
