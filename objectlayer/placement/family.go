package placement

import (
	"slices"

	"github.com/contender/contender/disk"
)

// Measures of balance among copysets. A set's fair number of ranges is the same for all sets but those with a disk that is in
// too many; a disk's fair load is its part of all replicas by capacity.
const (
	// setHot and setCool are how far off its fair number of ranges a set must be before ranges move for its sake.
	setHot  = 1.15
	setCool = 0.6
	// diskHot is how far above its fair load a disk must be before ranges move for its sake. What is under the fair load is
	// left alone: it hurts nobody, and a range that comes for one disk's sake moves the others' replicas, too.
	diskHot = 1.2
	// weightMin keeps disks of no capacity from dividing by zero.
	weightMin = 1e-6
)

// family is the copysets of a map that ranges may lie on, how loaded they are, and what they and the disks can bear.
type family struct {
	sets    [][]int // indexes of disks, ascending
	of      [][]int // the sets that each disk is in
	home    map[setKey]int
	disk    []float64 // what part of all replicas each disk should have, times the number of disks
	weight  []float64 // what part of all ranges each set should have, times the number of sets
	ranges  []int     // on each set
	settled int       // ranges on any set
}

// newFamily returns the copysets of a planner's map that have as many disks as a range has replicas, spread as widely as can
// be; nil if there are none.
func newFamily(p *Planner) *family {
	f := &family{home: map[setKey]int{}, of: make([][]int, len(p.m.Disks))}
	for _, s := range p.m.Copysets {
		if len(s.Disks) != p.width || slices.ContainsFunc(s.Disks, func(d disk.ID) bool { return !p.knows(d) }) || p.ideal.wider(p.narrow(s.Disks)) {
			continue
		}
		key, _ := keyOf(s.Disks)
		f.home[key] = len(f.sets)
		set := make([]int, 0, len(s.Disks))
		for _, d := range s.Disks {
			i := p.index[d]
			f.of[i] = append(f.of[i], len(f.sets))
			set = append(set, i)
		}
		f.sets = append(f.sets, set)
	}
	if len(f.sets) == 0 || mutantStraySets {
		return nil
	}
	f.ranges = make([]int, len(f.sets))
	for _, s := range p.shares() {
		f.disk = append(f.disk, max(s*float64(len(p.m.Disks)), weightMin))
	}
	f.weigh(p.width)
	return f
}

// weigh gives less weight to sets with a disk that is in too many for its capacity.
func (f *family) weigh(width int) {
	const rounds, slack = 20, 1.1
	f.weight = slices.Repeat([]float64{1}, len(f.sets))
	scale := float64(len(f.disk)) / float64(width*len(f.sets))
	for range rounds {
		load := make([]float64, len(f.disk))
		for s, set := range f.sets {
			for _, i := range set {
				load[i] += f.weight[s] * scale / f.disk[i]
			}
		}
		sum := 0.0
		for s, set := range f.sets {
			most := slack
			for _, i := range set {
				most = max(most, load[i])
			}
			f.weight[s] *= slack / most
			sum += f.weight[s]
		}
		for s := range f.weight {
			f.weight[s] *= float64(len(f.sets)) / sum
		}
	}
}

// count counts a range in or out of the set that it is on, if it is on one.
func (f *family) count(disks []disk.ID, by int) {
	if f == nil {
		return
	}
	if key, ok := keyOf(disks); ok {
		if s, ok := f.home[key]; ok {
			f.ranges[s] += by
			f.settled += by
		}
	}
}

// fair returns how many ranges a set should have.
func (f *family) fair(set int) float64 {
	return float64(f.settled) / float64(len(f.sets)) * f.weight[set]
}

// fromFamily returns a copyset as the target: the one that the voters are, unless another one is better for the balance; else
// the one that is nearest. It returns false if there is none that serves.
func (x *rangePlan) fromFamily() ([]disk.ID, bool) {
	if x.family == nil || len(x.voters) > x.width {
		return nil, false
	}
	key, _ := keyOf(x.voters)
	to, at := x.family.home[key]
	if at = at && x.usable(to); at {
		if s, ok := x.cooler(to); ok {
			to = s
		}
	} else if to, at = x.nearest(); !at {
		return nil, false
	}
	want := make([]disk.ID, 0, x.width)
	set := x.family.sets[to]
	for _, d := range x.voters {
		if i, ok := x.index[d]; ok && slices.Contains(set, i) {
			want = append(want, d)
		}
	}
	for _, i := range set {
		if d := x.m.Disks[i].ID; !slices.Contains(want, d) {
			want = append(want, d)
		}
	}
	return want, true
}

// usable reports whether replicas may be on all disks of a set.
func (x *rangePlan) usable(set int) bool {
	for _, i := range x.family.sets[set] {
		if !x.serves(x.m.Disks[i].ID) {
			return false
		}
	}
	return true
}

// nearest returns the set that a range which is on none is to go to: the one with the shortest way, then the one with the
// least load.
func (x *rangePlan) nearest() (best int, ok bool) {
	voter, learner := x.marks()
	var bestCost [2]float64
	for _, s := range x.near() {
		way, _ := x.way(s, voter, learner)
		cost := [2]float64{float64(way), x.heat(s)}
		if (!ok || slices.Compare(cost[:], bestCost[:]) < 0) && x.usable(s) {
			best, bestCost, ok = s, cost, true
		}
	}
	return best, ok
}

