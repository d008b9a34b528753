package placement

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
)

// node describes a node of a test map.
type node struct {
	site, rack string
	devices    []int // folders on each device
	capacity   int64
}

func testMap(nodes ...node) *clustermap.Map {
	m := &clustermap.Map{Format: clustermap.Format, Cluster: disk.ClusterID{1}.String()}
	for i, n := range nodes {
		id := clustermap.NodeID(i + 1)
		m.Nodes = append(m.Nodes, clustermap.Node{ID: id, Site: n.site, Rack: n.rack})
		for dev, folders := range n.devices {
			for range folders {
				m.Disks = append(m.Disks, clustermap.Disk{
					ID: disk.ID(len(m.Disks) + 1), Node: id, Device: fmt.Sprint("dev", dev), CapacityBytes: max(n.capacity, 1),
				})
			}
		}
	}
	return m
}

func folders(n int) *clustermap.Map { return testMap(node{devices: []int{n}}) }

func nodes(n int) *clustermap.Map {
	list := make([]node, n)
	for i := range list {
		list[i].devices = []int{1}
	}
	return testMap(list...)
}

func rng() *rand.Rand { return rand.New(rand.NewPCG(7, 7)) }

func build(t testing.TB, m *clustermap.Map, policy Policy) {
	t.Helper()
	g, err := Build(m, BuildOptions{Policy: policy, Rand: rng()})
	if err != nil {
		t.Fatal(err)
	}
	m.Groups = g
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestParsePolicy(t *testing.T) {
	for in, want := range map[string]string{
		"": "auto", "auto": "auto", "ec:4+2": "ec:4+2", "replica:3": "replica:3", "replica:1": "replica:1", "ec:1+2": "replica:3",
		"ec:2+0": "ec:2+0",
	} {
		p, err := ParsePolicy(in)
		if err != nil || p.String() != want {
			t.Errorf("%q: %v, %v, want %s", in, p, err, want)
		}
	}
	for _, in := range []string{"ec", "ec:", "ec:4", "ec:0+2", "ec:-1+2", "ec:+1+2", "ec:60+5", "ec:4+2 ", "replica:0", "replica:", "raid", "ec:4+2+1", "replica:99999999999999999999"} {
		if p, err := ParsePolicy(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, p)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("ec:4+2")
	f.Add("replica:3")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePolicy(s)
		if err != nil {
			return
		}
		if q, err := ParsePolicy(p.String()); err != nil || q != p {
			t.Fatalf("%q: %v does not come back: %v, %v", s, p, q, err)
		}
	})
}

func TestAuto(t *testing.T) {
	want := map[int]string{0: "1+0", 1: "1+0", 2: "1+1", 3: "2+1", 4: "2+1", 5: "2+2", 6: "3+2", 7: "4+2", 12: "4+2", 13: "8+3", 1000: "8+3"}
	for n, s := range want {
		if got := Auto(n).String(); got != s {
			t.Errorf("%d domains: %s, want %s", n, got, s)
		}
	}
	for _, c := range []struct {
		m    *clustermap.Map
		want string
	}{
		{folders(4), "2+1"},
		{testMap(node{devices: []int{2, 2}}), "1+1"},
		{testMap(node{devices: []int{4}}, node{devices: []int{4}}), "1+1"},
		{nodes(6), "3+2"},
	} {
		if got, err := (Policy{}).Coding(c.m); err != nil || got.String() != c.want {
			t.Errorf("%v, %v, want %s", got, err, c.want)
		}
	}
	if _, err := Fixed(Coding{4, 2}).Coding(folders(5)); err == nil {
		t.Error("4+2 over five folders: want an error")
	}
}

// checkGroups verifies distinct domains and the limits of wider levels, and returns the slots of each disk.
func checkGroups(t testing.TB, m *clustermap.Map, limits bool) map[disk.ID]int {
	t.Helper()
	places := clustermap.NewPlaces(m)
	level := DomainLevel(places)
	slots := map[disk.ID]int{}
	for _, g := range m.Groups {
		for l := level; l < clustermap.LevelCount; l++ {
			count := map[int]int{}
			for _, s := range g.Slots {
				at, _ := places.Of(l, s.Owner)
				count[at]++
			}
			limit := max(g.M, (len(g.Slots)+places.Count(l)-1)/places.Count(l))
			if l == level {
				limit = 1
			} else if !limits {
				continue
			}
			for at, n := range count {
				if n > limit {
					t.Fatalf("group %d: %d slots in %v %d, at most %d wanted", g.ID, n, l, at, limit)
				}
			}
		}
		for _, s := range g.Slots {
			slots[s.Owner]++
		}
	}
	return slots
}

