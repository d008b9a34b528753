package sigv4

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	sha256 "github.com/minio/sha256-simd"

	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

var oddKeys = []string{
	"plain.txt", "a b", "a+b", "a%2Fb", "a%b", "ä€😀", "!*'();:@&=+$,/?#[]", "//x", "a//b", "../x", "./x/..", "tilde~",
	"tab\there", "quote\"", "<&>", "\x01\x7f", "a|b", "back\\slash", strings.Repeat("k", 1024), "\uffff",
}

// seen is what the server below found in one request.
type seen struct {
	op     route.Op
	target route.Target
	res    Result
	body   []byte
	length int64
	trail  http.Header
	err    error
}

// newServer verifies every request that it gets and sends the findings.
func newServer(t *testing.T) (*httptest.Server, chan seen) {
	found := make(chan seen, 1)
	o := Options{
		Region: "us-east-1", Keys: NewKeyCache(10),
		LookupSecret: func(_ context.Context, c Credential) (string, error) {
			if c.AccessKey == exampleKey {
				return exampleSecret, nil
			}
			return "", nil
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := o
		o.Now = time.Now()
		s := judge(r, o)
		if s.err != nil {
			wire.WriteError(w, r, s.err, "id", "host", route.RawPath(r))
		}
		found <- s
	}))
	t.Cleanup(server.Close)
	return server, found
}

func judge(r *http.Request, o Options) (s seen) {
	if s.target, s.err = route.Parse(r, nil); s.err != nil {
		return s
	}
	query, err := route.ParseQuery(route.RawQuery(r))
	if s.err = err; err != nil {
		return s
	}
	if s.op, s.err = route.Operation(r.Method, s.target, query, r.Header); s.err != nil {
		return s
	}
	if s.res, s.err = Verify(r.Context(), r, o); s.err != nil {
		return s
	}
	b, err := Body(r, s.res)
	if s.err = err; err != nil {
		return s
	}
	s.body, s.err = io.ReadAll(b)
	s.length, s.trail = b.Length(), b.Trailer()
	return s
}

func newClient(server *httptest.Server, options ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(server.URL), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(exampleKey, exampleSecret, ""),
		HTTPClient:  server.Client(),
	}, options...)
}

func TestSDKRoundTrips(t *testing.T) {
	server, found := newServer(t)
	client := newClient(server)
	ctx := context.Background()
	for _, key := range oddKeys {
		content := []byte("content of " + key)
		_, err := client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String("bucket"), Key: aws.String(key), Body: bytes.NewReader(content),
			Metadata: map[string]string{"spaces": "a  b   c ", "empty": ""}, ContentType: aws.String("text/plain; charset=utf-8"),
		})
		s := <-found
		if err != nil || s.err != nil {
			t.Fatalf("put %q: %v, %v", key, err, s.err)
		}
		if s.op != route.PutObject || s.target.Key != key || s.target.Bucket != "bucket" || !bytes.Equal(s.body, content) {
			t.Errorf("put %q: %s %+v %q", key, s.op, s.target, s.body)
		}
		if _, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("bucket"), Key: aws.String(key), VersionId: aws.String("v/+ =")}); err != nil {
			t.Errorf("head %q: %v", key, err)
		}
		if s := <-found; s.err != nil || s.op != route.HeadObject || s.target.Key != key {
			t.Errorf("head %q: %+v", key, s)
		}
		presigned, err := s3.NewPresignClient(client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String(key), ResponseContentType: aws.String("a b/+")})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get(presigned.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if s := <-found; s.err != nil || !s.res.Presigned || s.op != route.GetObject || s.target.Key != key {
			t.Errorf("presigned %q: %+v", key, s)
		}
	}
	for _, prefix := range oddKeys[:18] {
		_, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("bucket"), Prefix: aws.String(prefix), Delimiter: aws.String("/"), StartAfter: aws.String("")})
		if s := <-found; s.err != nil || s.op != route.ListObjectsV2 {
			t.Errorf("list %q: %v, %+v", prefix, err, s.err)
		}
	}
}

// The SDK sends its trailing checksum over a seekless body only with TLS.
func TestSDKTrailingChecksum(t *testing.T) {
	found := make(chan seen, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := exampleOptions()
		o.Now = time.Now()
		found <- judge(r, o)
	}))
	defer server.Close()
	client := newClient(server)
	content := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	for _, a := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha256} {
		_, err := client.PutObject(context.Background(), &s3.PutObjectInput{
			Bucket: aws.String("bucket"), Key: aws.String("key"), Body: io.NopCloser(bytes.NewReader(content)),
			ContentLength: aws.Int64(int64(len(content))), ChecksumAlgorithm: a,
		})
		s := <-found
		if err != nil || s.err != nil {
			t.Fatalf("%s: %v, %v", a, err, s.err)
		}
		if s.res.Payload != PayloadUnsignedTrailer || !bytes.Equal(s.body, content) || s.length != int64(len(content)) {
			t.Errorf("%s: payload %d, %d bytes of %d", a, s.res.Payload, len(s.body), s.length)
		}
		if s.trail.Get(wire.Algorithm(a).Header()) == "" {
			t.Errorf("%s: trailer %v", a, s.trail)
		}
	}
}

