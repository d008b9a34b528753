package orphan

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

// Defaults of Options, and bounds.
const (
	// GraceDefault is longer than any request lasts.
	GraceDefault = 24 * time.Hour
	// IntervalMax is the time between two passes with a long grace, and FirstMax that before the first.
	IntervalMax = 6 * time.Hour
	FirstMax    = 10 * time.Minute
	// RateDefault is how many shards of a disk are asked about in a second.
	RateDefault = 2000

	batchShards = 256
	format      = 1
)

// Disk is a disk of this node.
type Disk interface {
	disk.Store
	disk.Inventory
	ID() disk.ID
}

// Options are what a Collector is made from. Store, Disks, Groups and Now must be set.
type Options struct {
	Store metashards.Store
	// Disks returns this node's disks that work now, Groups the placement groups of which they may hold shards. They must not block.
	Disks  func() []Disk
	Groups func() []disk.GroupID
	// Grace is how old a blob must be to be asked about; 0: GraceDefault. A write that takes longer is refused at its end.
	Grace time.Duration
	// Interval is the time from the end of a pass to the next; 0: a quarter of the grace, IntervalMax at most.
	Interval time.Duration
	// Rate is how many shards of a disk are asked about in a second at most; 0: RateDefault.
	Rate int
	Now  func() time.Time
	Log  *slog.Logger // nil: nothing is logged
}

// Collector deletes orphans. Its counters are safe for concurrent use, Run and Pass are for one goroutine.
type Collector struct {
	o      Options
	shards atomic.Int64
	bytes  atomic.Int64
}

// New returns a Collector.
func New(o Options) (*Collector, error) {
	if o.Store == nil || o.Disks == nil || o.Groups == nil || o.Now == nil {
		return nil, errors.New("orphan: options without store, disks, groups or clock")
	}
	o.Grace = cmp.Or(o.Grace, GraceDefault)
	o.Interval = cmp.Or(o.Interval, min(o.Grace/4, IntervalMax))
	o.Rate = cmp.Or(o.Rate, RateDefault)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Collector{o: o}, nil
}

// Deleted returns how many shards were deleted so far, and how many bytes of data were in them.
func (c *Collector) Deleted() (shards, bytes int64) { return c.shards.Load(), c.bytes.Load() }

// Run makes passes until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	for pause := min(c.o.Interval, FirstMax); pace.Wait(ctx, pause); pause = c.o.Interval {
		if err := c.Pass(ctx); err != nil && ctx.Err() == nil {
			c.o.Log.Warn("orphaned shards are not all found; the next pass goes on", "error", err)
		}
	}
}

// Pass looks through all disks once. What fails on one disk does not keep it from the others.
func (c *Collector) Pass(ctx context.Context) error {
	var failed []error
	for _, d := range c.o.Disks() {
		n, size, err := c.passDisk(ctx, d)
		if n > 0 {
			c.o.Log.Info("shards that no record names are deleted", "disk", d.ID(), "shards", n, "bytes", size)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("disk %s: %w", d.ID(), err))
		}
	}
	return errors.Join(failed...)
}

// errYoung ends a list: what follows in the group was begun later.
var errYoung = errors.New("younger than the grace")

// passDisk looks through a disk.
func (c *Collector) passDisk(ctx context.Context, d Disk) (n int, size int64, err error) {
	var failed []error
	for _, g := range c.o.Groups() {
		for after := (disk.ShardID{}); ; {
			batch, err := c.nextOld(ctx, d, g, after)
			if err != nil {
				return n, size, errors.Join(append(failed, err)...)
			}
			if len(batch) == 0 {
				break
			}
			after = batch[len(batch)-1].ID
			found, bytes, err := c.collect(ctx, d, batch)
			n, size = n+found, size+bytes
			if err != nil {
				failed = append(failed, err)
			}
			if !pace.Wait(ctx, time.Duration(len(batch))*time.Second/time.Duration(c.o.Rate)) {
				return n, size, ctx.Err()
			}
		}
	}
	return n, size, errors.Join(failed...)
}

// nextOld returns the next shards of a group whose blobs were begun longer ago than the grace.
func (c *Collector) nextOld(ctx context.Context, d Disk, g disk.GroupID, after disk.ShardID) (batch []disk.ShardInfo, err error) {
	young := uint64(max(0, c.o.Now().Add(-c.o.Grace).UnixMilli()))
	err = d.List(ctx, g, after, func(s disk.ShardInfo) error {
		if s.ID.Blob.StartMillis() >= young || len(batch) == batchShards {
			return errYoung
		}
		s.Owner = bytes.Clone(s.Owner)
		batch = append(batch, s)
		return nil
	})
	if errors.Is(err, errYoung) {
		err = nil
	}
	return batch, err
}

