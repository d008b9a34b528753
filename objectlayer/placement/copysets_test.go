package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// growSets lays a map's copysets and checks what must hold of them.
func growSets(t rapid.TB, m *clustermap.Map) (changed int) {
	t.Helper()
	before := m.Clone()
	sets, _ := GrowCopysets(m)
	for _, s := range sets {
		if !slices.ContainsFunc(m.Copysets, func(o clustermap.Copyset) bool { return slices.Equal(o.Disks, s.Disks) }) {
			changed++
		}
	}
	m.Copysets = sets
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if again, more := GrowCopysets(m); more {
		t.Fatalf("%v, and then %v", sets, again)
	}
	if same, _ := GrowCopysets(before); !slices.EqualFunc(same, sets, func(a, b clustermap.Copyset) bool { return a.ID == b.ID && slices.Equal(a.Disks, b.Disks) }) {
		t.Fatal("the same map got other sets")
	}
	l := newLayout(m)
	ideal, seen := l.narrow(ReplicaDisks(m, l.width)), map[setKey]bool{}
	for _, s := range sets {
		key, _ := keyOf(s.Disks)
		if len(s.Disks) != l.width || ideal.wider(l.narrow(s.Disks)) || seen[key] {
			t.Fatalf("set %v of %v: not of %d, spread too little, or there twice", s, sets, l.width)
		}
		seen[key] = true
	}
	if most := newCopysets(m).limit(); len(sets) > most {
		t.Fatalf("%d sets, at most %d may be", len(sets), most)
	}
	return changed
}

// addNode adds a node with so many disks of some capacity, with ids that lie anywhere among the others.
func addNode(m *clustermap.Map, rng *rand.Rand, site string, disks int, capacity int64) {
	id := clustermap.NodeID(len(m.Nodes) + 1)
	m.Nodes = append(m.Nodes, clustermap.Node{ID: id, Site: site})
	for i := range disks {
		d := clustermap.Disk{ID: disk.ID(rng.Uint64()>>1 + 1), Node: id, Device: fmt.Sprint(i), CapacityBytes: capacity}
		at, _ := slices.BinarySearchFunc(m.Disks, d, func(a, b clustermap.Disk) int { return int(int64(a.ID - b.ID)) })
		m.Disks = slices.Insert(m.Disks, at, d)
	}
}

func emptyMap(policy string) *clustermap.Map {
	return &clustermap.Map{Format: clustermap.Format, Cluster: disk.ClusterID{1}.String(), Policy: policy}
}

// TestCopysets grows clusters of any form, node by node.
func TestCopysets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := emptyMap(rapid.SampledFrom([]string{"auto", "replica:1", "ec:1+3"}).Draw(t, "policy"))
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "ids"), 0))
		sites := rapid.SampledFrom([][]string{{""}, {"a", "b"}, {"a", "b", "c"}}).Draw(t, "sites")
		for n := range rapid.IntRange(1, 12).Draw(t, "nodes") {
			addNode(m, rng, sites[n%len(sites)], rapid.IntRange(1, 4).Draw(t, "disks"), rapid.Int64Range(0, 3).Draw(t, "capacity"))
			growSets(t, m)
			if (len(m.Copysets) > 0) != (len(m.Disks) > copysetDisks) {
				t.Fatalf("%d sets over %d disks", len(m.Copysets), len(m.Disks))
			}
		}
		if len(m.Disks) > 1 && len(m.Copysets) > 0 { // one goes
			m.Disks = slices.Delete(m.Disks, 0, 1)
			m.Copysets, _ = GrowCopysets(m)
			growSets(t, m)
		}
	})
}

// TestCopysetsAreStable: a disk that joins is in about four sets, takes one place in each, and the rest stay. Each disk is in
// about four sets.
func TestCopysetsAreStable(t *testing.T) {
	for _, policy := range []string{"replica:1", "auto"} {
		rng, m := rand.New(rand.NewPCG(3, 4)), emptyMap(policy)
		for range 20 {
			addNode(m, rng, "", 1, 1)
		}
		growSets(t, m)
		for range 30 {
			addNode(m, rng, "", 1, 1)
			if changed := growSets(t, m); changed > copysetsPerDisk+1 {
				t.Errorf("%s: %d of %d sets changed for one disk", policy, changed, len(m.Copysets))
			}
		}
		c := newCopysets(m)
		if len(m.Copysets) != c.wanted {
			t.Errorf("%s: %d sets, want %d", policy, len(m.Copysets), c.wanted)
		}
		for _, d := range m.Disks {
			n := 0
			for _, s := range m.Copysets {
				if slices.Contains(s.Disks, d.ID) {
					n++
				}
			}
			if n < copysetsPerDisk-2 || n > copysetsPerDisk+2 {
				t.Errorf("%s: a disk is in %d sets", policy, n)
			}
		}
	}
}

// TestFirstCopysetsAreThoseInUse: ranges that lie well stay where they are when the first sets are laid.
func TestFirstCopysetsAreThoseInUse(t *testing.T) {
	m := nodes(9)
	m.Policy = "replica:1"
	for i := range 4 {
		m.Ranges = append(m.Ranges, rangeOn(uint64(i+1), []disk.ID{1, 2, 4, 6, 9}, nil))
	}
	growSets(t, m)
	if !slices.ContainsFunc(m.Copysets, func(s clustermap.Copyset) bool { return slices.Equal(s.Disks, []disk.ID{1, 2, 4, 6, 9}) }) {
		t.Errorf("%v", m.Copysets)
	}
}

