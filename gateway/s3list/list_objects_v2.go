package s3list

import (
	"context"
	"net/http"
	"strconv"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// ListObjectsV2 is the second version of the list: it resumes by an opaque token, which wins over start-after. An empty
// token counts as none and is echoed.
func (s *Handlers) ListObjectsV2(ctx context.Context, c *call.Call) error {
	in, err := readScope(c, "max-keys")
	if err != nil {
		return err
	}
	after, err := text(c, "start-after")
	if err != nil {
		return err
	}
	withOwner, err := fetchOwner(c)
	if err != nil {
		return err
	}
	q := objectlayer.ListRequest{
		Bucket: c.Bucket, Prefix: in.prefix, Delimiter: in.delimiter, After: after,
		Token: c.Query.Get("continuation-token"), Limit: in.limit,
	}
	page, err := s.listings.Keys(ctx, q)
	if err != nil {
		return err
	}
	doc := wire.ListObjectsV2{
		Name: c.Bucket, Prefix: in.prefix, Delimiter: in.delimiter, StartAfter: after, EncodingType: in.encoding,
		MaxKeys: in.limit, IsTruncated: page.Truncated,
	}
	if _, present := c.Query["continuation-token"]; present {
		doc.ContinuationToken = &q.Token
	}
	if page.Truncated {
		doc.NextContinuationToken = page.Next
	}
	doc.Contents, doc.CommonPrefixes = contents(&page, withOwner)
	return c.XML(http.StatusOK, doc.AppendXML(nil))
}

func fetchOwner(c *call.Call) (bool, error) {
	v := c.Query.Get("fetch-owner")
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, wire.BadArgument("fetch-owner", v, "fetch-owner must be true or false")
	}
	return b, nil
}
