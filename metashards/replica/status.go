package replica

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
)

// Status says how a replica stands.
type Status struct {
	Range  uint64
	Disk   disk.ID
	Role   string  // leader, follower, candidate; failed
	Leader disk.ID // zero if unknown
	Term   uint64
	// Commit and Applied are indexes of the log, Last its last entry, First its first.
	Commit, Applied, First, Last uint64
	// Descriptor is the range's as applied here; nil where nothing is known. It is shared and never changes: read only.
	Descriptor *metapb.RangeDescriptor
	// Sequence is how many outbox rows the range was ever given, those that it inherited by a split among them: while it is the
	// same, none has come.
	Sequence uint64
	// Followers says, on the leader, what each other replica has, ascending by replica id.
	Followers []Follower
	// Differ says, on the leader, on which disks replicas were found whose rows are not those of most, or not the leader's where
	// it is not known what most hold; on another replica it is the own disk, if that is one of them.
	Differ []disk.ID
	// Rate is, on the leader, how many requests came in a second, of late, zero if they were but one or two, and Middle the position that halves them: nil if
	// nothing does.
	Rate   int
	Middle []byte
	// Err is why the replica takes no part any more.
	Err error
}

// StateReplicating is the state of a follower that gets entries as they come.
const StateReplicating = "replicating"

// Follower is another replica as the leader sees it.
type Follower struct {
	Replica uint64
	Disk    disk.ID
	Match   uint64 // the last entry known to be kept there
	Lag     uint64 // entries that it misses
	Active  bool   // heard of lately
	Learner bool   // has no vote
	State   string // replicating, probing, taking a snapshot
}

// Status returns how the replica stands.
func (r *Replica) Status() Status {
	s := Status{
		Range: r.id, Disk: r.env.Disk, Role: "failed", Term: r.hard.Term, Commit: r.hard.Commit, Err: r.failed,
		Applied: r.mach.State().AppliedIndex, First: r.store.truncated + 1, Last: r.store.last,
		Descriptor: r.mach.Descriptor(), Sequence: r.mach.State().Sequence,
	}
	if r.failed != nil {
		return s
	}
	s.Leader = r.LeaderDisk()
	switch r.role {
	case raft.StateLeader:
		s.Role = "leader"
		r.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
			if id != r.self {
				s.Followers = append(s.Followers, r.follower(id, p))
			}
		})
	case raft.StateFollower:
		s.Role = "follower"
	default:
		s.Role = "candidate"
	}
	return s
}

func (r *Replica) follower(id uint64, p tracker.Progress) Follower {
	f := Follower{Replica: id, Disk: r.diskOf(id), Match: p.Match, Active: p.RecentActive, Learner: p.IsLearner}
	if r.store.last > p.Match {
		f.Lag = r.store.last - p.Match
	}
	switch p.State {
	case tracker.StateReplicate:
		f.State = StateReplicating
	case tracker.StateSnapshot:
		f.State = "taking a snapshot"
	default:
		f.State = "probing"
	}
	return f
}
