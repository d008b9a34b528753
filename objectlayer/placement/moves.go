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

// rangePlan plans for one range.
type rangePlan struct {
	*Planner
	id               uint64
	own              []disk.ID // where its replicas are counted
	on               int       // the copyset that it is counted on, or -1
	voters, learners []disk.ID
	joint            bool
	order            *clustermap.Move
}

func (p *Planner) plan(r *clustermap.Range) *rangePlan {
	x := &rangePlan{Planner: p, id: r.ID, own: p.counted(r.ID), on: -1, order: r.Move}
	if key, ok := keyOf(x.own); ok && p.family != nil {
		if s, ok := p.family.home[key]; ok {
			x.on = s
		}
	}
	for _, o := range r.Replicas {
		x.joint = x.joint || o.Incoming || o.Outgoing
		switch {
		case o.Learner:
			x.learners = append(x.learners, o.Disk)
		case !o.Outgoing:
			x.voters = append(x.voters, o.Disk)
		}
	}
	return x
}

// others returns how many replicas of other ranges a disk has.
func (x *rangePlan) others(d disk.ID) int {
	n := x.load[x.index[d]]
	if slices.Contains(x.own, d) {
		n--
	}
	return n
}

// serves reports whether a replica may be on a disk: those that are there may stay as long as the disk is not lost.
func (x *rangePlan) serves(d disk.ID) bool {
	i, ok := x.index[d]
	return ok && (x.alive[i] || !x.lost[i] && (slices.Contains(x.voters, d) || slices.Contains(x.learners, d)))
}

// target returns the disks that should have a voter: as many as the map asks for, or as there are if these are more, made
// odd. An order goes first, and what was decided for the range already stands: what is decided for the others builds on it.
func (x *rangePlan) target() []disk.ID {
	if x.order == nil {
		if to, ok := x.expected[x.id]; ok {
			return slices.Clone(to)
		}
		if want, ok := x.fromFamily(); ok {
			return want
		}
		return x.balanced(x.wanted())
	}
	want := slices.Clone(x.voters)
	if i := slices.Index(want, x.order.From); i >= 0 && !slices.Contains(want, x.order.To) {
		want[i] = x.order.To
	}
	return want
}

// settled reports whether there are as many voters as are wanted, none of them lost, spread as widely as can be.
func (x *rangePlan) settled() bool {
	for _, d := range x.voters {
		if !x.serves(d) {
			return false
		}
	}
	return len(x.voters) == x.width && !x.ideal.wider(x.narrow(x.voters))
}

// wanted returns the target before balance: those that are there first where the spread allows.
func (x *rangePlan) wanted() []disk.ID {
	if x.settled() {
		return slices.Clone(x.voters)
	}
	n, have := x.width, len(x.voters)
	if have > n {
		n = have - (1 - have%2)
	}
	s := newSpread(x.layout)
	for len(s.disks) < n {
		best, ok := x.widest(s, x.voters, x.learners, x.others, x.serves)
		if !ok {
			break
		}
		s.take(best)
	}
	if k := len(s.disks); k < n && k%2 == 0 && k > 2 && k > have {
		return x.withoutLastNew(s.disks)
	}
	return s.disks
}

// widest returns the disk that widens a spread the most; of those that do, first one with a voter, then with a learner, then
// with the least load.
func (l *layout) widest(s *spread, voters, learners []disk.ID, load func(disk.ID) int, serves func(disk.ID) bool) (best disk.ID, ok bool) {
	var bestCost []int
	for _, d := range l.m.Disks {
		standing, dead := 2, 0
		switch {
		case slices.Contains(voters, d.ID):
			standing = 0
		case slices.Contains(learners, d.ID):
			standing = 1
		}
		if !serves(d.ID) {
			dead = 1
		}
		if slices.Contains(s.disks, d.ID) || dead == 1 && standing > 0 {
			continue
		}
		c := append(slices.Insert(s.cost(d.ID), 1, dead), standing, load(d.ID))
		if bestCost == nil || slices.Compare(c, bestCost) < 0 {
			best, bestCost = d.ID, c
		}
	}
	return best, bestCost != nil
}

// step returns the step towards a target.
func (x *rangePlan) step(want []disk.ID, caughtUp func(disk.ID) bool) (ReplicaChange, bool) {
	for _, d := range x.learners {
		if !slices.Contains(want, d) {
			return ReplicaChange{Remove: []disk.ID{d}}, true
		}
	}
	for _, d := range want {
		if !slices.Contains(x.voters, d) && !slices.Contains(x.learners, d) {
			return ReplicaChange{Add: []disk.ID{d}}, true
		}
	}
	return x.exchange(want, caughtUp)
}

