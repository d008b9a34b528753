package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/contender/contender/metashards/replica"
)

// Measures of looking at sizes.
const (
	// sizePause is how long a range is left alone before its size is looked at again.
	sizePause = 2 * time.Second
	// sizesMost is how many ranges' sizes are looked at together that have grown by sizeEntries entries since. Of the others,
	// which may be very many, it is one in each othersPause.
	sizesMost   = 16
	sizeEntries = 16
	othersPause = time.Second
)

// sizing chooses the ranges whose sizes are to be looked at. What it costs depends on how many change, not on how many there are.
type sizing struct {
	looked map[uint64]lookedAt
	grown  map[uint64]*replica.Status // that have changed, or that are not known yet
	much   map[uint64]bool            // which of them have grown by much
	queue  []uint64                   // these and some others, in the order in which they came
	queued map[uint64]bool            // the same
	other  time.Time                  // when one was looked at that had not grown by much
}

// lookedAt is when a range's size was looked at, zero if it was not yet, and which entry was applied then, or when it was first seen.
type lookedAt struct {
	at      time.Time
	applied uint64
}

func newSizing() *sizing {
	return &sizing{looked: map[uint64]lookedAt{}, grown: map[uint64]*replica.Status{}, much: map[uint64]bool{}, queued: map[uint64]bool{}}
}

// note has a range that is led here looked at if it has changed since it was, or is new here.
func (s *sizing) note(r *replica.Status) {
	last, known := s.looked[r.Range]
	if !known {
		last.applied = r.Applied
		s.looked[r.Range] = last
	}
	if !last.at.IsZero() && r.Applied == last.applied {
		return
	}
	s.grown[r.Range] = r
	if r.Applied-last.applied >= sizeEntries {
		s.much[r.Range] = true
	}
	s.enqueue(r.Range)
}

func (s *sizing) enqueue(rangeID uint64) {
	if !s.queued[rangeID] {
		s.queued[rangeID] = true
		s.queue = append(s.queue, rangeID)
	}
}

// forget drops what is remembered of a range that others lead now.
func (s *sizing) forget(rangeID uint64) {
	delete(s.looked, rangeID)
	delete(s.grown, rangeID)
	delete(s.much, rangeID)
}

// next returns the next ranges to look at, as looked at now: of those that have grown by much the ones that have grown most, and now
// and then one other, for which it looks at the first few that wait.
func (s *sizing) next(now time.Time) (next []*replica.Status) {
	rested := func(id uint64) bool { return now.Sub(s.looked[id].at) >= sizePause }
	for id := range s.much {
		if rested(id) {
			next = append(next, s.grown[id])
		}
	}
	by := func(r *replica.Status) uint64 { return r.Applied - s.looked[r.Range].applied }
	slices.SortFunc(next, func(a, b *replica.Status) int {
		return cmp.Or(cmp.Compare(by(b), by(a)), cmp.Compare(a.Range, b.Range))
	})
	next = next[:min(len(next), sizesMost)]
	for range min(len(s.queue), sizesMost) {
		if now.Sub(s.other) < othersPause {
			break
		}
		id := s.queue[0]
		s.queue = s.queue[1:]
		delete(s.queued, id)
		r := s.grown[id]
		if r == nil || s.much[id] {
			continue
		}
		if rested(id) {
			next, s.other = append(next, r), now
			break
		}
		s.enqueue(id)
	}
	for _, r := range next {
		delete(s.grown, r.Range)
		delete(s.much, r.Range)
		s.looked[r.Range] = lookedAt{now, r.Applied}
	}
	return next
}
