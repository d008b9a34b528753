package bucket

import (
	"context"
	"errors"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/record"
)

const opFence = "bring a bucket's generation to a range"

// verdict is how a deletion ended.
type verdict int

const (
	gone       verdict = iota // the bucket is no more
	notEmpty                  // it was not empty; the deletion was taken back
	unanswered                // a range did not answer; the deletion was taken back
	overtaken                 // someone else decided
)

// finish carries a deletion that its record says is under way to its end. One that was begun must not be left in the
// middle, where writes are frozen: so it does not end with ctx, but within the patience for each range. Of any number of
// callers here one does the work, the others wait for it and look again.
func (r *Resolver) finish(ctx context.Context, b *metapb.Bucket) (verdict, error) {
	done := make(chan struct{})
	r.mu.Lock()
	busy := r.finishing[b.Id]
	if busy == nil {
		r.finishing[b.Id] = done
	}
	r.mu.Unlock()
	if busy != nil {
		select {
		case <-busy:
			return overtaken, nil
		case <-ctx.Done():
			return overtaken, record.Error(opDelete, b.Name, "", ctx.Err())
		}
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.finishing, b.Id)
		close(done)
	}()
	return r.freeze(context.WithoutCancel(ctx), b)
}

// freeze brings the freeze of a deletion to all ranges and then decides.
func (r *Resolver) freeze(ctx context.Context, b *metapb.Bucket) (verdict, error) {
	taken, res, err := r.walk(ctx, b, &metapb.FenceBucket{
		Fence:   &metapb.Fence{Generation: b.Generation, Frozen: true, Versioning: b.Versioning},
		IfEmpty: true,
	}, freezePatience, false)
	switch {
	case errors.Is(err, errOvertaken):
		return overtaken, nil
	case metashards.Is(err, metashards.KindClosed):
		return overtaken, err
	case err != nil:
		return r.takeBack(ctx, b, taken, unanswered)
	case res.Status == metapb.Status_BUCKET_NOT_EMPTY:
		return r.takeBack(ctx, b, taken, notEmpty)
	case res.Status == metapb.Status_STALE_GENERATION:
		return overtaken, nil
	case res.Status != metapb.Status_OK:
		return overtaken, record.StatusError(opDelete, b.Name, "", res.Status, res.Detail)
	}
	return r.remove(ctx, b, taken)
}

// remove ends the deletion of a bucket whose ranges are all frozen and empty.
func (r *Resolver) remove(ctx context.Context, b *metapb.Bucket, taken []span) (verdict, error) {
	res, err := r.system(ctx, opDelete, b.Name, &metapb.Command{Op: &metapb.Command_RemoveBucket{
		RemoveBucket: &metapb.RemoveBucket{Name: b.Name, IfGeneration: b.Generation, IfId: b.Id},
	}})
	switch {
	case err != nil:
		return overtaken, err
	case res.Status == metapb.Status_REVISION_MISMATCH:
		return overtaken, nil
	case res.Status == metapb.Status_NO_SUCH_BUCKET: // another finished the same deletion
	case res.Status != metapb.Status_OK:
		return overtaken, record.StatusError(opDelete, b.Name, "", res.Status, res.Detail)
	}
	r.forget(b.Name)
	r.spread(ctx, b, &metapb.FenceBucket{
		Fence: &metapb.Fence{Generation: b.Generation + 1, Frozen: true, Deleted: true, Versioning: b.Versioning},
	}, taken)
	return gone, nil
}

// takeBack ends a deletion that can't be, for a reason that is also its verdict, and thaws the ranges that it froze.
func (r *Resolver) takeBack(ctx context.Context, b *metapb.Bucket, taken []span, why verdict) (verdict, error) {
	next := b.CloneVT()
	next.Deleting = false
	res, err := r.update(ctx, opDelete, next, b.Generation)
	switch {
	case err != nil:
		return overtaken, err
	case res.Status == metapb.Status_NO_SUCH_BUCKET:
		return overtaken, nil
	case res.Status == metapb.Status_REVISION_MISMATCH: // another took it back, and thaws
		return why, nil
	case res.Status != metapb.Status_OK:
		return overtaken, record.StatusError(opDelete, b.Name, "", res.Status, res.Detail)
	}
	r.spread(ctx, b, opening(res.Bucket), taken)
	return why, nil
}

// opening returns the fence that a range takes of a record that is not being deleted.
func opening(b *metapb.Bucket) *metapb.FenceBucket {
	return &metapb.FenceBucket{Fence: &metapb.Fence{Generation: b.Generation, Versioning: b.Versioning}}
}

// roll brings the generation of a pending record to all ranges and settles the record. It waits for ranges that don't
// answer until ctx ends. Another change that came between is no error: the caller looks again.
func (r *Resolver) roll(ctx context.Context, b *metapb.Bucket) error {
	const op = "settle bucket"
	_, res, err := r.walk(ctx, b, opening(b), endless, true)
	switch {
	case errors.Is(err, errOvertaken):
		return nil
	case err != nil:
		return err
	case res.Status != metapb.Status_OK && res.Status != metapb.Status_STALE_GENERATION:
		return record.StatusError(op, b.Name, "", res.Status, res.Detail)
	}
	res, err = r.system(ctx, op, b.Name, &metapb.Command{Op: &metapb.Command_SettleBucket{
		SettleBucket: &metapb.SettleBucket{Name: b.Name, IfGeneration: b.Generation, IfId: b.Id},
	}})
	switch {
	case err != nil:
		return err
	case res.Status == metapb.Status_REVISION_MISMATCH, res.Status == metapb.Status_NO_SUCH_BUCKET:
		return nil
	}
	return record.StatusError(op, b.Name, "", res.Status, res.Detail)
}

// update replaces a bucket's record if it is still of a generation.
func (r *Resolver) update(ctx context.Context, op string, b *metapb.Bucket, ifGeneration uint64) (*metapb.Result, error) {
	return r.system(ctx, op, b.Name, &metapb.Command{Op: &metapb.Command_UpdateBucket{
		UpdateBucket: &metapb.UpdateBucket{Bucket: b, IfGeneration: ifGeneration},
	}})
}

// system applies a command to the record of a bucket.
func (r *Resolver) system(ctx context.Context, op, name string, c *metapb.Command) (*metapb.Result, error) {
	c.Bucket, c.Key = metashards.SystemBucket, metapb.BucketKey(name)
	return r.once(ctx, op, name, c)
}

// once fills in what all commands carry and applies a command that no generation of a bucket can refuse.
func (r *Resolver) once(ctx context.Context, op, name string, c *metapb.Command) (*metapb.Result, error) {
	var err error
	if c.RequestId, err = r.NewRequestID(); err != nil {
		return nil, err
	}
	c.Format, c.Time = record.Format, r.Micros()
	res, err := r.apply(ctx, Request{Op: op, Bucket: name}, c, nil)
	if err != nil {
		return nil, err
	}
	r.see(res.Time)
	return res, nil
}

// remember keeps a record that was just read or written; but not one that says "deleting": the bucket may be gone soon
// without its ranges refusing that generation.
func (r *Resolver) remember(b *metapb.Bucket) {
	if b.Deleting {
		r.forget(b.Name)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= cacheMax {
		for other := range r.known { // any one: a miss costs a read
			delete(r.known, other)
			break
		}
	}
	r.known[b.Name] = b
}

// forget drops what is remembered of a name.
func (r *Resolver) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, name)
}
