package bucket

import (
	"context"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

const opVersioning = "set versioning"

// SetVersioning enables or suspends versioning. It returns nil once all ranges of the bucket have taken the change; ranges
// that do not answer are waited for until ctx ends.
func (s *Store) SetVersioning(ctx context.Context, name string, v objectlayer.Versioning) error {
	if v != objectlayer.VersioningEnabled && v != objectlayer.VersioningSuspended {
		return record.Fail(opVersioning, objectlayer.KindInvalidArgument, name, "", "versioning can be enabled or suspended")
	}
	made := uint64(0) // id of the bucket that this call has changed
	for range roundsMax {
		b, err := s.r.fetch(ctx, name)
		if err != nil {
			return halfway(name, made, err)
		}
		if b.Id != made && !b.Deleting && record.Versioning(b.Versioning) != v {
			if b, err = s.change(ctx, b, v); err != nil {
				return err
			}
			if b == nil {
				continue
			}
			made = b.Id
		}
		// A record that is settled has the change, or a later one came after it.
		settled, err := s.r.steady(ctx, b)
		if err != nil {
			return halfway(name, made, err)
		}
		if settled {
			return nil
		}
	}
	return halfway(name, made, restless(opVersioning, name))
}

// change gives a bucket's record a state of versioning and returns the new record, nil if another change came between.
func (s *Store) change(ctx context.Context, b *metapb.Bucket, v objectlayer.Versioning) (*metapb.Bucket, error) {
	next := b.CloneVT()
	next.Versioning = record.PutVersioning(v)
	res, err := s.r.update(ctx, opVersioning, next, b.Generation)
	switch {
	case err != nil:
		return nil, err
	case res.Status == metapb.Status_NO_SUCH_BUCKET, res.Status == metapb.Status_REVISION_MISMATCH:
		return nil, nil
	}
	return res.Bucket, record.StatusError(opVersioning, b.Name, "", res.Status, res.Detail)
}

// halfway returns the error of a change that its record may hold already: then it is not so that nothing was changed.
func halfway(name string, made uint64, err error) error {
	if made == 0 || objectlayer.KindOf(err) != objectlayer.KindUnavailable {
		return err
	}
	return &objectlayer.Error{
		Op: opVersioning, Kind: objectlayer.KindInternal, Bucket: name,
		Detail: "a part of the bucket did not answer; the change is carried on by whoever comes to it", Err: err,
	}
}

// Versioning reads the state of versioning that every write since obeys.
func (s *Store) Versioning(ctx context.Context, name string) (objectlayer.Versioning, error) {
	for range roundsMax {
		b, err := s.r.fetch(ctx, name)
		if err != nil {
			return 0, err
		}
		settled, err := s.r.steady(ctx, b)
		if err != nil {
			return 0, undone("get versioning", name, "", err)
		}
		if settled {
			return record.Versioning(b.Versioning), nil
		}
	}
	return 0, restless("get versioning", name)
}

// steady reports whether a record that was read is settled: all ranges have its generation or a later one. Else it carries
// on with what is under way, and the record must be read again.
func (r *Resolver) steady(ctx context.Context, b *metapb.Bucket) (bool, error) {
	switch {
	case b.Deleting:
		_, err := r.finish(ctx, b)
		return false, err
	case b.Pending:
		return false, r.roll(ctx, b)
	}
	return true, nil
}
