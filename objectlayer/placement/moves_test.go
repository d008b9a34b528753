package placement

import (
	"flag"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/clustermap"
)

// nextReplicas plans for one range on a map as it is.
func nextReplicas(m *clustermap.Map, r *clustermap.Range, alive, caughtUp func(disk.ID) bool) (ReplicaChange, bool) {
	return NewPlanner(m, alive, nil).Next(r, caughtUp)
}

// rangeOn makes a range of voters on some disks, and learners.
func rangeOn(id uint64, voters, learners []disk.ID) clustermap.Range {
	r := clustermap.Range{ID: id, Start: fmt.Appendf(nil, "%03d", id), End: fmt.Appendf(nil, "%03d", id+1)}
	for _, d := range voters {
		r.Replicas = append(r.Replicas, clustermap.Replica{ID: uint64(len(r.Replicas) + 1), Disk: d})
	}
	for _, d := range learners {
		r.Replicas = append(r.Replicas, clustermap.Replica{ID: uint64(len(r.Replicas) + 1), Disk: d, Learner: true})
	}
	return r
}

func TestNextReplicas(t *testing.T) {
	type ids = []disk.ID
	oneNode := testMap(node{devices: []int{1, 1, 1, 1}})
	three := join(join(oneNode, 1), 1) // disks 1 to 4 on node 1, then 5 and 6
	two := testMap(node{devices: []int{1, 1}}, node{devices: []int{1, 1}})
	sites := testMap(node{site: "a", devices: []int{1}}, node{site: "a", devices: []int{1}}, node{site: "a", devices: []int{1}},
		node{site: "b", devices: []int{1}}, node{site: "c", devices: []int{1}})
	sites.Policy = "replica:1"
	busy := nodes(4)
	for id := range uint64(3) {
		busy.Ranges = append(busy.Ranges, rangeOn(id+10, ids{1, 2, 3}, nil))
	}
	for name, c := range map[string]struct {
		m                          *clustermap.Map
		voters, learners, dead, up ids // up: caught up
		want                       ReplicaChange
	}{
		"nothing to do":                            {nodes(3), ids{1, 2, 3}, nil, nil, nil, ReplicaChange{}},
		"one voter, a second folder":               {folders(2), ids{1}, nil, nil, nil, ReplicaChange{Add: ids{2}}},
		"the second is caught up":                  {folders(2), ids{1}, ids{2}, nil, ids{2}, ReplicaChange{Promote: ids{2}}},
		"one voter, three folders":                 {folders(3), ids{1}, nil, nil, nil, ReplicaChange{Add: ids{2}}},
		"another learner first":                    {folders(3), ids{1}, ids{2}, nil, ids{2}, ReplicaChange{Add: ids{3}}},
		"one alone does not vote":                  {folders(3), ids{1}, ids{2, 3}, nil, ids{2}, ReplicaChange{}},
		"both vote at once":                        {folders(3), ids{1}, ids{2, 3}, nil, ids{2, 3}, ReplicaChange{Promote: ids{2, 3}}},
		"two voters of three folders":              {folders(3), ids{1, 2}, ids{3}, nil, ids{3}, ReplicaChange{Promote: ids{3}}},
		"one of three folders dead":                {folders(3), ids{1}, ids{2}, ids{3}, ids{2}, ReplicaChange{Promote: ids{2}}},
		"nodes join: learner":                      {three, ids{1, 2, 3}, nil, nil, nil, ReplicaChange{Add: ids{5}}},
		"nodes join: second learner":               {three, ids{1, 2, 3}, ids{5}, nil, ids{5}, ReplicaChange{Add: ids{6}}},
		"not caught up":                            {three, ids{1, 2, 3}, ids{5, 6}, nil, nil, ReplicaChange{}},
		"caught up: one of three only":             {three, ids{1, 2, 3}, ids{5, 6}, nil, ids{5, 6}, ReplicaChange{Promote: ids{5}, Demote: ids{2}}},
		"the second alone":                         {three, ids{1, 2, 3}, ids{5, 6}, nil, ids{6}, ReplicaChange{Promote: ids{6}, Demote: ids{2}}},
		"the demoted goes":                         {three, ids{1, 3, 5}, ids{2, 6}, nil, ids{2, 6}, ReplicaChange{Remove: ids{2}}},
		"then the next":                            {three, ids{1, 3, 5}, ids{6}, nil, ids{6}, ReplicaChange{Promote: ids{6}, Demote: ids{3}}},
		"three to five: learners":                  {nodes(5), ids{1, 2, 3}, nil, nil, nil, ReplicaChange{Add: ids{4}}},
		"three to five: not one by one":            {nodes(5), ids{1, 2, 3}, ids{4, 5}, nil, ids{5}, ReplicaChange{}},
		"three to five: both":                      {nodes(5), ids{1, 2, 3}, ids{4, 5}, nil, ids{4, 5}, ReplicaChange{Promote: ids{4, 5}}},
		"three to five, one node dead":             {nodes(5), ids{1, 2, 3}, nil, ids{5}, nil, ReplicaChange{}},
		"a learner died":                           {nodes(6), ids{1, 2, 3}, ids{4, 5}, ids{5}, ids{4}, ReplicaChange{Remove: ids{5}}},
		"another in its place":                     {nodes(6), ids{1, 2, 3}, ids{4}, ids{5}, ids{4}, ReplicaChange{Add: ids{6}}},
		"a voter died, and there is another":       {nodes(4), ids{1, 2, 3}, nil, ids{2}, nil, ReplicaChange{Add: ids{4}}},
		"it votes instead":                         {nodes(4), ids{1, 2, 3}, ids{4}, ids{2}, ids{4}, ReplicaChange{Promote: ids{4}, Demote: ids{2}}},
		"a voter died, and there is no other":      {nodes(3), ids{1, 2, 3}, nil, ids{2}, nil, ReplicaChange{}},
		"no other node, but another disk there":    {two, ids{1, 2, 3}, nil, ids{3}, nil, ReplicaChange{Add: ids{4}}},
		"no second one where a node is dead":       {join(nodes(2), 2), ids{1, 2, 3}, nil, ids{1, 3}, nil, ReplicaChange{Add: ids{4}}},
		"a dead one goes first":                    {three, ids{1, 2, 3}, ids{5, 6}, ids{3}, ids{5, 6}, ReplicaChange{Promote: ids{5}, Demote: ids{3}}},
		"two nodes keep two and one":               {two, ids{1, 3, 4}, nil, nil, nil, ReplicaChange{}},
		"three sites":                              {sites, ids{1, 2, 3}, nil, nil, nil, ReplicaChange{Add: ids{4}}},
		"more than wanted, odd: they stay":         {join(folders(5), 1), ids{1, 2, 3, 4, 5}, nil, nil, nil, ReplicaChange{Add: ids{6}}},
		"more than wanted, even: one goes":         {nodes(4), ids{1, 2, 3, 4}, nil, nil, nil, ReplicaChange{Demote: ids{4}}},
		"the dead one of these":                    {nodes(4), ids{1, 2, 3, 4}, nil, ids{2}, nil, ReplicaChange{Demote: ids{2}}},
		"balance: a learner":                       {busy, ids{1, 2, 3}, nil, nil, nil, ReplicaChange{Add: ids{4}}},
		"balance: it votes":                        {busy, ids{1, 2, 3}, ids{4}, nil, ids{4}, ReplicaChange{Promote: ids{4}, Demote: ids{1}}},
		"balance: the other goes, not back":        {busy, ids{4, 2, 3}, ids{1}, nil, ids{1}, ReplicaChange{Remove: ids{1}}},
		"balance: not for what comes to a learner": {nodes(4), ids{1, 2, 3}, ids{4}, nil, ids{4}, ReplicaChange{Remove: ids{4}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := rangeOn(1, c.voters, c.learners)
			m := c.m.Clone()
			alive := func(d disk.ID) bool { return !slices.Contains(c.dead, d) }
			caughtUp := func(d disk.ID) bool { return slices.Contains(c.up, d) }
			got, ok := nextReplicas(m, &r, alive, caughtUp)
			if ok != !reflect.DeepEqual(c.want, ReplicaChange{}) || !ok && !empty(got) || ok && !sameChange(got, c.want) {
				t.Errorf("%+v, %v, want %+v", got, ok, c.want)
			}
			if again, _ := nextReplicas(m, &r, alive, caughtUp); !reflect.DeepEqual(again, got) {
				t.Errorf("%+v, then %+v", got, again)
			}
			if c.learners != nil {
				r.Replicas[len(c.voters)].Learner, r.Replicas[len(c.voters)].Incoming = false, true
				if got, ok := nextReplicas(m, &r, alive, caughtUp); !ok || !sameChange(got, ReplicaChange{Leave: true}) {
					t.Errorf("in a joint configuration: %+v, %v", got, ok)
				}
			}
		})
	}
}

