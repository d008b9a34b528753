package placement

import (
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
)

// coded is a usage of bytes in k+m of a layout, each given as four numbers.
func coded(list ...[4]uint64) *metapb.Usage {
	u := new(metapb.Usage)
	for _, c := range list {
		u.Coded = append(u.Coded, &metapb.CodedBytes{K: uint32(c[0]), M: uint32(c[1]), Layout: uint32(c[2]), Bytes: c[3]})
	}
	return u
}

// regrown is one node's layout of four folders, closed, and a second of what there is now: six nodes.
func regrown(t *testing.T) *clustermap.Map {
	m := folders(4)
	build(t, m, Policy{})
	for i := range m.Groups {
		m.Groups[i].Closed = true
	}
	for id := clustermap.NodeID(2); id <= 6; id++ {
		m.Nodes = append(m.Nodes, clustermap.Node{ID: id})
		m.Disks = append(m.Disks, clustermap.Disk{ID: disk.ID(id + 10), Node: id, Device: "a", CapacityBytes: 1})
	}
	groups, err := Build(m, BuildOptions{FirstID: disk.FirstGroup(1), Rand: rng()})
	if err != nil {
		t.Fatal(err)
	}
	m.Groups = append(m.Groups, groups...)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestToleratesWhatIsKept(t *testing.T) {
	m := regrown(t)
	none := m.Clone()
	none.Groups = none.Groups[:1]
	for name, c := range map[string]struct {
		m     *clustermap.Map
		usage *metapb.Usage
		want  clustermap.Tolerance
	}{
		"nothing is known":             {m, nil, clustermap.Tolerance{Folder: 1}},
		"nothing is kept":              {m, coded(), clustermap.Tolerance{Folder: 2, Device: 2, Node: 2}},
		"all in the open layout":       {m, coded([4]uint64{3, 2, 1, 9}), clustermap.Tolerance{Folder: 2, Device: 2, Node: 2}},
		"something in the closed":      {m, coded([4]uint64{3, 2, 1, 9}, [4]uint64{2, 1, 0, 1}), clustermap.Tolerance{Folder: 1}},
		"no bytes in the closed":       {m, coded([4]uint64{3, 2, 1, 9}, [4]uint64{2, 1, 0, 0}), clustermap.Tolerance{Folder: 2, Device: 2, Node: 2}},
		"less parity than the open":    {m, coded([4]uint64{3, 1, 1, 9}), clustermap.Tolerance{Folder: 1, Device: 1, Node: 1}},
		"more parity than the open":    {m, coded([4]uint64{1, 4, 1, 9}), clustermap.Tolerance{Folder: 2, Device: 2, Node: 2}},
		"no parity in the closed":      {m, coded([4]uint64{1, 0, 0, 9}), clustermap.Tolerance{}},
		"more parity than the closed":  {m, coded([4]uint64{1, 2, 0, 9}), clustermap.Tolerance{Folder: 2}},
		"a layout that is not there":   {m, coded([4]uint64{3, 2, 5, 1}), clustermap.Tolerance{}},
		"a closed layout alone, empty": {none, coded(), clustermap.Tolerance{}},
		"parity beyond all reason":     {m, coded([4]uint64{1, 1 << 31, 1, 1}), clustermap.Tolerance{Folder: 2, Device: 2, Node: 2}},
	} {
		if got := Tolerates(c.m, nil, c.usage); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestToleratesOfJointConfigurations: both majorities are needed, and learners are of no use.
func TestToleratesOfJointConfigurations(t *testing.T) {
	const learner, incoming, outgoing = 1, 2, 3
	for name, c := range map[string]struct {
		roles []int // of the replicas on nodes 1, 2, ...; -1: none
		want  int
	}{
		"three":                          {[]int{0, 0, 0}, 1},
		"three and two learners":         {[]int{0, 0, 0, learner, learner}, 1},
		"from three to five":             {[]int{0, 0, 0, incoming, incoming}, 1},
		"five":                           {[]int{0, 0, 0, 0, 0}, 2},
		"one for another":                {[]int{0, 0, incoming, outgoing}, 1},
		"from one to three":              {[]int{0, incoming, incoming}, 0},
		"a demoted one waits":            {[]int{0, 0, incoming, learner}, 0},
		"the old have one voter alone":   {[]int{outgoing, incoming, incoming, incoming}, 0},
		"two for two, of five":           {[]int{0, 0, 0, incoming, incoming, outgoing, outgoing}, 2},
		"incoming to none: lost already": {[]int{outgoing}, 0},
	} {
		m := nodes(len(c.roles))
		r := clustermap.Range{ID: 1}
		for i, role := range c.roles {
			r.Replicas = append(r.Replicas, clustermap.Replica{
				ID: uint64(i + 1), Disk: disk.ID(i + 1), Learner: role == learner, Incoming: role == incoming, Outgoing: role == outgoing,
			})
		}
		m.Ranges = []clustermap.Range{r}
		if got := Tolerates(m, nil, coded()); got.Node != c.want || got.Folder != c.want || got.Site != 0 {
			t.Errorf("%s: %+v, want %d nodes", name, got, c.want)
		}
	}
}

// TestToleratesAnySlotSet: what is claimed of extents of fewer shards than their group has slots holds whichever slots
// they have and whichever domains are lost, and is not modest.
func TestToleratesAnySlotSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := testMap(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) node {
			return node{devices: rapid.SliceOfN(rapid.IntRange(1, 2), 1, 2).Draw(t, "devices")}
		}), 1, 3).Draw(t, "nodes")...)
		slots := rapid.IntRange(1, len(m.Disks)).Draw(t, "slots")
		parity := rapid.IntRange(0, slots-1).Draw(t, "parity")
		k := rapid.IntRange(1, slots-parity).Draw(t, "k")
		g := clustermap.Group{ID: 1, Epoch: 1, K: slots, Closed: true}
		for _, d := range rapid.Permutation(m.Disks).Draw(t, "disks")[:slots] {
			g.Slots = append(g.Slots, clustermap.Slot{Owner: d.ID})
		}
		m.Groups = []clustermap.Group{g}
		got := Tolerates(m, nil, coded([4]uint64{uint64(k), uint64(parity), 0, 1}))
		places := clustermap.NewPlaces(m)
		for l := clustermap.Folder; l < clustermap.LevelCount; l++ {
			most := places.Count(l)
			for lost := range uint(1) << places.Count(l) {
				for set := range uint(1) << slots {
					if bits.OnesCount(set) == k+parity && lostPieces(places, l, &g, set, lost) > parity {
						most = min(most, bits.OnesCount(lost)-1)
					}
				}
			}
			if got.At(l) != most {
				t.Fatalf("%v: claimed %d, true is %d", l, got.At(l), most)
			}
		}
	})
}

