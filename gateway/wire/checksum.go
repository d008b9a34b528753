package wire

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// Algorithm names a checksum as S3 spells it in XML and in
// x-amz-checksum-algorithm.
type Algorithm string

// The checksums that S3's service model holds.
const (
	CRC32     Algorithm = "CRC32"
	CRC32C    Algorithm = "CRC32C"
	CRC64NVME Algorithm = "CRC64NVME"
	SHA1      Algorithm = "SHA1"
	SHA256    Algorithm = "SHA256"
	SHA512    Algorithm = "SHA512"
	MD5       Algorithm = "MD5"
	XXHash64  Algorithm = "XXHASH64"
	XXHash3   Algorithm = "XXHASH3"
	XXHash128 Algorithm = "XXHASH128"
)

// algorithmRow is one line of the table of checksums.
type algorithmRow struct {
	name      Algorithm
	header    string // canonical header name
	element   string // XML element
	bytes     int    // size of the sum
	supported bool   // by this server
	composite bool   // may be a checksum of the parts' checksums
	full      bool   // may cover a whole multipart object
}

// algorithms is the table of checksums: never written.
var algorithms = [...]algorithmRow{
	{CRC32, "X-Amz-Checksum-Crc32", "ChecksumCRC32", 4, true, true, true},
	{CRC32C, "X-Amz-Checksum-Crc32c", "ChecksumCRC32C", 4, true, true, true},
	{CRC64NVME, "X-Amz-Checksum-Crc64nvme", "ChecksumCRC64NVME", 8, true, false, true},
	{SHA1, "X-Amz-Checksum-Sha1", "ChecksumSHA1", 20, true, true, false},
	{SHA256, "X-Amz-Checksum-Sha256", "ChecksumSHA256", 32, true, true, false},
	{SHA512, "X-Amz-Checksum-Sha512", "ChecksumSHA512", 64, false, true, false},
	{MD5, "X-Amz-Checksum-Md5", "ChecksumMD5", 16, false, true, false},
	{XXHash64, "X-Amz-Checksum-Xxhash64", "ChecksumXXHASH64", 8, false, true, false},
	{XXHash3, "X-Amz-Checksum-Xxhash3", "ChecksumXXHASH3", 8, false, true, false},
	{XXHash128, "X-Amz-Checksum-Xxhash128", "ChecksumXXHASH128", 16, false, true, false},
}

func (a Algorithm) row() *algorithmRow {
	for i := range algorithms {
		if algorithms[i].name == a {
			return &algorithms[i]
		}
	}
	return nil
}

// Header returns the header that carries the checksum, in net/http's canonical
// form, or "" for an unknown algorithm.
func (a Algorithm) Header() string {
	if r := a.row(); r != nil {
		return r.header
	}
	return ""
}

// Bytes returns the size of a sum in bytes, 0 for an unknown algorithm.
func (a Algorithm) Bytes() int {
	if r := a.row(); r != nil {
		return r.bytes
	}
	return 0
}

// Supported reports whether this server computes the algorithm.
func (a Algorithm) Supported() bool {
	r := a.row()
	return r != nil && r.supported
}

// Checksum is a sum with its algorithm. Value is base64, with "-N" behind it
// for the composite sum of N parts.
type Checksum struct {
	Algorithm Algorithm
	Value     string
}

// Sum returns the decoded bytes, or nil for a value that is not one plain sum
// of the algorithm.
func (c Checksum) Sum() []byte {
	sum, err := base64.StdEncoding.Strict().DecodeString(c.Value)
	if err != nil || len(sum) == 0 || len(sum) != c.Algorithm.Bytes() {
		return nil
	}
	return sum
}

func appendChecksums(dst []byte, sums []Checksum) []byte {
	for _, c := range sums {
		if r := c.Algorithm.row(); r != nil {
			dst = appendElement(dst, r.element, c.Value)
		}
	}
	return dst
}

// ChecksumType tells what a multipart object's checksum covers.
type ChecksumType string

// The two types of checksum of a multipart object.
const (
	Composite  ChecksumType = "COMPOSITE"
	FullObject ChecksumType = "FULL_OBJECT"
)

// ChecksumRequest is what a request with a body says about its checksum.
type ChecksumRequest struct {
	Algorithm Algorithm // "" when the request names none
	Value     string    // base64, "" when it follows in a trailer
	Trailing  bool      // the value follows in the trailer named Algorithm.Header()
	Type      ChecksumType
}

