package placement

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// GrowGroups says whether the map's open placement groups, its open layout, still are what Build would make of all its
// standing disks for the map's policy. If so it returns the map itself and false. If not it returns a clone, of the same revision,
// with a new layout over all disks, whether they are alive or not, and with every older group closed; the bytes stay
// where they are. The first layout of a map is 0.
//
// A disk with no slots, another coding, or groups whose slots share a domain or crowd into wider ones, because the
// topology is another now, ask for a new layout; so does a disk whose slots are off its share of the capacity by more
// than a fifth, give or take a few. What Build can't do better asks for nothing: grown once, a map does not grow again
// before its disks or its policy change. Chance comes from the cluster's id and the number of the layout: every node
// gives the same answer.
//
// The same holds for each of the map's wide policies and the groups that were laid for it; one that the disks can't keep any more
// keeps what it has.
//
// It is an error if the map's disks can't keep the policy, or if layout numbers run out.
func GrowGroups(m *clustermap.Map) (*clustermap.Map, bool, error) {
	grown, more := m, false
	for _, family := range append([]string{""}, m.Wide...) {
		g, err := newGrowth(grown, family)
		if err != nil && family != "" {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("grow placement groups: %w", err)
		}
		fits, err := g.fits()
		if err != nil {
			return m, false, err
		}
		if fits {
			continue
		}
		if grown, err = g.grow(grown); err != nil {
			return nil, false, err
		}
		more = true
	}
	return grown, more, nil
}

// grow returns a clone of the map with a new layout, and what was open of the family closed.
func (g *growth) grow(m *clustermap.Map) (*clustermap.Map, error) {
	layout, err := nextLayout(m)
	if err != nil {
		return nil, err
	}
	groups, err := g.build(layout)
	if err != nil {
		return nil, err
	}
	grown := m.Clone()
	for i := range grown.Groups {
		if x := &grown.Groups[i]; x.For == g.family {
			x.Closed = true
		}
	}
	grown.Groups = append(grown.Groups, groups...)
	return grown, nil
}

// nextLayout returns the number behind the highest in use. Numbers are not used again.
func nextLayout(m *clustermap.Map) (uint16, error) {
	if len(m.Groups) == 0 {
		return 0, nil
	}
	layout := m.Groups[len(m.Groups)-1].ID.Layout() + 1
	if layout == 0 {
		return 0, fmt.Errorf("grow placement groups: all layout numbers were used")
	}
	return layout, nil
}

// growth judges the open layout of a map.
type growth struct {
	m       *clustermap.Map // disks in order, no groups
	family  string          // the wide policy; empty: the cluster's own
	policy  Policy
	coding  Coding
	places  *clustermap.Places
	open    []clustermap.Group
	builder *builder // knows shares and limits
}

func newGrowth(m *clustermap.Map, family string) (*growth, error) {
	policy, err := ParsePolicy(cmp.Or(family, m.Policy))
	if err != nil {
		return nil, err
	}
	bare := *m.Standing()
	bare.Disks = slices.SortedFunc(slices.Values(bare.Disks), func(a, b clustermap.Disk) int { return cmp.Compare(a.ID, b.ID) })
	g := &growth{m: &bare, family: family, policy: policy, places: clustermap.NewPlaces(&bare)}
	if g.coding, err = policy.on(g.places); err != nil {
		return nil, err
	}
	if len(bare.Disks) == 0 {
		return nil, fmt.Errorf("the map has no disks")
	}
	for _, x := range m.Groups {
		if !x.Closed && x.For == family {
			g.open = append(g.open, x)
		}
	}
	g.builder = newBuilder(&bare, g.places, g.coding, nil)
	return g, nil
}

// build lays a layout.
func (g *growth) build(layout uint16) ([]clustermap.Group, error) {
	o := BuildOptions{
		Policy: g.policy, FirstID: disk.FirstGroup(layout),
		Rand: rand.New(rand.NewPCG(xxh3.HashString(g.m.Cluster), uint64(layout))),
	}
	if g.family != "" {
		o.SlotsPerDisk = WideSlotsPerDisk
	}
	groups, err := Build(g.m, o)
	for i := range groups {
		groups[i].For = g.family
	}
	return groups, err
}

// fits reports whether the open layout may stay.
func (g *growth) fits() (bool, error) {
	if len(g.open) == 0 || !g.keepsPolicy() {
		return false, nil
	}
	uneven, crowd := g.uneven(g.open), g.crowd(g.open)
	if len(uneven) == 0 && crowd == 0 {
		return true, nil
	}
	ideal, err := g.build(g.open[0].ID.Layout())
	if err != nil {
		return false, err
	}
	return g.crowd(ideal) >= crowd && !g.betterFor(uneven, ideal), nil
}

// keepsPolicy reports whether each open group has the coding that is wanted now, in distinct domains.
func (g *growth) keepsPolicy() bool {
	level := DomainLevel(g.places)
	for i := range g.open {
		x := &g.open[i]
		if x.K != g.coding.K || x.M != g.coding.M || slices.Max(g.counts(level, x)) > 1 {
			return false
		}
	}
	return true
}

// counts returns how many slots of a group each domain of a level has.
func (g *growth) counts(l clustermap.Level, x *clustermap.Group) []int {
	n := make([]int, g.places.Count(l))
	for _, s := range x.Slots {
		if at, ok := g.places.Of(l, s.Owner); ok {
			n[at]++
		}
	}
	return n
}

// crowd returns by how much the worst group exceeds what one domain of a wider level should have.
func (g *growth) crowd(groups []clustermap.Group) (worst int) {
	for n, w := range g.builder.wide {
		l := DomainLevel(g.places) + 1 + clustermap.Level(n)
		for i := range groups {
			worst = max(worst, slices.Max(g.counts(l, &groups[i]))-w.limit)
		}
	}
	return worst
}

// slots counts the slots of each disk, by its index, and all.
func (g *growth) slots(groups []clustermap.Group) (of []float64, sum float64) {
	index := make(map[disk.ID]int, len(g.m.Disks))
	for i, d := range g.m.Disks {
		index[d.ID] = i
	}
	of = make([]float64, len(g.m.Disks))
	for i := range groups {
		for _, s := range groups[i].Slots {
			if at, ok := index[s.Owner]; ok {
				of[at]++
				sum++
			}
		}
	}
	return of, sum
}

// uneven returns the disks that have by far too few or too many slots for their capacity.
func (g *growth) uneven(groups []clustermap.Group) (list []int) {
	of, sum := g.slots(groups)
	for i, share := range g.builder.share {
		if differ(of[i], share*sum) {
			list = append(list, i)
		}
	}
	return list
}

// betterFor reports whether some of these disks have as far too few or too many by what an ideal layout gives them.
func (g *growth) betterFor(disks []int, ideal []clustermap.Group) bool {
	have, sum := g.slots(g.open)
	want, all := g.slots(ideal)
	for _, i := range disks {
		if differ(have[i], want[i]*sum/all) {
			return true
		}
	}
	return false
}

// differ reports whether a disk with so many slots should rather have so many others: more than two where it has none,
// or a number off by more than a fifth, give or take four.
func differ(have, want float64) bool {
	if have == 0 {
		return want >= 2
	}
	return max(have, want)-min(have, want) > max(have, want)/5+4
}