// lostPieces counts the slots of a set that lie in lost domains.
func lostPieces(places *clustermap.Places, l clustermap.Level, g *clustermap.Group, set, lost uint) (n int) {
	for i, s := range g.Slots {
		if at, _ := places.Of(l, s.Owner); set>>i&1 == 1 && lost>>at&1 == 1 {
			n++
		}
	}
	return n
}

func TestBelowPolicy(t *testing.T) {
	four := folders(4)
	build(t, four, Policy{})
	grown := regrown(t)
	short := grown.Clone() // one group of the open layout has two slots on one node
	i := slices.IndexFunc(short.Groups, func(g clustermap.Group) bool { return g.ID == disk.FirstGroup(1) })
	for n, d := range []disk.ID{1, 2, 12, 13, 14} {
		short.Groups[i].Slots[n].Owner = d
	}
	asks := func(m *clustermap.Map, policy string) *clustermap.Map {
		c := m.Clone()
		c.Policy = policy
		return c
	}
	for name, c := range map[string]struct {
		m     *clustermap.Map
		usage *metapb.Usage
		want  int64
	}{
		"nothing":                            {four, coded(), 0},
		"not known":                          {four, nil, 0},
		"as asked":                           {four, coded([4]uint64{2, 1, 0, 5}), 0},
		"fewer data shards":                  {four, coded([4]uint64{1, 1, 0, 3}, [4]uint64{2, 1, 0, 5}), 3},
		"fewer parity shards":                {four, coded([4]uint64{3, 0, 0, 3}, [4]uint64{2, 1, 0, 5}), 3},
		"more than asked":                    {four, coded([4]uint64{3, 2, 0, 3}), 0},
		"the closed layout is on one node":   {grown, coded([4]uint64{2, 1, 0, 7}, [4]uint64{3, 2, 1, 5}), 7},
		"even with all that is asked":        {grown, coded([4]uint64{3, 2, 0, 7}, [4]uint64{3, 2, 1, 5}), 7},
		"the closed layout is good enough":   {asks(grown, "replica:1"), coded([4]uint64{2, 1, 0, 7}), 0},
		"one group of a layout is weak":      {short, coded([4]uint64{3, 2, 1, 5}), 5},
		"more parity makes up for it":        {short, coded([4]uint64{1, 3, 1, 5}), 5}, // fewer data shards than asked
		"it does, with fewer data wanted":    {asks(short, "replica:3"), coded([4]uint64{1, 3, 1, 5}), 0},
		"a layout that is not there":         {four, coded([4]uint64{2, 1, 3, 5}), 5},
		"a policy that can't be kept":        {asks(four, "ec:4+2"), coded([4]uint64{1, 0, 0, 5}), 0},
		"a policy that nobody can read":      {asks(four, "much"), coded([4]uint64{1, 0, 0, 5}), 0},
		"copies that were asked for":         {four, &metapb.Usage{Coded: []*metapb.CodedBytes{{K: 1, M: 1, Copies: true, Bytes: 5}}}, 0},
		"too few copies":                     {four, &metapb.Usage{Coded: []*metapb.CodedBytes{{K: 1, M: 0, Copies: true, Bytes: 5}}}, 5},
		"the same coding twice, another two": {four, coded([4]uint64{1, 1, 0, 3}, [4]uint64{1, 1, 0, 4}, [4]uint64{1, 0, 0, 1}), 8},
	} {
		if got := BelowPolicy(c.m, c.usage); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
