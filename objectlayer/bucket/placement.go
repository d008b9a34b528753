package bucket

import (
	"context"
	"errors"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/compress"
	"github.com/contender/contender/objectlayer/placement"
	"github.com/contender/contender/objectlayer/record"
)

// SetPlacement implements objectlayer.Buckets.
func (s *Store) SetPlacement(ctx context.Context, name string, p objectlayer.Placement) error {
	const op = "set placement"
	if err := s.judge(ctx, op, name, p); err != nil {
		return err
	}
	return s.alter(ctx, op, name, func(b *metapb.Bucket) bool {
		changed := b.Policy != p.Policy || b.Short != p.Short || b.Compress != p.Compress
		b.Policy, b.Short, b.Compress = p.Policy, p.Short, p.Compress
		return changed
	})
}

// judge refuses a placement that makes no sense, or that cannot be kept.
func (s *Store) judge(ctx context.Context, op, name string, p objectlayer.Placement) error {
	_, err := placement.ParsePolicy(p.Policy)
	if err == nil {
		err = compress.Check(p.Compress)
	}
	if err == nil {
		err = s.policies(ctx, p.Policy)
	}
	var known *objectlayer.Error
	if errors.As(err, &known) {
		return err
	}
	if err != nil {
		return record.Fail(op, objectlayer.KindInvalidArgument, name, "", err.Error())
	}
	return nil
}

// Policy returns how bytes are to be kept that are written into a bucket: as its record says, or as standard.
func Policy(b *metapb.Bucket, standard placement.Policy) placement.Policy {
	p, err := placement.ParsePolicy(b.GetPolicy())
	if err != nil || p.IsAuto() { // it was judged when it was set
		return standard
	}
	return p
}
