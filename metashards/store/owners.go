package store

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// owners knows which ranges this store has replicas of, by position, so that an answer to somebody who came to the wrong
// range can say which is the right one. It is written by the core, with each tick and where it is asked, and read by anybody.
type owners struct {
	list  atomic.Pointer[[]*metapb.RangeDescriptor] // ascending; never changed once it is here
	stale bool
	peers []disk.ID // that have replicas of these ranges, ascending; the core's alone
}

// changed says that a range came, went or was split.
func (o *owners) changed() { o.stale = true }

// refresh makes the list anew if anything has changed.
func (o *owners) refresh(members []*member) {
	if !o.stale {
		return
	}
	var list []*metapb.RangeDescriptor
	for _, m := range members {
		if m.replica != nil {
			list = append(list, m.replica.Machine().Descriptor())
		}
	}
	slices.SortFunc(list, func(a, b *metapb.RangeDescriptor) int { return bytes.Compare(a.Start, b.Start) })
	o.list.Store(&list)
	o.peers = o.peers[:0]
	for _, d := range list {
		for _, r := range d.Replicas {
			if i, found := slices.BinarySearch(o.peers, disk.ID(r.Disk)); !found {
				o.peers = slices.Insert(o.peers, i, disk.ID(r.Disk))
			}
		}
	}
	o.stale = false
}

// of returns the range that owns a position, as far as this store has a replica of it and knows; nil if it has none.
func (o *owners) of(bucket uint64, key []byte) *metapb.RangeDescriptor {
	p := o.list.Load()
	if p == nil {
		return nil
	}
	list := *p
	n, _ := slices.BinarySearchFunc(list, keys.Position(bucket, key), func(d *metapb.RangeDescriptor, at []byte) int {
		if bytes.Compare(d.Start, at) > 0 {
			return 1
		}
		return -1
	})
	if n == 0 || !keys.Contains(list[n-1].Start, list[n-1].End, bucket, key) {
		return nil
	}
	return list[n-1]
}

// pointed adds to a result, and to those in it, which range owns the position that came to the wrong one.
func (c *Core) pointed(cmd *metapb.Command, r *metapb.Result) *metapb.Result {
	if r.Status == metapb.Status_WRONG_RANGE && r.Range == nil {
		c.owners.refresh(c.members)
		r.Range = c.owners.of(cmd.GetBucket(), cmd.GetKey())
	}
	for i, s := range cmd.GetBatch().GetCommands() {
		if i < len(r.Results) {
			c.pointed(s, r.Results[i])
		}
	}
	return r
}

// pointedAnswer does the same for the answer to a query. It is safe for concurrent use.
func (c *Core) pointedAnswer(q *metapb.Query, a *metapb.Answer) *metapb.Answer {
	if a.GetStatus() == metapb.Status_WRONG_RANGE && a.Range == nil {
		if d := c.owners.of(q.GetBucket(), q.GetKey()); d != nil {
			a.Range = &metapb.RangeReport{Range: d}
		}
	}
	return a
}
