package placement

import (
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
)

// Placed is something that lies on some disks, one piece on each, and that any Need of them suffice for.
type Placed struct {
	Disks []disk.ID
	Need  int
}

// PlacedGroup returns where extents of a whole group lie.
func PlacedGroup(g *clustermap.Group) Placed {
	p := Placed{Need: g.K, Disks: make([]disk.ID, len(g.Slots))}
	for i, s := range g.Slots {
		p.Disks[i] = s.Owner
	}
	return p
}

// PlacedExtent returns where an extent lies now, and false if the map does not know its group or a slot of it.
func PlacedExtent(m *clustermap.Map, e *metapb.Extent) (Placed, bool) {
	g := m.Group(disk.GroupID(e.GetGroup()))
	if g == nil {
		return Placed{}, false
	}
	p := Placed{Need: int(e.GetCoding().GetK())}
	for _, s := range e.GetSlots() {
		if int(s) >= len(g.Slots) {
			return Placed{}, false
		}
		p.Disks = append(p.Disks, g.Slots[s].Owner)
	}
	return p, true
}

// PlacedRange returns where a metadata range lies: a majority of its voters is needed, and while its configuration is a
// joint one, a majority of the old voters and one of the new.
func PlacedRange(r *clustermap.Range) []Placed {
	var before, after Placed
	joint := false
	for _, x := range r.Replicas {
		joint = joint || x.Incoming || x.Outgoing
		if !x.Learner && !x.Incoming {
			before.Disks = append(before.Disks, x.Disk)
		}
		if !x.Learner && !x.Outgoing {
			after.Disks = append(after.Disks, x.Disk)
		}
	}
	before.Need, after.Need = len(before.Disks)/2+1, len(after.Disks)/2+1
	if joint {
		return []Placed{before, after}
	}
	return []Placed{after}
}

// Tolerates tells how many domains of each level may be lost, whichever they are, on top of the disks that are not
// alive already (nil: all are), with everything still readable: the least over all that is kept in the map's groups and
// ranges, and over the extra things. Where something is lost already, or nothing is placed at all, it is zero.
//
// Usage says in which codings and layouts bytes lie, in any order. Every open group of the cluster's own policy counts, since new writes go
// there; any other counts where bytes lie in its layout; and where bytes have less parity than their groups, that counts. If
// it is nil nothing is known of the bytes: every group counts as one in which whole extents lie.
func Tolerates(m *clustermap.Map, alive func(disk.ID) bool, usage *metapb.Usage, extra ...Placed) clustermap.Tolerance {
	t := newTolerator(m, alive)
	t.addGroups(m, usage)
	for i := range m.Ranges {
		for _, p := range PlacedRange(&m.Ranges[i]) {
			t.add(p)
		}
	}
	for _, p := range extra {
		t.add(p)
	}
	return t.result()
}

// ToleratesOf tells the same of some things alone, not of all that the map's groups and ranges keep.
func ToleratesOf(m *clustermap.Map, alive func(disk.ID) bool, things ...Placed) clustermap.Tolerance {
	t := newTolerator(m, alive)
	for _, p := range things {
		t.add(p)
	}
	return t.result()
}

func (t *tolerator) result() clustermap.Tolerance {
	for l, n := range t.least {
		t.least[l] = max(n, 0)
	}
	return clustermap.Tolerance{
		Folder: t.least[clustermap.Folder],
		Device: t.least[clustermap.Device],
		Node:   t.least[clustermap.NodeLevel],
		Rack:   t.least[clustermap.Rack],
		Site:   t.least[clustermap.Site],
	}
}

// BelowPolicy returns how many bytes of a usage do not keep what the map's policy asks for on the map as it is: they lie
// in extents of fewer data or parity shards (plain copies that were asked for are as good as data shards), or in a layout one of whose groups can lose fewer domains, with all disks
// alive, than the policy has parity shards. On a map that can't keep the policy it is zero: there is nothing to measure
// by.
func BelowPolicy(m *clustermap.Map, usage *metapb.Usage) (below int64) {
	policy, err := ParsePolicy(m.Policy)
	if err != nil {
		return 0
	}
	places := clustermap.NewPlaces(m)
	want, err := policy.on(places)
	if err != nil {
		return 0
	}
	loses := map[codingAt]int{} // domains that bytes in a layout, with so many parity shards, can lose
	for _, c := range usage.GetCoded() {
		if c.Bytes == 0 {
			continue
		}
		at := codingAt{c.Layout, int(c.M)}
		if _, ok := loses[at]; !ok {
			loses[at] = layoutLoses(m, places, at)
		}
		if int(c.K) < want.K && !c.Copies || int(c.M) < want.M || loses[at] < want.M {
			below += int64(c.Bytes)
		}
	}
	return below
}

