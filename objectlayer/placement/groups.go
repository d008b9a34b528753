package placement

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// Defaults of BuildOptions.
const (
	DefaultSlotsPerDisk = 100
	// WideSlotsPerDisk is the same for the groups of a bucket's wide policy.
	WideSlotsPerDisk = 40
	DefaultScatter   = 64
)

// BuildOptions says which groups are wanted.
type BuildOptions struct {
	Policy Policy
	// SlotsPerDisk is how many slots a disk of average capacity gets; 0: DefaultSlotsPerDisk.
	SlotsPerDisk int
	// Scatter is about how many other disks one disk shares groups with, where there are that many: a lost disk is
	// rebuilt from so many others, and so few combinations of disks can lose data together; 0: DefaultScatter.
	Scatter int
	// FirstID is the id of the first group; 0: 1. The others follow it (disk.GroupID.Next): more than a layout can have
	// go on in the next layout.
	FirstID disk.GroupID
	// Rand decides among equals. It must be set; the same source gives the same groups.
	Rand *rand.Rand
}

// Build lays placement groups over all disks of a map, which needs none of its own. Slots of one group lie in distinct
// domains of DomainLevel; wider domains (racks, sites) hold at most max(m, ⌈(k+m)/count⌉) slots of a group each, or as
// few more as the topology demands. Disks get slots by their capacity as far as their domain allows. It is an error if
// the map has too few domains for the policy, or if the ids run out. Epochs begin at 1.
func Build(m *clustermap.Map, o BuildOptions) ([]clustermap.Group, error) {
	places := clustermap.NewPlaces(m)
	coding, err := o.Policy.on(places)
	if err != nil {
		return nil, fmt.Errorf("lay placement groups: %w", err)
	}
	if len(m.Disks) == 0 {
		return nil, fmt.Errorf("lay placement groups: the map has no disks")
	}
	if o.SlotsPerDisk == 0 {
		o.SlotsPerDisk = DefaultSlotsPerDisk
	}
	if o.Scatter == 0 {
		o.Scatter = DefaultScatter
	}
	b := newBuilder(m, places, coding, o.Rand)
	groups := (o.SlotsPerDisk*len(m.Disks) + b.width - 1) / b.width
	sets := b.sets(b.setCount(groups, o.Scatter))
	out := make([]clustermap.Group, 0, groups)
	id, ok := max(o.FirstID, 1), true
	for _, set := range b.spread(sets, groups) {
		if !ok {
			return nil, fmt.Errorf("lay placement groups: no ids are left for %d groups from %d on", groups, max(o.FirstID, 1))
		}
		set = slices.Clone(set)
		o.Rand.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
		g := clustermap.Group{ID: id, Epoch: 1, K: coding.K, M: coding.M}
		for _, d := range set {
			g.Slots = append(g.Slots, clustermap.Slot{Owner: m.Disks[d].ID})
		}
		out = append(out, g)
		id, ok = id.Next()
	}
	return out, nil
}

// builder lays groups. Disks are named by their index in the map.
type builder struct {
	rng    *rand.Rand
	width  int
	share  []float64 // of each disk: its part of all slots; the sum is 1
	domain [][]int   // the disks of each domain
	wide   []wideLevel
}

// wideLevel is a level above that of the domains, and how many slots of a group one of its domains may hold.
type wideLevel struct {
	of    []int // by disk
	limit int
	used  []int
}

func newBuilder(m *clustermap.Map, places *clustermap.Places, c Coding, rng *rand.Rand) *builder {
	b := &builder{rng: rng, width: c.K + c.M}
	level := DomainLevel(places)
	b.domain = make([][]int, places.Count(level))
	for i, d := range m.Disks {
		at, _ := places.Of(level, d.ID)
		b.domain[at] = append(b.domain[at], i)
	}
	for l := level + 1; l < clustermap.LevelCount; l++ {
		n := places.Count(l)
		w := wideLevel{limit: max(c.M, (b.width+n-1)/n), used: make([]int, n)}
		for _, d := range m.Disks {
			at, _ := places.Of(l, d.ID)
			w.of = append(w.of, at)
		}
		b.wide = append(b.wide, w)
	}
	b.share = b.shares(m)
	return b
}

