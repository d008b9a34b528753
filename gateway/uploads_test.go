package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/gateway"
	"github.com/contender/contender/objectlayer"
)

func (s *server) upload(path string, h headers) string {
	s.t.Helper()
	return element(s.want(200, "", http.MethodPost, path+"?uploads", h, ""), "UploadId")
}

func completion(tags ...string) string {
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for i, tag := range tags {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, tag)
	}
	return b.String() + "</CompleteMultipartUpload>"
}

func TestMultipart(t *testing.T) {
	s := start(t, nil)
	s.bucket("mup")
	id := s.upload("/mup/k", headers{"Content-Type": "a/b", "X-Amz-Meta-M": "1"})
	part := func(n int, body string) string {
		t.Helper()
		return s.want(200, "", http.MethodPut, fmt.Sprintf("/mup/k?partNumber=%d&uploadId=%s", n, id), nil, body).header.Get("Etag")
	}
	big := string(pattern(5 << 20))
	part(1, "replaced")
	one, two := part(1, big), part(2, "tail")
	path := "/mup/k?uploadId=" + id
	s.want(404, "NoSuchKey", http.MethodGet, "/mup/k", nil, "")
	s.want(400, "InvalidPart", http.MethodPost, path, nil, completion(one, `"0123"`))
	s.want(400, "InvalidPartOrder", http.MethodPost, path, nil,
		`<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>x</ETag></Part><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>`)
	s.want(400, "MalformedXML", http.MethodPost, path, nil, "<CompleteMultipartUpload/>")
	s.want(400, "MalformedXML", http.MethodPost, path, nil, "")
	s.want(400, "InvalidRequest", http.MethodPost, path, headers{"X-Amz-Mp-Object-Size": "7"}, completion(one, two))
	s.want(400, "InvalidArgument", http.MethodPost, path, headers{"X-Amz-Mp-Object-Size": "x"}, completion(one, two))
	s.want(404, "NoSuchUpload", http.MethodPost, "/mup/k?uploadId=none", nil, completion(one, two))
	s.want(404, "NoSuchKey", http.MethodPost, path, headers{"If-Match": `"x"`}, completion(one, two))
	for range 2 { // a repeated completion succeeds
		r := s.want(200, "", http.MethodPost, path, headers{"If-None-Match": "*", "X-Amz-Mp-Object-Size": fmt.Sprint(len(big) + 4)}, completion(one, two))
		if !strings.HasSuffix(element(r, "ETag"), "-2&quot;") || element(r, "Location") != s.http.URL+"/mup/k" || element(r, "ChecksumType") != "FULL_OBJECT" {
			t.Errorf("result: %s", r.body)
		}
	}
	r := s.want(200, "", http.MethodGet, "/mup/k", nil, "")
	if r.body != big+"tail" || r.header.Get("Content-Type") != "a/b" || r.header.Get("X-Amz-Meta-M") != "1" {
		t.Errorf("object: %d bytes, %v", len(r.body), r.header)
	}
	r = s.want(206, "", http.MethodGet, "/mup/k?partNumber=2", headers{"X-Amz-Checksum-Mode": "ENABLED"}, "")
	if r.body != "tail" || r.header.Get("X-Amz-Mp-Parts-Count") != "2" || r.header.Get("X-Amz-Checksum-Crc64nvme") == "" {
		t.Errorf("part 2: %q %v", r.body, r.header)
	}
	if r := s.want(206, "", http.MethodHead, "/mup/k?partNumber=1", nil, ""); r.header.Get("Content-Length") != fmt.Sprint(len(big)) {
		t.Errorf("HEAD of part 1: %v", r.header)
	}
	s.want(416, "InvalidPartNumber", http.MethodGet, "/mup/k?partNumber=3", nil, "")
}

func TestPartRules(t *testing.T) {
	s := start(t, nil)
	s.bucket("mup")
	id := s.upload("/mup/k", nil)
	for _, q := range []string{"partNumber=0", "partNumber=10001", "partNumber=x"} {
		s.want(400, "InvalidArgument", http.MethodPut, "/mup/k?"+q+"&uploadId="+id, nil, "x")
	}
	s.want(400, "InvalidArgument", http.MethodPut, "/mup/k?partNumber=1", nil, "x")
	s.want(400, "InvalidArgument", http.MethodPut, "/mup/k?uploadId="+id, nil, "x")
	s.want(404, "NoSuchUpload", http.MethodPut, "/mup/k?partNumber=1&uploadId=none", nil, "x")
	s.want(404, "NoSuchUpload", http.MethodPut, "/mup/k?partNumber=1&uploadId=", nil, "x")
	s.want(400, "BadDigest", http.MethodPut, "/mup/k?partNumber=1&uploadId="+id, headers{"X-Amz-Checksum-Crc32": "AAAAAA=="}, "x")
	a := s.want(200, "", http.MethodPut, "/mup/k?partNumber=1&uploadId="+id, nil, "x").header.Get("Etag")
	b := s.want(200, "", http.MethodPut, "/mup/k?partNumber=2&uploadId="+id, nil, "y").header.Get("Etag")
	s.want(400, "EntityTooSmall", http.MethodPost, "/mup/k?uploadId="+id, nil, completion(a, b))
	s.want(204, "", http.MethodDelete, "/mup/k?uploadId="+id, nil, "")
	s.want(404, "NoSuchUpload", http.MethodDelete, "/mup/k?uploadId="+id, nil, "")
	s.want(404, "NoSuchUpload", http.MethodPost, "/mup/k?uploadId="+id, nil, completion(a))
	s.want(400, "InvalidRequest", http.MethodPost, "/mup/k?uploads", headers{"X-Amz-Checksum-Algorithm": "MD4"}, "")
	s.want(400, "InvalidRequest", http.MethodPost, "/mup/k?uploads", headers{"X-Amz-Checksum-Algorithm": "SHA1", "X-Amz-Checksum-Type": "FULL_OBJECT"}, "")
}

