package sigv4

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/gateway/wire"
)

// The credentials and time of the examples in AWS's documentation.
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleScope  = exampleKey + "/20130524/us-east-1/s3/aws4_request"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func exampleOptions() Options {
	return Options{
		Region: "us-east-1", Now: exampleTime, Keys: NewKeyCache(10),
		LookupSecret: func(_ context.Context, c Credential) (string, error) {
			if c.AccessKey == exampleKey {
				return exampleSecret, nil
			}
			return "", nil
		},
	}
}

// parse reads a request as a server does.
func parse(t testing.TB, head string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Body = io.NopCloser(body)
	}
	return r
}

const (
	exampleGet = `GET /test.txt HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Authorization: AWS4-HMAC-SHA256 Credential=` + exampleScope + `,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41
Range: bytes=0-9
x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
x-amz-date: 20130524T000000Z
`
	examplePut = `PUT /test$file.text HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Date: Fri, 24 May 2013 00:00:00 GMT
Authorization: AWS4-HMAC-SHA256 Credential=` + exampleScope + `,SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072
Content-Length: 21
`
	exampleLifecycle = `GET /?lifecycle HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Authorization: AWS4-HMAC-SHA256 Credential=` + exampleScope + `,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543
x-amz-date: 20130524T000000Z
x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
`
	exampleList = `GET /?prefix=J&max-keys=2 HTTP/1.1
Host: examplebucket.s3.amazonaws.com
Authorization: AWS4-HMAC-SHA256 Credential=` + exampleScope + `,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7
x-amz-date: 20130524T000000Z
x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
`
	examplePresigned = `GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1
Host: examplebucket.s3.amazonaws.com
`
)

