package s3object

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/objectlayer"
)

// DeleteObject removes a key, or one version for good.
func (s *Handlers) DeleteObject(ctx context.Context, c *call.Call) error {
	version, err := versionID(c)
	if err != nil {
		return err
	}
	conditions, err := c.DeleteConditions()
	if err != nil {
		return err
	}
	d, err := s.objects.Delete(ctx, objectlayer.DeleteRequest{
		Bucket: c.Bucket, Key: c.Key, VersionID: version, Conditions: conditions, Owner: c.Owner(),
	})
	if err != nil {
		return err
	}
	h := c.ResponseHeader()
	if d.VersionID != "" {
		h.Set("X-Amz-Version-Id", d.VersionID)
	}
	if d.DeleteMarker {
		h.Set("X-Amz-Delete-Marker", "true")
	}
	return c.Empty(http.StatusNoContent)
}
