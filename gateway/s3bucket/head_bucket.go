package s3bucket

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
)

// HeadBucket tells whether a bucket exists, and its region.
func (s *Handlers) HeadBucket(ctx context.Context, c *call.Call) error {
	b, err := s.buckets.Get(ctx, c.Bucket)
	if err != nil {
		return err
	}
	region := b.Region
	if region == "" {
		region = c.Region
	}
	h := c.ResponseHeader()
	h.Set("X-Amz-Bucket-Region", region)
	h.Set("X-Amz-Access-Point-Alias", "false")
	h.Set("Content-Type", "application/xml")
	return c.HeadOnly(http.StatusOK, 0)
}