// InUse reports whether a group counts: an open one of the cluster's own policy does, since new writes go there, any other where
// bytes lie in its layout. With a nil usage all do.
func InUse(g *clustermap.Group, usage *metapb.Usage) bool {
	return usage == nil || takesAll(g) || slices.ContainsFunc(usage.Coded, func(c *metapb.CodedBytes) bool {
		return c.Bytes > 0 && c.Layout == uint32(g.ID.Layout())
	})
}

// takesAll reports whether new writes go to a group whatever buckets ask for.
func takesAll(g *clustermap.Group) bool { return !g.Closed && g.For == "" }

// codingAt is a number of parity shards in a layout.
type codingAt struct {
	layout uint32
	parity int
}

// layoutLoses returns how many domains of DomainLevel extents in a layout can lose wherever in it they lie, with all
// disks alive; 0 if the map has no group of it.
func layoutLoses(m *clustermap.Map, places *clustermap.Places, at codingAt) int {
	t := tolerator{places: places}
	t.reset()
	for i := range m.Groups {
		if g := &m.Groups[i]; uint32(g.ID.Layout()) == at.layout {
			t.add(placedParity(g, at.parity))
		}
	}
	return max(t.least[DomainLevel(places)], 0)
}

// placedParity returns where extents of so many parity shards lie in a group, whichever of its slots they have: of any
// set of slots the pieces in some domains are at most all that the group has there.
func placedParity(g *clustermap.Group, parity int) Placed {
	p := PlacedGroup(g)
	p.Need = max(len(g.Slots)-parity, 1)
	return p
}

type tolerator struct {
	places *clustermap.Places
	alive  func(disk.ID) bool
	least  [clustermap.LevelCount]int
	counts []int // scratch: pieces per domain
}

func newTolerator(m *clustermap.Map, alive func(disk.ID) bool) *tolerator {
	t := &tolerator{places: clustermap.NewPlaces(m), alive: alive}
	t.reset()
	return t
}

func (t *tolerator) reset() {
	for l := range t.least {
		t.least[l] = -1
	}
}

// addGroups takes the groups into account, each with the least parity of what lies in it or may come to lie in it.
func (t *tolerator) addGroups(m *clustermap.Map, usage *metapb.Usage) {
	least := map[uint32]int{} // parity, of the bytes in each layout
	for _, c := range usage.GetCoded() {
		if parity, ok := least[c.Layout]; c.Bytes > 0 && (!ok || int(c.M) < parity) {
			least[c.Layout] = int(c.M)
		}
	}
	known := map[uint32]bool{}
	for i := range m.Groups {
		g := &m.Groups[i]
		layout := uint32(g.ID.Layout())
		known[layout] = true
		parity, kept := least[layout]
		switch {
		case usage == nil || takesAll(g) && (!kept || parity > g.M):
			parity = g.M
		case !takesAll(g) && !kept:
			continue
		}
		t.add(placedParity(g, parity))
	}
	for layout := range least {
		if !known[layout] {
			t.add(Placed{Need: 1}) // bytes lie where the map knows nothing
		}
	}
}

// add takes one thing into account: with the domains in descending order of the pieces they hold, as many may go as
// hold no more than can be spared.
func (t *tolerator) add(p Placed) {
	for l := clustermap.Folder; l < clustermap.LevelCount; l++ {
		t.counts = t.counts[:0]
		for range t.places.Count(l) {
			t.counts = append(t.counts, 0)
		}
		spare := -p.Need
		for _, id := range p.Disks {
			at, ok := t.places.Of(l, id)
			if ok && (t.alive == nil || t.alive(id)) {
				t.counts[at]++
				spare++
			}
		}
		slices.SortFunc(t.counts, func(a, b int) int { return b - a })
		n := 0
		for n < len(t.counts) && t.counts[n] > 0 && t.counts[n] <= spare {
			spare -= t.counts[n]
			n++
		}
		if spare < 0 {
			n = 0
		}
		if t.least[l] < 0 || n < t.least[l] {
			t.least[l] = n
		}
	}
}
