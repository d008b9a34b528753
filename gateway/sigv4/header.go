package sigv4

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

func malformedHeader(message string) *wire.Error {
	return wire.Newf(wire.AuthorizationHeaderMalformed, "The authorization header is malformed; %s", message)
}

func malformedQuery(message string) *wire.Error {
	return wire.Newf(wire.AuthorizationQueryParametersError, "%s", message)
}

// parseHeader reads the Authorization header and what it stands with.
func parseHeader(r *http.Request, values []string, o Options) (signature, error) {
	if len(values) != 1 {
		return signature{}, malformedHeader("there must be one such header.")
	}
	name, rest, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	if name != algorithm {
		return signature{}, unsupportedMechanism()
	}
	var s signature
	credential, err := s.readComponents(rest)
	if err != nil {
		return signature{}, err
	}
	if err := s.readCredential(credential, o, malformedHeader, "the Credential is mal-formed"); err != nil {
		return signature{}, err
	}
	if err := s.readTime(r); err != nil {
		return signature{}, err
	}
	if s.time.Format(dateLayout) != s.date {
		return signature{}, malformedHeader("Invalid credential date \"" + s.date + "\". This date is not the same as X-Amz-Date: \"" + s.time.Format(dateLayout) + "\".")
	}
	if skew := o.Now.Sub(s.time).Abs(); skew > o.MaxSkew {
		return signature{}, wire.New(wire.RequestTimeTooSkewed).
			With("RequestTime", s.time.Format(timeLayout)).
			With("ServerTime", o.Now.UTC().Format(time.RFC3339)).
			WithInt("MaxAllowedSkewMilliseconds", o.MaxSkew.Milliseconds())
	}
	hashes := r.Header[headerContentSHA256]
	if len(hashes) == 0 {
		return signature{}, wire.Newf(wire.InvalidRequest, "Missing required header for this request: x-amz-content-sha256")
	}
	s.payloadHash = strings.TrimSpace(strings.Join(hashes, ","))
	s.credential.SessionToken = r.Header.Get(headerToken)
	return s, nil
}

// readComponents reads "Credential=…, SignedHeaders=…, Signature=…".
func (s *signature) readComponents(rest string) (credential string, err error) {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || seen[name] {
			return "", malformedHeader("expecting one each of Credential, SignedHeaders and Signature.")
		}
		seen[name] = true
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			s.headerList = value
		case "Signature":
			s.provided = value
		default:
			return "", malformedHeader("the authorization component \"" + part + "\" is malformed.")
		}
	}
	if credential == "" || s.headerList == "" || s.provided == "" {
		return "", malformedHeader("expecting one each of Credential, SignedHeaders and Signature.")
	}
	if !s.splitHeaders() {
		return "", malformedHeader("too many signed headers.")
	}
	return credential, nil
}

func (s *signature) splitHeaders() bool {
	if strings.Count(s.headerList, ";") >= MaxSignedHeaders {
		return false
	}
	s.headerList = strings.ToLower(s.headerList)
	s.signedHeaders = strings.Split(s.headerList, ";")
	return true
}

