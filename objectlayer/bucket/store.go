package bucket

import (
	"context"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

// roundsMax bounds how often a change of a bucket starts again because another came between.
const roundsMax = 10

const opDelete = "delete bucket"

// Store implements objectlayer.Buckets.
type Store struct {
	r        *Resolver
	policies func(ctx context.Context, policy string) error
}

var _ objectlayer.Buckets = (*Store)(nil)

// New returns a Store. Policies sees to it that a placement policy can be kept, and says why it cannot: an *objectlayer.Error is
// handed on, any other is the caller's fault; nil: all can.
func New(r *Resolver, policies func(ctx context.Context, policy string) error) *Store {
	if policies == nil {
		policies = func(context.Context, string) error { return nil }
	}
	return &Store{r, policies}
}

// Create makes a bucket; KindBucketExists, with the bucket as it is, if the name is taken.
func (s *Store) Create(ctx context.Context, b objectlayer.Bucket) (objectlayer.Bucket, error) {
	const op = "create bucket"
	if err := s.judge(ctx, op, b.Name, b.Placement); err != nil {
		return objectlayer.Bucket{}, err
	}
	for range roundsMax {
		res, err := s.r.system(ctx, op, b.Name, &metapb.Command{Op: &metapb.Command_CreateBucket{
			CreateBucket: &metapb.CreateBucket{Bucket: &metapb.Bucket{
				Format: record.Format, Name: b.Name, Owner: b.Owner, Region: b.Region, Policy: b.Policy, Short: b.Short, Compress: b.Compress,
			}},
		}})
		if err != nil {
			return objectlayer.Bucket{}, err
		}
		if res.Status == metapb.Status_OK {
			s.r.remember(res.Bucket)
			return record.Bucket(res.Bucket), nil
		}
		err = record.StatusError(op, b.Name, "", res.Status, res.Detail)
		if res.Status != metapb.Status_BUCKET_EXISTS {
			return objectlayer.Bucket{}, err
		}
		old, found := s.Get(ctx, b.Name)
		if found == nil {
			return old, err
		}
		if objectlayer.KindOf(found) != objectlayer.KindNoSuchBucket {
			return objectlayer.Bucket{}, found
		}
	}
	return objectlayer.Bucket{}, restless(op, b.Name)
}

// Get reads a bucket, linearizably.
func (s *Store) Get(ctx context.Context, name string) (objectlayer.Bucket, error) {
	for range roundsMax {
		b, err := s.r.fetch(ctx, name)
		if err != nil {
			return objectlayer.Bucket{}, err
		}
		if !b.Deleting {
			return record.Bucket(b), nil
		}
		if _, err := s.r.finish(ctx, b); err != nil {
			return objectlayer.Bucket{}, undone("get bucket", name, "", err)
		}
	}
	return objectlayer.Bucket{}, restless("get bucket", name)
}

// Delete removes an empty bucket for good, and gives up the uploads in it: as on S3, they do not count as content. If
// another process finishes the deletion that this call began, that is a success.
func (s *Store) Delete(ctx context.Context, name string) error {
	begun := uint64(0) // id of the bucket whose deletion this call began
	for range roundsMax {
		b, err := s.r.fetch(ctx, name)
		switch {
		case begun != 0 && (objectlayer.KindOf(err) == objectlayer.KindNoSuchBucket || err == nil && b.Id != begun):
			return nil
		case err != nil:
			return err
		case !b.Deleting:
			if b, err = s.begin(ctx, b); err != nil {
				return err
			}
			if b == nil {
				continue
			}
			begun = b.Id
		}
		verdict, err := s.r.finish(ctx, b)
		if err != nil {
			return err
		}
		switch verdict {
		case gone:
			return nil
		case unanswered:
			return record.Fail(opDelete, objectlayer.KindUnavailable, name, "", "a part of the bucket did not answer")
		case notEmpty:
			begun = 0
		case overtaken: // look again
		}
	}
	return restless(opDelete, name)
}

// begin marks a bucket that holds nothing as being deleted and returns its new record, nil if another change came between.
// Uploads in it are given up.
func (s *Store) begin(ctx context.Context, b *metapb.Bucket) (*metapb.Bucket, error) {
	cleared, err := s.r.clear(ctx, b.Name)
	if err != nil {
		return nil, err
	}
	if !cleared {
		return nil, record.Fail(opDelete, objectlayer.KindBucketNotEmpty, b.Name, "", "")
	}
	next := b.CloneVT()
	next.Deleting = true
	res, err := s.r.update(ctx, opDelete, next, b.Generation)
	switch {
	case err != nil:
		return nil, err
	case res.Status == metapb.Status_NO_SUCH_BUCKET, res.Status == metapb.Status_REVISION_MISMATCH:
		return nil, nil
	case res.Status != metapb.Status_OK:
		return nil, record.StatusError(opDelete, b.Name, "", res.Status, res.Detail)
	}
	return res.Bucket, nil
}

// List returns up to limit buckets in order of their names, and whether there are more.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) (bs []objectlayer.Bucket, more bool, err error) {
	const op = "list buckets"
	position := metapb.BucketKey(max(prefix, after))
	for more = limit > 0; more && len(bs) < limit; {
		a, err := s.r.store.Query(ctx, &metapb.Query{
			Format: record.Format, Bucket: metashards.SystemBucket, Key: position,
			Op: &metapb.Query_ListBuckets{ListBuckets: &metapb.ListBuckets{
				Prefix: prefix, After: after, Limit: uint32(limit - len(bs)),
			}},
		})
		if err == nil {
			err = record.StatusError(op, "", "", a.Status, a.Detail)
		}
		if err != nil {
			return nil, false, record.Error(op, "", "", err)
		}
		s.r.see(a.Time)
		for _, b := range a.Buckets {
			bs = append(bs, record.Bucket(b))
		}
		more, position = a.Truncated, a.Next
	}
	return bs, more, nil
}

func restless(op, name string) error {
	return record.Fail(op, objectlayer.KindUnavailable, name, "", "other changes of the bucket came between, again and again")
}
