package wire_test

import (
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

func (m *text) Encoded(uint64) (revision, base uint64, b []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revision, 0, []byte(m.b), nil
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
				if _, _, got, _ := m.Encoded(0); string(got) != b {
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
		if revision, _, b, err := nodes[1].peers.FetchMap(t.Context(), 4, 1); revision != 4 || string(b) != "fourth" || err != nil {
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
	revision, _, b, err := c.Encoded(0)
	m, e := clustermap.Unmarshal(b)
	if revision != 7 || err != nil || e != nil || m.Revision != 7 {
		t.Error(revision, err, e)
	}
}

// TestMapCopySendsChanges: who lacks some changes gets those, if they are known, and else the map; what does not follow the map
// that is held, or comes out otherwise, is not taken.
func TestMapCopySendsChanges(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	named := func(revision uint64, name string) *clustermap.Map {
		return realMap(revision, func(m *clustermap.Map) { m.Nodes[0].Name = name })
	}
	one, two := mapcopy.New(named(1, "a")), mapcopy.New(named(1, "a"))
	from, to := wire.NewMapCopy(one, logger), wire.NewMapCopy(two, logger)
	change := func(name string) *clustermap.Delta {
		t.Helper()
		d, err := clustermap.Diff(one.Map(), named(one.Map().Revision+1, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := one.Map().Apply(d)
		if err != nil {
			t.Fatal(err)
		}
		one.Offer(m, d)
		return d
	}
	send := func(what string, since, wantBase uint64, taken bool) {
		t.Helper()
		revision, base, b, err := from.Encoded(since)
		if err != nil || revision != one.Map().Revision || base != wantBase {
			t.Fatalf("%s: revision %d on %d, %v", what, revision, base, err)
		}
		if got := to.Take(1, revision, base, b); got != taken {
			t.Errorf("%s: taken is %v", what, got)
		}
		if same := two.Map().Revision == one.Map().Revision && reflect.DeepEqual(two.Map().Nodes, one.Map().Nodes); same != taken {
			t.Errorf("%s: %+v, want %+v", what, two.Map().Nodes[0], one.Map().Nodes[0])
		}
	}
	change("b")
	send("a change", 1, 1, true)
	change("c")
	change("d")
	send("for a map that is not held", 3, 3, false)
	send("two at once", 2, 2, true)
	one.Offer(named(9, "e"))
	send("whole", 4, 0, true)
	change("f")
	send("after a whole one", 9, 9, true)

	other := named(20, "g") // another history, which must not be
	other.Nodes[1].Name = "x"
	two.Offer(other)
	one.Offer(named(20, "g"))
	change("h")
	send("on another map", 20, 20, false)
	if to.Take(1, 21, 20, []byte("{")) {
		t.Error("garbage taken")
	}
	send("whole after all", 1, 0, true)
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