func empty(c ReplicaChange) bool { return sameChange(c, ReplicaChange{}) }

func sameChange(a, b ReplicaChange) bool {
	return slices.Equal(a.Add, b.Add) && slices.Equal(a.Promote, b.Promote) && slices.Equal(a.Demote, b.Demote) &&
		slices.Equal(a.Remove, b.Remove) && a.Leave == b.Leave
}

// mover carries out what is planned for the ranges of a map, and checks each step.
type mover struct {
	m    *clustermap.Map
	next uint64
	dead map[disk.ID]bool
}

func (v *mover) alive(d disk.ID) bool { return !v.dead[d] }

// do carries out one step of a range.
func (v *mover) do(t *rapid.T, r *clustermap.Range, c ReplicaChange) {
	kinds := 0
	for _, on := range []bool{len(c.Add) > 0, len(c.Promote)+len(c.Demote) > 0, len(c.Remove) > 0, c.Leave} {
		if on {
			kinds++
		}
	}
	if kinds != 1 {
		t.Fatalf("not one step: %+v", c)
	}
	for _, d := range c.Add {
		if v.dead[d] || replicaOn(r, d) != nil || v.m.Disk(d) == nil {
			t.Fatalf("a learner on disk %v of %+v", d, r.Replicas)
		}
		v.next++
		r.Replicas = append(r.Replicas, clustermap.Replica{ID: v.next, Disk: d, Learner: true})
	}
	for _, d := range c.Remove {
		x := replicaOn(r, d)
		if x == nil || !x.Learner {
			t.Fatalf("disk %v has no learner to remove", d)
		}
		r.Replicas = slices.DeleteFunc(r.Replicas, func(x clustermap.Replica) bool { return x.Disk == d })
	}
	before := voterDisks(r)
	for _, d := range c.Promote {
		x := replicaOn(r, d)
		if x == nil || !x.Learner || v.dead[d] {
			t.Fatalf("disk %v has no learner to promote", d)
		}
		x.Learner, x.Incoming = false, true
	}
	for _, d := range c.Demote {
		x := replicaOn(r, d)
		if x == nil || x.Learner || x.Incoming {
			t.Fatalf("disk %v has no voter to demote", d)
		}
		x.Outgoing = true
	}
	if len(c.Promote)+len(c.Demote) > 0 {
		v.checkJoint(t, r, len(before), c)
	}
	if c.Leave {
		for i := range r.Replicas {
			x := &r.Replicas[i]
			x.Learner, x.Incoming, x.Outgoing = x.Learner || x.Outgoing, false, false
		}
	}
}

