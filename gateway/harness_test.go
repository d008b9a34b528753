package gateway_test

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3 has it
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/contender/contender/gateway"
	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/objectlayer/objecttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rootKey, rootSecret = "ROOTKEY0000000000000", "root-secret"
	userKey, userSecret = "USERKEY0000000000000", "user-secret"
)

// identities are the two that tests use.
type identities struct{}

func (identities) Lookup(_ context.Context, key string) (call.Identity, error) {
	switch key {
	case rootKey:
		return call.Identity{AccessKey: rootKey, Secret: rootSecret, Root: true, Name: "root"}, nil
	case userKey:
		return call.Identity{AccessKey: userKey, Secret: userSecret, Name: "user"}, nil
	case "BROKEN":
		return call.Identity{}, errors.New("cannot look")
	}
	return call.Identity{}, call.ErrUnknownKey
}

// server is a gateway over an object layer in memory, behind a real listener.
type server struct {
	t     testing.TB
	http  *httptest.Server
	layer *objecttest.Layer
	raw   *http.Transport // of do and send
}

// start starts a server; change may alter its options.
func start(t testing.TB, change func(*gateway.Options)) *server {
	t.Helper()
	layer := objecttest.NewMemory(t)
	o := gateway.Options{
		Objects: layer.Objects, Uploads: layer.Uploads, Listings: layer.Listings, Buckets: layer.Buckets,
		Identities: identities{}, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, layer: layer, http: httptest.NewServer(g), raw: &http.Transport{DisableCompression: true}}
	t.Cleanup(s.http.Close)
	t.Cleanup(s.raw.CloseIdleConnections)
	return s
}

// startTLS is start over TLS, where SDKs send unsigned trailers.
func startTLS(t testing.TB) *server {
	t.Helper()
	s := start(t, nil)
	handler := s.http.Config.Handler
	s.http.Close()
	s.http = httptest.NewTLSServer(handler)
	t.Cleanup(s.http.Close)
	return s
}

// client returns an SDK client with the SDK's own defaults, as root.
func (s *server) client() *s3.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // a test's own server
	s.t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.http.URL), UsePathStyle: true,
		Credentials:      credentials.NewStaticCredentialsProvider(rootKey, rootSecret, ""),
		HTTPClient:       &http.Client{Transport: transport},
		RetryMaxAttempts: 1,
		// What config.LoadDefaultConfig sets.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	})
}

func (s *server) bucket(name string) {
	s.t.Helper()
	if r := s.do(http.MethodPut, "/"+name, nil, ""); r.status != http.StatusOK {
		s.t.Fatalf("create bucket: %d %s", r.status, r.body)
	}
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// code is the error code of the answer, "" if it is none.
func (r reply) code() string {
	var e struct {
		XMLName                       xml.Name `xml:"Error"`
		Code, Message, RequestId      string   //nolint:revive // S3's spelling
		Resource, HostId, Key, Region string   //nolint:revive // S3's spelling
	}
	if xml.Unmarshal([]byte(r.body), &e) != nil {
		return ""
	}
	return e.Code
}

type headers map[string]string

// request makes a request for a raw path with query, not signed.
func (s *server) request(method, path string, h headers, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, s.http.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range h {
		if k == "Host" {
			r.Host = v
			continue
		}
		r.Header.Set(k, v)
	}
	return r
}

// sign signs a request as root, its payload by hash unless the header says otherwise.
func sign(t testing.TB, r *http.Request, body string) {
	t.Helper()
	signAs(t, r, body, rootKey, rootSecret, "us-east-1", time.Now())
}

func signAs(t testing.TB, r *http.Request, body, key, secret, region string, at time.Time) {
	t.Helper()
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		sum := sha256.Sum256([]byte(body))
		hash = hex.EncodeToString(sum[:])
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	err := signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, r, hash, "s3", region, at)
	if err != nil {
		t.Fatal(err)
	}
}

// do sends a signed request and reads the whole answer.
func (s *server) do(method, path string, h headers, body string) reply {
	s.t.Helper()
	r := s.request(method, path, h, body)
	sign(s.t, r, body)
	return s.send(r)
}

func (s *server) send(r *http.Request) reply {
	s.t.Helper()
	resp, err := s.raw.RoundTrip(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// want checks status and error code of a signed request.
func (s *server) want(status int, code, method, path string, h headers, body string) reply {
	s.t.Helper()
	r := s.do(method, path, h, body)
	if r.status != status || (method != http.MethodHead && r.code() != code) {
		s.t.Errorf("%s %s %v: got %d %s, want %d %s\n%s", method, path, h, r.status, r.code(), status, code, r.body)
	}
	if r.header.Get("X-Amz-Request-Id") == "" || r.header.Get("X-Amz-Id-2") == "" {
		s.t.Errorf("%s %s: no request ids in %v", method, path, r.header)
	}
	return r
}

func apiCode(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

func mustRead(t testing.TB, r io.ReadCloser) []byte {
	t.Helper()
	defer r.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// escaped writes a key as signers want it in a path: all but letters, digits, "-._~" and "/" as %XX.
func escaped(key string) string {
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		c := key[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func pattern(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }

func now() time.Time { return time.Now() }

func md5Of(body string) string {
	sum := md5.Sum([]byte(body)) //nolint:gosec // S3's Content-MD5
	return base64.StdEncoding.EncodeToString(sum[:])
}