func TestUploadPartCopy(t *testing.T) {
	s := start(t, nil)
	s.bucket("mup")
	s.want(200, "", http.MethodPut, "/mup/src", nil, "0123456789")
	id := s.upload("/mup/k", nil)
	path := "/mup/k?partNumber=1&uploadId=" + id
	s.want(200, "", http.MethodPut, path, headers{"X-Amz-Copy-Source": "mup/src"}, "")
	for _, bad := range []string{"bytes=5-", "bytes=-5", "5-6", "bytes=0-10", "bytes=10-11"} {
		s.want(400, "InvalidArgument", http.MethodPut, path, headers{"X-Amz-Copy-Source": "mup/src", "X-Amz-Copy-Source-Range": bad}, "")
	}
	s.want(412, "PreconditionFailed", http.MethodPut, path, headers{"X-Amz-Copy-Source": "mup/src", "X-Amz-Copy-Source-If-Match": `"x"`}, "")
	s.want(404, "NoSuchKey", http.MethodPut, path, headers{"X-Amz-Copy-Source": "mup/none"}, "")
	r := s.want(200, "", http.MethodPut, path, headers{"X-Amz-Copy-Source": "mup/src", "X-Amz-Copy-Source-Range": "bytes=2-5"}, "")
	if !strings.Contains(r.body, "<CopyPartResult") {
		t.Errorf("result: %s", r.body)
	}
	tag := strings.ReplaceAll(element(r, "ETag"), "&quot;", `"`)
	s.want(200, "", http.MethodPost, "/mup/k?uploadId="+id, nil, completion(tag))
	if r := s.want(200, "", http.MethodGet, "/mup/k", nil, ""); r.body != "2345" {
		t.Errorf("object: %q", r.body)
	}
}

// slowUploads answers a completion when it is told to.
type slowUploads struct {
	objectlayer.Uploads
	release chan error
}

func (u slowUploads) Complete(ctx context.Context, _ objectlayer.CompleteRequest) (objectlayer.Version, error) {
	select {
	case err := <-u.release:
		if err != nil && err.Error() == "panic" {
			panic(err)
		}
		return objectlayer.Version{ETag: objectlayer.ETag{Parts: 1}}, err
	case <-ctx.Done():
		u.release <- ctx.Err()
		return objectlayer.Version{}, ctx.Err()
	}
}

// A completion that takes long sends 200 and blanks, then the result or an error as the body.
func TestSlowCompletionKeepsTheLineAlive(t *testing.T) {
	release := make(chan error)
	s := start(t, func(o *gateway.Options) {
		o.Limits.KeepAliveInterval = 5 * time.Millisecond
		o.Uploads = slowUploads{o.Uploads, release}
	})
	s.bucket("mup")
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "<CompleteMultipartUploadResult "},
		{&objectlayer.Error{Kind: objectlayer.KindInvalidPart}, "<Error><Code>InvalidPart</Code>"},
		{errors.New("panic"), "<Error><Code>InternalError</Code>"},
	} {
		r := s.request(http.MethodPost, "/mup/k?uploadId=u", nil, completion("x"))
		sign(t, r, completion("x"))
		resp, err := s.raw.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		head := make([]byte, 60)
		for n := 0; n < len(head); { // blanks arrive while the completion is at work
			m, err := resp.Body.Read(head[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
		release <- c.err
		body := string(head) + string(mustRead(t, resp.Body))
		rest, ok := strings.CutPrefix(body, `<?xml version="1.0" encoding="UTF-8"?>`+"\n ")
		if !ok || !strings.HasPrefix(strings.TrimLeft(rest, " "), c.want) {
			t.Errorf("%v: %q", c.err, body)
		}
	}

	// The client leaves: the work is told.
	r := s.request(http.MethodPost, "/mup/k?uploadId=u", nil, completion("x"))
	sign(t, r, completion("x"))
	resp, err := s.raw.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := <-release; !errors.Is(err, context.Canceled) {
		t.Errorf("the work ended with %v", err)
	}
}