// checkJoint: a majority of the old voters stays, and the new ones are neither fewer nor an even number.
func (v *mover) checkJoint(t *rapid.T, r *clustermap.Range, before int, c ReplicaChange) {
	after := before + len(c.Promote) - len(c.Demote)
	if before-len(c.Demote) <= before/2 {
		t.Fatalf("%d of %d voters go: %+v", len(c.Demote), before, r.Replicas)
	}
	if after < before && before%2 == 1 || after%2 == 0 && after != before && after != 2 {
		t.Fatalf("from %d voters to %d", before, after)
	}
	for _, p := range PlacedRange(r) {
		live := 0
		for _, d := range p.Disks {
			if !v.dead[d] {
				live++
			}
		}
		if live < p.Need && len(v.dead) <= 1 && before >= 3 {
			t.Fatalf("a configuration without a live majority: %+v", r.Replicas)
		}
	}
}

func replicaOn(r *clustermap.Range, d disk.ID) *clustermap.Replica {
	if i := slices.IndexFunc(r.Replicas, func(x clustermap.Replica) bool { return x.Disk == d }); i >= 0 {
		return &r.Replicas[i]
	}
	return nil
}

func voterDisks(r *clustermap.Range) (disks []disk.ID) {
	for _, x := range r.Replicas {
		if !x.Learner && !x.Outgoing {
			disks = append(disks, x.Disk)
		}
	}
	return disks
}

