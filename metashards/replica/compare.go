package replica

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
)

// Comparison is a replica's rows as they were after an entry that compares replicas. Its view must be closed.
type Comparison struct {
	Index uint64
	View  disk.Snapshot
}

// toCompare returns how many entries there are up to the first that compares replicas, that one among them.
func (r *Replica) toCompare(entries []*raftpb.Entry) int {
	for i, e := range entries {
		p, err := r.proposalOf(e)
		if err == nil && len(p.GetCommands()) == 1 && p.Commands[0].GetCompare() != nil {
			r.comparing = true
			return i + 1
		}
	}
	return len(entries)
}

// view keeps a view of the rows, if the entry that was applied last asks for it. One that nobody has asked for yet gives way.
func (r *Replica) view() {
	if !r.comparing {
		return
	}
	r.comparing = false
	r.dropComparison()
	r.comparison = &Comparison{Index: r.mach.State().AppliedIndex, View: r.env.State.Snapshot()}
}

func (r *Replica) dropComparison() {
	if r.comparison != nil {
		_ = r.comparison.View.Close() // nothing was read from it
		r.comparison = nil
	}
}

// Comparison returns, once, the newest comparison that was applied, nil if there is none.
func (r *Replica) Comparison() *Comparison {
	c := r.comparison
	r.comparison = nil
	return c
}
