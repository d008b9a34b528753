package placement

import (
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// Planner plans the replicas of all ranges of a map. It is built once for a map and asked for each range; where a range
// rests, that costs next to nothing. It is not safe for concurrent use.
type Planner struct {
	*layout
	alive, lost []bool
	ideal       narrowness // of replicas that are spread as widely as can be
	load        []int      // replicas on each disk
	ranges      map[uint64]int
	expected    map[uint64][]disk.ID // where ranges are going, if that is not where they are on the map
	resting     map[setKey]bool      // sets of voters with which nothing is to be done, as the load is now
	family      *family              // nil: replicas lie as they come
	hotDisks    map[int]bool         // as the load is now; nil: not known
	coolSet     int                  // whether there is a set with too few ranges, 1 or -1; 0: not known
}

// setKey names a small set of disks.
type setKey [7]disk.ID

// keyOf returns the key of a set of disks, and false if it has too many.
func keyOf(disks []disk.ID) (k setKey, ok bool) {
	if len(disks) > len(k) {
		return k, false
	}
	slices.Sort(k[:copy(k[:], disks)])
	return k, true
}

// NewPlanner returns a planner for a map. Replicas on disks that others have replaced are moved. Alive says which disks may get replicas (nil: all), lost which ones' replicas are
// to be replaced where another disk is as good a place (nil: those that are not alive). That a disk is away for a while is no
// reason to move replicas.
func NewPlanner(m *clustermap.Map, alive, lost func(disk.ID) bool) *Planner {
	m = m.Standing()
	p := &Planner{
		layout: newLayout(m), alive: make([]bool, len(m.Disks)), lost: make([]bool, len(m.Disks)), load: make([]int, len(m.Disks)),
		ranges: make(map[uint64]int, len(m.Ranges)), expected: map[uint64][]disk.ID{}, resting: map[setKey]bool{},
	}
	for i, d := range m.Disks {
		p.alive[i] = alive == nil || alive(d.ID)
		p.lost[i] = !p.alive[i]
		if lost != nil {
			p.lost[i] = lost(d.ID)
		}
	}
	p.ideal = p.narrow(p.widestSet(p.width, func(disk.ID) int { return 0 }))
	p.family = newFamily(p)
	for i := range m.Ranges {
		p.ranges[m.Ranges[i].ID] = i
		p.count(disksOf(&m.Ranges[i]), 1)
	}
	p.gather()
	return p
}

// gather counts ranges that lie on no copyset on the one that they will go to.
func (p *Planner) gather() {
	if p.family == nil {
		return
	}
	for i := range p.m.Ranges {
		r := &p.m.Ranges[i]
		if x := p.plan(r); x.on < 0 && r.Move == nil {
			if to, ok := x.fromFamily(); ok {
				p.expect(x, r.ID, to)
			}
		}
	}
}

func disksOf(r *clustermap.Range) (disks []disk.ID) {
	for _, x := range r.Replicas {
		disks = append(disks, x.Disk)
	}
	return disks
}

func (p *Planner) count(disks []disk.ID, by int) {
	for _, d := range disks {
		if i, ok := p.index[d]; ok {
			p.load[i] += by
		}
	}
	p.family.count(disks, by)
}

// Arrivals returns the disks on which a range is to have voters that it does not have yet, by its order if it has one.
func (p *Planner) Arrivals(r *clustermap.Range) (disks []disk.ID) {
	x := p.plan(r)
	for _, d := range x.target() {
		if !slices.Contains(x.voters, d) {
			disks = append(disks, d)
		}
	}
	return disks
}

// Expect has the planner count a range that was told to change, or is changing, where it is going.
func (p *Planner) Expect(r *clustermap.Range) {
	x := p.plan(r)
	p.expect(x, r.ID, x.target())
}

func (p *Planner) expect(x *rangePlan, id uint64, to []disk.ID) {
	p.count(x.own, -1)
	p.count(to, 1)
	p.expected[id] = to
	p.hotDisks, p.coolSet = nil, 0
	clear(p.resting)
}

// counted returns where the replicas of a range are counted.
func (p *Planner) counted(id uint64) []disk.ID {
	if disks, ok := p.expected[id]; ok {
		return disks
	}
	if i, ok := p.ranges[id]; ok {
		return disksOf(&p.m.Ranges[i])
	}
	return nil
}

// Next returns the next step that brings a range's replicas towards Replicas(m) voters, spread as ReplicaDisks spreads them,
// and false if there is nothing to do, or nothing before some learner has caught up. The range has its replicas as they are
// now, in the midst of a change or not; the other ranges are taken from the map, and from what Expect was told. Each step
// asks for those before it to be done, and the same input gives the same step. Ranges are to be planned one after the other,
// those that are changing first, and Expect is to be told of each that changes.
//
// Replicas stay where they are as far as they lie in distinct domains, and as widely spread as can be; only if they do is one
// moved from a disk with many replicas to one with fewer. Where a disk is not alive nothing comes to be, and what is on one
// that is lost goes where another disk is as good a place.
//
// A learner that has caught up votes in the same step in which what it replaces ceases to. A majority of the voters stays in
// each step, there are never fewer voters than before, unless they are an even number and more than wanted, and no step makes
// their number even, unless only two disks are there.
func (p *Planner) Next(r *clustermap.Range, caughtUp func(disk.ID) bool) (ReplicaChange, bool) {
	x := p.plan(r)
	if x.joint {
		return ReplicaChange{Leave: true}, true
	}
	key, small := keyOf(x.voters)
	small = small && len(x.learners) == 0 && slices.Equal(x.own, x.voters)
	if small && p.resting[key] {
		return ReplicaChange{}, false
	}
	c, ok := x.step(x.target(), caughtUp)
	if small && !ok {
		p.resting[key] = true
	}
	return c, ok
}
