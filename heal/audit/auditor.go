package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/heal/pace"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
)

// Defaults of Options.
const (
	IntervalDefault = 24 * time.Hour
	RateDefault     = 200

	pageRows = 100
	format   = 1
)

// Position is a place in a range that this node leads.
type Position struct {
	Bucket uint64
	Key    []byte
}

// Options are what an Auditor is made from. Store, Topology, Fleet, Led and Now must be set.
type Options struct {
	Store    metashards.Store
	Topology metashards.Topology
	Fleet    disk.Fleet
	// Led returns the start of each range of data that this node leads now. It must not block.
	Led func() []Position
	Now func() time.Time
	// Interval is the time between two passes, and before the first; 0: IntervalDefault.
	Interval time.Duration
	// Rate is how many extents are looked at in a second at most; 0: RateDefault.
	Rate int
	Log  *slog.Logger // nil: nothing is logged
}

// Auditor makes the audits. Its counters are safe for concurrent use, Run and Pass are for one goroutine.
type Auditor struct {
	o           Options
	short, lost atomic.Int64
	ended       atomic.Int64 // when the last pass did, Unix seconds
}

// New returns an Auditor.
func New(o Options) (*Auditor, error) {
	if o.Store == nil || o.Topology == nil || o.Fleet == nil || o.Led == nil || o.Now == nil {
		return nil, errors.New("audit: options without store, topology, fleet, ranges or clock")
	}
	o.Interval = cmp.Or(o.Interval, IntervalDefault)
	o.Rate = cmp.Or(o.Rate, RateDefault)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Auditor{o: o}, nil
}

// Result is what a pass found.
type Result struct {
	Extents int64 // looked at
	Short   int64 // of which shards are missing that their disks should have
	Lost    int64 // of them, those of which too few are left
	Unclear int64 // of which shards lie on disks that did not answer
}

// Found returns how many extents the last whole pass found short, and lost among them, and when it ended: zero if none has.
func (a *Auditor) Found() (short, lost int64, ended time.Time) {
	if at := a.ended.Load(); at != 0 {
		ended = time.Unix(at, 0)
	}
	return a.short.Load(), a.lost.Load(), ended
}

// Run makes passes until ctx ends.
func (a *Auditor) Run(ctx context.Context) {
	for pace.Wait(ctx, a.o.Interval) {
		r, err := a.Pass(ctx)
		if err != nil && ctx.Err() == nil {
			a.o.Log.Warn("not all records could be audited", "error", err)
		}
		if r.Short > 0 {
			a.o.Log.Error("shards are missing that records name", "extents", r.Extents, "short", r.Short, "lost", r.Lost)
		}
	}
}

// Pass walks all ranges that are led here once. A range that fails does not keep it from the others.
func (a *Auditor) Pass(ctx context.Context) (total Result, err error) {
	var failed []error
	for _, at := range a.o.Led() {
		r, err := a.passRange(ctx, at)
		total.add(r)
		if ctx.Err() != nil {
			return total, ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("range at bucket %d: %w", at.Bucket, err))
		}
	}
	a.short.Store(total.Short)
	a.lost.Store(total.Lost)
	a.ended.Store(a.o.Now().Unix())
	return total, errors.Join(failed...)
}

func (r *Result) add(o Result) {
	r.Extents += o.Extents
	r.Short += o.Short
	r.Lost += o.Lost
	r.Unclear += o.Unclear
}

// passRange walks the range at a position.
func (a *Auditor) passRange(ctx context.Context, at Position) (total Result, err error) {
	err = a.walk(ctx, at, false, func(item *metapb.BlobItem) error {
		r, err := a.auditRow(ctx, item)
		total.add(r)
		return err
	})
	return total, err
}

