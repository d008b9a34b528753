package bucket

import (
	"context"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

// alter changes a bucket's configuration: set makes of a record what it is to be, and reports whether that is something else. It
// returns nil once all ranges of the bucket have taken the change; ranges that do not answer are waited for until ctx ends.
func (s *Store) alter(ctx context.Context, op, name string, set func(*metapb.Bucket) bool) error {
	made := uint64(0) // id of the bucket that this call has changed
	for range roundsMax {
		b, err := s.r.fetch(ctx, name)
		if err != nil {
			return halfway(op, name, made, err)
		}
		if next := b.CloneVT(); b.Id != made && !b.Deleting && set(next) {
			if b, err = s.change(ctx, op, next, b.Generation); err != nil {
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
			return halfway(op, name, made, err)
		}
		if settled {
			return nil
		}
	}
	return halfway(op, name, made, restless(op, name))
}

// change replaces a bucket's record and returns the new one, nil if another change came between.
func (s *Store) change(ctx context.Context, op string, next *metapb.Bucket, generation uint64) (*metapb.Bucket, error) {
	res, err := s.r.update(ctx, op, next, generation)
	switch {
	case err != nil:
		return nil, err
	case res.Status == metapb.Status_NO_SUCH_BUCKET, res.Status == metapb.Status_REVISION_MISMATCH:
		return nil, nil
	}
	return res.Bucket, record.StatusError(op, next.Name, "", res.Status, res.Detail)
}

// halfway returns the error of a change that its record may hold already: then it is not so that nothing was changed.
func halfway(op, name string, made uint64, err error) error {
	if made == 0 || objectlayer.KindOf(err) != objectlayer.KindUnavailable {
		return err
	}
	return &objectlayer.Error{
		Op: op, Kind: objectlayer.KindInternal, Bucket: name,
		Detail: "a part of the bucket did not answer; the change is carried on by whoever comes to it", Err: err,
	}
}
