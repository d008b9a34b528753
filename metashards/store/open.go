package store

import (
	"math"
	"sync/atomic"
	"time"
)

// Most reads of a range that is led here need not go through the core: it leaves its last view open, for anybody to read, with
// the moment up to which the lease that it had lasts. It shuts the view before anything becomes true that the view does not show,
// or that the lease does not cover:
//
//   - before it applies an entry, and before it tells other stores that the entry is committed, hence before anybody is told that
//     the entry is done, or that what came of it is, where it was a split;
//   - before it lets go of the leadership, and when it has lost it, hence before this store's own vote for another leaves;
//   - before a change of members leaves, since the lease is by those of now.
//
// A reader takes a share in the view's snapshot, then looks whether the view is still open, then at the clock. At the second of
// these moments the view showed everything that was ever acknowledged, and nobody else led, as the third says: so the read is
// linearizable, however long it is paused in between or afterwards. The snapshot is closed with the next tick at the latest, and
// the next read, which goes through the core, opens another.

// glanceEach is of how many reads one goes through the core all the same, so that it knows what positions are read.
const glanceEach = 16

// open is a view that is open.
type open struct {
	view  View          // each reader gets a copy
	until time.Duration // on the boot clock: before, nobody else leads
	reads atomic.Uint32 // since they were counted
}

// Glance returns a view of a range that holds everything acknowledged before, as Read does, without the core; false where that is
// not to be had. It is safe for concurrent use. The view must be closed.
func (c *Core) Glance(rangeID uint64) (*View, bool) {
	x, ok := c.opens.Load(rangeID)
	if !ok {
		return nil, false
	}
	o := x.(*open)
	if o.reads.Add(1)%glanceEach == 0 || !o.view.snapshot.enter() {
		return nil, false
	}
	if now, ok := c.opens.Load(rangeID); !ok || now != x || c.opt.BootClock() >= o.until && !mutantOpenLease {
		_ = o.view.snapshot.leave(1) // nothing was read from it
		return nil, false
	}
	v := o.view
	return &v, true
}

// openUp leaves a view of now open. The lease holds.
func (m *member) openUp(snapshot *shared) {
	until := m.core.table.Until(m.rangeID, m.term)
	if m.open != nil && m.open.view.snapshot == snapshot && m.open.until == until {
		m.countGlances()
		return
	}
	m.shut()
	o := &open{view: m.view(snapshot), until: until}
	if mutantLease {
		o.until = math.MaxInt64
	}
	m.open = o
	m.core.opens.Store(m.rangeID, o)
}

// shut has no further read use the view that is open.
func (m *member) shut() {
	if m.open == nil {
		return
	}
	m.core.opens.Delete(m.rangeID)
	m.countGlances()
	m.open = nil
}

// countGlances counts the reads that did not go through the core.
func (m *member) countGlances() {
	if m.open != nil {
		m.load.requests += int(m.open.reads.Swap(0))
	}
}

// letGo is told that a replica is about to let go of its leadership.
func (c *Core) letGo(rangeID, term uint64) {
	if m := c.byRange[rangeID]; m != nil {
		m.shut()
	}
	c.table.Release(rangeID, term)
}