func TestBuildBalance(t *testing.T) {
	racks := make([]node, 12)
	for i := range racks {
		racks[i] = node{site: fmt.Sprint(i / 4), rack: fmt.Sprint(i / 2 % 2), devices: []int{1, 1}}
	}
	many := make([]node, 60)
	for i := range many {
		many[i] = node{devices: []int{1, 1, 1, 1}, capacity: int64(1 + i%4)}
	}
	uneven := testMap(node{devices: []int{1}, capacity: 10}, node{devices: []int{1}, capacity: 3}, node{devices: []int{1}, capacity: 3},
		node{devices: []int{1}, capacity: 2}, node{devices: []int{1}, capacity: 2})
	for name, c := range map[string]struct {
		m      *clustermap.Map
		policy Policy
		off    float64 // by how much a disk's slots may differ from its share
	}{
		"one folder":     {folders(1), Policy{}, 0},
		"four folders":   {folders(4), Policy{}, 0.03},
		"five folders":   {folders(5), Policy{}, 0.03},
		"20 nodes":       {nodes(20), Policy{}, 0.03},
		"three sites":    {testMap(racks...), Policy{}, 0.03},
		"240 disks":      {testMap(many...), Policy{}, 0.15},
		"uneven nodes":   {uneven, Fixed(Coding{1, 1}), 0.03},
		"three replicas": {nodes(9), Fixed(Coding{1, 2}), 0.03},
	} {
		t.Run(name, func(t *testing.T) {
			build(t, c.m, c.policy)
			slots := checkGroups(t, c.m, true)
			total, capacity := 0, int64(0)
			for _, d := range c.m.Disks {
				total += slots[d.ID]
				capacity += d.CapacityBytes
			}
			for _, d := range c.m.Disks {
				want := float64(total) * float64(d.CapacityBytes) / float64(capacity)
				if got := float64(slots[d.ID]); math.Abs(got-want) > c.off*want+1 {
					t.Errorf("disk %v has %v slots, its share is %.1f", d.ID, got, want)
				}
			}
		})
	}
}

func TestBuildScatterIsBounded(t *testing.T) {
	m := nodes(300)
	build(t, m, Policy{})
	near := map[disk.ID]map[disk.ID]bool{}
	for _, g := range m.Groups {
		for _, a := range g.Slots {
			for _, b := range g.Slots {
				if near[a.Owner] == nil {
					near[a.Owner] = map[disk.ID]bool{}
				}
				near[a.Owner][b.Owner] = true
			}
		}
	}
	for _, d := range m.Disks {
		if n := len(near[d.ID]) - 1; n > DefaultScatter+20 || n < DefaultScatter/2 {
			t.Errorf("disk %v shares groups with %d others, about %d wanted", d.ID, n, DefaultScatter)
		}
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	a, b := nodes(9), nodes(9)
	build(t, a, Policy{})
	build(t, b, Policy{})
	if !reflect.DeepEqual(a.Groups, b.Groups) {
		t.Error("the same input gave different groups")
	}
}

// TestBuildOverLayouts: groups that a layout has no numbers for go on in the next, and the last id is the end.
func TestBuildOverLayouts(t *testing.T) {
	ids := func(first disk.GroupID, slots int) ([]disk.GroupID, error) {
		g, err := Build(folders(1), BuildOptions{SlotsPerDisk: slots, FirstID: first, Rand: rng()})
		var ids []disk.GroupID
		for _, g := range g {
			ids = append(ids, g.ID)
		}
		return ids, err
	}
	last := disk.FirstGroup(7) + disk.LayoutGroupsMax - 1
	if got, err := ids(last-1, 3); err != nil || !reflect.DeepEqual(got, []disk.GroupID{last - 1, last, disk.FirstGroup(8)}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ids(1<<32-2, 2); err != nil || len(got) != 2 {
		t.Errorf("the last two ids: %v, %v", got, err)
	}
	if got, err := ids(1<<32-2, 3); err == nil {
		t.Errorf("more groups than ids: %v", got)
	}
	for _, layout := range []uint16{0, 1, 1<<16 - 1} {
		if got := disk.FirstGroup(layout); got.Layout() != layout || got&disk.LayoutGroupsMax != 1 {
			t.Errorf("the first group of layout %d is %d of layout %d", layout, got, got.Layout())
		}
	}
}

func TestBuildAnyTopology(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) node {
			return node{
				site: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "site"), rack: rapid.SampledFrom([]string{"", "r", "s"}).Draw(t, "rack"),
				devices: rapid.SliceOfN(rapid.IntRange(1, 3), 1, 3).Draw(t, "devices"), capacity: rapid.Int64Range(0, 100).Draw(t, "capacity"),
			}
		}), 1, 10).Draw(t, "nodes")
		m := testMap(list...)
		groups, err := Build(m, BuildOptions{SlotsPerDisk: 10, Rand: rng()})
		if err != nil {
			t.Fatal(err)
		}
		m.Groups = groups
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		places := clustermap.NewPlaces(m)
		for _, g := range m.Groups {
			seen := map[int]bool{}
			for _, s := range g.Slots {
				at, _ := places.Of(DomainLevel(places), s.Owner)
				if seen[at] {
					t.Fatalf("group %d has two slots in one domain", g.ID)
				}
				seen[at] = true
			}
		}
	})
}

