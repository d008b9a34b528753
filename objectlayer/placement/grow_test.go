package placement

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// join adds a node of so many disks to a map, each on a device of its own, and gives it the capacity of the first disk.
func join(m *clustermap.Map, disks int) *clustermap.Map {
	m = m.Clone()
	id := clustermap.NodeID(len(m.Nodes) + 1)
	m.Nodes = append(m.Nodes, clustermap.Node{ID: id})
	for i := range disks {
		m.Disks = append(m.Disks, clustermap.Disk{
			ID: disk.ID(len(m.Disks) + 1), Node: id, Device: fmt.Sprint("dev", i), CapacityBytes: m.Disks[0].CapacityBytes,
		})
	}
	return m
}

// grow grows a map and checks what must hold of each growth.
func grow(t testing.TB, m *clustermap.Map) (*clustermap.Map, bool) {
	t.Helper()
	before := m.Clone()
	grown, changed, err := GrowGroups(m)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, m) {
		t.Fatal("growing changed the map")
	}
	if err := grown.Validate(); err != nil {
		t.Fatal(err)
	}
	if !changed {
		return grown, false
	}
	for i, g := range grown.Groups {
		switch old := i < len(m.Groups); {
		case g.Closed != old:
			t.Fatalf("group %d: closed is %v", g.ID, g.Closed)
		case old && (g.Epoch != m.Groups[i].Epoch || !reflect.DeepEqual(g.Slots, m.Groups[i].Slots)):
			t.Fatalf("group %d changed", g.ID)
		case !old && len(m.Groups) > 0 && g.ID.Layout() <= m.Groups[len(m.Groups)-1].ID.Layout():
			t.Fatalf("new group %d is of an old layout", g.ID)
		}
	}
	if again, changed, err := GrowGroups(grown); changed || err != nil || again != grown {
		t.Fatalf("grown twice: %v, %v", changed, err)
	}
	return grown, true
}

func TestGrowGroups(t *testing.T) {
	founded, _ := grow(t, testMap(node{devices: []int{1, 1, 1, 1}, capacity: 1000}))
	three, _ := grow(t, join(join(founded, 4), 4))
	sited := testMap(
		node{site: "a", devices: []int{1}}, node{site: "a", devices: []int{1}}, node{site: "b", devices: []int{1}}, node{site: "b", devices: []int{1}},
		node{site: "c", devices: []int{1}}, node{site: "c", devices: []int{1}})
	unsited := sited.Clone()
	for i := range unsited.Nodes {
		unsited.Nodes[i].Site = ""
	}
	sited.Policy, unsited.Policy = "ec:4+2", "ec:4+2"
	for i := range 3 { // seven nodes, so that 4+2 has a choice
		sited, unsited = join(sited, 1), join(unsited, 1)
		sited.Nodes[6+i].Site = "d"
	}
	unsited, _ = grow(t, unsited)
	sited.Groups = unsited.Groups
	with := func(m *clustermap.Map, change func(*clustermap.Map)) *clustermap.Map {
		m = m.Clone()
		change(m)
		return m
	}
	capacity := func(by map[int]int64) func(*clustermap.Map) {
		return func(m *clustermap.Map) {
			for i, c := range by {
				m.Disks[i].CapacityBytes = c
			}
		}
	}
	for name, c := range map[string]struct {
		m    *clustermap.Map
		want bool
	}{
		"no groups": {folders(4), true},
		"as built":  {founded, false},
		"a disk joins": {with(founded, func(m *clustermap.Map) {
			m.Disks = append(m.Disks, clustermap.Disk{ID: 9, Node: 1, Device: "x", CapacityBytes: 1000})
		}), true},
		"a small disk joins": {with(three, func(m *clustermap.Map) {
			m.Disks = append(m.Disks, clustermap.Disk{ID: 99, Node: 1, Device: "x", CapacityBytes: 50})
		}), true},
		"a node joins":                  {join(founded, 1), true},
		"a node without disks":          {join(founded, 0), false},
		"a node joins, the same coding": {join(three, 1), true},
		"devices become nodes":          {with(three, func(m *clustermap.Map) { m.Groups = founded.Groups }), true},
		"another policy":                {with(founded, func(m *clustermap.Map) { m.Policy = "replica:3" }), true},
		"the same policy, named":        {with(founded, func(m *clustermap.Map) { m.Policy = "ec:2+1" }), false},
		"capacity up by 9 %":            {with(founded, capacity(map[int]int64{0: 1090})), false},
		"down by 9 %":                   {with(three, capacity(map[int]int64{0: 910, 5: 910})), false},
		"apart by 9 % each":             {with(three, capacity(map[int]int64{0: 1090, 1: 910, 2: 910, 3: 910, 4: 910})), false},
		"a disk became twice as large":  {with(three, capacity(map[int]int64{0: 2000})), true},
		"all closed":                    {with(founded, func(m *clustermap.Map) { closeAll(m) }), true},
		"sites were told":               {sited, true},
		"sites were not":                {unsited, false},
		"disks in another order":        {with(three, func(m *clustermap.Map) { slices.Reverse(m.Disks) }), false},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "disks in another order" {
				if _, changed, err := GrowGroups(c.m); changed || err != nil {
					t.Error(changed, err)
				}
				return
			}
			if _, changed := grow(t, c.m); changed != c.want {
				t.Errorf("changed: %v", changed)
			}
		})
	}
}

