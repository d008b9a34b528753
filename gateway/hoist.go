package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/contender/contender/gateway/sigv4"
	"github.com/contender/contender/gateway/wire"
)

// hoistedHeader returns h with the x-amz- parameters of a presigned query as headers: signers put there what the later
// sender could not be relied on to send. A header that was sent wins. h itself is not changed. A parameter that no
// header could carry is InvalidArgument.
func hoistedHeader(h http.Header, query url.Values) (http.Header, error) {
	hoisted := sigv4.QueryHeaders(query)
	if len(hoisted) == 0 {
		return h, nil
	}
	merged := h.Clone()
	for name, values := range hoisted {
		if _, sent := h[name]; sent {
			continue
		}
		for _, v := range values {
			if !token(name) || strings.ContainsFunc(v, control) {
				return nil, wire.BadArgument(name, v, "The parameter cannot stand for a header")
			}
		}
		merged[name] = values
	}
	return merged, nil
}

// token reports whether s may be the name of a header (RFC 9110, section 5.6.2).
func token(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
