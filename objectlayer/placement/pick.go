package placement

import (
	"fmt"
	"iter"
	"slices"
	"sort"

	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// Request asks for a place for one extent.
type Request struct {
	Map    *clustermap.Map
	Alive  func(disk.ID) bool // nil: all are
	Blob   disk.BlobID
	Extent uint32
	Policy Policy
	// Copies: as many plain copies as the policy has parity shards, and one. Few bytes are written to fewer disks that way.
	Copies bool
	// Short: a group with too few live slots for the policy's parity is taken all the same, with one data shard and as much parity
	// as there is place for.
	Short bool
	// Disks and groups that were tried and failed.
	ExcludeDisks  []disk.ID
	ExcludeGroups []disk.GroupID
}

// Choice is a place for one extent: shard i belongs to slot Slots[i], which disk Disks[i] owns.
type Choice struct {
	Group  disk.GroupID
	Epoch  disk.Epoch
	Coding Coding
	Copies bool // plain copies were asked for
	Slots  []uint8
	Disks  []disk.ID
}

// TooFewError says that no group has enough live slots to keep what the policy's parity promises.
type TooFewError struct {
	Policy     Policy
	Live, Need int // slots of the best group
}

// Error says how many slots live and how many are needed.
func (e *TooFewError) Error() string {
	return fmt.Sprintf("policy %v: the best placement group has %d live disks, a write needs %d", e.Policy, e.Live, e.Need)
}

// wholeTries is how many groups are looked at by hash before all of them are.
const wholeTries = 8

// Pick chooses a group with all slots alive, by a hash of blob and extent, so that load spreads evenly. If there is
// none it takes a smaller slot set of a group with as many live slots as any: fewer data shards, as many parity
// shards. With no more live slots than parity shards it refuses by a *TooFewError, unless the request is Short. A policy that asks for fewer shards
// than the groups have slots gets some slots of one, rotated by blob; one that asks for more gets fewer data shards.
func Pick(r Request) (Choice, error) {
	open := openRuns(r.Map.Groups, familyOf(r.Map, r.Policy))
	if len(open) == 0 {
		open = openRuns(r.Map.Groups, "")
	}
	if len(open) == 0 {
		return Choice{}, &TooFewError{Policy: r.Policy, Need: r.Policy.fixed.M + 1}
	}
	var seed [20]byte
	copy(seed[:], r.Blob[:])
	seed[16], seed[17], seed[18], seed[19] = byte(r.Extent>>24), byte(r.Extent>>16), byte(r.Extent>>8), byte(r.Extent)
	h := xxh3.Hash(seed[:])
	for i := range uint64(wholeTries) {
		g := open.at(mix(h + i))
		if c := r.coding(g); !r.closed(g) && r.live(g) == len(g.Slots) && len(g.Slots) >= c.K+c.M {
			return r.choose(g, h), nil
		}
	}
	return r.best(open, h)
}

// familyOf returns the wide policy of a map for which groups are laid, or are to be, for the buckets of a policy; empty: those of the
// cluster's own policy serve.
func familyOf(m *clustermap.Map, p Policy) string {
	if len(m.Wide) > 0 && !p.IsAuto() && slices.Contains(m.Wide, p.String()) {
		return p.String()
	}
	return ""
}

// Widest returns how many slots the open groups of the map's own policy have.
func Widest(m *clustermap.Map) (slots int) {
	for _, run := range openRuns(m.Groups, "") {
		slots = max(slots, len(run[0].Slots))
	}
	return slots
}

// runs are groups that lie together in the list of a map: those of a layout.
type runs [][]clustermap.Group

// openRuns returns the groups of a family that take new writes. A layout is open, or closed, as a whole.
func openRuns(groups []clustermap.Group, family string) (list runs) {
	for len(groups) > 0 {
		first := &groups[0]
		n := sort.Search(len(groups), func(i int) bool { return groups[i].ID.Layout() > first.ID.Layout() })
		if !first.Closed && (first.For == family || mutantWideMixed) {
			list = append(list, groups[:n])
		}
		groups = groups[n:]
	}
	return list
}

// all walks over the groups.
func (r runs) all() iter.Seq[*clustermap.Group] {
	return func(yield func(*clustermap.Group) bool) {
		for _, run := range r {
			for i := range run {
				if !yield(&run[i]) {
					return
				}
			}
		}
	}
}

// at returns a group by a hash.
func (r runs) at(h uint64) *clustermap.Group {
	total := uint64(0)
	for _, run := range r {
		total += uint64(len(run))
	}
	n := h % total
	for _, run := range r {
		if n < uint64(len(run)) {
			return &run[n]
		}
		n -= uint64(len(run))
	}
	return nil // cannot be
}

// best looks at all groups that are open and takes one of those where the most shards of the policy find a place.
func (r Request) best(open runs, h uint64) (Choice, error) {
	var best []*clustermap.Group
	refused := &TooFewError{Policy: r.Policy, Need: r.Policy.fixed.M + 1}
	most := 0
	for g := range open.all() {
		if r.closed(g) {
			continue
		}
		c, live := r.coding(g), r.live(g)
		if live < c.M+1 && (!r.Short || live == 0) {
			if live > refused.Live || refused.Live == 0 {
				refused.Live, refused.Need = live, c.M+1
			}
			continue
		}
		switch n := min(live, c.K+c.M); {
		case n > most:
			best, most = append(best[:0], g), n
		case n == most:
			best = append(best, g)
		}
	}
	if len(best) == 0 {
		return Choice{}, refused
	}
	return r.choose(best[h%uint64(len(best))], h), nil
}

// choose fills a Choice from the live slots of a group.
func (r Request) choose(g *clustermap.Group, h uint64) Choice {
	c := Choice{Group: g.ID, Epoch: g.Epoch, Coding: r.coding(g)}
	c.Copies = c.Coding.K == 1
	live := make([]uint8, 0, len(g.Slots))
	for i, s := range g.Slots {
		if r.usable(s.Owner) {
			live = append(live, uint8(i))
		}
	}
	n := min(len(live), c.Coding.K+c.Coding.M)
	if c.Coding.K = n - c.Coding.M; c.Coding.K < 1 { // short
		c.Coding = Coding{1, n - 1}
	}
	if n < len(live) {
		start := int(h % uint64(len(live)))
		live = slices.Concat(live[start:], live[:start])[:n]
		slices.Sort(live)
	}
	c.Slots = live
	c.Disks = make([]disk.ID, n)
	for i, s := range live {
		c.Disks[i] = g.Slots[s].Owner
	}
	return c
}

func (r Request) coding(g *clustermap.Group) Coding {
	c := r.Policy.fixed
	if r.Policy.IsAuto() {
		c = Coding{g.K, g.M}
	}
	if r.Copies {
		c.K = 1
	}
	return c
}

func (r Request) closed(g *clustermap.Group) bool {
	return g.Closed || slices.Contains(r.ExcludeGroups, g.ID)
}

func (r Request) usable(id disk.ID) bool {
	return (r.Alive == nil || r.Alive(id)) && !slices.Contains(r.ExcludeDisks, id)
}

func (r Request) live(g *clustermap.Group) (n int) {
	for _, s := range g.Slots {
		if r.usable(s.Owner) {
			n++
		}
	}
	return n
}

// mix spreads neighbouring numbers (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
