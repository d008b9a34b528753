package s3upload

import (
	"context"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// UploadPartCopy brings one part from an object or a range of it.
func (s *Handlers) UploadPartCopy(ctx context.Context, c *call.Call) error {
	q, err := s.copyPartRequest(ctx, c)
	if err != nil {
		return err
	}
	return c.Slowly(ctx, func(ctx context.Context) ([]byte, func(), error) {
		p, version, err := s.uploads.CopyPart(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		doc := wire.CopyResult{Part: true, ETag: p.ETag.String(), LastModified: p.Modified, Checksums: call.WireChecksums(p.Checksums)}
		return doc.AppendXML(nil), func() {
			if version != "" {
				c.ResponseHeader().Set("X-Amz-Copy-Source-Version-Id", version)
			}
		}, nil
	})
}

func (s *Handlers) copyPartRequest(ctx context.Context, c *call.Call) (objectlayer.CopyPartRequest, error) {
	q := objectlayer.CopyPartRequest{Bucket: c.Bucket, Key: c.Key}
	if c.Body.Size() > 0 {
		return q, wire.Newf(wire.InvalidRequest, "A copy request must have no body")
	}
	var err error
	if q.Number, err = partNumber(c); err != nil {
		return q, err
	}
	if q.UploadID, err = uploadID(c); err != nil {
		return q, err
	}
	if q.Source, err = c.CopySource(); err != nil {
		return q, err
	}
	r, ranged, err := wire.ParseCopySourceRange(c.Header)
	if err != nil || !ranged {
		return q, err
	}
	// A range must lie in the source wholly; a plain read would cut it short.
	head, err := s.objects.Head(ctx, q.Source)
	if err != nil {
		return q, err
	}
	if _, _, err := r.ResolveCopy(head.Version.Size); err != nil {
		return q, err
	}
	q.Source.Range = &objectlayer.Range{First: r.First, Last: r.Last}
	return q, nil
}
