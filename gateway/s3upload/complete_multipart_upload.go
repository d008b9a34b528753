package s3upload

import (
	"bytes"
	"context"
	"strconv"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// CompleteMultipartUpload makes a version from parts. Repeated with the same document it succeeds again.
func (s *Handlers) CompleteMultipartUpload(ctx context.Context, c *call.Call) error {
	q, err := s.completeRequest(c)
	if err != nil {
		return err
	}
	return c.Slowly(ctx, func(ctx context.Context) ([]byte, func(), error) {
		v, err := s.uploads.Complete(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		doc := wire.CompleteMultipartUpload{
			Location: c.Location, Bucket: c.Bucket, Key: c.Key, ETag: v.ETag.String(),
			Checksums: call.WireChecksums(v.Checksums), ChecksumType: string(call.ChecksumType(v.Checksums)),
		}
		return doc.AppendXML(nil), func() { c.SetVersion(&v) }, nil
	})
}

func (s *Handlers) completeRequest(c *call.Call) (objectlayer.CompleteRequest, error) {
	q := objectlayer.CompleteRequest{Bucket: c.Bucket, Key: c.Key}
	var err error
	if q.UploadID, err = uploadID(c); err != nil {
		return q, err
	}
	if q.Conditions, err = c.WriteConditions(); err != nil {
		return q, err
	}
	if v := c.Header.Get("X-Amz-Mp-Object-Size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return q, wire.BadArgument("x-amz-mp-object-size", v, "The size must be a number of bytes")
		}
		q.Size = &n
	}
	raw, err := c.UnsummedDocument(min(s.xmlBytesMax, wire.MaxCompleteBytes))
	if err != nil {
		return q, err
	}
	parts, err := wire.DecodeComplete(bytes.NewReader(raw))
	if err != nil {
		return q, err
	}
	for _, p := range parts {
		done := objectlayer.CompletedPart{Number: p.Number, ETag: p.ETag}
		for _, w := range p.Checksums {
			if !w.Algorithm.Supported() {
				return q, wire.NotImplementedHeader("Checksum"+string(w.Algorithm), w.Value)
			}
			sum, ok := call.LayerChecksum(w)
			if !ok {
				return q, wire.New(wire.InvalidPart).With("PartNumber", strconv.Itoa(p.Number))
			}
			done.Checksums = append(done.Checksums, sum)
		}
		q.Parts = append(q.Parts, done)
	}
	q.Checksum, err = c.WholeChecksum(len(parts))
	return q, err
}
