package sigv4

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	algorithm4A = "AWS4-ECDSA-P256-SHA256"
	terminal    = "aws4_request"
	timeLayout  = "20060102T150405Z"
	dateLayout  = "20060102"

	// DefaultSkew is how far a client's clock may be off.
	DefaultSkew = 15 * time.Minute

	// MaxPresignedSeconds bounds X-Amz-Expires: a week.
	MaxPresignedSeconds = 604800

	// MaxSignedHeaders bounds the headers that a signature may name.
	MaxSignedHeaders = 256

	headerDate          = "X-Amz-Date"
	headerContentSHA256 = "X-Amz-Content-Sha256"
	headerToken         = "X-Amz-Security-Token"
)

// Credential is what a request says about who signs it.
type Credential struct {
	AccessKey    string
	SessionToken string // "" but for temporary credentials
}

// Options are what Verify needs to know of its surroundings.
type Options struct {
	Region  string        // the region that signatures must name
	Service string        // "" is "s3"
	Now     time.Time     // the server's time
	MaxSkew time.Duration // 0 is DefaultSkew
	Keys    *KeyCache     // nil derives each signing key anew

	// LookupSecret returns the secret of a credential, "" for an access key
	// that does not exist. Its errors are returned by Verify as they are.
	LookupSecret func(ctx context.Context, c Credential) (secret string, err error)
}

// Payload tells how a request's body is sent and proved.
type Payload uint8

// The forms of a body.
const (
	PayloadUnsigned        Payload = iota // plain, not covered by the signature
	PayloadSHA256                         // plain, its SHA-256 is signed
	PayloadChunked                        // aws-chunked, each chunk signed
	PayloadChunkedTrailer                 // the same, with a signed trailer
	PayloadUnsignedTrailer                // aws-chunked with a trailer, unsigned
)

// Result is what Verify found out about a request.
type Result struct {
	Anonymous     bool // not signed at all; the fields of signatures are empty
	Credential    Credential
	Presigned     bool
	Time          time.Time // when the request was signed
	Expires       time.Time // end of a presigned request, else zero
	SignedHeaders []string  // lower case, as the client listed them
	Payload       Payload
	PayloadHash   [32]byte // for PayloadSHA256

	scope string
	key   [32]byte // signing key of the chunks
	seed  string   // signature that the first chunk's is chained to
}

// signature is what a signed request carries, in either form.
type signature struct {
	credential    Credential
	date          string // of the scope, YYYYMMDD
	region        string
	service       string
	time          time.Time
	signedHeaders []string
	headerList    string // signedHeaders as the client wrote them
	provided      string // hexadecimal signature
	payloadHash   string // last line of the canonical request
	presigned     bool
	expires       time.Time
}

