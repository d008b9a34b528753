package node

import (
	"context"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/wire"
)

// Measures of a handover.
const (
	handoverTime  = 2 * time.Second
	handoverPause = 20 * time.Millisecond
)

// handOver gives the leadership of every range that this node leads to a replica on another node, as far as there is one
// that keeps up, so that nobody need wait until this node is missed. It gives up after a while.
func (n *Node) handOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	for ctx.Err() == nil {
		left := 0
		for _, s := range n.stores {
			for _, r := range s.Status().Replicas {
				to := n.heir(r)
				if to == 0 {
					continue
				}
				left++
				if err := s.TransferLeadership(ctx, r.Range, to); err != nil {
					n.env.Log.Debug("leadership is not handed over", "range", r.Range, "to", to, "error", err)
				}
			}
		}
		if left == 0 {
			return
		}
		wire.Wall{}.Sleep(ctx, handoverPause, nil)
	}
}

// heir returns the disk of another node that should lead a range in the place of a replica of this node, zero if the
// replica does not lead or there is none.
func (n *Node) heir(r *replica.Status) (to disk.ID) {
	if r.Role != roleLeader {
		return 0
	}
	var match uint64
	for _, f := range r.Followers {
		if _, own := n.disks[f.Disk]; own || !f.Active || f.Learner || !n.mayLead(f.Disk) {
			continue
		}
		if to == 0 || f.Match > match {
			to, match = f.Disk, f.Match
		}
	}
	return to
}
