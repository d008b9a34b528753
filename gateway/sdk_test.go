package gateway_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// stream is a body that the SDK cannot rewind, so that its checksum can only follow in a trailer.
type stream struct{ io.Reader }

// The current SDK with its own defaults: checksums in headers over plain HTTP, in unsigned trailers over TLS.
func TestSDK(t *testing.T) {
	for name, s := range map[string]*server{"http": start(t, nil), "tls": startTLS(t)} {
		t.Run(name, func(t *testing.T) { testSDK(t, s) })
	}
}

func testSDK(t *testing.T, s *server) {
	ctx, c := t.Context(), s.client()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bucket := aws.String("sdk-bucket")
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
	check(err)
	data := pattern(300_000)
	for key, algorithm := range map[string]types.ChecksumAlgorithm{
		"default": "", "crc32": types.ChecksumAlgorithmCrc32, "crc32c": types.ChecksumAlgorithmCrc32c, "crc64": types.ChecksumAlgorithmCrc64nvme,
		"sha1": types.ChecksumAlgorithmSha1, "sha256": types.ChecksumAlgorithmSha256,
	} {
		put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader(data), ChecksumAlgorithm: algorithm})
		check(err)
		if algorithm == "" && aws.ToString(put.ChecksumCRC32) == "" {
			t.Errorf("%s: no CRC32 in %+v", key, put)
		}
		get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		check(err)
		if !bytes.Equal(mustRead(t, get.Body), data) {
			t.Errorf("%s: other bytes", key)
		}
	}
	if strings.HasPrefix(s.http.URL, "https") {
		_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("stream"), Body: stream{bytes.NewReader(data)}, ContentLength: aws.Int64(int64(len(data)))})
		check(err)
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("default"), ChecksumMode: types.ChecksumModeEnabled})
	check(err)
	if aws.ToInt64(head.ContentLength) != int64(len(data)) || aws.ToString(head.ContentEncoding) != "" || aws.ToString(head.ChecksumCRC32) == "" {
		t.Errorf("head: %+v", head)
	}
	sdkMultipart(t, c, bucket)
	sdkRest(t, c, bucket)
}

func sdkMultipart(t *testing.T, c *s3.Client, bucket *string) {
	ctx, key := t.Context(), aws.String("multi")
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, body := range [][]byte{pattern(5 << 20), []byte("tail")} {
		n := aws.Int32(int32(i + 1)) //nolint:gosec // 1 or 2
		p, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: n, ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32})
	}
	list, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: bucket, Key: key, UploadId: up.UploadId})
	if err != nil || len(list.Parts) != 2 {
		t.Fatalf("parts: %+v, %v", list, err)
	}
	done, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil || !strings.HasSuffix(aws.ToString(done.ETag), `-2"`) {
		t.Fatalf("complete: %+v, %v", done, err)
	}
}

func sdkRest(t *testing.T, c *s3.Client, bucket *string) {
	ctx := t.Context()
	_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copied"), CopySource: aws.String(*bucket + "/default")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
	if apiCode(err) != "NoSuchKey" {
		t.Errorf("no key: %v", err)
	}
	_, err = c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: bucket})
	if apiCode(err) != "NotImplemented" {
		t.Errorf("versioning: %v", err)
	}
	var ids []types.ObjectIdentifier
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(3)})
	for pages.HasMorePages() {
		p, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Contents {
			ids = append(ids, types.ObjectIdentifier{Key: o.Key})
		}
	}
	if len(ids) < 8 {
		t.Errorf("only %d keys listed", len(ids))
	}
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: ids}})
	if err != nil || len(out.Deleted) != len(ids) || len(out.Errors) != 0 {
		t.Fatalf("delete: %+v, %v", out, err)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	all, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(all.Buckets) != 0 {
		t.Errorf("buckets: %+v, %v", all, err)
	}
}

