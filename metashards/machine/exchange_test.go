package machine_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// change makes a command that changes the replicas of a range of a generation.
func (r *rig) change(generation uint64, c *metapb.ChangeReplicas) *metapb.Command {
	out := r.command("k")
	c.IfGeneration = generation
	out.Op = &metapb.Command_ChangeReplicas{ChangeReplicas: c}
	return out
}

func threeVoters() *metapb.RangeDescriptor {
	return &metapb.RangeDescriptor{Id: rangeID, Generation: 1, NextReplica: 4, Replicas: []*metapb.Replica{
		{Id: 1, Disk: 11}, {Id: 2, Disk: 12}, {Id: 3, Disk: 13},
	}}
}

// TestReplicasAreExchanged goes the whole way of an exchange: a learner comes, it takes over from a voter in a joint
// configuration, that is left, the old one goes. Ids are never given again, and all of it survives a restart.
func TestReplicasAreExchanged(t *testing.T) {
	r := newRigOf(t, threeVoters())
	steps := []struct {
		change *metapb.ChangeReplicas
		want   *metapb.Replica // among the replicas afterwards
		joint  bool
	}{
		{&metapb.ChangeReplicas{Add: []uint64{14}}, &metapb.Replica{Id: 4, Disk: 14, Learner: true}, false},
		{&metapb.ChangeReplicas{Remove: []uint64{14}}, nil, false},
		{&metapb.ChangeReplicas{Add: []uint64{14}}, &metapb.Replica{Id: 5, Disk: 14, Learner: true}, false},
		{&metapb.ChangeReplicas{Promote: []uint64{14}, Demote: []uint64{12}}, &metapb.Replica{Id: 5, Disk: 14, Incoming: true}, true},
		{&metapb.ChangeReplicas{Leave: true}, &metapb.Replica{Id: 2, Disk: 12, Learner: true}, false},
		{&metapb.ChangeReplicas{Remove: []uint64{12}}, &metapb.Replica{Id: 5, Disk: 14}, false},
	}
	for n, step := range steps {
		before := r.m.Descriptor().CloneVT()
		got := r.do(metapb.Status_OK, r.change(uint64(n+1), step.change))
		r.load()
		d := r.m.Descriptor()
		if !proto.Equal(got.Range, d) || d.Generation != uint64(n+2) || machine.Joint(d) != step.joint {
			t.Fatalf("step %d: %v, answered %v", n, d, got.Range)
		}
		found := step.want == nil
		for _, p := range d.Replicas {
			found = found || proto.Equal(p, step.want)
		}
		if !found {
			t.Fatalf("step %d: %v after %v", n, d, before)
		}
	}
	if d := r.m.Descriptor(); len(d.Replicas) != 3 || d.NextReplica != 6 {
		t.Errorf("at the end: %v", d)
	}
}