// readCredential reads accessKey/date/region/service/aws4_request. An access
// key may hold slashes.
func (s *signature) readCredential(value string, o Options, bad func(string) *wire.Error, what string) error {
	fields := strings.Split(value, "/")
	n := len(fields) - 4
	if n < 1 {
		return bad(what + "; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	s.credential.AccessKey = strings.Join(fields[:n], "/")
	s.date, s.region, s.service = fields[n], fields[n+1], fields[n+2]
	if s.credential.AccessKey == "" {
		return bad(what + "; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	if _, err := time.Parse(dateLayout, s.date); err != nil {
		return bad("incorrect date format \"" + s.date + "\". This date in the credential must be in the format \"yyyyMMdd\".")
	}
	if s.region != o.Region {
		return bad("the region '"+s.region+"' is wrong; expecting '"+o.Region+"'").With("Region", o.Region)
	}
	if s.service != o.Service {
		return bad("incorrect service \"" + s.service + "\". This endpoint belongs to \"" + o.Service + "\".")
	}
	if fields[n+3] != terminal {
		return bad("incorrect terminal \"" + fields[n+3] + "\". This endpoint uses \"" + terminal + "\".")
	}
	return nil
}

// readTime reads x-amz-date, else Date.
func (s *signature) readTime(r *http.Request) error {
	if values := r.Header[headerDate]; len(values) > 0 {
		t, err := time.Parse(timeLayout, strings.TrimSpace(strings.Join(values, ",")))
		if err != nil {
			return wire.Newf(wire.AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
		}
		s.time = t
		return nil
	}
	value := r.Header.Get("Date")
	t, err := time.Parse(timeLayout, value)
	ok := err == nil
	if !ok {
		t, ok = wire.ParseHTTPDate(value)
	}
	if !ok {
		return wire.Newf(wire.AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
	}
	s.time = t.UTC()
	return nil
}

// parsePresigned reads the query form.
func parsePresigned(r *http.Request, rawQuery string, o Options) (signature, error) {
	query, err := route.ParseQuery(rawQuery)
	if err != nil {
		return signature{}, err
	}
	for _, name := range [...]string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", headerDate, "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		if len(query[name]) != 1 || query[name][0] == "" {
			return signature{}, malformedQuery("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	switch query.Get("X-Amz-Algorithm") {
	case algorithm:
	case algorithm4A:
		return signature{}, unsupportedMechanism()
	default:
		return signature{}, malformedQuery("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"")
	}
	s := signature{presigned: true, headerList: query.Get("X-Amz-SignedHeaders"), provided: query.Get("X-Amz-Signature")}
	if !s.splitHeaders() {
		return signature{}, malformedQuery("X-Amz-SignedHeaders names too many headers.")
	}
	bad := func(message string) *wire.Error {
		return malformedQuery("Error parsing the X-Amz-Credential parameter; " + message)
	}
	if err := s.readCredential(query.Get("X-Amz-Credential"), o, bad, "the Credential is mal-formed"); err != nil {
		return signature{}, err
	}
	if s.time, err = time.Parse(timeLayout, query.Get(headerDate)); err != nil {
		return signature{}, malformedQuery("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	if s.time.Format(dateLayout) != s.date {
		return signature{}, bad("Invalid credential date \"" + s.date + "\". This date is not the same as X-Amz-Date: \"" + s.time.Format(dateLayout) + "\".")
	}
	if err := s.readExpiry(query.Get("X-Amz-Expires"), o); err != nil {
		return signature{}, err
	}
	s.credential.SessionToken = query.Get(headerToken)
	s.payloadHash = presignedPayload(r, query)
	return s, nil
}

// readExpiry judges the time window of a presigned request.
func (s *signature) readExpiry(value string, o Options) error {
	seconds, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return malformedQuery("X-Amz-Expires should be a number")
	case seconds < 0:
		return malformedQuery("X-Amz-Expires must be non-negative")
	case seconds > MaxPresignedSeconds:
		return malformedQuery("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	s.expires = s.time.Add(time.Duration(seconds) * time.Second)
	now := o.Now.UTC()
	if s.time.After(now.Add(o.MaxSkew)) {
		return wire.Newf(wire.AccessDenied, "Request is not valid yet").
			With("X-Amz-Date", s.time.Format(timeLayout)).With("ServerTime", now.Format(time.RFC3339))
	}
	if !now.Before(s.expires) {
		return wire.Newf(wire.AccessDenied, "Request has expired").
			With("X-Amz-Expires", value).
			With("Expires", s.expires.Format(time.RFC3339)).
			With("ServerTime", now.Format(time.RFC3339))
	}
	return nil
}

// presignedPayload returns the payload line of a presigned request: the query
// parameter, the header (which is then signed), else UNSIGNED-PAYLOAD.
func presignedPayload(r *http.Request, query url.Values) string {
	if value := query.Get(headerContentSHA256); value != "" {
		return value
	}
	if values := r.Header[headerContentSHA256]; len(values) > 0 {
		return strings.TrimSpace(strings.Join(values, ","))
	}
	return unsignedPayload
}

// QueryHeaders returns the x-amz headers that a presigned request carries in
// its query, as SDKs move them there (for instance x-amz-acl and x-amz-meta-
// pairs), without those of the signature itself. A caller that lets them stand
// for headers does so after Verify, and only for names that the request's
// header does not hold.
func QueryHeaders(query url.Values) http.Header {
	h := make(http.Header)
	for name, values := range query {
		if len(name) < 7 || !strings.EqualFold(name[:6], "x-amz-") {
			continue
		}
		switch name = http.CanonicalHeaderKey(name); name {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", headerDate, "X-Amz-Signedheaders", "X-Amz-Expires", headerToken, headerContentSHA256:
			continue
		}
		h[name] = append(h[name], values...)
	}
	return h
}
