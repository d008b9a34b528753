package gateway_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/contender/contender/gateway"
)

// Whatever the request line and headers are, the answer is S3's: no panic, a status, ids, and an error document.
func FuzzRawRequest(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT /b/k?partNumber=1&uploadId=x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"GET /b/%2F..//?acl&versionId=&x HTTP/1.1\r\nHost: b.s3.test\r\nRange: bytes=0-\r\n\r\n",
		"POST /b?delete HTTP/1.1\r\nHost: a\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0\r\n\r\n",
		"GET /b?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Date=x&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=0 HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT /b/k HTTP/1.1\r\nHost: a\r\nX-Amz-Copy-Source: %zz\r\nIf-Match: \"\"\r\nContent-Md5: x\r\nX-Amz-Checksum-Crc32: y\r\n\r\n",
		"PUT /fuzz/k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-Amz-Meta-A: b\r\nX-Amz-Tagging: a=b\r\nIf-None-Match: *\r\n\r\nabc",
		"PUT /fuzz/k2 HTTP/1.1\r\nHost: a\r\nX-Amz-Copy-Source: fuzz/kept?versionId=null\r\nX-Amz-Metadata-Directive: REPLACE\r\nX-Amz-Copy-Source-If-Match: *\r\n\r\n",
		"GET /fuzz/kept?partNumber=1&response-expires=x HTTP/1.1\r\nHost: a\r\nX-Amz-Checksum-Mode: ENABLED\r\n\r\n",
		"HEAD /fuzz/kept HTTP/1.1\r\nHost: a\r\nRange: bytes=-2\r\nIf-Modified-Since: x\r\n\r\n",
		"GET /fuzz?list-type=2&prefix=k&delimiter=/&max-keys=1&continuation-token=x&encoding-type=url HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /fuzz?uploads&key-marker=a&upload-id-marker=b&max-uploads=1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /fuzz/m?uploads HTTP/1.1\r\nHost: a\r\nX-Amz-Checksum-Algorithm: SHA256\r\n\r\n",
		"POST /fuzz/m?uploadId=x HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\n<CompleteMultipartUpload/>",
		"POST /fuzz?delete HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nContent-MD5: x\r\n\r\n<Delete/>",
		"DELETE /fuzz/k?versionId=x HTTP/1.1\r\nHost: a\r\nX-Amz-If-Match-Size: 1\r\n\r\n",
		"OPTIONS /b HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://x/y?z HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /-/x HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	s := start(f, func(o *gateway.Options) { o.Hosts = []string{"s3.test"} })
	s.bucket("fuzz")
	s.want(200, "", http.MethodPut, "/fuzz/kept", nil, "kept")
	handler := s.http.Config.Handler
	f.Fuzz(func(t *testing.T, raw string, signed bool) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil || r.Host == "" {
			return
		}
		if signed && r.URL.Host == "" && strings.HasPrefix(r.URL.Path, "/") {
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			sign(t, r, "")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Header().Get("X-Amz-Request-Id") == "" || w.Header().Get("X-Amz-Id-2") == "" || w.Code < 200 {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		if w.Code == http.StatusInternalServerError {
			t.Fatalf("internal: %s", w.Body)
		}
		if w.Code >= 400 && r.Method != http.MethodHead && (reply{body: w.Body.String()}).code() == "" {
			t.Fatalf("%d without an S3 error: %q", w.Code, w.Body)
		}
	})
}