// walk calls fn for each row of the range at a position that names blobs, or for those of its key alone, until fn returns an error,
// which walk returns.
func (a *Auditor) walk(ctx context.Context, at Position, oneKey bool, fn func(*metapb.BlobItem) error) error {
	for after := []byte(nil); ; {
		page, err := a.o.Store.Query(ctx, &metapb.Query{
			Format: format, Bucket: at.Bucket, Key: at.Key,
			Op: &metapb.Query_ListBlobs{ListBlobs: &metapb.ListBlobs{After: after, Limit: pageRows, OneKey: oneKey}},
		})
		if err == nil && page.Status != metapb.Status_OK {
			err = fmt.Errorf("list records: %v %s", page.Status, page.Detail)
		}
		if err != nil {
			return err
		}
		for _, item := range page.Blobs {
			if err := fn(item); err != nil {
				return err
			}
		}
		if !page.Truncated || bytes.Compare(page.Next, after) <= 0 {
			return nil
		}
		after = page.Next
	}
}

// auditRow looks at all extents that a row names.
func (a *Auditor) auditRow(ctx context.Context, item *metapb.BlobItem) (total Result, err error) {
	for _, b := range item.Blobs {
		for _, e := range b.GetExtents() {
			r := a.auditExtent(ctx, b, e)
			if r.Short > 0 {
				named, err := a.stillNamed(ctx, item, b)
				if err != nil {
					return total, err
				}
				if !named {
					break
				}
				a.o.Log.Error("an extent misses shards", "bucket", item.Bucket, "key", string(item.Key), "blob", disk.BlobID(b.Id).String(),
					"extent", e.Number, "group", e.Group, "lost", r.Lost > 0)
			}
			total.add(r)
			if !pace.Wait(ctx, time.Second/time.Duration(a.o.Rate)) {
				return total, ctx.Err()
			}
		}
	}
	return total, nil
}

// auditExtent looks for the shards of an extent.
func (a *Auditor) auditExtent(ctx context.Context, b *metapb.Blob, e *metapb.Extent) (r Result) {
	r.Extents = 1
	g := a.o.Topology.Map().Group(disk.GroupID(e.GetGroup()))
	if g == nil || len(b.GetId()) != len(disk.BlobID{}) {
		r.Short, r.Lost = 1, 1 // nobody knows where it lies
		return r
	}
	missing, unclear := 0, 0
	for _, slot := range e.GetSlots() {
		if int(slot) >= len(g.Slots) {
			missing++
			continue
		}
		id := disk.ShardID{Group: g.ID, Blob: disk.BlobID(b.Id), Extent: e.Number, Slot: slot}
		switch err := a.look(ctx, g.Slots[slot].Owner, id); {
		case err == nil, mutantAuditBlind:
		case disk.Is(err, disk.KindNotFound), disk.Is(err, disk.KindCorrupt):
			missing++
		default:
			unclear++
		}
	}
	if unclear > 0 {
		r.Unclear = 1
	}
	if missing > 0 {
		r.Short = 1
	}
	if len(e.GetSlots())-missing < int(e.GetCoding().GetK()) {
		r.Lost = 1
	}
	return r
}

// look asks a disk for a shard. That a disk is not known, or not in use, says nothing about the shard.
func (a *Auditor) look(ctx context.Context, owner disk.ID, id disk.ShardID) error {
	store, err := a.o.Fleet.Disk(owner)
	if err != nil {
		return &unknownError{err}
	}
	_, err = store.Info(ctx, id)
	return err
}

// unknownError hides the kind of an error that is not about a shard.
type unknownError struct{ err error }

func (e *unknownError) Error() string { return e.err.Error() }

// errNamed ends a walk: the blob is named.
var errNamed = errors.New("named")

// stillNamed reports whether the rows of a key name a blob now.
func (a *Auditor) stillNamed(ctx context.Context, item *metapb.BlobItem, b *metapb.Blob) (bool, error) {
	err := a.walk(ctx, Position{item.Bucket, item.Key}, true, func(o *metapb.BlobItem) error {
		if slices.ContainsFunc(o.Blobs, func(x *metapb.Blob) bool { return bytes.Equal(x.GetId(), b.Id) }) {
			return errNamed
		}
		return nil
	})
	if errors.Is(err, errNamed) {
		return true, nil
	}
	return false, err
}