// ParseChecksum reads x-amz-checksum-*, x-amz-trailer,
// x-amz-sdk-checksum-algorithm and x-amz-checksum-type. Two sums, a sum that
// is not one of its algorithm, or an announced algorithm without a sum are
// InvalidRequest; an algorithm that this server does not compute is
// NotImplemented, never ignored.
func ParseChecksum(h http.Header) (ChecksumRequest, error) {
	var c ChecksumRequest
	for i := range algorithms {
		a := &algorithms[i]
		values, ok := h[a.header]
		if !ok {
			continue
		}
		if c.Algorithm != "" || len(values) != 1 {
			return ChecksumRequest{}, Newf(InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		c.Algorithm, c.Value = a.name, strings.TrimSpace(values[0])
		if c.Algorithm.Supported() && (Checksum{c.Algorithm, c.Value}).Sum() == nil {
			return ChecksumRequest{}, invalidChecksum(a.header)
		}
	}
	if err := c.readTrailer(h); err != nil {
		return ChecksumRequest{}, err
	}
	if named := h.Get("X-Amz-Sdk-Checksum-Algorithm"); named != "" {
		switch a := Algorithm(strings.ToUpper(named)); {
		case a.row() == nil:
			return ChecksumRequest{}, BadArgument("x-amz-sdk-checksum-algorithm", named, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
		case c.Algorithm == "":
			return ChecksumRequest{}, Newf(InvalidRequest, "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
		case c.Algorithm != a:
			return ChecksumRequest{}, Newf(InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid.")
		}
	}
	if c.Algorithm != "" && !c.Algorithm.Supported() {
		return ChecksumRequest{}, NotImplementedHeader(strings.ToLower(c.Algorithm.Header()), "")
	}
	var err error
	c.Type, err = parseChecksumType(h)
	return c, err
}

func invalidChecksum(header string) *Error {
	return Newf(InvalidRequest, "Value for %s header is invalid.", strings.ToLower(header))
}

func (c *ChecksumRequest) readTrailer(h http.Header) error {
	for _, line := range h["X-Amz-Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			a := algorithmOfHeader(name)
			if a == "" {
				return Newf(InvalidRequest, "The value specified in the x-amz-trailer header is not supported")
			}
			if c.Algorithm != "" {
				return Newf(InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
			}
			c.Algorithm, c.Trailing = a, true
		}
	}
	return nil
}

func algorithmOfHeader(canonical string) Algorithm {
	for i := range algorithms {
		if algorithms[i].header == canonical {
			return algorithms[i].name
		}
	}
	return ""
}

// WithTrailer returns the request with the value that its trailer brought, or
// an error when the trailer lacks it or holds no sum of the algorithm. A
// request without a trailing checksum is returned as it is.
func (c ChecksumRequest) WithTrailer(trailer http.Header) (ChecksumRequest, error) {
	if !c.Trailing {
		return c, nil
	}
	values := trailer[c.Algorithm.Header()]
	if len(values) != 1 {
		return c, New(MalformedTrailerError)
	}
	c.Value = strings.TrimSpace(values[0])
	if (Checksum{c.Algorithm, c.Value}).Sum() == nil {
		return c, invalidChecksum(c.Algorithm.Header())
	}
	return c, nil
}

func parseChecksumType(h http.Header) (ChecksumType, error) {
	switch t := ChecksumType(strings.ToUpper(h.Get("X-Amz-Checksum-Type"))); t {
	case "", Composite, FullObject:
		return t, nil
	}
	return "", Newf(InvalidRequest, "Value for x-amz-checksum-type header is invalid.")
}

// ParseChecksumChoice reads x-amz-checksum-algorithm and x-amz-checksum-type
// of CreateMultipartUpload and CopyObject: which checksum the server shall
// compute. With an algorithm and no type it returns the type that S3 chooses
// (FULL_OBJECT for CRC64NVME, else COMPOSITE). A pair that S3 does not know is
// InvalidRequest.
func ParseChecksumChoice(h http.Header) (Algorithm, ChecksumType, error) {
	kind, err := parseChecksumType(h)
	if err != nil {
		return "", "", err
	}
	value := h.Get("X-Amz-Checksum-Algorithm")
	if value == "" {
		if kind != "" {
			return "", "", Newf(InvalidRequest, "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return "", "", nil
	}
	a := Algorithm(strings.ToUpper(value))
	r := a.row()
	switch {
	case r == nil:
		return "", "", Newf(InvalidRequest, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	case !r.supported:
		return "", "", NotImplementedHeader("x-amz-checksum-algorithm", value)
	case kind == Composite && !r.composite, kind == FullObject && !r.full:
		return "", "", Newf(InvalidRequest, "The %s checksum type cannot be used with the %s checksum algorithm.", kind, strings.ToLower(string(a)))
	case kind == "" && a == CRC64NVME:
		kind = FullObject
	case kind == "":
		kind = Composite
	}
	return a, kind, nil
}

// ParseContentMD5 reads Content-MD5: nil when absent, else 16 bytes, else
// InvalidDigest.
func ParseContentMD5(h http.Header) ([]byte, error) {
	values, ok := h["Content-Md5"]
	if !ok {
		return nil, nil
	}
	if len(values) == 1 {
		if sum, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(values[0])); err == nil && len(sum) == 16 {
			return sum, nil
		}
	}
	return nil, New(InvalidDigest)
}
