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
	return s.alter(ctx, opVersioning, name, func(b *metapb.Bucket) bool {
		old := b.Versioning
		b.Versioning = record.PutVersioning(v)
		return b.Versioning != old
	})
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