func TestAddCopyset(t *testing.T) {
	m := nodes(12)
	m.Policy = "replica:1"
	if got := AddCopyset(m, []disk.ID{1, 2, 3, 4, 5}); got != nil {
		t.Errorf("a map without sets got %v", got)
	}
	growSets(t, m)
	was := len(m.Copysets)
	for _, c := range []struct {
		disks []disk.ID
		more  int
	}{
		{slices.Clone(m.Copysets[0].Disks), 0},
		{[]disk.ID{1, 2, 3}, 0},
		{[]disk.ID{12, 11, 10, 2, 1}, 1},
	} {
		if got := AddCopyset(m, c.disks); len(got) != was+c.more || c.more > 0 && !slices.Equal(got[was].Disks, slices.Sorted(slices.Values(c.disks))) {
			t.Errorf("%v: %d sets, were %d", c.disks, len(got), was)
		}
	}
	m.Copysets = AddCopyset(m, []disk.ID{12, 11, 10, 2, 1})
	if changed := growSets(t, m); changed != 0 {
		t.Errorf("%d sets changed after one was added by hand", changed)
	}
	for i := range 40 {
		m.Copysets = AddCopyset(m, []disk.ID{1, 2, 3, disk.ID(4 + i%5), disk.ID(9 + i/5%4)})
	}
	if most := newCopysets(m).limit(); len(m.Copysets) > most {
		t.Errorf("%d sets, at most %d may be", len(m.Copysets), most)
	}
}

// rest carries out what is planned for a map, eight ranges at a look, until nothing is left, and returns how many replicas
// moved.
func rest(t testing.TB, m *clustermap.Map) (moves int) {
	t.Helper()
	for look := 0; ; look++ {
		if look > 20*len(m.Ranges) {
			t.Fatal("no end of moving")
		}
		p, begun := NewPlanner(m, nil, nil), 0
		targets := map[int][]disk.ID{}
		for i := range m.Ranges {
			r := &m.Ranges[i]
			if _, ok := p.Next(r, func(disk.ID) bool { return true }); !ok || begun == 8 {
				continue
			}
			begun++
			moves += len(p.Arrivals(r))
			targets[i] = p.plan(r).target()
			p.Expect(r)
		}
		if begun == 0 {
			return moves
		}
		for i, to := range targets {
			r := rangeOn(m.Ranges[i].ID, to, nil)
			m.Ranges[i].Replicas = r.Replicas
		}
	}
}

// stats returns on how many sets ranges lie, and the highest load of a disk by its share.
func stats(m *clustermap.Map) (sets int, highest float64) {
	seen, p := map[setKey]bool{}, NewPlanner(m, nil, nil)
	for i := range m.Ranges {
		key, _ := keyOf(disksOf(&m.Ranges[i]))
		seen[key] = true
	}
	for i, s := range p.shares() {
		highest = max(highest, float64(p.load[i])/(s*float64(len(m.Ranges)*p.width)))
	}
	return len(seen), highest
}

// TestRangesOnCopysets: many ranges, all born in one place, come to lie on few sets, no disk with by far more than its share;
// a node that joins takes about its share, and the rest stay where they are; and there is an end to moving.
func TestRangesOnCopysets(t *testing.T) {
	for _, c := range []struct {
		policy               string
		nodes, disks, ranges int
		capacities           []int64
	}{
		{"replica:1", 30, 1, 600, []int64{10}},
		{"auto", 30, 1, 600, []int64{10}},
		{"replica:1", 10, 4, 900, []int64{10}},
		{"replica:1", 20, 2, 900, []int64{10, 15, 20}},
		{"auto", 4, 3, 300, []int64{10}},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			rng, m := rand.New(rand.NewPCG(5, 6)), emptyMap(c.policy)
			add := func(i int) { addNode(m, rng, "", c.disks, c.capacities[i%len(c.capacities)]) }
			for i := range c.nodes {
				add(i)
			}
			growSets(t, m)
			born := ReplicaDisks(m, Replicas(m))
			for i := range c.ranges {
				m.Ranges = append(m.Ranges, rangeOn(uint64(i+1), born, nil))
			}
			rest(t, m)
			checkStats(t, m)
			width := Replicas(m)
			for i := range 3 {
				add(c.nodes + i)
				growSets(t, m)
				moves := rest(t, m)
				checkStats(t, m)
				share := float64(c.ranges*width*c.disks) / float64(len(m.Disks))
				if Replicas(m) == width && float64(moves) > 2.5*share {
					t.Errorf("%d replicas moved when a node joined, whose share is %.0f", moves, share)
				}
				width = Replicas(m)
			}
		})
	}
}

func checkStats(t *testing.T, m *clustermap.Map) {
	t.Helper()
	sets, highest := stats(m)
	if most := len(m.Disks)*copysetsPerDisk/Replicas(m) + copysetsPerDisk; sets > most {
		t.Errorf("ranges lie on %d sets, at most %d should be", sets, most)
	}
	if highest > 1.25 {
		t.Errorf("a disk has %.2f times its share", highest)
	}
}