func TestPick(t *testing.T) {
	m := folders(4)
	build(t, m, Policy{})
	blob := func(i int) disk.BlobID { return disk.NewBlobID(uint64(i), [10]byte{byte(i)}) }
	t.Run("whole groups by turns", func(t *testing.T) {
		used := map[disk.GroupID]int{}
		for i := range 20000 {
			c, err := Pick(Request{Map: m, Blob: blob(i)})
			if err != nil || c.Coding != (Coding{2, 1}) || len(c.Slots) != 3 {
				t.Fatalf("%+v, %v", c, err)
			}
			used[c.Group]++
		}
		for id, n := range used {
			if mean := 20000 / len(m.Groups); n < mean/2 || n > mean*2 {
				t.Errorf("group %d was picked %d times, the mean is %d", id, n, mean)
			}
		}
		if len(used) != len(m.Groups) {
			t.Errorf("%d of %d groups were picked", len(used), len(m.Groups))
		}
	})
	t.Run("the same twice", func(t *testing.T) {
		a, _ := Pick(Request{Map: m, Blob: blob(1), Extent: 5})
		b, _ := Pick(Request{Map: m, Blob: blob(1), Extent: 5})
		if !reflect.DeepEqual(a, b) {
			t.Error("one request, two answers")
		}
	})
	t.Run("one folder dead", func(t *testing.T) {
		for i := range 200 {
			c, err := Pick(Request{Map: m, Blob: blob(i), Alive: func(d disk.ID) bool { return d != 2 }})
			if err != nil || c.Coding != (Coding{2, 1}) || slices.Contains(c.Disks, 2) {
				t.Fatalf("%+v, %v", c, err)
			}
		}
	})
	t.Run("two folders dead: k shrinks, m stays", func(t *testing.T) {
		for i := range 200 {
			c, err := Pick(Request{Map: m, Blob: blob(i), ExcludeDisks: []disk.ID{1}, Alive: func(d disk.ID) bool { return d != 2 }})
			if err != nil || c.Coding != (Coding{1, 1}) {
				t.Fatalf("%+v, %v", c, err)
			}
			g := m.Group(c.Group)
			for i, s := range c.Slots {
				if g.Slots[s].Owner != c.Disks[i] || c.Disks[i] < 3 {
					t.Fatalf("slot %d is of disk %v, not %v", s, g.Slots[s].Owner, c.Disks[i])
				}
			}
		}
	})
	t.Run("three folders dead: refused", func(t *testing.T) {
		_, err := Pick(Request{Map: m, Alive: func(d disk.ID) bool { return d == 2 }})
		var few *TooFewError
		if !errors.As(err, &few) || few.Live != 1 || few.Need != 2 {
			t.Fatalf("%v", err)
		}
	})
	t.Run("three folders dead: written short", func(t *testing.T) {
		c, err := Pick(Request{Map: m, Short: true, Alive: func(d disk.ID) bool { return d == 2 }})
		if err != nil || c.Coding != (Coding{1, 0}) || len(c.Disks) != 1 || c.Disks[0] != 2 {
			t.Fatalf("%+v, %v", c, err)
		}
		two := func(d disk.ID) bool { return d < 3 }
		if c, err = Pick(Request{Map: m, Short: true, Policy: Fixed(Coding{1, 2}), Alive: two}); err != nil || c.Coding != (Coding{1, 1}) {
			t.Fatalf("%+v, %v", c, err)
		}
		if c, err = Pick(Request{Map: m, Short: true}); err != nil || c.Coding != (Coding{2, 1}) {
			t.Fatalf("with all alive: %+v, %v", c, err)
		}
		if _, err = Pick(Request{Map: m, Short: true, Alive: func(disk.ID) bool { return false }}); err == nil {
			t.Fatal("with none alive")
		}
	})
	t.Run("a policy of fewer shards", func(t *testing.T) {
		first := map[uint8]int{}
		for i := range 300 {
			c, err := Pick(Request{Map: m, Blob: blob(i), Policy: Fixed(Coding{1, 1})})
			if err != nil || c.Coding != (Coding{1, 1}) || len(c.Slots) != 2 {
				t.Fatalf("%+v, %v", c, err)
			}
			for _, s := range c.Slots {
				first[s]++
			}
		}
		for s := range uint8(3) {
			if first[s] < 100 {
				t.Errorf("slot %d was taken %d times of 300", s, first[s])
			}
		}
	})
	t.Run("a policy of more shards", func(t *testing.T) {
		c, err := Pick(Request{Map: m, Policy: Fixed(Coding{4, 2})})
		if err != nil || c.Coding != (Coding{1, 2}) {
			t.Fatalf("%+v, %v", c, err)
		}
	})
	t.Run("closed and excluded groups", func(t *testing.T) {
		c := m.Clone()
		for i := range c.Groups[2:] {
			c.Groups[2+i].Closed = true
		}
		for i := range 50 {
			got, err := Pick(Request{Map: c, Blob: blob(i), ExcludeGroups: []disk.GroupID{1}})
			if err != nil || got.Group != 2 {
				t.Fatalf("%+v, %v", got, err)
			}
		}
	})
	t.Run("no groups", func(t *testing.T) {
		if _, err := Pick(Request{Map: folders(1)}); err == nil {
			t.Fatal("want an error")
		}
	})
}

