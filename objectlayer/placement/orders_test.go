package placement

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

func TestMoveReplica(t *testing.T) {
	type ids = []disk.ID
	for name, c := range map[string]struct {
		voters, learners, dead, up ids
		joint                      bool
		want                       ReplicaChange
		state                      OrderState
	}{
		"begins":                          {ids{1, 2, 3}, nil, nil, nil, false, ReplicaChange{Add: ids{4}}, OrderStep},
		"not caught up":                   {ids{1, 2, 3}, ids{4}, nil, nil, false, ReplicaChange{}, OrderWaits},
		"caught up":                       {ids{1, 2, 3}, ids{4}, nil, ids{4}, false, ReplicaChange{Promote: ids{4}, Demote: ids{1}}, OrderStep},
		"joint":                           {ids{1, 2, 3}, ids{4}, nil, ids{4}, true, ReplicaChange{Leave: true}, OrderStep},
		"joint, though the target died":   {ids{1, 2, 3}, ids{4}, ids{4}, nil, true, ReplicaChange{Leave: true}, OrderStep},
		"the old one is a learner":        {ids{2, 3, 4}, ids{1}, nil, nil, false, ReplicaChange{Remove: ids{1}}, OrderStep},
		"the same, the target died":       {ids{2, 3, 4}, ids{1}, ids{4}, nil, false, ReplicaChange{Remove: ids{1}}, OrderStep},
		"done":                            {ids{2, 3, 4}, nil, nil, nil, false, ReplicaChange{}, OrderDone},
		"done, another learner is there":  {ids{2, 3, 4}, ids{5}, nil, nil, false, ReplicaChange{}, OrderDone},
		"another learner does not matter": {ids{1, 2, 3}, ids{5}, nil, ids{5}, false, ReplicaChange{Add: ids{4}}, OrderStep},
		"the target is dead":              {ids{1, 2, 3}, nil, ids{4}, nil, false, ReplicaChange{}, OrderOff},
		"the learner died":                {ids{1, 2, 3}, ids{4}, ids{4}, ids{4}, false, ReplicaChange{}, OrderOff},
		"the old one is dead":             {ids{1, 2, 3}, ids{4}, ids{1}, ids{4}, false, ReplicaChange{Promote: ids{4}, Demote: ids{1}}, OrderStep},
		"both vote":                       {ids{1, 2, 4}, nil, nil, nil, false, ReplicaChange{}, OrderOff},
		"the old one went elsewhere":      {ids{2, 3, 5}, ids{4}, nil, ids{4}, false, ReplicaChange{}, OrderOff},
		"the old one is leaving":          {ids{2, 3, 5}, ids{1}, nil, nil, false, ReplicaChange{}, OrderOff},
		"both are learners":               {ids{2, 3, 5}, ids{1, 4}, nil, ids{4}, false, ReplicaChange{}, OrderOff},
	} {
		t.Run(name, func(t *testing.T) {
			r := rangeOn(1, c.voters, c.learners)
			r.Move = &clustermap.Move{From: 1, To: 4}
			if c.joint {
				r.Replicas[3].Learner, r.Replicas[3].Incoming, r.Replicas[0].Outgoing = false, true, true
			}
			got, state := MoveReplica(&r, func(d disk.ID) bool { return !slices.Contains(c.dead, d) }, func(d disk.ID) bool { return slices.Contains(c.up, d) })
			if !sameChange(got, c.want) || state != c.state {
				t.Errorf("%+v, %v, want %+v, %v", got, state, c.want, c.state)
			}
		})
	}
}

func TestCheckMove(t *testing.T) {
	two := testMap(node{devices: []int{1, 1}}, node{devices: []int{1, 1}}, node{devices: []int{1}}) // disks 1, 2; 3, 4; 5
	r := rangeOn(7, []disk.ID{1, 3, 5}, nil)
	learning := rangeOn(7, []disk.ID{1, 3, 5}, []disk.ID{2})
	few := rangeOn(7, []disk.ID{1, 3}, nil)
	for name, c := range map[string]struct {
		r        clustermap.Range
		from, to disk.ID
		dead     disk.ID
		says     string // empty: nothing
	}{
		"within a node":           {r, 1, 2, 0, ""},
		"from a dead disk":        {r, 1, 2, 1, ""},
		"to where one is":         {r, 1, 3, 0, "already"},
		"to itself":               {r, 1, 1, 0, "already"},
		"to a learner":            {learning, 1, 2, 0, "already"},
		"from where none is":      {r, 2, 4, 0, "no voting replica"},
		"from a learner":          {learning, 2, 4, 0, "no voting replica"},
		"to an unknown disk":      {r, 1, 9, 0, "not in the cluster map"},
		"to a dead disk":          {r, 1, 2, 2, "does not serve"},
		"two on one node":         {r, 1, 4, 0, "less widely"},
		"too few to take one off": {few, 1, 2, 0, "more come first"},
	} {
		err := CheckMove(two, &c.r, clustermap.Move{From: c.from, To: c.to}, func(d disk.ID) bool { return d != c.dead })
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestOrdersAreCarriedOut gives an order in the midst of whatever the planner was at, and follows both to the end; the target
// may die on the way.
func TestOrdersAreCarriedOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := &mover{next: 1000, m: nodes(rapid.IntRange(4, 7).Draw(t, "nodes")), dead: map[disk.ID]bool{}}
		v.m.Policy = rapid.SampledFrom([]string{"auto", "ec:1+3"}).Draw(t, "policy")
		v.m.Ranges = []clustermap.Range{rangeOn(1, []disk.ID{1, 2, 3}, nil)}
		r := &v.m.Ranges[0]
		all := func(disk.ID) bool { return true }
		for range rapid.IntRange(0, 6).Draw(t, "steps before") {
			if c, ok := nextReplicas(v.m, r, v.alive, all); ok {
				v.do(t, r, c)
			}
		}
		o := clustermap.Move{From: rapid.SampledFrom(v.m.Disks).Draw(t, "from").ID, To: rapid.SampledFrom(v.m.Disks).Draw(t, "to").ID}
		if CheckMove(v.m, r, o, v.alive) != nil {
			return
		}
		r.Move = &o
		voters := len(voterDisks(r))
		dies := rapid.IntRange(0, 12).Draw(t, "dies")
		for step := 0; r.Move != nil; step++ {
			v.dead[o.To] = step >= dies
			c, state := MoveReplica(r, v.alive, func(disk.ID) bool { return step%2 == 1 })
			switch {
			case step > 20:
				t.Fatalf("no end: %+v", r)
			case state == OrderStep:
				v.do(t, r, c)
			case state == OrderDone || state == OrderOff:
				r.Move = nil
			}
			if state == OrderDone && (replicaOn(r, o.From) != nil || replicaOn(r, o.To) == nil || len(voterDisks(r)) != voters) {
				t.Fatalf("%+v is not what %+v asks for", r.Replicas, o)
			}
			if state == OrderOff && !v.dead[o.To] {
				t.Fatalf("the order was dropped: %+v", r.Replicas)
			}
		}
		clear(v.dead)
		v.settle(t)
		v.check(t)
	})
}
