package placement

import (
	"fmt"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// OrderState says how an order that a replica move stands.
type OrderState int

// What may come of an order.
const (
	OrderStep  OrderState = iota // there is a step to take
	OrderWaits                   // for the new replica to catch up
	OrderDone                    // it is carried out
	OrderOff                     // it can't be carried out any more: to be dropped
)

// MoveReplica returns the next step that carries out the order of a range, which has its replicas as they are now, and how
// the order stands. The new replica is a learner until it has caught up, then it votes in the same step in which the old
// one ceases to, and then the old one goes: there are as many voters after each step as before. Whatever else is under way
// with the range's replicas waits. Nothing is kept between steps: whoever is asked next goes on.
func MoveReplica(r *clustermap.Range, alive, caughtUp func(disk.ID) bool) (ReplicaChange, OrderState) {
	if slices.ContainsFunc(r.Replicas, func(x clustermap.Replica) bool { return x.Incoming || x.Outgoing }) {
		return ReplicaChange{Leave: true}, OrderStep
	}
	o := *r.Move
	from, to := replicaAt(r, o.From), replicaAt(r, o.To)
	switch {
	case to != nil && !to.Learner && from == nil:
		return ReplicaChange{}, OrderDone
	case to != nil && !to.Learner && from.Learner:
		return ReplicaChange{Remove: []disk.ID{o.From}}, OrderStep
	case to != nil && !to.Learner, from == nil, from.Learner, !alive(o.To):
		return ReplicaChange{}, OrderOff
	case to == nil:
		return ReplicaChange{Add: []disk.ID{o.To}}, OrderStep
	case !caughtUp(o.To) && !mutantOrderEarly:
		return ReplicaChange{}, OrderWaits
	}
	return ReplicaChange{Promote: []disk.ID{o.To}, Demote: []disk.ID{o.From}}, OrderStep
}

// CheckMove tells why an order can't be given for a range of a map, nil if it can. The text is for operators.
func CheckMove(m *clustermap.Map, r *clustermap.Range, o clustermap.Move, alive func(disk.ID) bool) error {
	var voters []disk.ID
	for _, x := range r.Replicas {
		if !x.Learner && !x.Outgoing {
			voters = append(voters, x.Disk)
		}
	}
	switch {
	case !slices.Contains(voters, o.From):
		return fmt.Errorf("range %d has no voting replica on disk %s", r.ID, o.From)
	case len(voters) < 3:
		return fmt.Errorf("range %d has %d voting replicas: more come first", r.ID, len(voters))
	case m.Disk(o.To) == nil:
		return fmt.Errorf("disk %s is not in the cluster map", o.To)
	case replicaAt(r, o.To) != nil:
		return fmt.Errorf("range %d has a replica on disk %s already", r.ID, o.To)
	case !alive(o.To):
		return fmt.Errorf("disk %s does not serve now", o.To)
	}
	if l := newLayout(m); l.narrow(voters).wider(l.narrowWith(voters, o.From, o.To)) {
		return fmt.Errorf("the replicas of range %d would be spread less widely with disk %s instead of %s", r.ID, o.To, o.From)
	}
	return nil
}

// replicaAt returns the replica on a disk, nil if there is none.
func replicaAt(r *clustermap.Range, d disk.ID) *clustermap.Replica {
	if i := slices.IndexFunc(r.Replicas, func(x clustermap.Replica) bool { return x.Disk == d }); i >= 0 {
		return &r.Replicas[i]
	}
	return nil
}
