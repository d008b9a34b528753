package placement

import (
	"cmp"
	"math"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// Measures of copysets.
const (
	// copysetDisks is up to how many disks a cluster has none: every combination is as good there.
	copysetDisks = 5
	// copysetsPerDisk is in about how many sets a disk of average capacity is.
	copysetsPerDisk = 4
)

// GrowCopysets returns the copysets that a map should have, and whether they are others than those that it has. The sets
// that the map has stay as far as they are spread as widely as can be; of the others as many disks stay as can. There are so
// many sets that each disk is in about four, more or fewer by its capacity, and where a disk is in too few it takes the place
// of one that is in too many: a disk that joins changes about four sets, in one disk each. The first sets of a map are those
// that its ranges lie on. With few disks there are none, and ranges lie as they come.
func GrowCopysets(m *clustermap.Map) ([]clustermap.Copyset, bool) {
	m = m.Standing()
	if len(m.Disks) <= copysetDisks {
		return nil, len(m.Copysets) > 0
	}
	c := newCopysets(m)
	for _, s := range m.Copysets {
		c.add(s.ID, c.mend(s.Disks))
	}
	if len(c.sets) == 0 {
		c.seed()
	}
	c.trim()
	for changed := true; changed; {
		changed = false
		for len(c.sets) < c.wanted && c.grow() {
			changed = true
		}
		if c.uneven() {
			for c.even() {
				changed = true
			}
		}
	}
	return c.sets, !slices.EqualFunc(c.sets, m.Copysets, func(a, b clustermap.Copyset) bool {
		return a.ID == b.ID && slices.Equal(a.Disks, b.Disks)
	})
}

// AddCopyset returns the copysets of a map with one more: where an operator sends a range it may stay. They are the map's own
// if it has none, or that one, or as many as it may have.
func AddCopyset(m *clustermap.Map, disks []disk.ID) []clustermap.Copyset {
	m = m.Standing()
	c := newCopysets(m)
	if len(m.Copysets) == 0 || len(disks) != c.width || c.ideal.wider(c.narrow(disks)) {
		return m.Copysets
	}
	for _, s := range m.Copysets {
		c.add(s.ID, s.Disks)
	}
	if len(c.sets) < c.limit() {
		c.add(0, disks)
	}
	return c.sets
}

// copysets is a family of sets in the making.
type copysets struct {
	*layout
	ideal  narrowness
	wanted int       // how many sets there should be
	shares []float64 // of each disk in all places of all sets
	sets   []clustermap.Copyset
	has    map[setKey]bool
	of     [][]int // the sets that each disk is in
	used   map[setKey]int
}

func newCopysets(m *clustermap.Map) *copysets {
	c := &copysets{layout: newLayout(m), has: map[setKey]bool{}, of: make([][]int, len(m.Disks)), used: map[setKey]int{}}
	c.ideal = c.narrow(c.widestSet(c.width, func(disk.ID) int { return 0 }))
	c.wanted = (len(m.Disks)*copysetsPerDisk + c.width - 1) / c.width
	c.shares = c.layout.shares()
	for i := range m.Ranges {
		if key, ok := keyOf(disksOf(&m.Ranges[i])); ok {
			c.used[key]++
		}
	}
	return c
}

// shares returns what part of all replicas each disk should have: by its capacity, as far as its domain allows.
func (l *layout) shares() []float64 {
	return newBuilder(l.m, l.places, Coding{K: l.width}, nil).share
}

// limit is how many sets there may be, some of them made for operators.
func (c *copysets) limit() int { return c.wanted + c.wanted/4 + copysetsPerDisk }

// add adds a set, unless it is there or of the wrong size. Without an id it gets the next one.
func (c *copysets) add(id uint64, disks []disk.ID) bool {
	key, ok := keyOf(disks)
	if !ok || len(disks) != c.width || c.has[key] {
		return false
	}
	if n := len(c.sets); id == 0 && n == 0 {
		id = 1
	} else if id == 0 {
		id = c.sets[n-1].ID + 1
	}
	for _, d := range disks {
		i := c.index[d]
		c.of[i] = append(c.of[i], len(c.sets))
	}
	c.has[key] = true
	c.sets = append(c.sets, clustermap.Copyset{ID: id, Disks: slices.Sorted(slices.Values(disks))})
	return true
}

// excess tells in how many sets too many a disk is, with so many sets.
func (c *copysets) excess(i, sets int) float64 {
	return float64(len(c.of[i])) - c.shares[i]*float64(sets*c.width)
}

// together tells in how many sets a disk is with others.
func (c *copysets) together(d disk.ID, others []disk.ID) (n int) {
	for _, s := range c.of[c.index[d]] {
		for _, o := range others {
			if slices.Contains(c.sets[s].Disks, o) {
				n++
			}
		}
	}
	return n
}

// complete makes a set of some disks, as far as the spread allows, and of those that are in too few sets.
func (c *copysets) complete(first, members []disk.ID) []disk.ID {
	s := newSpread(c.layout)
	for _, d := range first {
		s.take(d)
	}
	need := func(d disk.ID) int {
		return int(math.Round(2*c.excess(c.index[d], c.wanted)))*1000 + c.together(d, s.disks)
	}
	for len(s.disks) < min(c.width, len(c.m.Disks)) {
		best, _ := c.widest(s, members, nil, need, func(disk.ID) bool { return true })
		s.take(best)
	}
	return s.disks
}

// mend returns a set as it is if it may stay, else one that has much of it.
func (c *copysets) mend(disks []disk.ID) []disk.ID {
	known := slices.DeleteFunc(slices.Clone(disks), func(d disk.ID) bool { return !c.knows(d) })
	if len(known) == c.width && !c.ideal.wider(c.narrow(known)) {
		return known
	}
	return c.complete(nil, known)
}

// seed takes the sets that ranges lie on, those of many ranges first, as long as no disk gets into too many.
func (c *copysets) seed() {
	keys := make([]setKey, 0, len(c.used))
	for k := range c.used {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b setKey) int { return cmp.Or(c.used[b]-c.used[a], slices.Compare(a[:], b[:])) })
	for _, k := range keys {
		disks := slices.DeleteFunc(slices.Clone(k[:]), func(d disk.ID) bool { return !c.knows(d) })
		full := slices.ContainsFunc(disks, func(d disk.ID) bool { return c.excess(c.index[d], c.wanted) > 0 })
		if len(c.sets) < c.wanted && !full && len(disks) == c.width && !c.ideal.wider(c.narrow(disks)) {
			c.add(0, disks)
		}
	}
}