// shares divides all slots among disks by capacity. No domain can have more than one slot of each group, so what a
// large domain can't take is divided among the others.
func (b *builder) shares(m *clustermap.Map) []float64 {
	weight := make([]float64, len(m.Disks))
	for i, d := range m.Disks {
		weight[i] = float64(d.CapacityBytes)
	}
	if slices.Max(weight) <= 0 {
		for i := range weight {
			weight[i] = 1
		}
	}
	limit := 1 / float64(b.width)
	share := make([]float64, len(weight))
	full := make([]bool, len(b.domain))
	for {
		rest, sum := 1.0, 0.0
		for d, disks := range b.domain {
			if full[d] {
				rest -= limit
				continue
			}
			for _, i := range disks {
				sum += weight[i]
			}
		}
		again := false
		for d, disks := range b.domain {
			own := 0.0
			for _, i := range disks {
				own += weight[i]
			}
			part := limit
			if !full[d] && sum > 0 {
				part = rest * own / sum
			}
			if !full[d] && part > limit*(1+1e-9) {
				full[d], again = true, true
			}
			for _, i := range disks {
				if own > 0 {
					share[i] = min(part, limit) * weight[i] / own
				}
			}
		}
		if !again {
			return share
		}
	}
}

// setCount returns how many different sets of disks are used: one per group, unless that would let a disk share groups
// with more than scatter others.
func (b *builder) setCount(groups, scatter int) int {
	disks := len(b.share)
	if b.width == 1 || disks-1 <= scatter {
		return groups
	}
	perDisk := (scatter + b.width - 2) / (b.width - 1)
	return min(groups, (disks*perDisk+b.width-1)/b.width)
}

// sets makes n sets of disks of the group's width. Each takes the domains, and in them the disks, that are furthest
// behind their share, with chance deciding among neighbours.
func (b *builder) sets(n int) [][]int {
	left := make([]float64, len(b.share))
	for i, s := range b.share {
		left[i] = s * float64(n*b.width)
	}
	type candidate struct {
		disk int
		key  float64
	}
	order := make([]candidate, len(b.domain))
	out := make([][]int, 0, n)
	for relax := 0; len(out) < n; {
		for d, disks := range b.domain {
			best, sum := candidate{disks[0], math.Inf(-1)}, 0.0
			for _, i := range disks {
				sum += left[i]
				if key := left[i] + b.rng.Float64(); key > best.key {
					best = candidate{i, key}
				}
			}
			order[d] = candidate{best.disk, sum + b.rng.Float64()}
		}
		slices.SortFunc(order, func(x, y candidate) int {
			switch {
			case x.key > y.key:
				return -1
			case x.key < y.key:
				return 1
			}
			return x.disk - y.disk
		})
		set := make([]int, 0, b.width)
		b.clear()
		for _, c := range order {
			if len(set) < b.width && b.take(c.disk, relax) {
				set = append(set, c.disk)
			}
		}
		if len(set) < b.width {
			relax++ // the limits of racks and sites can't be kept by any set: the order does not matter
			continue
		}
		for _, i := range set {
			left[i]--
		}
		out = append(out, set)
	}
	return out
}

func (b *builder) clear() {
	for _, w := range b.wide {
		clear(w.used)
	}
}

// take counts a disk in at all wider levels, unless one of them has enough.
func (b *builder) take(i, relax int) bool {
	for _, w := range b.wide {
		if w.used[w.of[i]] >= w.limit+relax {
			return false
		}
	}
	for _, w := range b.wide {
		w.used[w.of[i]]++
	}
	return true
}

// spread gives each group a set. With fewer sets than groups, each group takes the set whose disks are furthest behind
// their share.
func (b *builder) spread(sets [][]int, groups int) [][]int {
	if len(sets) >= groups {
		return sets[:groups]
	}
	target := make([]float64, len(b.share))
	used := make([]float64, len(b.share))
	for i, s := range b.share {
		target[i] = max(s*float64(groups*b.width), 1e-9)
	}
	out := make([][]int, 0, groups)
	for range groups {
		best, bestKey := 0, math.Inf(-1)
		for n, set := range sets {
			key := 0.0
			for _, i := range set {
				key += (2*(target[i]-used[i]) - 1) / target[i] // by how much the squared error falls
			}
			if key > bestKey {
				best, bestKey = n, key
			}
		}
		for _, i := range sets[best] {
			used[i]++
		}
		out = append(out, sets[best])
	}
	return out
}