// collect deletes those of some shards of a disk that are orphans.
func (c *Collector) collect(ctx context.Context, d Disk, batch []disk.ShardInfo) (n int, size int64, err error) {
	orphans, err := c.judge(ctx, batch)
	if len(orphans) == 0 {
		return 0, 0, err
	}
	ids := make([]disk.ShardID, len(orphans))
	for i, s := range orphans {
		ids[i] = s.ID
		size += s.Length
	}
	if e := d.Delete(ctx, ids...); e != nil {
		return 0, 0, errors.Join(err, e)
	}
	c.shards.Add(int64(len(ids)))
	c.bytes.Add(size)
	return len(ids), size, err
}

// suspect is a shard to be judged.
type suspect struct {
	info disk.ShardInfo
	ref  *metapb.ShardReference
}

// judge returns those of some shards that are orphans.
func (c *Collector) judge(ctx context.Context, batch []disk.ShardInfo) (orphans []disk.ShardInfo, err error) {
	if mutantInventory {
		return batch, nil
	}
	suspects := c.suspects(batch)
	var failed []error
	for len(suspects) > 0 {
		verdicts, err := c.ask(ctx, suspects)
		if err != nil {
			return orphans, errors.Join(append(failed, err)...)
		}
		n := 0 // those that the range knows: a run of them, since they are sorted
		var young []suspect
		for n < len(verdicts) && verdicts[n] != metapb.Verdict_NOT_HERE {
			switch v := verdicts[n]; {
			case v == metapb.Verdict_ORPHAN, v == metapb.Verdict_YOUNG && mutantNoFloor:
				orphans = append(orphans, suspects[n].info)
			case v == metapb.Verdict_YOUNG:
				young = append(young, suspects[n])
			}
			n++
		}
		if n == 0 {
			return orphans, errors.Join(append(failed, fmt.Errorf("bucket %d: no range answers for its key", suspects[0].ref.Bucket))...)
		}
		suspects = suspects[n:]
		found, err := c.settle(ctx, young)
		orphans = append(orphans, found...)
		if err != nil {
			failed = append(failed, err)
		}
	}
	return orphans, errors.Join(failed...)
}

// suspects reads for whom shards were written, and sorts them by that. Those that do not say so are left alone.
func (c *Collector) suspects(batch []disk.ShardInfo) (list []suspect) {
	for _, s := range batch {
		o := new(metapb.ShardOwner)
		if err := o.UnmarshalVT(s.Owner); err != nil || o.Format > format || o.Bucket == 0 {
			c.o.Log.Warn("a shard does not say for whom it was written, and is left alone", "shard", s.ID.String(), "error", err)
			continue
		}
		list = append(list, suspect{s, &metapb.ShardReference{
			Bucket: o.Bucket, Key: o.Key, Blob: s.ID.Blob[:], Upload: o.Upload, Part: o.Part,
			Extent: s.ID.Extent, Group: uint32(s.ID.Group), Slot: uint32(s.ID.Slot),
		}})
	}
	slices.SortFunc(list, func(a, b suspect) int {
		return cmp.Or(cmp.Compare(a.ref.Bucket, b.ref.Bucket), bytes.Compare(a.ref.Key, b.ref.Key), bytes.Compare(a.ref.Blob, b.ref.Blob))
	})
	return list
}

// ask asks the range of the first of some shards about all of them.
func (c *Collector) ask(ctx context.Context, list []suspect) ([]metapb.Verdict, error) {
	q := &metapb.FindShards{}
	for _, s := range list {
		q.Shards = append(q.Shards, s.ref)
	}
	first := list[0].ref
	a, err := c.o.Store.Query(ctx, &metapb.Query{
		Format: format, Bucket: first.Bucket, Key: first.Key, Op: &metapb.Query_FindShards{FindShards: q},
	})
	switch {
	case err != nil:
		return nil, err
	case a.Status != metapb.Status_OK || len(a.Verdicts) != len(list):
		return nil, fmt.Errorf("ask of %d shards: %v %s, %d answers", len(list), a.Status, a.Detail, len(a.Verdicts))
	}
	return a.Verdicts, nil
}

// settle raises the write floor of the range that some shards without a record belong to, so that none of them gets one any more, and
// returns those that have none then.
func (c *Collector) settle(ctx context.Context, list []suspect) (orphans []disk.ShardInfo, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	floor := uint64(0)
	for _, s := range list {
		floor = max(floor, s.info.ID.Blob.StartMillis()+1)
	}
	first := list[0].ref
	r, err := c.o.Store.Apply(ctx, &metapb.Command{
		Format: format, Bucket: first.Bucket, Key: first.Key, Time: uint64(max(0, c.o.Now().UnixMicro())),
		Op: &metapb.Command_RaiseFloor{RaiseFloor: &metapb.RaiseFloor{Floor: floor}},
	}, nil)
	if err != nil {
		return nil, err
	}
	if r.Status != metapb.Status_OK {
		return nil, fmt.Errorf("raise the write floor of bucket %d: %v %s", first.Bucket, r.Status, r.Detail)
	}
	verdicts, err := c.ask(ctx, list)
	if err != nil {
		return nil, err
	}
	for i, v := range verdicts {
		if v == metapb.Verdict_ORPHAN {
			orphans = append(orphans, list[i].info)
		}
	}
	return orphans, nil
}
