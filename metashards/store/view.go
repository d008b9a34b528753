package store

import (
	"context"
	"sync/atomic"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// View is a range at one moment, to be read outside of the core. One goroutine at a time.
type View struct {
	core       *Core
	machine    *machine.Machine
	descriptor *metapb.RangeDescriptor
	snapshot   *shared
	moment     machine.Moment // of the snapshot
	renewed    bool           // the snapshot is a later one
}

// shared is a snapshot that several views read.
type shared struct {
	disk.Snapshot
	users atomic.Int32
}

// share returns a snapshot of now for so many views. It is the same one as long as nothing has changed: to take one and to close it
// costs as much as to read a row.
func (c *Core) share(views int) *shared {
	if c.current == nil {
		c.current = c.snapshot() // its first user is the core
	}
	c.current.users.Add(int32(views))
	return c.current
}

// snapshot takes a snapshot of now for one user. It is safe for concurrent use.
func (c *Core) snapshot() *shared {
	s := &shared{Snapshot: c.opt.Disk.State().Snapshot()}
	s.users.Store(1)
	return s
}

// unshare has the next views see what has changed. It is called wherever rows of this store that views read may have changed, and
// with each tick, so that no snapshot is kept for long.
func (c *Core) unshare() {
	if c.current == nil {
		return
	}
	if err := c.current.leave(1); err != nil {
		c.opt.Logger.Warn("a snapshot can't be closed", "disk", c.opt.Disk.ID(), "error", err)
	}
	c.current = nil
}

// enter adds a user, unless the snapshot was closed. It is safe for concurrent use.
func (s *shared) enter() bool {
	for {
		n := s.users.Load()
		if n <= 0 {
			return false
		}
		if s.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave takes so many users off, and closes the snapshot with the last one.
func (s *shared) leave(users int) error {
	if s.users.Add(int32(-users)) > 0 {
		return nil
	}
	return s.Close()
}

// Descriptor returns the range's descriptor at that moment. It is shared and never changes: read only.
func (v *View) Descriptor() *metapb.RangeDescriptor { return v.descriptor }

// Close ends the view.
func (v *View) Close() error { return v.snapshot.leave(1) }

// Answer answers a query. An error is a *disk.Error or a damaged row; the range itself is not to blame.
//
// A payload that was dropped after the view was made is no error: the query is answered from a newer view, which is as
// linearizable, as often as the key is written meanwhile. A payload that is rotten, or missing although its row is
// still there, is fetched from another replica and written here again.
func (v *View) Answer(ctx context.Context, q *metapb.Query) (*metapb.Answer, error) {
	for missed := (disk.PayloadID{}); ; {
		a, err := v.rows(q)
		if err != nil {
			return nil, err
		}
		in := a.GetVersion().GetInline()
		if in == nil || !q.GetGet().GetPayload() {
			return a, nil
		}
		id := disk.PayloadID{Range: in.Range, Term: in.Term, Index: in.Index, N: in.N}
		a.Payload, err = v.core.opt.Disk.Log().Payload(ctx, id)
		switch {
		case err == nil:
			return a, nil
		case disk.Is(err, disk.KindNotFound) && id != missed:
			missed = id
			if err := v.renew(); err != nil {
				return nil, err
			}
			continue
		case disk.Is(err, disk.KindNotFound), disk.Is(err, disk.KindCorrupt):
		default:
			return nil, err
		}
		if a.Payload, err = v.core.mend(ctx, v, id, in.Length, q); err != nil {
			return nil, err
		}
		return a, nil
	}
}

// rows answers from the rows alone.
func (v *View) rows(q *metapb.Query) (*metapb.Answer, error) {
	a, err := v.answer(q)
	return v.core.pointedAnswer(q, a), err
}

func (v *View) answer(q *metapb.Query) (*metapb.Answer, error) {
	if v.renewed {
		return v.machine.Answer(v.snapshot, q)
	}
	return v.moment.Answer(v.snapshot, q)
}

// renew takes a view of now.
func (v *View) renew() error {
	err := v.snapshot.leave(1)
	v.snapshot, v.renewed = v.core.snapshot(), true
	return err
}
