package replica

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// A change of replicas is one entry: a change of Raft's configuration that carries the proposal along. When it is applied
// the range machine judges the command and writes the new descriptor; if it did, Raft is told exactly that change, else
// nothing. So the descriptor on the disk and Raft's configuration are the same at each applied index, on every replica.

// changeIn returns the change of replicas that a proposal is, nil if it is none.
func changeIn(p *metapb.Proposal) *metapb.ChangeReplicas {
	if len(p.GetCommands()) != 1 {
		return nil
	}
	return p.Commands[0].GetChangeReplicas()
}

var (
	errChangePending = errors.New("another change of replicas is under way")
	errChangeLeader  = errors.New("the leader hands over before its vote goes")
)

// proposeChange hands a change of replicas to Raft and returns the data of its entry. Raft makes a change that it can't
// take an empty entry, without a word, so it is only asked when it will take it: one change at a time, and none before a
// new leader has applied what it found in its log. A leader whose vote is to go hands over instead.
//
// The change itself is judged at apply: what Raft reads of the entry before that is only whether it leaves a joint
// configuration, and it takes nothing else while there is one.
func (r *Replica) proposeChange(c *metapb.ChangeReplicas, proposal []byte) ([]byte, error) {
	if !r.CanRead() || r.Changing() {
		return nil, errChangePending
	}
	if r.departs(c) {
		if p := r.successor(func(id disk.ID) bool { return !slices.Contains(c.Demote, uint64(id)) }); p != nil {
			r.transfer(p.Id)
		}
		return nil, errChangeLeader
	}
	cc := &raftpb.ConfChangeV2{Context: proposal}
	if !machine.Joint(r.mach.Descriptor()) {
		// Raft ignores a change of replica 0.
		cc.Changes = []*raftpb.ConfChangeSingle{{Type: raftpb.ConfChangeUpdateNode.Enum(), NodeId: new(uint64(0))}}
	}
	data, err := proto.Marshal(cc)
	if err != nil {
		return nil, fmt.Errorf("encode change of configuration: %w", err)
	}
	r.guard(func() {
		err = r.node.Step(&raftpb.Message{
			Type: raftpb.MsgProp.Enum(), From: new(r.self),
			Entries: []*raftpb.Entry{{Type: raftpb.EntryConfChangeV2.Enum(), Data: data}},
		})
	})
	r.changing = err == nil
	return data, err
}

// Changing reports whether the log holds a change of replicas, as far as is known here, that was not applied. A leader that
// CanRead knows of all that it holds.
func (r *Replica) Changing() bool { return r.changing || r.change > r.mach.State().AppliedIndex }

// departs reports whether a change takes this replica's vote: it is demoted, or it votes in the old half only of the joint
// configuration that is left.
func (r *Replica) departs(c *metapb.ChangeReplicas) bool {
	return slices.Contains(c.GetDemote(), uint64(r.env.Disk)) || c.GetLeave() && !r.voter()
}

// confChange returns Raft's change from one descriptor to the next.
func confChange(from, to *metapb.RangeDescriptor) *raftpb.ConfChangeV2 {
	if machine.Joint(from) && !machine.Joint(to) {
		return &raftpb.ConfChangeV2{}
	}
	cc := &raftpb.ConfChangeV2{}
	if machine.Joint(to) {
		cc.Transition = raftpb.ConfChangeTransitionJointExplicit.Enum()
	}
	add := func(t raftpb.ConfChangeType, id uint64) {
		cc.Changes = append(cc.Changes, &raftpb.ConfChangeSingle{Type: t.Enum(), NodeId: new(id)})
	}
	old := map[uint64]*metapb.Replica{} // looked into, never walked
	for _, p := range from.Replicas {
		old[p.Id] = p
	}
	for _, p := range to.Replicas {
		was := old[p.Id]
		delete(old, p.Id)
		switch {
		case was == nil && mutantLearnerVotes:
			add(raftpb.ConfChangeAddNode, p.Id)
		case was == nil || p.Outgoing && !was.Outgoing:
			add(raftpb.ConfChangeAddLearnerNode, p.Id)
		case p.Incoming && !was.Incoming:
			add(raftpb.ConfChangeAddNode, p.Id)
		}
	}
	for _, p := range from.Replicas {
		if old[p.Id] != nil {
			add(raftpb.ConfChangeRemoveNode, p.Id)
		}
	}
	return cc
}

// changed is a change of replicas that the range machine has carried out.
type changed struct{ from, to *metapb.RangeDescriptor }

// applyChange tells Raft of a change of replicas that the range machine has carried out, and checks that Raft makes the
// same of it. The rows must be visible by then: Raft may ask for a snapshot at once.
func (r *Replica) applyChange(c changed) error {
	var got *raftpb.ConfState
	r.guard(func() { got = r.node.ApplyConfChange(confChange(c.from, c.to)) })
	if r.failed != nil {
		return r.failed
	}
	if err := got.Equivalent(confState(c.to)); err != nil {
		return fmt.Errorf("raft's configuration is not the descriptor's: %w", err)
	}
	r.store.conf = confState(c.to)
	return nil
}

// refuseVoid takes the first proposal off if Raft has made its entry an empty one, as it does to a change of configuration
// that it can't take.
func (r *Replica) refuseVoid() {
	if len(r.proposed) > 0 && changeIn(r.proposed[0].proposal) != nil {
		r.refused = append(r.refused, r.proposed[0].proposal.Sequence)
		r.proposed = r.proposed[1:]
	}
}

// Refused returns the sequences of proposals that Raft did not take although it had said so. They will not be carried
// out.
func (r *Replica) Refused() []uint64 {
	out := r.refused
	r.refused = nil
	return out
}
