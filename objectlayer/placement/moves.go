package placement

import (
	"cmp"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// ReplicaChange is one step of a range's replicas towards where they should be. It does one of four things: it adds
// learners; it enters a joint configuration in which some learners vote instead of some voters, which stay as learners;
// it leaves a joint configuration; or it removes learners.
type ReplicaChange struct {
	Add     []disk.ID // new learners
	Promote []disk.ID // learners that become voters, together with
	Demote  []disk.ID // voters that become learners
	Remove  []disk.ID // learners that go
	Leave   bool      // the joint configuration
}

// How many replicas of other ranges a disk must have more than another one before its own moves there for balance, and
// before a move that was begun is finished.
const (
	balanceBegin  = 2
	balanceFinish = 1
)

// NextReplicas returns the next step that brings a range's replicas towards Replicas(m) voters, spread as ReplicaDisks
// spreads them, and false if there is nothing to do, or nothing before some learner has caught up. The range has its
// replicas as they are now, in the midst of a change or not; the other ranges are taken from the map. Each step asks for
// those before it to be done, and the same input gives the same step. Ranges are to be planned one after the other, each
// on a map that shows what was begun for the others.
//
// Replicas stay where they are as far as they lie in distinct domains, and as widely spread as can be; only if they do
// is one moved from a disk with many replicas to one with fewer. Alive says which disks count (nil: all do): it is not
// for a short absence to move replicas. Others get none, and lose theirs where another disk is as good a place.
//
// A learner that has caught up votes in the same step in which what it replaces ceases to. A majority of the voters
// stays in each step, there are never fewer voters than before, unless they are an even number and more than wanted, and
// no step makes their number even, unless only two disks are there.
func NextReplicas(m *clustermap.Map, r *clustermap.Range, alive, caughtUp func(disk.ID) bool) (ReplicaChange, bool) {
	p := newReplicaPlan(m, r, alive)
	if p.joint {
		return ReplicaChange{Leave: true}, true
	}
	want := p.balanced(p.wanted())
	for _, d := range p.learners {
		if !slices.Contains(want, d) {
			return ReplicaChange{Remove: []disk.ID{d}}, true
		}
	}
	for _, d := range want {
		if !slices.Contains(p.voters, d) && !slices.Contains(p.learners, d) {
			return ReplicaChange{Add: []disk.ID{d}}, true
		}
	}
	return p.exchange(want, caughtUp)
}

// replicaPlan plans for one range.
type replicaPlan struct {
	m                *clustermap.Map
	places           *clustermap.Places
	alive            func(disk.ID) bool
	load             map[disk.ID]int // replicas of the other ranges
	voters, learners []disk.ID
	joint            bool
}

func newReplicaPlan(m *clustermap.Map, r *clustermap.Range, alive func(disk.ID) bool) *replicaPlan {
	p := &replicaPlan{m: m, places: clustermap.NewPlaces(m), alive: alive, load: replicaLoad(m, r.ID)}
	if alive == nil {
		p.alive = func(disk.ID) bool { return true }
	}
	for _, x := range r.Replicas {
		p.joint = p.joint || x.Incoming || x.Outgoing
		if x.Learner {
			p.learners = append(p.learners, x.Disk)
		} else {
			p.voters = append(p.voters, x.Disk)
		}
	}
	return p
}

// wanted returns the disks that should have a voter, those that are there first where the spread allows: as many as the
// map asks for, or as there are if these are more, made odd.
func (p *replicaPlan) wanted() []disk.ID {
	n, have := replicasOn(p.m, p.places), len(p.voters)
	if have > n {
		n = have - (1 - have%2)
	}
	s := newSpread(p.places)
	for len(s.disks) < n {
		best, ok := p.best(s)
		if !ok {
			break
		}
		s.take(best)
	}
	if k := len(s.disks); k < n && k%2 == 0 && k > 2 && k > have {
		return p.withoutLastNew(s.disks)
	}
	return s.disks
}

// best returns the disk that widens a spread the most.
func (p *replicaPlan) best(s *spread) (best disk.ID, ok bool) {
	var bestCost []int
	for _, d := range p.m.Disks {
		standing, dead := 2, 0
		switch {
		case slices.Contains(p.voters, d.ID):
			standing = 0
		case slices.Contains(p.learners, d.ID):
			standing = 1
		}
		if !p.alive(d.ID) {
			dead = 1
		}
		if slices.Contains(s.disks, d.ID) || dead == 1 && standing > 0 {
			continue
		}
		c := append(slices.Insert(s.cost(d.ID), 1, dead), standing, p.load[d.ID])
		if bestCost == nil || slices.Compare(c, bestCost) < 0 {
			best, bestCost = d.ID, c
		}
	}
	return best, bestCost != nil
}

// withoutLastNew takes the last disk away that has no voter yet.
func (p *replicaPlan) withoutLastNew(disks []disk.ID) []disk.ID {
	for i := len(disks) - 1; i >= 0; i-- {
		if !slices.Contains(p.voters, disks[i]) {
			return slices.Delete(disks, i, i+1)
		}
	}
	return disks
}

// balanced exchanges one disk for another with fewer replicas, if the wanted disks are those that have the voters
// already, and the exchange leaves them as widely spread.
func (p *replicaPlan) balanced(want []disk.ID) []disk.ID {
	for _, d := range want {
		if !slices.Contains(p.voters, d) {
			return want
		}
	}
	if len(want) != len(p.voters) {
		return want
	}
	from := slices.SortedFunc(slices.Values(want), func(a, b disk.ID) int {
		return cmp.Or(p.load[b]-p.load[a], cmp.Compare(a, b))
	})
	for _, x := range from {
		if y, ok := p.lighter(want, x); ok {
			want[slices.Index(want, x)] = y
			return want
		}
	}
	return want
}

// lighter returns the disk to take a voter's place for balance: one that is on its way there already, else the one with
// the fewest replicas.
func (p *replicaPlan) lighter(want []disk.ID, x disk.ID) (best disk.ID, ok bool) {
	var bestCost []int
	narrow := narrowness(p.places, want, 0, 0)
	for _, d := range p.m.Disks {
		begun, least := 0, balanceFinish
		if !slices.Contains(p.learners, d.ID) {
			begun, least = 1, balanceBegin
		}
		cost := []int{begun, p.load[d.ID]}
		if p.load[x]-p.load[d.ID] < least || !p.alive(d.ID) || slices.Contains(want, d.ID) ||
			ok && slices.Compare(cost, bestCost) >= 0 || slices.Compare(narrowness(p.places, want, x, d.ID), narrow) > 0 {
			continue
		}
		best, bestCost, ok = d.ID, cost, true
	}
	return best, ok
}

// exchange lets learners vote for voters that are to go, and more learners vote if there are to be more voters.
func (p *replicaPlan) exchange(want []disk.ID, caughtUp func(disk.ID) bool) (ReplicaChange, bool) {
	var ready, leaving []disk.ID
	for _, d := range want {
		if slices.Contains(p.learners, d) && p.alive(d) && caughtUp(d) {
			ready = append(ready, d)
		}
	}
	for _, d := range p.voters {
		if !slices.Contains(want, d) {
			leaving = append(leaving, d)
		}
	}
	slices.SortStableFunc(leaving, func(a, b disk.ID) int { // the dead first
		switch {
		case p.alive(a) == p.alive(b):
			return 0
		case p.alive(b):
			return -1
		}
		return 1
	})
	have := len(p.voters)
	demote := max(0, min(len(leaving), have-(have/2+1), len(ready)+max(0, have-len(want))))
	promote := min(len(ready), max(0, len(want)-have+demote))
	if now := have + promote - demote; now%2 == 0 && now != len(want) && promote > demote {
		promote--
	}
	c := ReplicaChange{Promote: ready[:promote], Demote: leaving[:demote]}
	return c, promote+demote > 0
}
