package store

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/replica"
)

// Status says how a store stands.
type Status struct {
	Disk disk.ID
	// Err is why the store takes no part any more, nil while it does.
	Err error
	// Replicas are ascending by range. One that is being made from a snapshot, that rests, or that could not be loaded
	// has a role of its own: installing, resting or failed; so has one that is no member any more: removed. What is told of one
	// never changes, and is the same as in an earlier Status if nothing has happened to the replica since.
	Replicas []*replica.Status
	// Differing is of how many ranges that are led here a replica was found to hold other rows than most, and how many replicas
	// here know that they do.
	Differing int
	// Differed is how many comparisons have found that replicas of ranges that were led here differ, and Remade how many replicas
	// of this disk were made anew because they did, in this life of the store; RemadeAt is when the last was, on the wall clock.
	Differed, Remade uint64
	RemadeAt         time.Time
	// ClockOff says that the wall clock is so far off those of other stores that this one leads nothing where another can lead,
	// and ClockAhead by how much it is ahead of their median then.
	ClockOff   bool
	ClockAhead time.Duration
}

// Status returns how the store stands. What has not changed since the last call is not looked at again, so that ranges that
// sleep cost nothing; the list is shared between calls and never changes.
func (c *Core) Status() Status {
	if !c.stirred {
		return c.told
	}
	s := Status{
		Disk: c.opt.Disk.ID(), Err: c.stopped, Replicas: c.told.Replicas, Differing: c.told.Differing,
		Differed: c.differed, Remade: c.remakes, RemadeAt: c.remadeAt, ClockOff: c.clocks.off, ClockAhead: c.clocks.told,
	}
	if c.restaffed || c.stopped != nil {
		s.Replicas, s.Differing = make([]*replica.Status, len(c.members)), 0
		for i, m := range c.members {
			if m.stirred || c.stopped != nil {
				m.tell()
			}
			s.Replicas[i] = m.told
			s.Differing += differs(m.told)
		}
	} else if len(c.moved) > 0 {
		s.Replicas = slices.Clone(s.Replicas)
		for _, m := range c.moved {
			i, _ := find(s.Replicas, m.rangeID)
			s.Differing -= differs(m.told)
			m.tell()
			s.Replicas[i] = m.told
			s.Differing += differs(m.told)
		}
	}
	clear(c.moved)
	c.told, c.stirred, c.restaffed, c.moved = s, false, false, c.moved[:0]
	return s
}

// stir has the next Status look at a member.
func (c *Core) stir(m *member) {
	c.stirred = true
	if !m.stirred {
		m.stirred = true
		c.moved = append(c.moved, m)
	}
}

// restaff has the next Status list all members anew: one came or went.
func (c *Core) restaff() { c.stirred, c.restaffed = true, true }

// tell notes how the member stands.
func (m *member) tell() {
	told := m.status()
	m.told, m.stirred = &told, false
}

func differs(s *replica.Status) int { return min(1, len(s.Differ)) }

// status returns how the member stands.
func (m *member) status() replica.Status {
	s := replica.Status{Range: m.rangeID, Disk: m.core.opt.Disk.ID()}
	switch {
	case m.replica != nil:
		s = m.replica.Status()
		if m.remade.odd {
			s.Differ = []disk.ID{m.core.opt.Disk.ID()}
		}
		if m.term > 0 {
			s.Differ = m.compared.differ
			s.Rate, s.Middle = m.load.rate, m.load.middle
		}
		return s
	case m.core.stopped != nil:
		s.Role, s.Err = "failed", m.core.stopped
	case errors.Is(m.err, replica.ErrNotMember):
		s.Role = "removed"
	case m.err != nil:
		s.Role, s.Err = "failed", m.err
	case m.rest > 0:
		s.Role = "resting"
	default:
		s.Role = "installing"
	}
	return s
}

// Of returns how the replica of a range stands, and false if there is none.
func (s *Status) Of(rangeID uint64) (r replica.Status, ok bool) {
	i, ok := find(s.Replicas, rangeID)
	if ok {
		r = *s.Replicas[i]
	}
	return r, ok
}

func find(list []*replica.Status, rangeID uint64) (i int, ok bool) {
	return slices.BinarySearchFunc(list, rangeID, func(r *replica.Status, id uint64) int { return cmp.Compare(r.Range, id) })
}