// settle takes steps of all ranges in turns until none has one left. Learners catch up at the second time of asking, or
// later.
func (v *mover) settle(t *rapid.T) {
	asked := map[uint64]int{}
	late := rapid.IntRange(1, 3).Draw(t, "late")
	for round, steps := 0, 0; ; round++ {
		if steps > 60*len(v.m.Ranges) || round > 400 {
			t.Fatalf("no end of steps: %+v", v.m.Ranges)
		}
		busy := false
		for i := range v.m.Ranges {
			r := &v.m.Ranges[i]
			waiting := false
			caughtUp := func(d disk.ID) bool {
				id := replicaOn(r, d).ID
				asked[id]++
				waiting = waiting || asked[id] <= late
				return asked[id] > late
			}
			c, ok := nextReplicas(v.m, r, v.alive, caughtUp)
			busy = busy || ok || waiting
			if ok {
				v.do(t, r, c)
				steps++
			}
			if err := v.m.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		if !busy {
			return
		}
	}
}

// check: each range has as many voters as are wanted and no other replicas, in distinct domains or as evenly as can be.
func (v *mover) check(t *rapid.T) {
	places, n := clustermap.NewPlaces(v.m), Replicas(v.m)
	level := DomainLevel(places)
	for i := range v.m.Ranges {
		r := &v.m.Ranges[i]
		voters := voterDisks(r)
		if len(voters) != n && (len(voters) < n || len(voters)%2 == 0) || len(r.Replicas) != len(voters) {
			t.Fatalf("%d wanted: %+v", n, r.Replicas)
		}
		used := map[int]int{}
		for _, d := range voters {
			at, _ := places.Of(level, d)
			used[at]++
		}
		if want := min(len(voters), places.Count(level)); len(used) != want {
			t.Fatalf("voters in %d of %d domains: %+v", len(used), want, r.Replicas)
		}
		for l := level; l < clustermap.LevelCount; l++ {
			domains := map[int]bool{}
			for _, d := range voters {
				at, _ := places.Of(l, d)
				domains[at] = true
			}
			if want := min(len(voters), places.Count(l)); len(domains) < want && l != clustermap.Rack {
				t.Fatalf("voters in %d of %d domains of level %v: %+v", len(domains), want, l, r.Replicas)
			}
		}
	}
}

// TestReplicasFollowGrowth grows a cluster node by node, with ranges that come and one disk that may die, and follows
// all steps to their end.
func TestReplicasFollowGrowth(t *testing.T) {
	fewer(t)
	rapid.Check(t, func(t *rapid.T) {
		site := rapid.SampledFrom([][]string{{""}, {"a", "b"}, {"a", "b", "c"}}).Draw(t, "sites")
		disks := rapid.SliceOfN(rapid.IntRange(1, 4), 7, 7).Draw(t, "disks")
		v := &mover{next: 1000, m: testMap(node{site: site[0], devices: make([]int, 0)}), dead: map[disk.ID]bool{}}
		v.m.Policy = rapid.SampledFrom([]string{"auto", "replica:1", "ec:1+3"}).Draw(t, "policy")
		sets := rapid.Bool().Draw(t, "copysets")
		for n := 1; n <= 7; n++ {
			v.grow(n, disks[n-1], site[(n-1)%len(site)])
			if n == 1 || rapid.Bool().Draw(t, "more ranges") {
				v.addRange()
			}
			if n == 4 || n == 6 {
				continue // two nodes at once
			}
			if sets {
				v.m.Copysets, _ = GrowCopysets(v.m)
			}
			v.settle(t)
			v.check(t)
			v.checkSets(t)
		}
		if !sets {
			v.checkBalance(t)
		}
		v.dead[rapid.SampledFrom(v.m.Disks).Draw(t, "dead").ID] = true
		v.settle(t)
	})
}

// grow adds node n with so many disks.
func (v *mover) grow(n, disks int, site string) {
	if n > 1 {
		v.m.Nodes = append(v.m.Nodes, clustermap.Node{ID: clustermap.NodeID(n)})
	}
	v.m.Nodes[n-1].Site = site
	for i := range disks {
		v.m.Disks = append(v.m.Disks, clustermap.Disk{
			ID: disk.ID(n*10 + i), Node: clustermap.NodeID(n), Device: fmt.Sprint(i), CapacityBytes: 1,
		})
	}
}

// addRange adds some ranges as a split would: all on the same disks.
func (v *mover) addRange() {
	on := ReplicaDisks(v.m, Replicas(v.m))
	for range 3 {
		v.m.Ranges = append(v.m.Ranges, rangeOn(uint64(len(v.m.Ranges)+1), on, nil))
	}
}

// checkSets: ranges with as many voters as are wanted lie on copysets, if there are any.
func (v *mover) checkSets(t *rapid.T) {
	if len(v.m.Copysets) == 0 {
		return
	}
	for i := range v.m.Ranges {
		voters := slices.Sorted(slices.Values(voterDisks(&v.m.Ranges[i])))
		if len(voters) == Replicas(v.m) && !slices.ContainsFunc(v.m.Copysets, func(s clustermap.Copyset) bool { return slices.Equal(s.Disks, voters) }) {
			t.Fatalf("the replicas on %v are on none of %v", voters, v.m.Copysets)
		}
	}
}

// checkBalance: no disk could take over a replica from one that has by far more, in the same domain.
func (v *mover) checkBalance(t *rapid.T) {
	places, load := clustermap.NewPlaces(v.m), NewPlanner(v.m, nil, nil).load
	for i, a := range v.m.Disks {
		for j, b := range v.m.Disks {
			x, _ := places.Of(clustermap.NodeLevel, a.ID)
			y, _ := places.Of(clustermap.NodeLevel, b.ID)
			if x == y && load[i] > load[j]+balanceBegin {
				t.Fatalf("disk %v has %d replicas, disk %v of the same node %d", a.ID, load[i], b.ID, load[j])
			}
		}
	}
}

// fewer has rapid make a fifth of its checks in a build for the race detector, see disktest.Seeds.
func fewer(t *testing.T) {
	checks := flag.Lookup("rapid.checks").Value
	n, err := strconv.Atoi(checks.String())
	if err != nil {
		t.Fatal(err)
	}
	before := checks.String()
	if err := checks.Set(strconv.Itoa(disktest.Seeds(n))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := checks.Set(before); err != nil {
			t.Error(err)
		}
	})
}
