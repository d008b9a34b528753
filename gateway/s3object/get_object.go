package s3object

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// GetObject answers with a version's bytes, or a range or part of them.
func (s *Handlers) GetObject(ctx context.Context, c *call.Call) error {
	r, status, err := s.read(ctx, c, s.objects.Get)
	if err != nil {
		return tellVersion(c, err)
	}
	defer r.Body.Close() //nolint:errcheck // reading has ended, one way or the other
	return c.Stream(status, r.Length, r.Body)
}

// read is what GET and HEAD have in common: it opens the version and sets the headers that tell of it.
func (s *Handlers) read(
	ctx context.Context, c *call.Call, open func(context.Context, objectlayer.GetRequest) (objectlayer.Reading, error),
) (objectlayer.Reading, int, error) {
	q, err := getRequest(c)
	if err != nil {
		return objectlayer.Reading{}, 0, err
	}
	if q.Range != nil && *q.Range == emptySuffix {
		return objectlayer.Reading{}, 0, s.refuseEmptySuffix(ctx, q)
	}
	instead, err := overrides(c)
	if err != nil {
		return objectlayer.Reading{}, 0, err
	}
	r, err := open(ctx, q)
	if err != nil {
		return r, 0, tellRange(c, err)
	}
	tell(c, &r, q.Part != 0)
	for name, value := range instead {
		c.ResponseHeader().Set(name, value)
	}
	status := http.StatusOK
	if (q.Range != nil || q.Part != 0) && r.Version.Size > 0 && r.Length > 0 {
		status = http.StatusPartialContent
		c.ResponseHeader().Set("Content-Range", wire.ContentRange(r.Offset, r.Length, r.Version.Size))
	}
	return r, status, nil
}

// emptySuffix stands for "bytes=-0": the last no bytes, which no object can satisfy.
var emptySuffix = objectlayer.Range{First: -1 << 63, Last: -1}

// refuseEmptySuffix answers "bytes=-0" as S3 does, once all else about the request is right.
func (s *Handlers) refuseEmptySuffix(ctx context.Context, q objectlayer.GetRequest) error {
	q.Range = nil
	r, err := s.objects.Head(ctx, q)
	if err != nil {
		return err
	}
	return wire.New(wire.InvalidRange).With("RangeRequested", "bytes=-0").WithInt("ActualObjectSize", r.Version.Size)
}

// tellRange repeats the range in the error of one that the object cannot satisfy, as S3 does.
func tellRange(c *call.Call, err error) error {
	var e *objectlayer.Error
	if !errors.As(err, &e) || e.Kind != objectlayer.KindInvalidRange {
		return err
	}
	return wire.New(wire.InvalidRange).With("RangeRequested", c.Header.Get("Range")).WithInt("ActualObjectSize", e.Size)
}

// getRequest reads what of which version the client wants.
func getRequest(c *call.Call) (objectlayer.GetRequest, error) {
	q := objectlayer.GetRequest{Bucket: c.Bucket, Key: c.Key}
	var err error
	if q.VersionID, err = versionID(c); err != nil {
		return q, err
	}
	if q.Conditions, err = c.ReadConditions(); err != nil {
		return q, err
	}
	if mode := c.Header.Get("X-Amz-Checksum-Mode"); mode != "" && mode != "ENABLED" {
		return q, wire.BadArgument("x-amz-checksum-mode", mode, "The checksum mode must be ENABLED")
	}
	if r, ok := wire.ParseRange(c.Header.Get("Range")); ok {
		lr := objectlayer.Range{First: r.First, Last: r.Last}
		if r.First < 0 {
			lr = objectlayer.Range{First: -r.Suffix, Last: -1}
			if r.Suffix == 0 {
				lr = emptySuffix
			}
		}
		q.Range = &lr
	}
	v, present := c.Query["partNumber"]
	if !present {
		return q, nil
	}
	if q.Part, err = strconv.Atoi(v[0]); err != nil || wire.CheckPartNumber(q.Part) != nil {
		return q, wire.BadArgument("partNumber", v[0], "Part number must be an integer between 1 and 10000, inclusive")
	}
	if q.Range != nil {
		return q, wire.Newf(wire.InvalidRequest, "Cannot specify both Range header and partNumber query parameter")
	}
	return q, nil
}

// tell sets the headers that describe an open version.
func tell(c *call.Call, r *objectlayer.Reading, byPart bool) {
	v, h := &r.Version, c.ResponseHeader()
	c.SetAttributes(&v.Attributes)
	c.SetETag(v.ETag)
	c.SetVersion(v)
	h.Set("Last-Modified", call.HTTPTime(v.Modified))
	h.Set("Accept-Ranges", "bytes")
	if byPart && v.ETag.Parts > 0 {
		h.Set("X-Amz-Mp-Parts-Count", strconv.Itoa(v.ETag.Parts))
	}
	if c.Header.Get("X-Amz-Checksum-Mode") == "" {
		return
	}
	switch whole := r.Offset == 0 && r.Length == v.Size; {
	case byPart && v.ETag.Parts > 0:
		for i := range v.Parts {
			if v.Parts[i].Number == v.PartNumber {
				c.SetChecksums(v.Parts[i].Checksums)
			}
		}
		if t := call.ChecksumType(v.Checksums); t != "" {
			h.Set("X-Amz-Checksum-Type", string(t))
		}
	case whole:
		c.SetChecksums(v.Checksums)
	}
}

// overrides reads the response- parameters: headers to send instead of the stored ones.
func overrides(c *call.Call) (map[string]string, error) {
	var out map[string]string
	for _, o := range [...]struct{ parameter, header string }{
		{"response-content-type", "Content-Type"},
		{"response-content-language", "Content-Language"},
		{"response-expires", "Expires"},
		{"response-cache-control", "Cache-Control"},
		{"response-content-disposition", "Content-Disposition"},
		{"response-content-encoding", "Content-Encoding"},
	} {
		v, present := c.Query[o.parameter]
		if !present || v[0] == "" {
			continue
		}
		for i := 0; i < len(v[0]); i++ {
			if b := v[0][i]; b < ' ' && b != '\t' || b == 0x7f {
				return nil, wire.BadArgument(o.parameter, v[0], "The value cannot be sent in a header")
			}
		}
		if out == nil {
			out = make(map[string]string)
		}
		out[o.header] = v[0]
	}
	return out, nil
}
