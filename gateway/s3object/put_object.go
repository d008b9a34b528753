package s3object

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/objectlayer"
)

// PutObject stores the body as a new version. The object layer judges bucket and conditions before it reads the body, and
// again when it commits.
func (s *Handlers) PutObject(ctx context.Context, c *call.Call) error {
	size := c.Body.Size()
	if err := c.CheckLength(objectlayer.PutBytesMax); err != nil {
		return err
	}
	attributes, err := c.Attributes()
	if err != nil {
		return err
	}
	conditions, err := c.WriteConditions()
	if err != nil {
		return err
	}
	expect, err := c.Expect()
	if err != nil {
		return err
	}
	v, err := s.objects.Put(ctx, objectlayer.PutRequest{
		Bucket: c.Bucket, Key: c.Key, Attributes: attributes, Conditions: conditions, Expect: expect, Size: size, Owner: c.Owner(),
	}, c.Body)
	if err != nil {
		return err
	}
	c.SetETag(v.ETag)
	c.SetChecksums(v.Checksums)
	c.SetVersion(&v)
	return c.Empty(http.StatusOK)
}
