package replica

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/transport"
)

// Idle reports whether a leader has nothing to do until something comes: everything is applied, and every other replica has
// it and was heard of lately. Those on disks that are gone do not count.
func (r *Replica) Idle(gone func(disk.ID) bool) bool {
	if !r.CanRead() || len(r.proposed) > 0 || r.waiting > 0 || r.Changing() || r.HasReady() {
		return false
	}
	st := r.node.BasicStatus()
	if st.LeadTransferee != raft.None || st.GetCommit() != r.store.last || r.mach.State().AppliedIndex != r.store.last {
		return false
	}
	idle := true
	r.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id != r.self && idle && !gone(r.diskOf(id)) {
			idle = p.RecentActive && p.Match == r.store.last
		}
	})
	return idle
}

// Lullaby returns the heartbeats by which a leader that is Idle goes to sleep.
func (r *Replica) Lullaby() (out []*transport.Message) {
	r.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		to := r.diskOf(id)
		if id == r.self || to == 0 {
			return
		}
		out = append(out, &transport.Message{Range: r.id, From: r.env.Disk, To: to, Sleep: true, Raft: &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), From: new(r.self), To: new(id), Term: new(r.hard.Term), Commit: new(min(p.Match, r.store.last)),
		}})
	})
	return out
}

// Rests reports whether a follower has nothing to do while the leader of a term sleeps: it has everything up to an index, and
// nothing else.
func (r *Replica) Rests(term, index uint64) bool {
	return r.failed == nil && r.role == raft.StateFollower && r.lead != 0 && r.hard.Term == term &&
		r.store.last == index && r.mach.State().AppliedIndex == index && !r.HasReady()
}

// Only reports whether this replica is the only one of its range, and has applied everything that it knows to be committed.
// Then nobody has led without its vote since it came about: any change of members would have been kept by its log, with the
// commit of the one before.
func (r *Replica) Only() bool {
	return r.failed == nil && !r.behind() && len(r.mach.Descriptor().Replicas) == 1 && r.voter()
}

// Orphan tells a follower that its leader is gone: it forgets that leader, and looks for another as one does that has just
// been loaded.
func (r *Replica) Orphan() {
	if r.failed != nil || r.role == raft.StateLeader {
		return
	}
	r.guard(func() { _ = r.node.ForgetLeader() })
	r.campaigns, r.ticks, r.tries, r.passed = true, 0, 0, 0
}