// way tells how far a set is: how many replicas have to move there, for how many of them there is no learner yet, and how
// many learners are of no use there. Begun says whether any learner is.
func (x *rangePlan) way(set int, voter, learner map[int]bool) (way int, begun bool) {
	way = len(learner)
	for _, i := range x.family.sets[set] {
		switch {
		case learner[i]:
			begun = true // one to move, and one that is of use
		case !voter[i]:
			way += 2
		}
	}
	return way, begun
}

// heat is what makes a set a worse place than others: the loads of its disks, and how many ranges it has.
func (x *rangePlan) heat(set int) float64 {
	sum := float64(x.width) * x.crowd(set)
	for _, i := range x.family.sets[set] {
		sum += x.relative(i)
	}
	return sum
}

// near returns the sets that share a disk with the voters, if one of them is usable, else all.
func (x *rangePlan) near() []int {
	var sets []int
	for _, d := range x.voters {
		if i, ok := x.index[d]; ok {
			sets = append(sets, x.family.of[i]...)
		}
	}
	if slices.ContainsFunc(sets, x.usable) {
		slices.Sort(sets)
		return slices.Compact(sets)
	}
	sets = sets[:0]
	for s := range x.family.sets {
		sets = append(sets, s)
	}
	return sets
}

// marks tells which disks have a voter and which a learner.
func (x *rangePlan) marks() (voter, learner map[int]bool) {
	voter, learner = make(map[int]bool, len(x.voters)), make(map[int]bool, len(x.learners))
	for _, d := range x.voters {
		if i, ok := x.index[d]; ok {
			voter[i] = true
		}
	}
	for _, d := range x.learners {
		if i, ok := x.index[d]; ok {
			learner[i] = true
		}
	}
	return voter, learner
}

// relative returns the load of a disk by its weight, as if half of this range's replica were there.
func (x *rangePlan) relative(i int) float64 {
	return (float64(x.others(x.m.Disks[i].ID)) + 0.5) / x.family.disk[i]
}

// crowd returns the number of ranges on a set by its weight, as if half of this one were there.
func (x *rangePlan) crowd(set int) float64 {
	n := x.family.ranges[set]
	if x.on == set {
		n--
	}
	return (float64(n) + 0.5) / x.family.weight[set]
}

// cooler returns the set that a range should rather be on than on its own, for balance. The sum of the squares of all loads,
// of disks and of sets, falls with each range that follows, so there is an end to it.
func (x *rangePlan) cooler(home int) (best int, ok bool) {
	f := x.family
	hot := float64(f.ranges[home]) > f.fair(home)*setHot+1 || slices.ContainsFunc(f.sets[home], func(i int) bool { return x.hot()[i] })
	if !hot && !x.cool() && len(x.learners) == 0 {
		return 0, false
	}
	voter, learner := x.marks()
	var bestCost [3]float64
	for s := range f.sets {
		way, begun := x.way(s, voter, learner)
		if s == home || !begun && !hot && !x.isCool(s) {
			continue
		}
		gain, unit, moves := x.gain(home, s)
		least, cost := balanceFinish, [3]float64{0, float64(way), -gain}
		if !begun {
			least, cost = balanceBegin, [3]float64{1, 0, -gain / float64(moves)}
		}
		if gain >= float64(least)*unit && (!ok || slices.Compare(cost[:], bestCost[:]) < 0) && x.usable(s) {
			best, bestCost, ok = s, cost, true
		}
	}
	return best, ok
}

// gain tells by how much half the sum of the squares of loads would fall if a range went from one set to another, what one
// range counts in it, and how many replicas move.
func (x *rangePlan) gain(home, to int) (gain, unit float64, moves int) {
	f, weight := x.family, float64(x.width)
	var out, in float64
	for _, i := range f.sets[home] {
		if !slices.Contains(f.sets[to], i) {
			gain += x.relative(i)
			out += 1 / f.disk[i]
			moves++
		}
	}
	for _, i := range f.sets[to] {
		if !slices.Contains(f.sets[home], i) {
			gain -= x.relative(i)
			in += 1 / f.disk[i]
		}
	}
	gain += weight * (x.crowd(home) - x.crowd(to))
	return gain, max(out+weight/f.weight[home], in+weight/f.weight[to]), moves
}

// hot returns the disks with by far more than their fair load.
func (p *Planner) hot() map[int]bool {
	if p.hotDisks == nil {
		p.hotDisks = map[int]bool{}
		sum := 0
		for _, n := range p.load {
			sum += n
		}
		for i, n := range p.load {
			if float64(n) > float64(sum)/float64(len(p.load))*p.family.disk[i]*diskHot+1 {
				p.hotDisks[i] = true
			}
		}
	}
	return p.hotDisks
}

// isCool reports whether a set has by far too few ranges.
func (p *Planner) isCool(set int) bool {
	return float64(p.family.ranges[set]) < p.family.fair(set)*setCool-1
}

// cool reports whether any set has by far too few ranges.
func (p *Planner) cool() bool {
	if p.coolSet == 0 {
		p.coolSet = -1
		for s := range p.family.sets {
			if p.isCool(s) {
				p.coolSet = 1
				break
			}
		}
	}
	return p.coolSet > 0
}
