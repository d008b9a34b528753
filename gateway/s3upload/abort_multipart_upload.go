package s3upload

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/objectlayer"
)

// AbortMultipartUpload gives an upload up.
func (s *Handlers) AbortMultipartUpload(ctx context.Context, c *call.Call) error {
	id, err := uploadID(c)
	if err != nil {
		return err
	}
	if err := s.uploads.Abort(ctx, objectlayer.AbortRequest{Bucket: c.Bucket, Key: c.Key, UploadID: id}); err != nil {
		return err
	}
	return c.Empty(http.StatusNoContent)
}