func TestSDKPresignedPut(t *testing.T) {
	server, found := newServer(t)
	p, err := s3.NewPresignClient(newClient(server)).PresignPutObject(context.Background(), &s3.PutObjectInput{
		Bucket: aws.String("bucket"), Key: aws.String("a b"), Metadata: map[string]string{"x": "y z"}, ContentType: aws.String("text/x"),
	}, s3.WithPresignExpires(7*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		edit func(*http.Request)
		code wire.Code
	}{
		{func(*http.Request) {}, ""},
		{func(r *http.Request) { r.Header.Set("Content-Type", "text/y") }, wire.SignatureDoesNotMatch},
		{func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, wire.AccessDenied},
		{func(r *http.Request) { r.URL.RawQuery += "&versionId=1" }, wire.InvalidArgument},
		{func(r *http.Request) { r.URL.RawQuery += "&max-keys=1" }, wire.SignatureDoesNotMatch},
	} {
		r, err := http.NewRequest(p.Method, p.URL, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = p.SignedHeader.Clone()
		c.edit(r)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		s := <-found
		if (c.code == "") != (s.err == nil) || s.err != nil && !errors.Is(s.err, c.code) {
			t.Errorf("%v; want %q", s.err, c.code)
		}
	}
}

// Flipping any byte of what a signature covers refuses the request.
func TestSDKSignerMutations(t *testing.T) {
	sum := sha256.Sum256(nil)
	hash := hex.EncodeToString(sum[:])
	build := func() *http.Request {
		r := httptest.NewRequest("GET", "http://bucket.example.com/a%20b/c?prefix=p%2Fq&empty=&list-type=2", nil)
		r.Header.Set("X-Amz-Content-Sha256", hash)
		r.Header.Set("X-Amz-Meta-A", "one  two")
		r.Header.Add("X-Amz-Meta-B", "1")
		r.Header.Add("X-Amz-Meta-B", "2")
		r.Header.Set("Range", "bytes=0-1")
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		creds := aws.Credentials{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret}
		if err := signer.SignHTTP(context.Background(), creds, r, hash, "s3", "us-east-1", exampleTime); err != nil {
			t.Fatal(err)
		}
		r.RequestURI = r.URL.RequestURI()
		return r
	}
	if _, err := Verify(context.Background(), build(), exampleOptions()); err != nil {
		t.Fatal(err)
	}
	flip := func(s string, i int) string {
		b := []byte(s)
		b[i] ^= 1
		return string(b)
	}
	check := func(what string, r *http.Request) {
		res, err := Verify(context.Background(), r, exampleOptions())
		if err == nil && !res.Anonymous {
			t.Errorf("%s: accepted", what)
		}
	}
	uri := build().RequestURI
	for i := range uri {
		if i == 0 || uri[i] == '&' || uri[i] == '=' {
			continue
		}
		r := build()
		r.RequestURI = flip(uri, i)
		check("uri "+r.RequestURI, r)
	}
	for name, values := range build().Header {
		for j, v := range values {
			for i := range v {
				if changed := flip(v, i); strings.EqualFold(changed, v) || strings.TrimSpace(changed) == "" || v[i] == ' ' {
					continue // hexadecimal digits in capitals are the same number
				}
				r := build()
				r.Header[name][j] = flip(v, i)
				check(name+": "+r.Header[name][j], r)
			}
		}
		r := build()
		r.Header.Del(name)
		check("without "+name, r)
	}
	r := build()
	r.Host = "other.example.com"
	check("host", r)
	r = build()
	r.Method = "DELETE"
	check("method", r)
}

// Both spellings of an escaped slash are accepted, whichever the client
// signed.
func TestEscapedSlash(t *testing.T) {
	for _, signed := range []string{"/b/a/c", "/b/a%2Fc"} {
		u, err := url.Parse("http://h" + signed)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: "GET", URL: u, Host: "h", Header: http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}}
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		creds := aws.Credentials{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret}
		if err := signer.SignHTTP(context.Background(), creds, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", exampleTime); err != nil {
			t.Fatal(err)
		}
		r.RequestURI = "/b/a%2Fc"
		if _, err := Verify(context.Background(), r, exampleOptions()); err != nil {
			t.Errorf("signed as %s: %v", signed, err)
		}
	}
}