func TestReplicas(t *testing.T) {
	policy := func(m *clustermap.Map, s string) *clustermap.Map { m.Policy = s; return m }
	for name, c := range map[string]struct {
		m    *clustermap.Map
		want int
	}{
		"one folder": {folders(1), 1}, "two folders": {folders(2), 2}, "three": {folders(3), 3}, "four": {folders(4), 3},
		"five": {folders(5), 5}, "two nodes of two": {testMap(node{devices: []int{2}}, node{devices: []int{2}}), 3},
		"twelve": {nodes(12), 5}, "thirteen": {nodes(13), 7}, "eight with m = 3": {policy(nodes(8), "ec:5+3"), 7},
	} {
		if got := Replicas(c.m); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	m := testMap(node{devices: []int{2}}, node{devices: []int{1, 1}})
	if got := ReplicaDisks(m, 3); len(got) != 3 || !reflect.DeepEqual(got, []disk.ID{1, 3, 4}) {
		t.Errorf("two nodes: %v", got)
	}
	three := testMap(node{site: "a", devices: []int{1}}, node{site: "a", devices: []int{1}}, node{site: "b", devices: []int{1}},
		node{site: "b", devices: []int{1}}, node{site: "c", devices: []int{1}}, node{site: "c", devices: []int{1}})
	three.Ranges = []clustermap.Range{{ID: 1, Replicas: []clustermap.Replica{{ID: 1, Disk: 1}, {ID: 2, Disk: 3}, {ID: 3, Disk: 5}}}}
	if got := ReplicaDisks(three, 3); !reflect.DeepEqual(got, []disk.ID{2, 4, 6}) {
		t.Errorf("three sites, three disks in use: %v", got)
	}
}

func TestTolerates(t *testing.T) {
	withRange := func(m *clustermap.Map) *clustermap.Map {
		r := clustermap.Range{ID: 1}
		for i, d := range ReplicaDisks(m, Replicas(m)) {
			r.Replicas = append(r.Replicas, clustermap.Replica{ID: uint64(i + 1), Disk: d})
		}
		m.Ranges = append(m.Ranges, r)
		build(t, m, Policy{})
		return m
	}
	sites := make([]node, 9)
	for i := range sites {
		sites[i] = node{site: fmt.Sprint(i % 3), rack: fmt.Sprint(i), devices: []int{1}}
	}
	dead := func(ids ...disk.ID) func(disk.ID) bool {
		return func(d disk.ID) bool { return !slices.Contains(ids, d) }
	}
	four := withRange(folders(4))
	for name, c := range map[string]struct {
		m     *clustermap.Map
		alive func(disk.ID) bool
		extra []Placed
		want  clustermap.Tolerance
	}{
		"four folders on one device":  {four, nil, nil, clustermap.Tolerance{Folder: 1}},
		"one of them gone":            {four, dead(3), nil, clustermap.Tolerance{}},
		"two of them gone":            {four, dead(3, 4), nil, clustermap.Tolerance{}},
		"an extent of a single copy":  {four, nil, []Placed{{Disks: []disk.ID{1}, Need: 1}}, clustermap.Tolerance{}},
		"one folder":                  {withRange(folders(1)), nil, nil, clustermap.Tolerance{}},
		"four devices":                {withRange(testMap(node{devices: []int{1, 1, 1, 1}})), nil, nil, clustermap.Tolerance{Folder: 1, Device: 1}},
		"two nodes with three disks":  {withRange(testMap(node{devices: []int{1, 1}}, node{devices: []int{1}})), nil, nil, clustermap.Tolerance{Folder: 1, Device: 1}},
		"five nodes":                  {withRange(nodes(5)), nil, nil, clustermap.Tolerance{Folder: 2, Device: 2, Node: 2}},
		"nine nodes over three sites": {withRange(testMap(sites...)), nil, nil, clustermap.Tolerance{Folder: 2, Device: 2, Node: 2, Rack: 2, Site: 1}},
		"nothing placed":              {folders(3), nil, nil, clustermap.Tolerance{}},
		"something lost":              {four, nil, []Placed{{Disks: []disk.ID{99}, Need: 1}}, clustermap.Tolerance{}},
	} {
		if got := Tolerates(c.m, c.alive, nil, c.extra...); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestPlacedExtent(t *testing.T) {
	m := folders(4)
	build(t, m, Policy{})
	g := m.Groups[5]
	e := &metapb.Extent{Group: uint32(g.ID), Coding: &metapb.Coding{K: 1, M: 1}, Slots: []byte{2, 0}}
	p, ok := PlacedExtent(m, e)
	if want := (Placed{Disks: []disk.ID{g.Slots[2].Owner, g.Slots[0].Owner}, Need: 1}); !ok || !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, want %+v", p, want)
	}
	e.Slots[0] = 3
	if _, ok := PlacedExtent(m, e); ok {
		t.Error("a slot that the group does not have")
	}
	e.Group = 1 << 20
	if _, ok := PlacedExtent(m, e); ok {
		t.Error("a group that the map does not have")
	}
}

// TestToleratesIsTrue loses every combination of domains and looks whether the claim holds and is not modest.
func TestToleratesIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := testMap(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) node {
			return node{site: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "site"), devices: rapid.SliceOfN(rapid.IntRange(1, 2), 1, 2).Draw(t, "devices")}
		}), 1, 4).Draw(t, "nodes")...)
		p := Placed{Need: rapid.IntRange(1, 3).Draw(t, "need")}
		for _, d := range m.Disks {
			if rapid.Bool().Draw(t, "on") {
				p.Disks = append(p.Disks, d.ID)
			}
		}
		got, places := Tolerates(m, nil, nil, p), clustermap.NewPlaces(m)
		for l := clustermap.Folder; l < clustermap.LevelCount; l++ {
			most := -1 // domains whose loss, whichever they are, is survived
			for lost := range uint(1) << places.Count(l) {
				left, n := 0, 0
				for _, id := range p.Disks {
					if at, _ := places.Of(l, id); lost>>at&1 == 0 {
						left++
					}
				}
				for b := lost; b != 0; b &= b - 1 {
					n++
				}
				if left < p.Need && (most < 0 || n-1 < most) {
					most = n - 1
				}
			}
			if got.At(l) != max(most, 0) {
				t.Fatalf("%v: claimed %d, true is %d", l, got.At(l), most)
			}
		}
	})
}

func BenchmarkPick(b *testing.B) {
	m := nodes(1000)
	build(b, m, Policy{})
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		if _, err := Pick(Request{Map: m, Blob: disk.NewBlobID(i, [10]byte{})}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	m := nodes(1000)
	for b.Loop() {
		build(b, m, Policy{})
	}
}