func TestVerifyPublishedExamples(t *testing.T) {
	for name, head := range map[string]string{
		"get": exampleGet, "put": examplePut, "lifecycle": exampleLifecycle, "list": exampleList, "presigned": examplePresigned,
	} {
		r := parse(t, head, strings.NewReader("Welcome to Amazon S3."))
		o := exampleOptions()
		for range 2 { // the second time the signing key is cached
			res, err := Verify(context.Background(), r, o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if res.Anonymous || res.Credential.AccessKey != exampleKey || !res.Time.Equal(exampleTime) || res.Presigned != (name == "presigned") {
				t.Errorf("%s: %+v", name, res)
			}
			if name == "presigned" && (!res.Expires.Equal(exampleTime.Add(24*time.Hour)) || res.Payload != PayloadUnsigned) {
				t.Errorf("%s: %+v", name, res)
			}
			if name != "presigned" && res.Payload != PayloadSHA256 {
				t.Errorf("%s: %+v", name, res)
			}
		}
		if o.Keys.Len() != 1 {
			t.Errorf("%s: %d keys cached", name, o.Keys.Len())
		}
	}
}

func TestVerifyAnonymous(t *testing.T) {
	for head, want := range map[string]Payload{
		"GET /b/k?X-Amz-Expires=1 HTTP/1.1\nHost: h\n":                                           PayloadUnsigned,
		"PUT /b/k HTTP/1.1\nHost: h\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n": PayloadUnsignedTrailer,
		"PUT /b/k HTTP/1.1\nHost: h\nx-amz-content-sha256: " + emptySHA256 + "\n":                PayloadSHA256,
	} {
		res, err := Verify(context.Background(), parse(t, head, nil), exampleOptions())
		if err != nil || !res.Anonymous || res.Payload != want {
			t.Errorf("%q: %+v, %v", head, res, err)
		}
	}
	_, err := Verify(context.Background(), parse(t, "PUT /b/k HTTP/1.1\nHost: h\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n", nil), exampleOptions())
	if !errors.Is(err, wire.InvalidArgument) {
		t.Error(err)
	}
}

// Each row changes one thing of an example.
func TestVerifyRefuses(t *testing.T) {
	for _, c := range []struct {
		name, head, old, new string
		code                 wire.Code
		message              string
	}{
		{"method", exampleGet, "GET ", "PUT ", wire.SignatureDoesNotMatch, ""},
		{"path", exampleGet, "/test.txt", "/test.txu", wire.SignatureDoesNotMatch, ""},
		{"query", exampleGet, "/test.txt", "/test.txt?acl", wire.SignatureDoesNotMatch, ""},
		{"host", exampleGet, "Host: e", "Host: f", wire.SignatureDoesNotMatch, ""},
		{"signed header", exampleGet, "bytes=0-9", "bytes=0-8", wire.SignatureDoesNotMatch, ""},
		{"header removed", exampleGet, "Range: bytes=0-9\n", "", wire.SignatureDoesNotMatch, ""},
		{"header doubled", exampleGet, "Range: bytes=0-9\n", "Range: bytes=0-9\nRange: bytes=0-9\n", wire.SignatureDoesNotMatch, ""},
		{"payload", exampleGet, ":e3b0", ":e3b1", wire.SignatureDoesNotMatch, ""},
		{"time", exampleGet, "date: 20130524T000000Z", "date: 20130524T000001Z", wire.SignatureDoesNotMatch, ""},
		{"signature", exampleGet, "Signature=f0e8", "Signature=f0e9", wire.SignatureDoesNotMatch, ""},
		{"signature short", exampleGet, "f0e8bdb8", "f0e8", wire.SignatureDoesNotMatch, ""},
		{"signature long", exampleGet, "f0e8bdb8", "f0e8bdb8aa", wire.SignatureDoesNotMatch, ""},
		{"signature not hexadecimal", exampleGet, "=f0e8", "=g0e8", wire.SignatureDoesNotMatch, ""},
		{"signed list", exampleGet, "host;range;", "host;", wire.SignatureDoesNotMatch, ""},
		{"access key", exampleGet, "AKIAI", "AKIAJ", wire.InvalidAccessKeyId, ""},
		{"date of scope", exampleGet, "/20130524/", "/20130523/", wire.AuthorizationHeaderMalformed, "Invalid credential date"},
		{"bad date of scope", exampleGet, "/20130524/", "/2013/", wire.AuthorizationHeaderMalformed, "incorrect date format"},
		{"region", exampleGet, "/us-east-1/", "/eu-west-1/", wire.AuthorizationHeaderMalformed, "the region 'eu-west-1' is wrong; expecting 'us-east-1'"},
		{"service", exampleGet, "/s3/", "/sts/", wire.AuthorizationHeaderMalformed, "incorrect service"},
		{"terminal", exampleGet, "aws4_request", "aws4_requesu", wire.AuthorizationHeaderMalformed, "incorrect terminal"},
		{"short credential", exampleGet, exampleKey + "/2013", "2013", wire.AuthorizationHeaderMalformed, "Credential is mal-formed"},
		{"no host signed", exampleGet, "=host;range", "=range", wire.AccessDenied, "not signed"},
		{"unsigned x-amz header", exampleGet, "Range:", "x-amz-acl: public-read\nRange:", wire.AccessDenied, "not signed"},
		{"no payload header", exampleGet, "x-amz-content-sha256:e", "x-content:e", wire.InvalidRequest, "Missing required header for this request: x-amz-content-sha256"},
		{"bad payload header", exampleGet, "x-amz-content-sha256:e3", "x-amz-content-sha256:", wire.InvalidArgument, "x-amz-content-sha256 must be"},
		{"4A payload", exampleGet, "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "x-amz-content-sha256: STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", wire.NotImplemented, ""},
		{"no date", exampleGet, "x-amz-date: 2", "x-date: 2", wire.AccessDenied, "valid Date"},
		{"bad date", exampleGet, "x-amz-date: 2", "x-amz-date: Q", wire.AccessDenied, "valid Date"},
		{"version 2", exampleGet, "AWS4-HMAC-SHA256 Cred", "AWS Cred", wire.InvalidRequest, "Please use AWS4-HMAC-SHA256"},
		{"version 4A", exampleGet, "AWS4-HMAC-SHA256 Cred", "AWS4-ECDSA-P256-SHA256 Cred", wire.InvalidRequest, "Please use AWS4-HMAC-SHA256"},
		{"version 2 query", examplePresigned, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A", "AWSAccessKeyId=A&Signature=x&X=", wire.AuthorizationQueryParametersError, ""},
		{"two mechanisms", exampleGet, "/test.txt", "/test.txt?X-Amz-Signature=1", wire.InvalidArgument, "Only one auth mechanism"},
		{"no signature", exampleGet, ",Signature=", ",Signatura=", wire.AuthorizationHeaderMalformed, ""},
		{"two signatures", exampleGet, ",Signature=", ",Signature=x,Signature=", wire.AuthorizationHeaderMalformed, ""},
		{"two headers", exampleGet, "Authorization:", "Authorization: x\nAuthorization:", wire.AuthorizationHeaderMalformed, ""},

		{"presigned path", examplePresigned, "/test", "/tost", wire.SignatureDoesNotMatch, ""},
		{"presigned more query", examplePresigned, "?X-Amz-Al", "?acl&X-Amz-Al", wire.SignatureDoesNotMatch, ""},
		{"presigned longer", examplePresigned, "Expires=86400", "Expires=86401", wire.SignatureDoesNotMatch, ""},
		{"presigned host", examplePresigned, "Host: e", "Host: f", wire.SignatureDoesNotMatch, ""},
		{"presigned method", examplePresigned, "GET ", "DELETE ", wire.SignatureDoesNotMatch, ""},
		{"presigned signature", examplePresigned, "=aeee", "=beee", wire.SignatureDoesNotMatch, ""},
		{"presigned header", examplePresigned, "\nHost", "\nx-amz-acl: private\nHost", wire.AccessDenied, "not signed"},
		{"presigned payload header", examplePresigned, "\nHost", "\nx-amz-content-sha256: UNSIGNED-PAYLOAD\nHost", wire.AccessDenied, "not signed"},
		{"presigned algorithm", examplePresigned, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", wire.AuthorizationQueryParametersError, "X-Amz-Algorithm only supports"},
		{"presigned 4A", examplePresigned, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", wire.InvalidRequest, ""},
		{"presigned no date", examplePresigned, "&X-Amz-Date=20130524T000000Z", "", wire.AuthorizationQueryParametersError, "requires the X-Amz-Algorithm"},
		{"presigned twice", examplePresigned, "&X-Amz-Exp", "&X-Amz-Expires=1&X-Amz-Exp", wire.AuthorizationQueryParametersError, ""},
		{"presigned over a week", examplePresigned, "Expires=86400", "Expires=604801", wire.AuthorizationQueryParametersError, "less than a week"},
		{"presigned negative", examplePresigned, "Expires=86400", "Expires=-1", wire.AuthorizationQueryParametersError, "non-negative"},
		{"presigned no number", examplePresigned, "Expires=86400", "Expires=1d", wire.AuthorizationQueryParametersError, "should be a number"},
		{"presigned region", examplePresigned, "us-east-1", "eu-west-1", wire.AuthorizationQueryParametersError, "expecting 'us-east-1'"},
		{"presigned bad escape", examplePresigned, "?X", "?a=%zz&X", wire.InvalidURI, ""},
	} {
		head := strings.Replace(c.head, c.old, c.new, 1)
		if head == c.head {
			t.Fatalf("%s changes nothing", c.name)
		}
		res, err := Verify(context.Background(), parse(t, head, nil), exampleOptions())
		if !errors.Is(err, c.code) || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v; want %s %q", c.name, err, c.code, c.message)
		}
		if res.Credential.AccessKey != "" || res.Anonymous {
			t.Errorf("%s: refused, yet %+v", c.name, res)
		}
	}
}

func TestVerifyVersion2(t *testing.T) {
	r := parse(t, "GET /b/k?AWSAccessKeyId=A&Signature=s&Expires=99 HTTP/1.1\nHost: h\n", nil)
	if _, err := Verify(context.Background(), r, exampleOptions()); !errors.Is(err, wire.InvalidRequest) {
		t.Error(err)
	}
}

func TestVerifyTimeWindow(t *testing.T) {
	for _, c := range []struct {
		name, head string
		off        time.Duration
		code       wire.Code
		message    string
	}{
		{"header at the edge", exampleGet, 15 * time.Minute, "", ""},
		{"header early edge", exampleGet, -15 * time.Minute, "", ""},
		{"header late", exampleGet, 15*time.Minute + time.Second, wire.RequestTimeTooSkewed, ""},
		{"header early", exampleGet, -15*time.Minute - time.Second, wire.RequestTimeTooSkewed, ""},
		{"presigned skewed", examplePresigned, 23 * time.Hour, "", ""},
		{"presigned last second", examplePresigned, 24*time.Hour - time.Second, "", ""},
		{"presigned over", examplePresigned, 24 * time.Hour, wire.AccessDenied, "Request has expired"},
		{"presigned future", examplePresigned, -15*time.Minute - time.Second, wire.AccessDenied, "Request is not valid yet"},
	} {
		o := exampleOptions()
		o.Now = exampleTime.Add(c.off)
		_, err := Verify(context.Background(), parse(t, c.head, nil), o)
		if (err == nil) != (c.code == "") || err != nil && (!errors.Is(err, c.code) || !strings.Contains(err.Error(), c.message)) {
			t.Errorf("%s: %v; want %q", c.name, err, c.code)
		}
	}
}

func TestVerifyRegionIsNamed(t *testing.T) {
	o := exampleOptions()
	o.Region = "eu-north-9"
	var e *wire.Error
	if _, err := Verify(context.Background(), parse(t, exampleGet, nil), o); !errors.As(err, &e) || e.Field("Region") != "eu-north-9" {
		t.Error(err)
	}
}

func TestVerifyLookupError(t *testing.T) {
	o := exampleOptions()
	down := errors.New("identities are out of reach")
	o.LookupSecret = func(context.Context, Credential) (string, error) { return "", down }
	if _, err := Verify(context.Background(), parse(t, exampleGet, nil), o); !errors.Is(err, down) {
		t.Error(err)
	}
}

func TestKeyCacheForgetsTheOldest(t *testing.T) {
	c := NewKeyCache(2)
	a := c.signingKey("s", "20130524", "r", "s3")
	c.signingKey("t", "20130524", "r", "s3")
	if c.signingKey("s", "20130524", "r", "s3") != a || c.Len() != 2 {
		t.Error("not kept")
	}
	c.signingKey("u", "20130524", "r", "s3")
	if c.Len() != 2 {
		t.Errorf("%d keys", c.Len())
	}
	if _, ok := c.entries[keyScope{"t", "20130524", "r", "s3"}]; ok {
		t.Error("the key used last longest ago was kept")
	}
	if c.signingKey("other secret", "20130524", "r", "s3") == a {
		t.Error("a changed secret has the old key")
	}
	var none *KeyCache
	if none.signingKey("s", "20130524", "r", "s3") != a || none.Len() != 0 {
		t.Error("without a cache")
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, keys := range map[string]*KeyCache{"cached": NewKeyCache(16), "derived": nil} {
		for form, head := range map[string]string{"header": exampleGet, "presigned": examplePresigned} {
			b.Run(form+"/"+name, func(b *testing.B) {
				o := exampleOptions()
				o.Keys = keys
				r := parse(b, head, nil)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Verify(context.Background(), r, o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