// Verify checks the signature of a request's head. It reads nothing of the
// body. A request without any signature is Result.Anonymous and no error.
func Verify(ctx context.Context, r *http.Request, o Options) (Result, error) {
	if o.Service == "" {
		o.Service = "s3"
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = DefaultSkew
	}
	rawQuery := route.RawQuery(r)
	inQuery, v2Query := queryForms(rawQuery)
	authorization, inHeader := r.Header["Authorization"]
	var s signature
	var err error
	switch {
	case inHeader && (inQuery || v2Query):
		return Result{}, wire.Newf(wire.InvalidArgument, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified").
			With("ArgumentName", "Authorization")
	case inHeader:
		s, err = parseHeader(r, authorization, o)
	case inQuery:
		s, err = parsePresigned(r, rawQuery, o)
	case v2Query:
		return Result{}, unsupportedMechanism()
	default:
		return anonymous(r)
	}
	if err != nil {
		return Result{}, err
	}
	res := Result{
		Credential: s.credential, Presigned: s.presigned, Time: s.time, Expires: s.expires,
		SignedHeaders: s.signedHeaders, seed: s.provided,
		scope: s.date + "/" + s.region + "/" + s.service + "/" + terminal,
	}
	if res.Payload, res.PayloadHash, err = parsePayload(s.payloadHash); err != nil {
		return Result{}, err
	}
	if err := checkSigned(r, s.signedHeaders); err != nil {
		return Result{}, err
	}
	secret, err := o.LookupSecret(ctx, s.credential)
	if err != nil {
		return Result{}, err
	}
	if secret == "" {
		return Result{}, wire.New(wire.InvalidAccessKeyId).With("AWSAccessKeyId", s.credential.AccessKey)
	}
	res.key = o.Keys.signingKey(secret, s.date, s.region, s.service)
	return res, compare(r, rawQuery, &s, &res)
}

// compare makes the canonical request and judges the signature.
func compare(r *http.Request, rawQuery string, s *signature, res *Result) error {
	escapedSlash := hasEscapedSlash(route.RawPath(r))
	canonical, err := canonicalRequest(r, rawQuery, s, false)
	if err != nil {
		return err
	}
	toSign := stringToSign(s.time, res.scope, canonical)
	if equal(&res.key, toSign, s.provided) {
		return nil
	}
	if escapedSlash {
		plain, err := canonicalRequest(r, rawQuery, s, true)
		if err != nil {
			return err
		}
		if equal(&res.key, stringToSign(s.time, res.scope, plain), s.provided) {
			return nil
		}
	}
	*res = Result{}
	return doesNotMatch(s.credential.AccessKey, toSign, s.provided, canonical)
}

// maxEchoBytes bounds the canonical request that a refusal echoes.
const maxEchoBytes = 8 << 10

func doesNotMatch(accessKey string, toSign []byte, provided string, canonical []byte) error {
	e := wire.New(wire.SignatureDoesNotMatch).With("AWSAccessKeyId", accessKey).
		With("StringToSign", string(toSign)).With("SignatureProvided", provided)
	if len(canonical) > 0 && len(canonical) <= maxEchoBytes {
		e = e.With("CanonicalRequest", string(canonical))
	}
	return e
}

// queryForms tells whether a raw query carries a signature of version 4 or 2.
func queryForms(raw string) (v4, v2 bool) {
	if raw == "" {
		return false, false
	}
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature":
			v4 = true
		case "AWSAccessKeyId", "Signature":
			v2 = true
		}
	}
	return v4, v2
}

func unsupportedMechanism() error {
	return wire.Newf(wire.InvalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
}

func anonymous(r *http.Request) (Result, error) {
	res := Result{Anonymous: true}
	value := r.Header.Get(headerContentSHA256)
	if value == "" {
		return res, nil
	}
	var err error
	res.Payload, res.PayloadHash, err = parsePayload(value)
	if err == nil && (res.Payload == PayloadChunked || res.Payload == PayloadChunkedTrailer) {
		err = wire.BadArgument("x-amz-content-sha256", value, "Signed chunks need a signed request")
	}
	if err != nil {
		return Result{}, err
	}
	return res, nil
}

const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	streaming       = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingTrail  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	unsignedTrail   = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// parsePayload reads the value of x-amz-content-sha256.
func parsePayload(value string) (p Payload, hash [32]byte, err error) {
	switch value {
	case unsignedPayload:
		return PayloadUnsigned, hash, nil
	case streaming:
		return PayloadChunked, hash, nil
	case streamingTrail:
		return PayloadChunkedTrailer, hash, nil
	case unsignedTrail:
		return PayloadUnsignedTrailer, hash, nil
	case "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER":
		return 0, hash, wire.NotImplementedHeader("x-amz-content-sha256", value)
	}
	if len(value) == 2*len(hash) {
		if _, err := hex.Decode(hash[:], []byte(value)); err == nil {
			return PayloadSHA256, hash, nil
		}
	}
	return 0, hash, wire.BadArgument("x-amz-content-sha256", value, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
}

// checkSigned demands that host and every x-amz header are among the signed
// ones.
func checkSigned(r *http.Request, signed []string) error {
	has := func(name string) bool {
		for _, s := range signed {
			if strings.EqualFold(s, name) {
				return true
			}
		}
		return false
	}
	var missing []string
	if !has("host") {
		missing = append(missing, "host")
	}
	for name := range r.Header {
		if len(name) >= 6 && strings.EqualFold(name[:6], "x-amz-") && !has(name) {
			missing = append(missing, strings.ToLower(name))
		}
	}
	if missing == nil {
		return nil
	}
	return wire.Newf(wire.AccessDenied, "There were headers present in the request which were not signed").
		With("HeadersNotSigned", strings.Join(missing, ", "))
}
