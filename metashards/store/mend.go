package store

import (
	"context"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// repair is a payload to be written again. Whether it is still wanted is judged by the core, between two rounds, when no
// row changes.
type repair struct {
	payload disk.Payload
	wanted  func() bool
}

// mend fetches a payload, that a query asks for and that is rotten or missing here, from another replica, and has it
// written again.
func (c *Core) mend(ctx context.Context, v *View, id disk.PayloadID, length uint64, q *metapb.Query) ([]byte, error) {
	c.opt.Logger.Warn("payload damaged", "payload", id, "disk", c.opt.Disk.ID())
	b, err := replica.FetchPayload(ctx, c.opt.Puller, v.descriptor, c.opt.Disk.ID(), id)
	if err == nil && uint64(len(b)) != length {
		err = fmt.Errorf("payload %s: %d bytes from elsewhere, want %d", id, len(b), length)
	}
	if err != nil {
		return nil, disk.Errorf("answer", disk.KindCorrupt, id.String(), err)
	}
	q = q.CloneVT()
	c.repairLater(disk.Payload{ID: id, Data: b}, func() bool {
		s := c.opt.Disk.State().Snapshot()
		a, err := v.machine.Answer(s, q)
		if e := s.Close(); err == nil {
			err = e
		}
		in := a.GetVersion().GetInline()
		return err == nil && in != nil && id == disk.PayloadID{Range: in.Range, Term: in.Term, Index: in.Index, N: in.N}
	})
	return b, nil
}

// mendLogged does the same for a payload that a follower needs and that is rotten in the log.
func (c *Core) mendLogged(m *member, id disk.PayloadID) {
	if c.mending[id] {
		return
	}
	c.mending[id] = true
	d := m.replica.Machine().Descriptor()
	c.opt.Go(func() {
		b, err := replica.FetchPayload(c.opt.Context, c.opt.Puller, d, c.opt.Disk.ID(), id)
		c.opt.Post(func() {
			delete(c.mending, id)
			if err != nil {
				c.opt.Logger.Error("payload damaged on all replicas", "payload", id, "error", err)
				return
			}
			c.repairs = append(c.repairs, repair{disk.Payload{ID: id, Data: b}, func() bool { return false }})
		})
	})
}

func (c *Core) repairLater(p disk.Payload, wanted func() bool) {
	c.opt.Post(func() {
		if c.stopped == nil {
			c.repairs = append(c.repairs, repair{p, wanted})
		}
	})
}

// appendRepairs adds to the round the payloads that are still referred to and still damaged.
func (c *Core) appendRepairs(ctx context.Context) {
	for _, r := range c.repairs {
		_, err := c.opt.Disk.Log().Payload(ctx, r.payload.ID)
		if disk.Is(err, disk.KindCorrupt) || disk.Is(err, disk.KindNotFound) && r.wanted() {
			c.append.Payloads = append(c.append.Payloads, r.payload)
		}
	}
	c.repairs = nil
}

// ServeRows, ServePayload and ServeRelease answer other stores. They are safe for concurrent use.
func (c *Core) ServeRows(ctx context.Context, r transport.RowsRequest) (transport.Rows, error) {
	return c.snapshots.Rows(ctx, r)
}

// ServePayload reads a payload of this disk's log.
func (c *Core) ServePayload(ctx context.Context, id disk.PayloadID) ([]byte, error) {
	return c.opt.Disk.Log().Payload(ctx, id)
}

// ServeRelease closes a snapshot.
func (c *Core) ServeRelease(token uint64) { c.snapshots.Release(token) }
