package s3bucket

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
)

// DeleteBucket removes an empty bucket.
func (s *Handlers) DeleteBucket(ctx context.Context, c *call.Call) error {
	if err := s.buckets.Delete(ctx, c.Bucket); err != nil {
		return err
	}
	return c.Empty(http.StatusNoContent)
}
