package wire

import (
	"net/http"
	"strconv"
	"strings"
)

// Range is one byte range as a client asks for it: First to Last inclusive, or
// the last Suffix bytes.
type Range struct {
	First  int64
	Last   int64 // -1 for the end of the object
	Suffix int64 // when First is -1
}

// ParseRange reads a Range header. ok is false where S3 sends the whole
// object: no header, another unit, a form that is no range, or several ranges.
func ParseRange(header string) (r Range, ok bool) {
	spec, found := strings.CutPrefix(strings.TrimSpace(header), "bytes=")
	if !found || strings.IndexByte(spec, ',') >= 0 {
		return Range{}, false
	}
	first, last, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !found {
		return Range{}, false
	}
	if first == "" {
		n, ok := parseOffset(last)
		return Range{First: -1, Last: -1, Suffix: n}, ok
	}
	a, ok := parseOffset(first)
	if !ok {
		return Range{}, false
	}
	if last == "" {
		return Range{First: a, Last: -1}, true
	}
	b, ok := parseOffset(last)
	if !ok || b < a {
		return Range{}, false
	}
	return Range{First: a, Last: b}, true
}

// parseOffset reads digits only; what overflows counts as the largest number.
func parseOffset(s string) (int64, bool) {
	if s == "" || len(s) > 64 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}

// Resolve returns the bytes of an object of size bytes that the range covers:
// length is at least 1. A range that covers nothing is InvalidRange.
func (r Range) Resolve(size int64) (offset, length int64, err error) {
	switch {
	case r.First < 0 && r.Suffix > 0 && size > 0:
		length = min(r.Suffix, size)
		return size - length, length, nil
	case r.First < 0 || r.First >= size:
		return 0, 0, New(InvalidRange).With("RangeRequested", r.String()).WithInt("ActualObjectSize", size)
	case r.Last < 0 || r.Last >= size:
		return r.First, size - r.First, nil
	}
	return r.First, r.Last - r.First + 1, nil
}

// String returns the header form.
func (r Range) String() string {
	switch {
	case r.First < 0:
		return "bytes=-" + strconv.FormatInt(r.Suffix, 10)
	case r.Last < 0:
		return "bytes=" + strconv.FormatInt(r.First, 10) + "-"
	}
	return "bytes=" + strconv.FormatInt(r.First, 10) + "-" + strconv.FormatInt(r.Last, 10)
}

// ContentRange returns the Content-Range header of an answer with length bytes
// from offset out of size.
func ContentRange(offset, length, size int64) string {
	return "bytes " + strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+length-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// HeaderCopySourceRange is the header that ParseCopySourceRange reads.
const HeaderCopySourceRange = "X-Amz-Copy-Source-Range"

// ParseCopySourceRange reads x-amz-copy-source-range, which must be first and
// last byte. ok is false when it is absent; any other form is InvalidArgument.
func ParseCopySourceRange(h http.Header) (r Range, ok bool, err error) {
	values, present := h[HeaderCopySourceRange]
	if !present {
		return Range{}, false, nil
	}
	if len(values) == 1 {
		r, ok = ParseRange(values[0])
	}
	if !ok || r.First < 0 || r.Last < 0 {
		return Range{}, false, BadArgument("x-amz-copy-source-range", strings.Join(values, ","), "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	return r, true, nil
}

// ResolveCopy is Resolve for a copy source, whose range must lie in the object
// wholly: else InvalidArgument.
func (r Range) ResolveCopy(size int64) (offset, length int64, err error) {
	if r.First < 0 || r.Last < r.First || r.Last >= size {
		return 0, 0, BadArgument("x-amz-copy-source-range", r.String(), "Range specified is not valid for source object of size: "+strconv.FormatInt(size, 10))
	}
	return r.First, r.Last - r.First + 1, nil
}