// TestChangesThatAreRefused: neither a stale nor an illegal change does anything.
func TestChangesThatAreRefused(t *testing.T) {
	plain, withLearner, joint := threeVoters(), threeVoters(), threeVoters()
	withLearner.Replicas = append(withLearner.Replicas, &metapb.Replica{Id: 4, Disk: 14, Learner: true})
	withLearner.NextReplica = 5
	joint.Replicas[1].Outgoing = true
	joint.Replicas = append(joint.Replicas, &metapb.Replica{Id: 4, Disk: 14, Incoming: true}, &metapb.Replica{Id: 5, Disk: 15, Learner: true})
	joint.NextReplica = 6
	tests := []struct {
		name   string
		from   *metapb.RangeDescriptor
		change *metapb.ChangeReplicas
	}{
		{"nothing", plain, &metapb.ChangeReplicas{}},
		{"no disk", plain, &metapb.ChangeReplicas{Add: []uint64{0}}},
		{"two replicas on one disk", plain, &metapb.ChangeReplicas{Add: []uint64{12}}},
		{"a second learner on one disk", withLearner, &metapb.ChangeReplicas{Add: []uint64{14}}},
		{"two at once", plain, &metapb.ChangeReplicas{Add: []uint64{14, 15}}},
		{"add and remove", withLearner, &metapb.ChangeReplicas{Add: []uint64{15}, Remove: []uint64{14}}},
		{"remove a voter", plain, &metapb.ChangeReplicas{Remove: []uint64{12}}},
		{"remove nobody", plain, &metapb.ChangeReplicas{Remove: []uint64{19}}},
		{"promote a voter", plain, &metapb.ChangeReplicas{Promote: []uint64{12}}},
		{"promote nobody", plain, &metapb.ChangeReplicas{Promote: []uint64{19}}},
		{"promote twice", withLearner, &metapb.ChangeReplicas{Promote: []uint64{14, 14}}},
		{"demote a learner", withLearner, &metapb.ChangeReplicas{Demote: []uint64{14}}},
		{"demote twice", plain, &metapb.ChangeReplicas{Demote: []uint64{12, 12}}},
		{"promote and demote one disk", withLearner, &metapb.ChangeReplicas{Promote: []uint64{14}, Demote: []uint64{14}}},
		{"demote all", plain, &metapb.ChangeReplicas{Demote: []uint64{11, 12, 13}}},
		{"leave what is not joint", plain, &metapb.ChangeReplicas{Leave: true}},
		{"leave and more", joint, &metapb.ChangeReplicas{Leave: true, Remove: []uint64{15}}},
		{"add while joint", joint, &metapb.ChangeReplicas{Add: []uint64{16}}},
		{"remove while joint", joint, &metapb.ChangeReplicas{Remove: []uint64{15}}},
		{"promote while joint", joint, &metapb.ChangeReplicas{Promote: []uint64{15}}},
		{"demote while joint", joint, &metapb.ChangeReplicas{Demote: []uint64{11}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRigOf(t, test.from)
			before := r.m.Descriptor()
			r.do(metapb.Status_INVALID_REQUEST, r.change(1, test.change))
			got := r.do(metapb.Status_REVISION_MISMATCH, r.change(2, test.change))
			if !proto.Equal(got.Range, before) || !proto.Equal(r.m.Descriptor(), before) {
				t.Errorf("%v, answered %v, was %v", r.m.Descriptor(), got.Range, before)
			}
		})
	}
}

// TestChangeIsAlone: a change of replicas among other commands, or in a batch, is refused, and they are carried out.
func TestChangeIsAlone(t *testing.T) {
	r := newRigOf(t, threeVoters())
	change := func() *metapb.Command { return r.change(1, &metapb.ChangeReplicas{Add: []uint64{14}}) }
	got := r.apply(r.put("a", 10), change())
	if got[0].Status != metapb.Status_OK || got[1].Status != metapb.Status_INVALID_REQUEST {
		t.Errorf("among others: %v", got)
	}
	batch := r.command("k")
	batch.Op = &metapb.Command_Batch{Batch: &metapb.Batch{Commands: []*metapb.Command{change()}}}
	if got := r.apply(batch)[0].Results; got[0].Status != metapb.Status_INVALID_REQUEST {
		t.Errorf("in a batch: %v", got)
	}
	if d := r.m.Descriptor(); d.Generation != 1 {
		t.Errorf("it took effect: %v", d)
	}
}

// TestReplicaIDsOfOldDescriptors: a descriptor that says no next id gives one above all that it has.
func TestReplicaIDsOfOldDescriptors(t *testing.T) {
	d := threeVoters()
	d.NextReplica = 0
	r := newRigOf(t, d)
	got := r.do(metapb.Status_OK, r.change(1, &metapb.ChangeReplicas{Add: []uint64{14}})).Range
	if id := got.Replicas[3].Id; id != 4 || got.NextReplica != 5 {
		t.Errorf("%v", got)
	}
}
