package s3upload

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// CreateMultipartUpload begins an upload.
func (s *Handlers) CreateMultipartUpload(ctx context.Context, c *call.Call) error {
	attributes, err := c.Attributes()
	if err != nil {
		return err
	}
	algorithm, composite, err := c.ChecksumChoice()
	if err != nil {
		return err
	}
	u, err := s.uploads.Create(ctx, objectlayer.UploadRequest{
		Bucket: c.Bucket, Key: c.Key, Attributes: attributes,
		ChecksumAlgorithm: algorithm, ChecksumComposite: composite, Owner: c.Owner(),
	})
	if err != nil {
		return err
	}
	if algorithm != "" {
		kind := wire.FullObject
		if composite {
			kind = wire.Composite
		}
		h := c.ResponseHeader()
		h.Set("X-Amz-Checksum-Algorithm", string(call.WireAlgorithm(algorithm)))
		h.Set("X-Amz-Checksum-Type", string(kind))
	}
	doc := wire.InitiateMultipartUpload{Bucket: c.Bucket, Key: c.Key, UploadID: u.ID}
	return c.XML(http.StatusOK, doc.AppendXML(nil))
}
