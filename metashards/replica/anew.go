package replica

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/transport"
)

// Kept returns the last entry that the disk's log keeps of the range, and whether all is applied that is known to be
// committed: before that a replica is not replaced.
func (r *Replica) Kept() (last uint64, settled bool) {
	if mutantRemakeForgets {
		return 0, true
	}
	return r.store.last, !r.behind()
}

// Anew returns a message that brings the replica on another disk a snapshot of what is applied here now, to replace what it
// has. Raft knows nothing of it: that replica keeps its id, its term and its vote, and refuses what lacks an entry of its log.
// Only the leader is asked. An error means that it can't be had now.
func (r *Replica) Anew(to disk.ID) (*transport.Message, error) {
	p := machine.ReplicaOn(r.mach.Descriptor(), uint64(to))
	if p == nil {
		return nil, ErrNotMember
	}
	if _, ok := r.Leads(); !ok {
		return nil, ErrNotLeader
	}
	s, err := r.openSnapshot()
	if err != nil {
		return nil, err
	}
	return &transport.Message{Range: r.id, From: r.env.Disk, To: to, Anew: true, Raft: &raftpb.Message{
		Type: raftpb.MsgSnap.Enum(), From: new(r.self), To: new(p.Id), Term: new(r.hard.Term), Snapshot: s,
	}}, nil
}