// What the signer moved into the query counts as if it were a header.
func TestPresigned(t *testing.T) {
	s := start(t, nil)
	s.bucket("signed")
	p := s3.NewPresignClient(s.client())
	send := func(method, url, body string) reply {
		t.Helper()
		r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return s.send(r)
	}
	put, err := p.PresignPutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("signed"), Key: aws.String("a b+c"), Metadata: map[string]string{"m": "1"}, StorageClass: types.StorageClassStandardIa,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, put.URL, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range put.SignedHeader {
		if name != "Host" {
			r.Header[name] = values
		}
	}
	if got := s.send(r); got.status != 200 {
		t.Fatalf("put: %d %s", got.status, got.body)
	}
	get, err := p.PresignGetObject(t.Context(), &s3.GetObjectInput{
		Bucket: aws.String("signed"), Key: aws.String("a b+c"), ResponseContentType: aws.String("x/y"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := send(http.MethodGet, get.URL, "")
	if got.status != 200 || got.body != "body" || got.header.Get("Content-Type") != "x/y" || got.header.Get("X-Amz-Meta-M") != "1" || got.header.Get("X-Amz-Storage-Class") != "STANDARD_IA" {
		t.Errorf("get: %d %q %v", got.status, got.body, got.header)
	}
	if got := send(http.MethodGet, strings.Replace(get.URL, "X-Amz-Signature=", "X-Amz-Signature=0", 1), ""); got.code() != "SignatureDoesNotMatch" {
		t.Errorf("forged: %d %s", got.status, got.body)
	}
	if got := send(http.MethodGet, get.URL+"&X-Amz-Server-Side-Encryption=AES256", ""); got.status == 200 {
		t.Error("a parameter that was not signed is obeyed")
	}
	// Hoisted headers that change meaning are refused like sent ones.
	sse, err := p.PresignPutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("signed"), Key: aws.String("k"), ServerSideEncryption: types.ServerSideEncryptionAes256,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err = http.NewRequestWithContext(t.Context(), http.MethodPut, sse.URL, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range sse.SignedHeader {
		if name != "Host" {
			r.Header[name] = values
		}
	}
	if got := s.send(r); got.status != 501 || got.code() != "NotImplemented" {
		t.Errorf("encryption: %d %s", got.status, got.body)
	}
	// Expired.
	old, err := p.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("signed"), Key: aws.String("k")}, s3.WithPresignExpires(time.Nanosecond))
	if err != nil {
		t.Fatal(err)
	}
	if got := send(http.MethodGet, old.URL, ""); got.status != 403 || got.code() != "AccessDenied" || !strings.Contains(got.body, "Request has expired") {
		t.Errorf("expired: %d %s", got.status, got.body)
	}
}

// A URL signed without the bytes: it may name the algorithm, and the JavaScript SDK adds the CRC32 of nothing.
func TestPresignedWithoutTheBytes(t *testing.T) {
	s := start(t, nil)
	s.bucket("signed")
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte("body"))))
	for _, c := range []struct {
		query  string
		status int
		code   string
	}{
		{"x-amz-sdk-checksum-algorithm=CRC32", 200, ""},
		{"x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32", 200, ""},
		{"x-amz-checksum-crc32=" + escaped(sum), 200, ""},
		{"x-amz-checksum-crc32=AAAAAQ%3D%3D", 400, "BadDigest"},
		{"x-amz-checksum-crc32=nonsense", 400, "InvalidRequest"},
		{"x-amz-sdk-checksum-algorithm=MD4", 400, "InvalidRequest"},
		{"x-amz-meta-a%0A=b", 400, "InvalidArgument"},
		{"x-amz-meta-a=b%0D%0Ac", 400, "InvalidArgument"},
	} {
		r := s.request(http.MethodPut, "/signed/k?X-Amz-Expires=60&"+c.query, nil, "")
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		uri, _, err := signer.PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: rootKey, SecretAccessKey: rootSecret}, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", now())
		if err != nil {
			t.Fatal(err)
		}
		r, err = http.NewRequestWithContext(t.Context(), http.MethodPut, uri, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.send(r); got.status != c.status || got.code() != c.code || c.status == 200 && got.header.Get("X-Amz-Checksum-Crc32") != sum {
			t.Errorf("%s: %d %v %s", c.query, got.status, got.header, got.body)
		}
	}
}

// chunked writes a body in the aws-chunked form, unsigned, with a trailer.
func chunked(data, trailer string) string {
	return fmt.Sprintf("%x\r\n%s\r\n0\r\n%s\r\n\r\n", len(data), data, trailer)
}

func TestTrailers(t *testing.T) {
	s := start(t, nil)
	s.bucket("trail")
	h := func(length int, trailer string) headers {
		return headers{
			"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": fmt.Sprint(length),
			"X-Amz-Trailer": trailer, "Content-Encoding": "aws-chunked",
		}
	}
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte("body"))))
	r := s.want(200, "", http.MethodPut, "/trail/k", h(4, "x-amz-checksum-crc32"), chunked("body", "x-amz-checksum-crc32:"+sum))
	if r.header.Get("X-Amz-Checksum-Crc32") != sum {
		t.Errorf("not echoed: %v", r.header)
	}
	r = s.want(200, "", http.MethodGet, "/trail/k", headers{"X-Amz-Checksum-Mode": "ENABLED"}, "")
	if r.body != "body" || r.header.Get("X-Amz-Checksum-Crc32") != sum || r.header.Get("Content-Encoding") != "" {
		t.Errorf("stored: %q %v", r.body, r.header)
	}
	s.want(400, "BadDigest", http.MethodPut, "/trail/bad", h(4, "x-amz-checksum-crc32"), chunked("body", "x-amz-checksum-crc32:AAAAAA=="))
	s.want(400, "MalformedTrailerError", http.MethodPut, "/trail/bad", h(4, "x-amz-checksum-crc32"), "4\r\nbody\r\n0\r\n\r\n")
	s.want(400, "IncompleteBody", http.MethodPut, "/trail/bad", h(5, "x-amz-checksum-crc32"), chunked("body", "x-amz-checksum-crc32:"+sum))
	s.want(400, "IncompleteBody", http.MethodPut, "/trail/bad", h(3, "x-amz-checksum-crc32"), chunked("body", "x-amz-checksum-crc32:"+sum))
	s.want(400, "InvalidRequest", http.MethodPut, "/trail/bad", h(4, "x-amz-meta-x"), chunked("body", "x-amz-meta-x:1"))
	s.want(404, "NoSuchKey", http.MethodGet, "/trail/bad", nil, "")
}
