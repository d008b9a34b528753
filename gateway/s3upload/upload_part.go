package s3upload

import (
	"context"
	"net/http"
	"strconv"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// UploadPart brings one part; one of the same number is replaced.
func (s *Handlers) UploadPart(ctx context.Context, c *call.Call) error {
	number, err := partNumber(c)
	if err != nil {
		return err
	}
	id, err := uploadID(c)
	if err != nil {
		return err
	}
	if err := c.CheckLength(objectlayer.PutBytesMax); err != nil {
		return err
	}
	expect, err := c.Expect()
	if err != nil {
		return err
	}
	p, err := s.uploads.PutPart(ctx, objectlayer.PartRequest{
		Bucket: c.Bucket, Key: c.Key, UploadID: id, Number: number, Size: c.Body.Size(), Expect: expect,
	}, c.Body)
	if err != nil {
		return err
	}
	c.SetETag(p.ETag)
	for _, sum := range call.WireChecksums(p.Checksums) {
		c.ResponseHeader().Set(sum.Algorithm.Header(), sum.Value)
	}
	return c.Empty(http.StatusOK)
}

func partNumber(c *call.Call) (int, error) {
	v := c.Query.Get("partNumber")
	n, err := strconv.Atoi(v)
	if err != nil || wire.CheckPartNumber(n) != nil {
		return 0, wire.BadArgument("partNumber", v, "Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}
