package store

import (
	"errors"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/replica"
)

// Status says how a store stands.
type Status struct {
	Disk disk.ID
	// Err is why the store takes no part any more, nil while it does.
	Err error
	// Replicas are ascending by range. One that is being made from a snapshot, that rests, or that could not be loaded
	// has a role of its own: installing, resting or failed; so has one that is no member any more: removed.
	Replicas []replica.Status
}

// Status returns how the store stands.
func (c *Core) Status() Status {
	s := Status{Disk: c.opt.Disk.ID(), Err: c.stopped}
	for _, m := range c.members {
		switch {
		case m.replica != nil:
			s.Replicas = append(s.Replicas, m.replica.Status())
		case c.stopped != nil:
			s.Replicas = append(s.Replicas, replica.Status{Range: m.rangeID, Disk: s.Disk, Role: "failed", Err: c.stopped})
		case errors.Is(m.err, replica.ErrNotMember):
			s.Replicas = append(s.Replicas, replica.Status{Range: m.rangeID, Disk: s.Disk, Role: "removed"})
		case m.err != nil:
			s.Replicas = append(s.Replicas, replica.Status{Range: m.rangeID, Disk: s.Disk, Role: "failed", Err: m.err})
		case m.rest > 0:
			s.Replicas = append(s.Replicas, replica.Status{Range: m.rangeID, Disk: s.Disk, Role: "resting"})
		default:
			s.Replicas = append(s.Replicas, replica.Status{Range: m.rangeID, Disk: s.Disk, Role: "installing"})
		}
	}
	return s
}