func closeAll(m *clustermap.Map) {
	for i := range m.Groups {
		m.Groups[i].Closed = true
	}
}

// TestGrowGroupsIsTheSameEverywhere: the order in which a map lists its disks does not matter.
func TestGrowGroupsIsTheSameEverywhere(t *testing.T) {
	a, b := nodes(9), nodes(9)
	slices.Reverse(b.Disks)
	one, _, err := GrowGroups(a)
	two, _, e := GrowGroups(b)
	if err != nil || e != nil || !reflect.DeepEqual(one.Groups, two.Groups) {
		t.Error("two orders, two layouts", err, e)
	}
}

func TestGrowGroupsRefuses(t *testing.T) {
	last := folders(2)
	last.Groups = []clustermap.Group{{ID: 1<<32 - 2, Epoch: 1, K: 1, Slots: []clustermap.Slot{{Owner: 1}}, Closed: true}}
	for name, m := range map[string]*clustermap.Map{
		"too few domains": {Policy: "ec:4+2", Nodes: []clustermap.Node{{ID: 1}}, Disks: []clustermap.Disk{{ID: 1, Node: 1, Device: "a"}}},
		"no disks":        {},
		"no such policy":  {Policy: "raid"},
		"layouts ran out": last,
	} {
		if grown, changed, err := GrowGroups(m); err == nil || changed {
			t.Errorf("%s: %v, %v", name, grown, changed)
		}
	}
}

// TestGrowGroupsAnyTopology: whatever joins, one growth is enough, all disks get slots where no limits of racks and sites
// stand against it, and the groups of the open layout lie in distinct domains.
func TestGrowGroupsAnyTopology(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) node {
			return node{
				site: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "site"), rack: rapid.SampledFrom([]string{"", "r", "s"}).Draw(t, "rack"),
				devices: rapid.SliceOfN(rapid.IntRange(1, 2), 1, 3).Draw(t, "devices"), capacity: rapid.Int64Range(1, 9).Draw(t, "capacity"),
			}
		}), 1, 8).Draw(t, "nodes")
		var m *clustermap.Map
		for n := 1; n <= len(some); n += rapid.IntRange(1, 3).Draw(t, "joining") {
			next := testMap(some[:n]...)
			next.Cluster = disk.ClusterID{1}.String()
			if m != nil {
				next.Groups = m.Groups
			}
			grown, changed, err := GrowGroups(next)
			if err != nil {
				t.Fatal(err)
			}
			if m == nil && !changed {
				t.Fatal("no groups were laid")
			}
			if again, changed, err := GrowGroups(grown); changed || err != nil || again != grown {
				t.Fatalf("grown twice: %v, %v", changed, err)
			}
			checkOpen(t, grown)
			m = grown
		}
	})
}

func checkOpen(t *rapid.T, m *clustermap.Map) {
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	places := clustermap.NewPlaces(m)
	slots := map[disk.ID]int{}
	for _, g := range m.Groups {
		if g.Closed {
			continue
		}
		seen := map[int]bool{}
		for _, s := range g.Slots {
			slots[s.Owner]++
			at, _ := places.Of(DomainLevel(places), s.Owner)
			if seen[at] {
				t.Fatalf("group %d has two slots in one domain", g.ID)
			}
			seen[at] = true
		}
	}
	for _, d := range m.Disks {
		if slots[d.ID] == 0 && places.Count(clustermap.Rack) == 1 {
			t.Fatalf("disk %v has no slots", d.ID)
		}
	}
}
