package s3object

import (
	"context"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// CopyObject makes a version from another. A copy onto itself that changes nothing is refused by the object layer.
func (s *Handlers) CopyObject(ctx context.Context, c *call.Call) error {
	q, err := copyRequest(c)
	if err != nil {
		return err
	}
	return c.Slowly(ctx, func(ctx context.Context) ([]byte, func(), error) {
		done, err := s.objects.Copy(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		v := &done.Version
		doc := wire.CopyResult{
			ETag: v.ETag.String(), LastModified: v.Modified,
			Checksums: call.WireChecksums(v.Checksums), ChecksumType: string(call.ChecksumType(v.Checksums)),
		}
		return doc.AppendXML(nil), func() {
			c.SetVersion(v)
			if done.SourceVersioned && done.SourceVersionID != "" {
				c.ResponseHeader().Set("X-Amz-Copy-Source-Version-Id", done.SourceVersionID)
			}
		}, nil
	})
}

func copyRequest(c *call.Call) (objectlayer.CopyRequest, error) {
	q := objectlayer.CopyRequest{Bucket: c.Bucket, Key: c.Key, Owner: c.Owner()}
	if c.Body.Size() > 0 {
		return q, wire.Newf(wire.InvalidRequest, "A copy request must have no body")
	}
	var err error
	if q.Source, err = c.CopySource(); err != nil {
		return q, err
	}
	if q.ReplaceAttributes, err = directive(c, "x-amz-metadata-directive"); err != nil {
		return q, err
	}
	if q.ReplaceTags, err = directive(c, "x-amz-tagging-directive"); err != nil {
		return q, err
	}
	if q.Attributes, err = c.Attributes(); err != nil {
		return q, err
	}
	if q.Conditions, err = c.WriteConditions(); err != nil {
		return q, err
	}
	if q.ChecksumAlgorithm, _, err = c.ChecksumChoice(); err != nil {
		return q, err
	}
	return q, nil
}

// directive reads COPY or REPLACE; true is REPLACE.
func directive(c *call.Call, name string) (bool, error) {
	switch v := c.Header.Get(name); v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, wire.BadArgument(name, v, "Unknown directive: it must be COPY or REPLACE")
	}
}
