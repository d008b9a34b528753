package s3bucket

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// bucketsMax bounds one answer, as AWS does.
const bucketsMax = 10_000

// pageLimit is how many buckets are asked of the object layer at once.
const pageLimit = 1000

// ListBuckets lists the buckets by name. Parameters: prefix, max-buckets (1 to 10,000), continuation-token and
// bucket-region.
func (s *Handlers) ListBuckets(ctx context.Context, c *call.Call) error {
	limit, paged, err := maxBuckets(c)
	if err != nil {
		return err
	}
	after := ""
	if token := c.Query.Get("continuation-token"); token != "" {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || wire.CheckBucketName(string(b)) != nil {
			return wire.BadArgument("continuation-token", token, "The continuation token provided is incorrect")
		}
		after = string(b)
	}
	prefix, region := c.Query.Get("prefix"), c.Query.Get("bucket-region")
	doc := wire.ListBuckets{Owner: wire.Owner{ID: c.Owner(), DisplayName: c.Owner()}, Prefix: prefix}
	more := true
	for more && len(doc.Buckets) < limit {
		var page []objectlayer.Bucket
		page, more, err = s.buckets.List(ctx, prefix, after, min(pageLimit, limit-len(doc.Buckets)))
		if err != nil {
			return err
		}
		for _, b := range page {
			after = b.Name
			if region != "" && b.Region != region {
				continue
			}
			w := wire.Bucket{Name: b.Name, CreationDate: b.Created}
			if paged || region != "" || prefix != "" {
				w.Region = b.Region
			}
			doc.Buckets = append(doc.Buckets, w)
		}
		if len(page) == 0 {
			break
		}
	}
	if more && after != "" {
		doc.ContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(after))
	}
	return c.XML(http.StatusOK, doc.AppendXML(nil))
}

func maxBuckets(c *call.Call) (limit int, paged bool, err error) {
	v, present := c.Query["max-buckets"]
	if !present || v[0] == "" {
		return bucketsMax, false, nil
	}
	n, err := strconv.Atoi(v[0])
	if err != nil || n < 1 || n > bucketsMax {
		return 0, false, wire.BadArgument("max-buckets", v[0], "Argument max-buckets must be an integer between 1 and 10000")
	}
	return n, true, nil
}