// withoutLastNew takes the last disk away that has no voter yet.
func (x *rangePlan) withoutLastNew(disks []disk.ID) []disk.ID {
	for i := len(disks) - 1; i >= 0; i-- {
		if !slices.Contains(x.voters, disks[i]) {
			return slices.Delete(disks, i, i+1)
		}
	}
	return disks
}

// balanced exchanges one disk for another with fewer replicas, if the wanted disks are those that have the voters
// already, and the exchange leaves them as widely spread.
func (x *rangePlan) balanced(want []disk.ID) []disk.ID {
	for _, d := range want {
		if !slices.Contains(x.voters, d) {
			return want
		}
	}
	if len(want) != len(x.voters) {
		return want
	}
	from := slices.SortedFunc(slices.Values(want), func(a, b disk.ID) int {
		return cmp.Or(x.others(b)-x.others(a), cmp.Compare(a, b))
	})
	for _, d := range from {
		if y, ok := x.lighter(want, d); ok {
			want[slices.Index(want, d)] = y
			return want
		}
	}
	return want
}

// lighter returns the disk to take the place of a voter's for balance: one that is on its way there already, else the one
// with the fewest replicas.
func (x *rangePlan) lighter(want []disk.ID, from disk.ID) (best disk.ID, ok bool) {
	var bestCost [2]int
	narrow, load := x.narrow(want), x.others(from)
	for _, d := range x.m.Disks {
		cost, least := [2]int{0, x.others(d.ID)}, balanceFinish
		if !slices.Contains(x.learners, d.ID) {
			cost[0], least = 1, balanceBegin
		}
		if load-cost[1] < least || ok && slices.Compare(cost[:], bestCost[:]) >= 0 ||
			!x.serves(d.ID) || slices.Contains(want, d.ID) || narrow.wider(x.narrowWith(want, from, d.ID)) {
			continue
		}
		best, bestCost, ok = d.ID, cost, true
	}
	return best, ok
}

// exchange lets learners vote for voters that are to go, and more learners vote if there are to be more voters.
func (x *rangePlan) exchange(want []disk.ID, caughtUp func(disk.ID) bool) (ReplicaChange, bool) {
	var ready, leaving []disk.ID
	for _, d := range want {
		if slices.Contains(x.learners, d) && x.serves(d) && caughtUp(d) {
			ready = append(ready, d)
		}
	}
	for _, d := range x.voters {
		if !slices.Contains(want, d) {
			leaving = append(leaving, d)
		}
	}
	slices.SortStableFunc(leaving, func(a, b disk.ID) int { // the dead first
		switch {
		case x.serves(a) == x.serves(b):
			return 0
		case x.serves(b):
			return -1
		}
		return 1
	})
	have := len(x.voters)
	demote := max(0, min(len(leaving), have-(have/2+1), len(ready)+max(0, have-len(want))))
	promote := min(len(ready), max(0, len(want)-have+demote))
	if now := have + promote - demote; now%2 == 0 && now != len(want) && promote > demote {
		promote--
	}
	return x.pair(ready, leaving, promote, demote), promote+demote > 0
}

// pair chooses who votes for whom, so that the voters are spread as widely as can be in between, too: the dead go first.
func (x *rangePlan) pair(ready, leaving []disk.ID, promote, demote int) (c ReplicaChange) {
	voters := slices.Clone(x.voters)
	for len(c.Demote) < min(promote, demote) {
		var from, to int
		var least narrowness
		for i, d := range leaving {
			if x.serves(d) != x.serves(leaving[0]) {
				break
			}
			for j, e := range ready {
				if n := x.narrowWith(voters, d, e); i+j == 0 || n.wider(least) {
					from, to, least = i, j, n
				}
			}
		}
		voters[slices.Index(voters, leaving[from])] = ready[to]
		c.Demote, c.Promote = append(c.Demote, leaving[from]), append(c.Promote, ready[to])
		leaving, ready = slices.Delete(leaving, from, from+1), slices.Delete(ready, to, to+1)
	}
	c.Promote = append(c.Promote, ready[:promote-len(c.Promote)]...)
	c.Demote = append(c.Demote, leaving[:demote-len(c.Demote)]...)
	return c
}
