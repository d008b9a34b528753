package s3bucket

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
)

// GetBucketLocation tells a bucket's region: nothing for us-east-1.
func (s *Handlers) GetBucketLocation(ctx context.Context, c *call.Call) error {
	b, err := s.buckets.Get(ctx, c.Bucket)
	if err != nil {
		return err
	}
	region := b.Region
	if region == "" {
		region = c.Region
	}
	return c.XML(http.StatusOK, wire.AppendLocation(nil, region))
}
