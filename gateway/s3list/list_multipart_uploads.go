package s3list

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// ListMultipartUploads lists a bucket's unfinished uploads by key, then in the order of their beginning.
func (s *Handlers) ListMultipartUploads(ctx context.Context, c *call.Call) error {
	in, err := readScope(c, "max-uploads")
	if err != nil {
		return err
	}
	keyMarker, err := text(c, "key-marker")
	if err != nil {
		return err
	}
	uploadMarker := c.Query.Get("upload-id-marker")
	q := objectlayer.ListRequest{Bucket: c.Bucket, Prefix: in.prefix, Delimiter: in.delimiter, After: keyMarker, Limit: in.limit}
	if keyMarker != "" { // without a key the marker of an upload means nothing
		q.UploadIDMarker = uploadMarker
	}
	page, err := s.listings.Uploads(ctx, q)
	if err != nil {
		return err
	}
	doc := wire.ListMultipartUploads{
		Bucket: c.Bucket, KeyMarker: keyMarker, UploadIDMarker: uploadMarker, Prefix: in.prefix, Delimiter: in.delimiter,
		EncodingType: in.encoding, MaxUploads: in.limit, IsTruncated: page.Truncated,
	}
	if page.Truncated {
		doc.NextKeyMarker, doc.NextUploadIDMarker = page.NextKey, page.NextUploadID
	}
	for i := range page.Items {
		it := &page.Items[i]
		if it.Prefix != "" {
			doc.CommonPrefixes = append(doc.CommonPrefixes, it.Prefix)
			continue
		}
		u := &it.Upload
		w := wire.Upload{
			Key: u.Key, UploadID: u.ID, Initiator: owner(u.Owner), Owner: owner(u.Owner),
			StorageClass: call.ClassName(u.Attributes.StorageClass), Initiated: u.Initiated,
		}
		w.ChecksumAlgorithm, w.ChecksumType = checksumOf(u)
		doc.Uploads = append(doc.Uploads, w)
	}
	return c.XML(http.StatusOK, doc.AppendXML(nil))
}
