package machine

import (
	"slices"

	"github.com/contender/contender/metashards/metapb"
)

// changeReplicas replaces the range's descriptor. It must be the only command of its entry, as such an entry is a change
// of Raft's configuration, too.
func (a *applier) changeReplicas(k *call, c *metapb.ChangeReplicas) (*metapb.Result, error) {
	if !a.alone(k) {
		return invalid("a change of replicas among other commands"), nil
	}
	d := a.m.descriptor
	if c.GetIfGeneration() != d.Generation {
		return &metapb.Result{Status: metapb.Status_REVISION_MISMATCH, Range: d}, nil
	}
	next, why := NextDescriptor(d, c)
	if next == nil {
		return invalid(why), nil
	}
	return &metapb.Result{Range: next}, a.m.SetDescriptor(a.b, next)
}

// Joint reports whether two configurations of a range count now.
func Joint(d *metapb.RangeDescriptor) bool {
	return slices.ContainsFunc(d.GetReplicas(), func(r *metapb.Replica) bool { return r.Incoming || r.Outgoing })
}

// NextDescriptor returns a descriptor after a change, or nil and what is wrong with the change. The generation that the
// change asks for is not judged.
func NextDescriptor(d *metapb.RangeDescriptor, c *metapb.ChangeReplicas) (*metapb.RangeDescriptor, string) {
	next := d.CloneVT()
	next.Generation++
	exchange := len(c.Promote) + len(c.Demote)
	steps := 0
	for _, is := range []bool{c.Leave, len(c.Add) > 0, len(c.Remove) > 0, exchange > 0} {
		if is {
			steps++
		}
	}
	switch {
	case steps != 1 || len(c.Add) > 1 || len(c.Remove) > 1:
		return nil, "not one step"
	case c.Leave != Joint(d):
		return nil, "two configurations count, or do not"
	case c.Leave:
		return leaveJoint(next), ""
	case len(c.Add) == 1:
		return addLearner(next, c.Add[0])
	case len(c.Remove) == 1:
		return removeLearner(next, c.Remove[0])
	}
	return exchangeVoters(next, c)
}

func leaveJoint(d *metapb.RangeDescriptor) *metapb.RangeDescriptor {
	for _, r := range d.Replicas {
		r.Learner = r.Learner || r.Outgoing
		r.Incoming, r.Outgoing = false, false
	}
	return d
}

func addLearner(d *metapb.RangeDescriptor, disk uint64) (*metapb.RangeDescriptor, string) {
	if disk == 0 || ReplicaOn(d, disk) != nil {
		return nil, "the disk has a replica already"
	}
	id := max(d.NextReplica, 1)
	for _, r := range d.Replicas {
		id = max(id, r.Id+1)
	}
	d.Replicas = append(d.Replicas, &metapb.Replica{Id: id, Disk: disk, Learner: true})
	d.NextReplica = id + 1
	return d, ""
}

func removeLearner(d *metapb.RangeDescriptor, disk uint64) (*metapb.RangeDescriptor, string) {
	if r := ReplicaOn(d, disk); r == nil || !r.Learner {
		return nil, "the disk has no learner"
	}
	d.Replicas = slices.DeleteFunc(d.Replicas, func(r *metapb.Replica) bool { return r.Disk == disk })
	return d, ""
}

func exchangeVoters(d *metapb.RangeDescriptor, c *metapb.ChangeReplicas) (*metapb.RangeDescriptor, string) {
	for _, disk := range c.Promote {
		r := ReplicaOn(d, disk)
		if r == nil || !r.Learner {
			return nil, "a disk to be promoted has no learner"
		}
		r.Learner, r.Incoming = false, true
	}
	for _, disk := range c.Demote {
		r := ReplicaOn(d, disk)
		if r == nil || r.Learner || r.Incoming || r.Outgoing {
			return nil, "a disk to be demoted has no voter"
		}
		r.Outgoing = true
	}
	if !slices.ContainsFunc(d.Replicas, func(r *metapb.Replica) bool { return !r.Learner && !r.Outgoing }) {
		return nil, "no voter would be left"
	}
	return d, ""
}

// ReplicaOn returns the replica that a descriptor names on a disk, nil if it names none.
func ReplicaOn(d *metapb.RangeDescriptor, disk uint64) *metapb.Replica {
	for _, r := range d.Replicas {
		if r.Disk == disk {
			return r
		}
	}
	return nil
}
