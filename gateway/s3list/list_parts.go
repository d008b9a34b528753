package s3list

import (
	"context"
	"net/http"
	"strconv"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// ListParts lists the parts of one upload by number.
func (s *Handlers) ListParts(ctx context.Context, c *call.Call) error {
	n, err := limit(c, "max-parts")
	if err != nil {
		return err
	}
	enc, err := encoding(c)
	if err != nil {
		return err
	}
	id := c.Query.Get("uploadId")
	if id == "" {
		return wire.New(wire.NoSuchUpload).With("UploadId", id)
	}
	marker := 0
	if v := c.Query.Get("part-number-marker"); v != "" {
		if marker, err = strconv.Atoi(v); err != nil || marker < 0 {
			return wire.BadArgument("part-number-marker", v, "Argument part-number-marker must be an integer between 0 and 2147483647")
		}
	}
	page, err := s.listings.Parts(ctx, objectlayer.ListRequest{
		Bucket: c.Bucket, Key: c.Key, UploadID: id, PartMarker: marker, Limit: n,
	})
	if err != nil {
		return err
	}
	u := &page.Upload
	doc := wire.ListParts{
		Bucket: c.Bucket, Key: c.Key, UploadID: id, PartNumberMarker: marker, MaxParts: n, IsTruncated: page.Truncated,
		EncodingType: enc, Initiator: owner(u.Owner), Owner: owner(u.Owner), StorageClass: call.ClassName(u.Attributes.StorageClass),
	}
	doc.ChecksumAlgorithm, doc.ChecksumType = checksumOf(u)
	for i := range page.Items {
		p := &page.Items[i].Part
		doc.Parts = append(doc.Parts, wire.Part{
			Number: p.Number, LastModified: p.Modified, ETag: p.ETag.String(), Size: p.Size, Checksums: call.WireChecksums(p.Checksums),
		})
		doc.NextPartNumberMarker = p.Number
	}
	return c.XML(http.StatusOK, doc.AppendXML(nil))
}
