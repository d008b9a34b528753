package s3list

import (
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// ListObjects is the first version of the list: it resumes behind a marker.
func (s *Handlers) ListObjects(ctx context.Context, c *call.Call) error {
	in, err := readScope(c, "max-keys")
	if err != nil {
		return err
	}
	marker, err := text(c, "marker")
	if err != nil {
		return err
	}
	page, err := s.listings.Keys(ctx, objectlayer.ListRequest{
		Bucket: c.Bucket, Prefix: in.prefix, Delimiter: in.delimiter, After: marker, Limit: in.limit,
	})
	if err != nil {
		return err
	}
	doc := wire.ListObjects{
		Name: c.Bucket, Prefix: in.prefix, Marker: marker, Delimiter: in.delimiter, EncodingType: in.encoding,
		MaxKeys: in.limit, IsTruncated: page.Truncated,
	}
	if page.Truncated && in.delimiter != "" {
		doc.NextMarker = page.NextKey
	}
	doc.Contents, doc.CommonPrefixes = contents(&page, true)
	return c.XML(http.StatusOK, doc.AppendXML(nil))
}
