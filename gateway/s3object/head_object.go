package s3object

import (
	"context"

	"github.com/contender/contender/gateway/call"
)

// HeadObject is GetObject without the bytes.
func (s *Handlers) HeadObject(ctx context.Context, c *call.Call) error {
	r, status, err := s.read(ctx, c, s.objects.Head)
	if err != nil {
		return tellVersion(c, err)
	}
	return c.HeadOnly(status, r.Length)
}
