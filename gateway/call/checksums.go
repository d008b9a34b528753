package call

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// The object layer writes algorithms in lower case, the wire in upper case.
func layerAlgorithm(a wire.Algorithm) string { return strings.ToLower(string(a)) }

// WireAlgorithm is how S3 spells an algorithm of the object layer.
func WireAlgorithm(name string) wire.Algorithm { return wire.Algorithm(strings.ToUpper(name)) }

// Expect reads which digests the request claims for its body: Content-MD5 and one checksum, in a header or in the
// trailer. It does not read the body.
func (c *Call) Expect() (objectlayer.Expect, error) {
	md5, err := wire.ParseContentMD5(c.Header)
	if err != nil {
		return objectlayer.Expect{}, err
	}
	sum, err := c.claimedChecksum()
	if err != nil {
		return objectlayer.Expect{}, err
	}
	e := objectlayer.Expect{MD5: md5, Algorithm: layerAlgorithm(sum.Algorithm)}
	if sum.Value != "" || sum.Trailing {
		e.Value = func() ([]byte, error) {
			s, err := sum.WithTrailer(c.trailers())
			if err != nil {
				return nil, err
			}
			return wire.Checksum{Algorithm: s.Algorithm, Value: s.Value}.Sum(), nil
		}
	}
	return e, nil
}

// claimedChecksum is wire.ParseChecksum, but for presigned requests. Who signs does not know the bytes: an algorithm
// without a sum only says which checksum the server shall compute, and so does the CRC32 of nothing, which the JavaScript
// SDK signs into the URL by default.
func (c *Call) claimedChecksum() (wire.ChecksumRequest, error) {
	h := c.Header
	if !c.Presigned || h.Get("X-Amz-Trailer") != "" {
		return wire.ParseChecksum(h)
	}
	named := h.Get("X-Amz-Sdk-Checksum-Algorithm")
	if c.signedForNothing() {
		h = h.Clone()
		h.Del(wire.CRC32.Header())
		named = string(wire.CRC32)
	}
	if named == "" || hasChecksumValue(h) {
		return wire.ParseChecksum(h)
	}
	h = h.Clone()
	h.Del("X-Amz-Sdk-Checksum-Algorithm")
	h.Set("X-Amz-Checksum-Algorithm", named)
	a, _, err := wire.ParseChecksumChoice(h)
	return wire.ChecksumRequest{Algorithm: a}, err
}

// signedForNothing reports whether the URL, and no header, claims the CRC32 of an empty body for one that is not empty.
func (c *Call) signedForNothing() bool {
	const ofNothing = "AAAAAA=="
	if c.Body.Size() == 0 || c.Header.Get(wire.CRC32.Header()) != ofNothing {
		return false
	}
	for name := range c.Query {
		if http.CanonicalHeaderKey(name) == wire.CRC32.Header() {
			return true
		}
	}
	return false
}

func hasChecksumValue(h http.Header) bool {
	for name := range h {
		if rest, ok := strings.CutPrefix(name, "X-Amz-Checksum-"); ok && !slices.Contains([]string{"Algorithm", "Type", "Mode"}, rest) {
			return true
		}
	}
	return false
}

func (c *Call) trailers() http.Header {
	if c.Body.trailer == nil {
		return nil
	}
	return c.Body.trailer()
}

// WireChecksums turns checksums into what the wire carries: base64, with -N behind a composite one.
func WireChecksums(sums []objectlayer.Checksum) []wire.Checksum {
	out := make([]wire.Checksum, 0, len(sums))
	for _, s := range sums {
		v := base64.StdEncoding.EncodeToString(s.Value)
		if s.Parts > 0 {
			v += "-" + strconv.Itoa(s.Parts)
		}
		out = append(out, wire.Checksum{Algorithm: WireAlgorithm(s.Algorithm), Value: v})
	}
	return out
}

// ChecksumType tells what checksums cover, "" if there are none.
func ChecksumType(sums []objectlayer.Checksum) wire.ChecksumType {
	switch {
	case len(sums) == 0:
		return ""
	case sums[0].Parts > 0:
		return wire.Composite
	}
	return wire.FullObject
}

// LayerChecksum turns a checksum of the wire, "-N" behind a composite one, into the object layer's; false if it is none.
func LayerChecksum(s wire.Checksum) (objectlayer.Checksum, bool) {
	value, count, composite := strings.Cut(s.Value, "-")
	out := objectlayer.Checksum{Algorithm: layerAlgorithm(s.Algorithm)}
	if composite {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || n > objectlayer.PartsMax {
			return out, false
		}
		out.Parts = n
	}
	out.Value = wire.Checksum{Algorithm: s.Algorithm, Value: value}.Sum()
	return out, out.Value != nil
}

// SetChecksums says in the answer's headers which checksums the stored bytes have.
func (c *Call) SetChecksums(sums []objectlayer.Checksum) {
	h := c.ResponseHeader()
	for _, s := range WireChecksums(sums) {
		if name := s.Algorithm.Header(); name != "" {
			h.Set(name, s.Value)
		}
	}
	if t := ChecksumType(sums); t != "" {
		h.Set("X-Amz-Checksum-Type", string(t))
	}
}

// ChecksumChoice reads which checksum the client wants computed, in the object layer's spelling; "" for none.
func (c *Call) ChecksumChoice() (algorithm string, composite bool, err error) {
	a, kind, err := wire.ParseChecksumChoice(c.Header)
	return layerAlgorithm(a), kind == wire.Composite, err
}

// WholeChecksum reads the checksum that a completion claims for the whole object of so many parts, nil for none. A
// composite one may come with or without its "-N".
func (c *Call) WholeChecksum(parts int) (*objectlayer.Checksum, error) {
	kind := strings.ToUpper(c.Header.Get("X-Amz-Checksum-Type"))
	if kind != "" && kind != string(wire.Composite) && kind != string(wire.FullObject) {
		return nil, wire.Newf(wire.InvalidRequest, "Value for x-amz-checksum-type header is invalid.")
	}
	var found *objectlayer.Checksum
	for _, a := range [...]wire.Algorithm{
		wire.CRC32, wire.CRC32C, wire.CRC64NVME, wire.SHA1, wire.SHA256,
		wire.SHA512, wire.MD5, wire.XXHash64, wire.XXHash3, wire.XXHash128,
	} {
		v := c.Header.Get(a.Header())
		if v == "" {
			continue
		}
		if found != nil {
			return nil, wire.Newf(wire.InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		if !a.Supported() {
			return nil, wire.NotImplementedHeader(strings.ToLower(a.Header()), v)
		}
		sum, ok := LayerChecksum(wire.Checksum{Algorithm: a, Value: v})
		if !ok {
			return nil, wire.Newf(wire.InvalidRequest, "Value for %s header is invalid.", strings.ToLower(a.Header()))
		}
		onlyComposite := a == wire.SHA1 || a == wire.SHA256 // of several parts there is no other
		if sum.Parts == 0 && (kind == string(wire.Composite) || kind == "" && onlyComposite) {
			sum.Parts = parts
		}
		found = &sum
	}
	return found, nil
}