// trim drops the sets that fewest ranges lie on if there are by far too many.
func (c *copysets) trim() {
	if len(c.sets) <= c.limit() {
		return
	}
	old := c.sets
	users := func(s clustermap.Copyset) int { k, _ := keyOf(s.Disks); return c.used[k] }
	slices.SortStableFunc(old, func(a, b clustermap.Copyset) int { return users(b) - users(a) })
	old = slices.SortedFunc(slices.Values(old[:c.wanted]), func(a, b clustermap.Copyset) int { return cmp.Compare(a.ID, b.ID) })
	c.sets, c.has = nil, map[setKey]bool{}
	clear(c.of)
	for _, s := range old {
		c.add(s.ID, s.Disks)
	}
}

// grow adds a set of disks that are in too few, and reports whether there is one.
func (c *copysets) grow() bool {
	if c.add(0, c.complete(nil, nil)) {
		return true
	}
	for _, i := range c.byExcess() {
		if disks := c.complete([]disk.ID{c.m.Disks[i].ID}, nil); !c.ideal.wider(c.narrow(disks)) && c.add(0, disks) {
			return true
		}
	}
	return false
}

// byExcess returns the disks, those that are in too few sets first.
func (c *copysets) byExcess() []int {
	order := make([]int, len(c.m.Disks))
	excess := make([]float64, len(order))
	for i := range order {
		order[i], excess[i] = i, c.excess(i, len(c.sets))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(excess[a], excess[b]) })
	return order
}

// uneven reports whether some disk is in no set, or in by far too few or too many.
func (c *copysets) uneven() bool {
	for i := range c.m.Disks {
		e, want := c.excess(i, len(c.sets)), c.shares[i]*float64(len(c.sets)*c.width)
		if e < -1.5 || e > 2.5 || len(c.of[i]) == 0 && want >= 0.5 {
			return true
		}
	}
	return false
}

// even lets a disk that is in too few sets take the place of one that is in too many, by more than one set, and reports
// whether there are such.
func (c *copysets) even() bool {
	order := c.byExcess()
	for _, y := range order {
		for _, x := range slices.Backward(order) {
			if c.excess(x, len(c.sets))-c.excess(y, len(c.sets)) < 1+1e-6 {
				break
			}
			if c.exchange(x, y) {
				return true
			}
		}
	}
	return false
}

// exchange lets a disk take the place of another in one of its sets, the one whose disks it is with least, and reports whether
// there is such a set.
func (c *copysets) exchange(x, y int) bool {
	from, to := c.m.Disks[x].ID, c.m.Disks[y].ID
	best, least := -1, 0
	for _, s := range c.of[x] {
		disks := c.sets[s].Disks
		if slices.Contains(disks, to) || c.ideal.wider(c.narrowWith(disks, from, to)) {
			continue
		}
		if key, _ := keyOf(exchanged(disks, from, to)); c.has[key] {
			continue
		}
		if n := c.together(to, disks); best < 0 || n < least {
			best, least = s, n
		}
	}
	if best < 0 {
		return false
	}
	old, _ := keyOf(c.sets[best].Disks)
	delete(c.has, old)
	c.sets[best].Disks = exchanged(c.sets[best].Disks, from, to)
	now, _ := keyOf(c.sets[best].Disks)
	c.has[now] = true
	c.of[x] = slices.DeleteFunc(c.of[x], func(s int) bool { return s == best })
	c.of[y] = append(c.of[y], best)
	return true
}

// exchanged returns a set with y instead of x.
func exchanged(disks []disk.ID, x, y disk.ID) []disk.ID {
	out := slices.Clone(disks)
	out[slices.Index(out, x)] = y
	slices.Sort(out)
	return out
}
