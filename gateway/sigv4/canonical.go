package sigv4

import (
	"crypto/hmac"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	sha256 "github.com/minio/sha256-simd"

	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

// canonicalRequest makes the text whose hash is signed. plainSlash writes %2F
// of the path as a slash.
func canonicalRequest(r *http.Request, rawQuery string, s *signature, plainSlash bool) ([]byte, error) {
	b := make([]byte, 0, 1024)
	b = append(append(b, r.Method...), '\n')
	path := route.RawPath(r)
	if path == "" || path[0] != '/' {
		return nil, wire.New(wire.InvalidURI)
	}
	b, ok := appendPath(b, path, plainSlash)
	if !ok {
		return nil, wire.New(wire.InvalidURI)
	}
	b = append(b, '\n')
	if b, ok = appendQuery(b, rawQuery, s.presigned); !ok {
		return nil, wire.New(wire.InvalidURI)
	}
	b = append(b, '\n')
	for _, name := range s.signedHeaders {
		b = append(append(b, name...), ':')
		b = appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(append(b, s.headerList...), '\n')
	return append(b, s.payloadHash...), nil
}

// appendHeader appends the canonical value of a signed header: values joined
// by commas, trimmed, repeated spaces made one. What net/http keeps outside of
// the header map is taken from there; a header that is absent is empty.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	values := r.Header[http.CanonicalHeaderKey(name)]
	if len(values) == 0 {
		switch name {
		case "host":
			return appendTrimmed(b, r.Host)
		case "content-length":
			if r.ContentLength >= 0 {
				return strconv.AppendInt(b, r.ContentLength, 10)
			}
		case "transfer-encoding":
			values = r.TransferEncoding
		}
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return b
}

func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	space := false
	for i := 0; i < len(v); i++ {
		if v[i] == ' ' {
			if !space {
				b = append(b, ' ')
			}
			space = true
			continue
		}
		space = false
		b = append(b, v[i])
	}
	return b
}

// pair is a query parameter in canonical form.
type pair struct{ name, value string }

// appendQuery appends the canonical query, without the signature itself when
// the request is presigned.
func appendQuery(b []byte, raw string, presigned bool) ([]byte, bool) {
	if raw == "" {
		return b, true
	}
	var space [16]pair
	pairs := space[:0]
	var text []byte
	for item := range strings.SplitSeq(raw, "&") {
		if item == "" {
			continue
		}
		if len(pairs) == route.MaxQueryParameters {
			return b, false
		}
		name, value, _ := strings.Cut(item, "=")
		var ok bool
		var p pair
		if text, ok = appendQueryText(text[:0], name); !ok {
			return b, false
		}
		p.name = string(text)
		if presigned && p.name == "X-Amz-Signature" {
			continue
		}
		if text, ok = appendQueryText(text[:0], value); !ok {
			return b, false
		}
		p.value = string(text)
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.name...), '='), p.value...)
	}
	return b, true
}

const upperHex = "0123456789ABCDEF"

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

func appendEscaped(b []byte, c byte) []byte {
	return append(b, '%', upperHex[c>>4], upperHex[c&15])
}

// unescaped reads the byte at s[i], which may be an escape of three bytes.
func unescaped(s string, i int) (c byte, n int, ok bool) {
	if s[i] != '%' {
		return s[i], 1, true
	}
	if i+2 >= len(s) {
		return 0, 0, false
	}
	high, ok1 := fromHex(s[i+1])
	low, ok2 := fromHex(s[i+2])
	return high<<4 | low, 3, ok1 && ok2
}

func fromHex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// appendPath appends the path unescaped and escaped again, once.
func appendPath(b []byte, path string, plainSlash bool) ([]byte, bool) {
	for i := 0; i < len(path); {
		c, n, ok := unescaped(path, i)
		if !ok {
			return b, false
		}
		i += n
		if unreserved(c) || c == '/' && (n == 1 || plainSlash) {
			b = append(b, c)
		} else {
			b = appendEscaped(b, c)
		}
	}
	return b, true
}

// appendQueryText is appendPath for a name or value of a query, where '+' is a
// space and a slash is escaped.
func appendQueryText(b []byte, s string) ([]byte, bool) {
	for i := 0; i < len(s); {
		c, n, ok := unescaped(s, i)
		if !ok {
			return b, false
		}
		if c == '+' && n == 1 {
			c = ' '
		}
		i += n
		if unreserved(c) {
			b = append(b, c)
		} else {
			b = appendEscaped(b, c)
		}
	}
	return b, true
}

func hasEscapedSlash(path string) bool {
	return strings.Contains(path, "%2F") || strings.Contains(path, "%2f")
}

func stringToSign(t time.Time, scope string, canonical []byte) []byte {
	sum := sha256.Sum256(canonical)
	b := make([]byte, 0, 192)
	b = append(b, algorithm+"\n"...)
	b = append(t.AppendFormat(b, timeLayout), '\n')
	b = append(append(b, scope...), '\n')
	return hex.AppendEncode(b, sum[:])
}

// equal reports, in constant time, whether provided is the hexadecimal
// signature of text.
func equal(key *[32]byte, text []byte, provided string) bool {
	var got [32]byte
	if len(provided) != 2*len(got) {
		return false
	}
	if _, err := hex.Decode(got[:], []byte(provided)); err != nil {
		return false
	}
	want := sign(key[:], text)
	return hmac.Equal(want[:], got[:])
}

func sign(key, text []byte) (sum [32]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}
