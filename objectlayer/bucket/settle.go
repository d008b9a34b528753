package bucket

import (
	"context"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/record"
)

// verdict is how a deletion ended.
type verdict int

const (
	gone      verdict = iota // the bucket is no more
	notEmpty                 // it was not empty; the deletion was taken back
	overtaken                // someone else decided
)

// settle brings the bucket's ranges to what its record says: it ends a deletion that was begun, one way or the other,
// and hands ranges the generation that they have not heard of. Any number of processes may do this at once.
func (r *Resolver) settle(ctx context.Context, b *metapb.Bucket) error {
	if b.Deleting {
		_, err := r.finish(ctx, b)
		return err
	}
	return r.open(ctx, b)
}

// finish carries a deletion that its record says is under way to its end.
func (r *Resolver) finish(ctx context.Context, b *metapb.Bucket) (verdict, error) {
	res, err := r.fence(ctx, b, &metapb.FenceBucket{
		Fence:   &metapb.Fence{Generation: b.Generation, Frozen: true, Versioning: b.Versioning},
		IfEmpty: true,
	})
	switch {
	case err != nil:
		return overtaken, err
	case res.Status == metapb.Status_BUCKET_NOT_EMPTY:
		return r.takeBack(ctx, b)
	case res.Status == metapb.Status_STALE_GENERATION:
		return overtaken, nil
	case res.Status != metapb.Status_OK:
		return overtaken, record.StatusError(opDelete, b.Name, "", res.Status, res.Detail)
	}
	res, err = r.system(ctx, opDelete, b.Name, &metapb.Command{Op: &metapb.Command_RemoveBucket{
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
	// The bucket is gone; a range that does not hear of it stays frozen, which harms nobody: ids are not used again.
	_, _ = r.fence(ctx, b, &metapb.FenceBucket{
		Fence: &metapb.Fence{Generation: b.Generation + 1, Frozen: true, Deleted: true, Versioning: b.Versioning},
	})
	return gone, nil
}

// takeBack ends the deletion of a bucket that is not empty.
func (r *Resolver) takeBack(ctx context.Context, b *metapb.Bucket) (verdict, error) {
	next := b.CloneVT()
	next.Deleting = false
	res, err := r.update(ctx, opDelete, next, b.Generation)
	switch {
	case err != nil:
		return overtaken, err
	case res.Status == metapb.Status_NO_SUCH_BUCKET, res.Status == metapb.Status_REVISION_MISMATCH:
		return overtaken, nil
	case res.Status != metapb.Status_OK:
		return overtaken, record.StatusError(opDelete, b.Name, "", res.Status, res.Detail)
	}
	next.Generation = b.Generation + 1
	return notEmpty, r.open(ctx, next)
}

// open hands the bucket's ranges the generation of a record that is not being deleted. A range that knows a later one
// is left alone.
func (r *Resolver) open(ctx context.Context, b *metapb.Bucket) error {
	res, err := r.fence(ctx, b, &metapb.FenceBucket{Fence: &metapb.Fence{Generation: b.Generation, Versioning: b.Versioning}})
	if err != nil {
		return err
	}
	if res.Status == metapb.Status_STALE_GENERATION {
		return nil
	}
	return record.StatusError("open bucket", b.Name, "", res.Status, res.Detail)
}

// fence brings a fence to the bucket's range. (One range holds a whole bucket for now.)
func (r *Resolver) fence(ctx context.Context, b *metapb.Bucket, f *metapb.FenceBucket) (*metapb.Result, error) {
	return r.once(ctx, "fence bucket", b.Name, &metapb.Command{
		Bucket: b.Id, Generation: b.Generation, Op: &metapb.Command_Fence{Fence: f},
	})
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

// remember keeps a record that was just read or written.
func (r *Resolver) remember(b *metapb.Bucket) {
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
