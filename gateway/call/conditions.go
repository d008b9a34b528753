package call

import (
	"strconv"
	"time"

	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// ReadConditions reads the preconditions of GET and HEAD.
func (c *Call) ReadConditions() (objectlayer.ReadConditions, error) {
	w, err := wire.ParseConditions(c.Header)
	return layerConditions(w), err
}

// CopyConditions reads the preconditions of a copy's source.
func (c *Call) CopyConditions() (objectlayer.ReadConditions, error) {
	w, err := wire.ParseCopyConditions(c.Header)
	r := layerConditions(w)
	r.CopySource = true
	return r, err
}

func layerConditions(w wire.Conditions) objectlayer.ReadConditions {
	return objectlayer.ReadConditions{
		IfMatch: tagStrings(w.IfMatch), IfNoneMatch: tagStrings(w.IfNoneMatch),
		IfModifiedSince: w.IfModifiedSince, IfUnmodifiedSince: w.IfUnmodifiedSince,
	}
}

func tagStrings(tags wire.ETags) []string {
	var out []string
	for _, t := range tags {
		out = append(out, tagString(t))
	}
	return out
}

func tagString(t wire.ETag) string {
	if t.Any {
		return "*"
	}
	return t.Value
}

// WriteConditions reads the preconditions of PutObject, CopyObject and CompleteMultipartUpload.
func (c *Call) WriteConditions() (objectlayer.WriteConditions, error) {
	w, err := wire.ParseWriteConditions(c.Header)
	if err != nil {
		return objectlayer.WriteConditions{}, err
	}
	out := objectlayer.WriteConditions{IfNoneMatch: w.IfNoneMatch}
	if w.IfMatch != nil {
		out.IfMatch = tagString(*w.IfMatch)
	}
	return out, nil
}

// DeleteConditions reads the preconditions of DeleteObject: If-Match and the x-amz-if-match- headers.
func (c *Call) DeleteConditions() (objectlayer.WriteConditions, error) {
	out, err := c.WriteConditions()
	if err != nil {
		return out, err
	}
	if out.IfNoneMatch {
		return out, wire.NotImplementedHeader("If-None-Match", "*")
	}
	if v := c.Header.Get("X-Amz-If-Match-Last-Modified-Time"); v != "" {
		t, ok := wire.ParseHTTPDate(v)
		if !ok {
			return out, wire.BadArgument("x-amz-if-match-last-modified-time", v, "The condition is not an HTTP date")
		}
		out.IfMatchModified = t
	}
	if v := c.Header.Get("X-Amz-If-Match-Size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return out, wire.BadArgument("x-amz-if-match-size", v, "The condition is not a size in bytes")
		}
		out.IfMatchSize = &n
	}
	return out, nil
}

// KeyConditions are the preconditions of one key of DeleteObjects.
func KeyConditions(k wire.DeleteKey) objectlayer.WriteConditions {
	out := objectlayer.WriteConditions{IfMatchSize: k.Size}
	if k.ETag != nil {
		out.IfMatch = tagString(*k.ETag)
	}
	if k.LastModifiedTime != nil {
		out.IfMatchModified = *k.LastModifiedTime
	}
	return out
}

// CopySource reads x-amz-copy-source and the conditions on it, and asks whether the caller may read it.
func (c *Call) CopySource() (objectlayer.GetRequest, error) {
	s, err := wire.ParseCopySource(c.Header.Get(wire.HeaderCopySource))
	if err != nil {
		return objectlayer.GetRequest{}, err
	}
	cond, err := c.CopyConditions()
	if err != nil {
		return objectlayer.GetRequest{}, err
	}
	a := Action{Op: c.Op, Bucket: c.Bucket, Key: c.Key, SourceBucket: s.Bucket, SourceKey: s.Key}
	if err := Authorize(c.Identity, a); err != nil {
		return objectlayer.GetRequest{}, err
	}
	return objectlayer.GetRequest{Bucket: s.Bucket, Key: s.Key, VersionID: s.VersionID, Conditions: cond}, nil
}

// HTTPTime is how headers write a time.
func HTTPTime(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }
