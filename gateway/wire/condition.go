package wire

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ETag is one entity tag of a condition.
type ETag struct {
	Value string // without quotes; "" with Any
	Any   bool   // "*"
	Weak  bool
}

// MaxConditionETags bounds the tags of one header.
const MaxConditionETags = 128

// parseETag reads one tag, quoted or bare as many clients send it.
func parseETag(s string) (ETag, bool) {
	s = strings.TrimSpace(s)
	if s == "*" {
		return ETag{Any: true}, true
	}
	rest, weak := strings.CutPrefix(s, "W/")
	if len(rest) >= 2 && rest[0] == '"' && rest[len(rest)-1] == '"' {
		rest = rest[1 : len(rest)-1]
	}
	if rest == "" || strings.IndexByte(rest, '"') >= 0 {
		return ETag{}, false
	}
	return ETag{Value: rest, Weak: weak}, true
}

// ETags is the list of an If-Match or If-None-Match header; nil when absent.
type ETags []ETag

// Match reports whether the list names the object's tag (without quotes).
// Weak tags match only where weak is true, as If-None-Match has it.
func (l ETags) Match(etag string, weak bool) bool {
	for _, e := range l {
		if e.Any || e.Value == etag && (weak || !e.Weak) {
			return true
		}
	}
	return false
}

// parseETags reads the values of a header of tags. Commas inside quotes belong
// to the tag.
func parseETags(values []string) (ETags, bool) {
	var list ETags
	for _, v := range values {
		for v = strings.TrimSpace(v); v != ""; {
			end, quoted := len(v), false
			for i := 0; i < len(v); i++ {
				if v[i] == '"' {
					quoted = !quoted
				} else if v[i] == ',' && !quoted {
					end = i
					break
				}
			}
			item := v[:end]
			v = strings.TrimSpace(strings.TrimPrefix(v[end:], ","))
			if strings.TrimSpace(item) == "" {
				continue
			}
			e, ok := parseETag(item)
			if !ok || len(list) == MaxConditionETags {
				return nil, false
			}
			list = append(list, e)
		}
	}
	return list, len(list) > 0
}

// ParseHTTPDate reads the three forms of an HTTP date, and the ISO form that
// some clients send.
func ParseHTTPDate(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if t, err := http.ParseTime(s); err == nil {
		return t.UTC(), true
	}
	for _, layout := range [...]string{time.RFC1123Z, "Mon, 2 Jan 2006 15:04:05 MST", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// Conditions are those of a read, or of the source of a copy. Lists that are
// nil and times that are zero ask nothing.
type Conditions struct {
	IfMatch           ETags
	IfNoneMatch       ETags
	IfModifiedSince   time.Time
	IfUnmodifiedSince time.Time
}

// ParseConditions reads If-Match, If-None-Match, If-Modified-Since and
// If-Unmodified-Since. A header that is none of the four forms is
// InvalidArgument: a condition is never ignored.
func ParseConditions(h http.Header) (Conditions, error) { return parseConditions(h, "") }

// ParseCopyConditions reads the same headers of a copy source,
// x-amz-copy-source-if-match and so on.
func ParseCopyConditions(h http.Header) (Conditions, error) {
	return parseConditions(h, "X-Amz-Copy-Source-")
}

func parseConditions(h http.Header, prefix string) (c Conditions, err error) {
	tags := func(name string) ETags {
		values, present := h[prefix+name]
		if !present || err != nil {
			return nil
		}
		list, ok := parseETags(values)
		if !ok {
			err = BadArgument(prefix+name, strings.Join(values, ","), "The condition is not a list of entity tags")
		}
		return list
	}
	date := func(name string) time.Time {
		values, present := h[prefix+name]
		if !present || err != nil {
			return time.Time{}
		}
		t, ok := ParseHTTPDate(values[0])
		if !ok || len(values) != 1 {
			err = BadArgument(prefix+name, strings.Join(values, ","), "The condition is not an HTTP date")
		}
		return t
	}
	c = Conditions{
		IfMatch:           tags("If-Match"),
		IfNoneMatch:       tags("If-None-Match"),
		IfModifiedSince:   date("If-Modified-Since"),
		IfUnmodifiedSince: date("If-Unmodified-Since"),
	}
	if err != nil {
		return Conditions{}, err
	}
	return c, nil
}

// JudgeRead returns nil when a GET or HEAD of an object with this tag (without
// quotes) and time of change may go on, else NotModified or PreconditionFailed
// naming the condition. If-Match that holds overrides If-Unmodified-Since, and
// If-None-Match that was asked overrides If-Modified-Since (RFC 9110, 13.2.2).
func (c Conditions) JudgeRead(etag string, modified time.Time) error {
	modified = modified.Truncate(time.Second) // HTTP dates have no fraction
	if c.IfMatch != nil {
		if !c.IfMatch.Match(etag, false) {
			return PreconditionFailedOn("If-Match")
		}
	} else if !c.IfUnmodifiedSince.IsZero() && modified.After(c.IfUnmodifiedSince) {
		return PreconditionFailedOn("If-Unmodified-Since")
	}
	if c.IfNoneMatch != nil {
		if c.IfNoneMatch.Match(etag, true) {
			return New(NotModified)
		}
	} else if !c.IfModifiedSince.IsZero() && !modified.After(c.IfModifiedSince) {
		return New(NotModified)
	}
	return nil
}

// JudgeCopy is JudgeRead for the source of a copy, where every refusal is
// PreconditionFailed.
func (c Conditions) JudgeCopy(etag string, modified time.Time) error {
	err := c.JudgeRead(etag, modified)
	if e := AsError(err); e != nil && e.Code == NotModified {
		if c.IfNoneMatch != nil {
			return PreconditionFailedOn("x-amz-copy-source-If-None-Match")
		}
		return PreconditionFailedOn("x-amz-copy-source-If-Modified-Since")
	}
	if e := AsError(err); e != nil {
		return PreconditionFailedOn("x-amz-copy-source-" + e.Field("Condition"))
	}
	return nil
}

// WriteConditions are those of a write: only the current version counts.
type WriteConditions struct {
	IfMatch     *ETag // the current version must have this tag, or exist ("*")
	IfNoneMatch bool  // there must be no current version
}

// ParseWriteConditions reads the conditions of a write. If-None-Match takes
// only "*"; another value, a list, or a condition on time is NotImplemented,
// never ignored.
func ParseWriteConditions(h http.Header) (WriteConditions, error) {
	var c WriteConditions
	if values, ok := h["If-None-Match"]; ok {
		list, ok := parseETags(values)
		if !ok || len(list) != 1 || !list[0].Any {
			return c, NotImplementedHeader("If-None-Match", "We don't accept the provided value of If-None-Match header for this API")
		}
		c.IfNoneMatch = true
	}
	if values, ok := h["If-Match"]; ok {
		list, ok := parseETags(values)
		if !ok || len(list) != 1 || list[0].Weak {
			return c, NotImplementedHeader("If-Match", "We don't accept the provided value of If-Match header for this API")
		}
		c.IfMatch = &list[0]
	}
	if c.IfMatch != nil && c.IfNoneMatch {
		return c, NotImplementedHeader("If-Match, If-None-Match", "Multiple conditional request headers present in the request")
	}
	for _, name := range [...]string{"If-Modified-Since", "If-Unmodified-Since"} {
		if _, ok := h[name]; ok {
			return c, NotImplementedHeader(name, "We don't accept this header for this API")
		}
	}
	return c, nil
}

// DeleteConditions are those of DeleteObject. What is nil asks nothing.
type DeleteConditions struct {
	IfMatch  *ETag
	Modified *time.Time // x-amz-if-match-last-modified-time
	Size     *int64     // x-amz-if-match-size, bytes
}

// ParseDeleteConditions reads the conditions of DeleteObject. If-None-Match
// and conditions on time other than Modified are NotImplemented; a value that
// cannot be read is InvalidArgument.
func ParseDeleteConditions(h http.Header) (DeleteConditions, error) {
	w, err := ParseWriteConditions(h)
	if err != nil {
		return DeleteConditions{}, err
	}
	if w.IfNoneMatch {
		return DeleteConditions{}, NotImplementedHeader("If-None-Match", "We don't accept this header for this API")
	}
	c := DeleteConditions{IfMatch: w.IfMatch}
	if values, ok := h["X-Amz-If-Match-Last-Modified-Time"]; ok {
		t, ok := parseTime(strings.Join(values, ","))
		if !ok {
			return DeleteConditions{}, BadArgument("x-amz-if-match-last-modified-time", strings.Join(values, ","), "The condition is not a time")
		}
		c.Modified = &t
	}
	if values, ok := h["X-Amz-If-Match-Size"]; ok {
		n, err := strconv.ParseInt(strings.Join(values, ","), 10, 64)
		if err != nil || n < 0 {
			return DeleteConditions{}, BadArgument("x-amz-if-match-size", strings.Join(values, ","), "The condition is not a size")
		}
		c.Size = &n
	}
	return c, nil
}
