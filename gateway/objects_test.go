package gateway_test

import (
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestKeysAreAnyBytes(t *testing.T) {
	s := start(t, nil)
	s.bucket("keys")
	for _, key := range []string{
		"a/b", "a/b/c", "//", "/", ".", "..", "a/../b", "./x", "a//b", "+", "a b", "a+b", "a%2Fb", "%", "ü/日本", "a|b%", "x?y", "~",
		"a&b=c", "#", "\x01", "WriteGetObjectResponse", strings.Repeat("k", 1024), strings.Repeat("ü", 512),
	} {
		path := "/keys/" + escaped(key)
		r := s.want(200, "", http.MethodPut, path, nil, "v:"+key)
		sum := md5.Sum([]byte("v:" + key)) //nolint:gosec // S3's ETag
		if r.header.Get("Etag") != `"`+hex.EncodeToString(sum[:])+`"` {
			t.Errorf("%q: ETag %s", key, r.header.Get("Etag"))
		}
		if r := s.want(200, "", http.MethodGet, path, nil, ""); r.body != "v:"+key {
			t.Errorf("%q: got %q", key, r.body)
		}
	}
	s.want(400, "KeyTooLongError", http.MethodPut, "/keys/"+strings.Repeat("k", 1025), nil, "")
	s.want(400, "KeyTooLongError", http.MethodPut, "/keys/"+escaped(strings.Repeat("ü", 512)+"x"), nil, "")
	s.want(404, "NoSuchKey", http.MethodGet, "/keys/none", nil, "")
	s.want(404, "NoSuchBucket", http.MethodGet, "/nokeys/none", nil, "")
	s.want(404, "NoSuchBucket", http.MethodPut, "/nokeys/none", nil, "x")
	if r := s.want(404, "", http.MethodHead, "/keys/none", nil, ""); r.body != "" {
		t.Errorf("HEAD has a body: %q", r.body)
	}
}

func TestAttributesComeBack(t *testing.T) {
	s := start(t, nil)
	s.bucket("attr")
	in := headers{
		"Content-Type": "text/x", "Cache-Control": "no-cache", "Content-Disposition": "attachment", "Content-Language": "de",
		"Content-Encoding": "aws-chunked, gzip", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "X-Amz-Meta-One": "1", "X-Amz-Meta-Two": "zwei  drei",
		"X-Amz-Storage-Class": "STANDARD_IA", "X-Amz-Website-Redirect-Location": "/other", "X-Amz-Tagging": "a=b&c=d", "X-Amz-Acl": "private",
	}
	s.want(200, "", http.MethodPut, "/attr/k", in, "data")
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r := s.want(200, "", method, "/attr/k", nil, "")
		want := map[string]string{
			"Content-Encoding": "gzip", "X-Amz-Tagging-Count": "2", "Accept-Ranges": "bytes", "Content-Length": "4",
			"X-Amz-Version-Id": "", "Server": "Contender",
		}
		for k, v := range in {
			if k != "X-Amz-Tagging" && k != "X-Amz-Acl" && k != "Content-Encoding" {
				want[k] = v
			}
		}
		for k, v := range want {
			if r.header.Get(k) != v {
				t.Errorf("%s: %s is %q, want %q", method, k, r.header.Get(k), v)
			}
		}
		if _, err := time.Parse(http.TimeFormat, r.header.Get("Last-Modified")); err != nil {
			t.Errorf("Last-Modified: %v", err)
		}
	}
	s.want(200, "", http.MethodPut, "/attr/plain", headers{"Content-Encoding": "aws-chunked", "X-Amz-Storage-Class": "STANDARD"}, "data")
	r := s.want(200, "", http.MethodGet, "/attr/plain", nil, "")
	if r.header.Get("Content-Type") != "binary/octet-stream" || r.header.Get("Content-Encoding") != "" || r.header.Get("X-Amz-Storage-Class") != "" {
		t.Errorf("plain object: %v", r.header)
	}
	q := "?response-content-type=a/b&response-cache-control=c&response-content-disposition=d&response-content-encoding=e&response-content-language=f&response-expires=g"
	r = s.want(200, "", http.MethodGet, "/attr/k"+q, nil, "")
	for k, v := range map[string]string{
		"Content-Type": "a/b", "Cache-Control": "c", "Content-Disposition": "d", "Content-Encoding": "e", "Content-Language": "f", "Expires": "g",
	} {
		if r.header.Get(k) != v {
			t.Errorf("override of %s: %q", k, r.header.Get(k))
		}
	}
	s.want(400, "InvalidArgument", http.MethodGet, "/attr/k?response-content-type=a%0d%0aX-Evil:1", nil, "")
}

// A header that changes what a request means is carried out or refused.
func TestHeadersThatChangeMeaning(t *testing.T) {
	s := start(t, nil)
	s.bucket("mean")
	for _, c := range []struct {
		name, value string
		status      int
		code        string
	}{
		{"X-Amz-Server-Side-Encryption", "AES256", 501, "NotImplemented"},
		{"X-Amz-Server-Side-Encryption-Customer-Key", "secret", 501, "NotImplemented"},
		{"X-Amz-Object-Lock-Mode", "GOVERNANCE", 501, "NotImplemented"},
		{"X-Amz-Object-Lock-Legal-Hold", "ON", 501, "NotImplemented"},
		{"X-Amz-Acl", "public-read", 501, "NotImplemented"},
		{"X-Amz-Grant-Read", "id=x", 501, "NotImplemented"},
		{"X-Amz-Write-Offset-Bytes", "0", 501, "NotImplemented"},
		{"X-Amz-Storage-Class", "GLACIER", 501, "NotImplemented"},
		{"X-Amz-Storage-Class", "NONSENSE", 400, "InvalidStorageClass"},
		{"X-Amz-Checksum-Sha512", "AAAA", 501, "NotImplemented"},
		{"X-Amz-Website-Redirect-Location", "ftp://x", 400, "InvalidArgument"},
		{"X-Amz-Tagging", "a=b&a=c", 400, "InvalidTag"},
		{"X-Amz-Tagging", "a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1&k=1", 400, "BadRequest"},
		{"X-Amz-Tagging", "aws:a=b", 400, "InvalidTag"},
		{"X-Amz-Meta-Big", strings.Repeat("x", 2048), 400, "MetadataTooLarge"},
		{"If-Modified-Since", "Thu, 01 Dec 2033 16:00:00 GMT", 501, "NotImplemented"},
		{"If-Unmodified-Since", "Thu, 01 Dec 2033 16:00:00 GMT", 501, "NotImplemented"},
		{"If-None-Match", `"abc"`, 501, "NotImplemented"},
		{"Content-Range", "bytes 0-3/8", 501, "NotImplemented"},
		{"X-Amz-Expected-Bucket-Owner", "somebody", 403, "AccessDenied"},
		{"X-Amz-Expected-Bucket-Owner", "root", 200, ""},
		{"X-Amz-Acl", "bucket-owner-full-control", 200, ""},
	} {
		r := s.want(c.status, c.code, http.MethodPut, "/mean/k", headers{c.name: c.value}, "body")
		if strings.Contains(r.body, "secret") {
			t.Errorf("%s: the key is repeated: %s", c.name, r.body)
		}
	}
	s.want(501, "NotImplemented", http.MethodGet, "/mean/k", headers{"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256"}, "")
	s.want(501, "NotImplemented", http.MethodDelete, "/mean/k", headers{"If-None-Match": "*"}, "")
	s.want(501, "NotImplemented", http.MethodPost, "/mean/k?uploads", headers{"If-Match": "*"}, "")
	s.want(501, "NotImplemented", http.MethodPut, "/mean", headers{"X-Amz-Bucket-Object-Lock-Enabled": "true"}, "")
	s.want(400, "InvalidArgument", http.MethodPut, "/mean", headers{"X-Contender-Policy": "ec:2"}, "")
	s.want(400, "InvalidArgument", http.MethodPut, "/mean", headers{"X-Contender-Short": "perhaps"}, "")
}

func TestRanges(t *testing.T) {
	s := start(t, nil)
	s.bucket("range")
	s.want(200, "", http.MethodPut, "/range/k", nil, "0123456789")
	s.want(200, "", http.MethodPut, "/range/empty", nil, "")
	for _, c := range []struct{ in, body, contentRange string }{
		{"bytes=0-0", "0", "bytes 0-0/10"},
		{"bytes=2-4", "234", "bytes 2-4/10"},
		{"bytes=5-", "56789", "bytes 5-9/10"},
		{"bytes=-3", "789", "bytes 7-9/10"},
		{"bytes=-30", "0123456789", "bytes 0-9/10"},
		{"bytes=8-99", "89", "bytes 8-9/10"},
		{"bytes=5-2", "0123456789", ""},
		{"bytes=0-1,3-4", "0123456789", ""},
		{"items=0-1", "0123456789", ""},
	} {
		status := 206
		if c.contentRange == "" {
			status = 200
		}
		r := s.want(status, "", http.MethodGet, "/range/k", headers{"Range": c.in}, "")
		if r.body != c.body || r.header.Get("Content-Range") != c.contentRange {
			t.Errorf("%s: %q, %q", c.in, r.body, r.header.Get("Content-Range"))
		}
	}
	for _, in := range []string{"bytes=10-", "bytes=-0", "bytes=99-100"} {
		r := s.want(416, "InvalidRange", http.MethodGet, "/range/k", headers{"Range": in}, "")
		if !strings.Contains(r.body, "<RangeRequested>"+in+"</RangeRequested><ActualObjectSize>10</ActualObjectSize>") {
			t.Errorf("%s: %s", in, r.body)
		}
	}
	s.want(416, "InvalidRange", http.MethodGet, "/range/empty", headers{"Range": "bytes=0-0"}, "")
	r := s.want(206, "", http.MethodHead, "/range/k", headers{"Range": "bytes=2-4"}, "")
	if r.header.Get("Content-Length") != "3" || r.header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("HEAD of a range: %v", r.header)
	}
	s.want(206, "", http.MethodGet, "/range/k?partNumber=1", nil, "")
	s.want(416, "InvalidPartNumber", http.MethodGet, "/range/k?partNumber=2", nil, "")
	s.want(400, "InvalidArgument", http.MethodGet, "/range/k?partNumber=0", nil, "")
	s.want(400, "InvalidRequest", http.MethodGet, "/range/k?partNumber=1", headers{"Range": "bytes=0-1"}, "")
}

func TestReadConditions(t *testing.T) {
	s := start(t, nil)
	s.bucket("cond")
	tag := s.want(200, "", http.MethodPut, "/cond/k", headers{"Cache-Control": "max-age=1"}, "x").header.Get("Etag")
	past, future := "Thu, 01 Dec 1994 16:00:00 GMT", "Thu, 01 Dec 2033 16:00:00 GMT"
	for _, c := range []struct {
		h      headers
		status int
		code   string
	}{
		{headers{"If-Match": tag}, 200, ""},
		{headers{"If-Match": strings.Trim(tag, `"`)}, 200, ""},
		{headers{"If-Match": "*"}, 200, ""},
		{headers{"If-Match": `"other", ` + tag}, 200, ""},
		{headers{"If-Match": `"other"`}, 412, "PreconditionFailed"},
		{headers{"If-None-Match": `"other"`}, 200, ""},
		{headers{"If-None-Match": tag}, 304, ""},
		{headers{"If-None-Match": "*"}, 304, ""},
		{headers{"If-Modified-Since": future}, 304, ""},
		{headers{"If-Modified-Since": past}, 200, ""},
		{headers{"If-Unmodified-Since": past}, 412, "PreconditionFailed"},
		{headers{"If-Unmodified-Since": future}, 200, ""},
		{headers{"If-Match": tag, "If-Unmodified-Since": past}, 200, ""},
		{headers{"If-None-Match": `"other"`, "If-Modified-Since": future}, 200, ""},
		{headers{"If-Match": ""}, 400, "InvalidArgument"},
		{headers{"If-Modified-Since": "yesterday"}, 400, "InvalidArgument"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r := s.want(c.status, c.code, method, "/cond/k", c.h, "")
			if c.status == 304 && (r.header.Get("Etag") != tag || r.header.Get("Last-Modified") == "" || r.header.Get("Cache-Control") != "max-age=1" || r.body != "") {
				t.Errorf("%v: 304 with %v %q", c.h, r.header, r.body)
			}
		}
	}
}

func TestWriteConditions(t *testing.T) {
	s := start(t, nil)
	s.bucket("cond")
	s.want(404, "NoSuchKey", http.MethodPut, "/cond/k", headers{"If-Match": `"abc"`}, "1")
	tag := s.want(200, "", http.MethodPut, "/cond/k", headers{"If-None-Match": "*"}, "1").header.Get("Etag")
	s.want(412, "PreconditionFailed", http.MethodPut, "/cond/k", headers{"If-None-Match": "*"}, "2")
	s.want(412, "PreconditionFailed", http.MethodPut, "/cond/k", headers{"If-Match": `"abc"`}, "2")
	s.want(200, "", http.MethodPut, "/cond/k", headers{"If-Match": tag}, "1")
	s.want(412, "PreconditionFailed", http.MethodDelete, "/cond/k", headers{"If-Match": `"abc"`}, "")
	s.want(412, "PreconditionFailed", http.MethodDelete, "/cond/k", headers{"X-Amz-If-Match-Size": "7"}, "")
	s.want(400, "InvalidArgument", http.MethodDelete, "/cond/k", headers{"X-Amz-If-Match-Size": "x"}, "")
	if r := s.want(200, "", http.MethodGet, "/cond/k", nil, ""); r.body != "1" {
		t.Errorf("a refused write changed the object: %q", r.body)
	}
	s.want(412, "PreconditionFailed", http.MethodPut, "/cond/k", headers{"X-Amz-Copy-Source": "cond/k", "If-None-Match": "*", "X-Amz-Metadata-Directive": "REPLACE"}, "")
	s.want(204, "", http.MethodDelete, "/cond/k", headers{"If-Match": "*", "X-Amz-If-Match-Size": "1"}, "")
	s.want(204, "", http.MethodDelete, "/cond/k", nil, "")
}

func TestDigestsAreVerified(t *testing.T) {
	s := start(t, nil)
	s.bucket("sum")
	sum := md5.Sum([]byte("body")) //nolint:gosec // S3's Content-MD5
	good, bad := base64.StdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(make([]byte, 16))
	s.want(200, "", http.MethodPut, "/sum/md5", headers{"Content-Md5": good}, "body")
	s.want(400, "BadDigest", http.MethodPut, "/sum/bad", headers{"Content-Md5": bad}, "body")
	s.want(400, "InvalidDigest", http.MethodPut, "/sum/bad", headers{"Content-Md5": "nonsense"}, "body")
	s.want(400, "BadDigest", http.MethodPut, "/sum/bad", headers{"X-Amz-Checksum-Crc32": "AAAAAA=="}, "body")
	s.want(400, "InvalidRequest", http.MethodPut, "/sum/bad", headers{"X-Amz-Checksum-Crc32": "AA=="}, "body")
	s.want(400, "InvalidRequest", http.MethodPut, "/sum/bad", headers{"X-Amz-Checksum-Crc32": "AAAAAA==", "X-Amz-Checksum-Crc32c": "AAAAAA=="}, "body")
	s.want(400, "InvalidRequest", http.MethodPut, "/sum/bad", headers{"X-Amz-Sdk-Checksum-Algorithm": "CRC32"}, "body")
	s.want(400, "XAmzContentSHA256Mismatch", http.MethodPut, "/sum/bad", headers{"X-Amz-Content-Sha256": strings.Repeat("0", 64)}, "body")
	s.want(404, "NoSuchKey", http.MethodGet, "/sum/bad", nil, "")

	s.want(200, "", http.MethodPut, "/sum/nine", nil, "123456789")
	crc := base64.StdEncoding.EncodeToString([]byte{0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88})
	r := s.want(200, "", http.MethodGet, "/sum/nine", headers{"X-Amz-Checksum-Mode": "ENABLED"}, "")
	if r.header.Get("X-Amz-Checksum-Crc64nvme") != crc || r.header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
		t.Errorf("the checksum of an object without one: %v", r.header)
	}
	if r := s.want(200, "", http.MethodHead, "/sum/nine", nil, ""); r.header.Get("X-Amz-Checksum-Crc64nvme") != "" {
		t.Errorf("a checksum that nobody asked for: %v", r.header)
	}
	if r := s.want(206, "", http.MethodGet, "/sum/nine", headers{"X-Amz-Checksum-Mode": "ENABLED", "Range": "bytes=1-2"}, ""); r.header.Get("X-Amz-Checksum-Crc64nvme") != "" {
		t.Errorf("a range has the whole's checksum: %v", r.header)
	}
}

func TestCopy(t *testing.T) {
	s := start(t, nil)
	s.bucket("copy")
	tag := s.want(200, "", http.MethodPut, "/copy/a%20b%2Bc", headers{"X-Amz-Meta-M": "1", "Content-Type": "x/y"}, "body").header.Get("Etag")
	src := "/copy/a%20b%2Bc"
	r := s.want(200, "", http.MethodPut, "/copy/to", headers{"X-Amz-Copy-Source": src}, "")
	if !strings.Contains(r.body, "<CopyObjectResult") || !strings.Contains(r.body, "&quot;"+strings.Trim(tag, `"`)+"&quot;") {
		t.Errorf("result: %s", r.body)
	}
	if r := s.want(200, "", http.MethodGet, "/copy/to", nil, ""); r.body != "body" || r.header.Get("X-Amz-Meta-M") != "1" || r.header.Get("Content-Type") != "x/y" {
		t.Errorf("the copy: %q %v", r.body, r.header)
	}
	s.want(200, "", http.MethodPut, "/copy/to", headers{"X-Amz-Copy-Source": src, "X-Amz-Metadata-Directive": "REPLACE", "X-Amz-Meta-N": "2"}, "")
	if r := s.want(200, "", http.MethodHead, "/copy/to", nil, ""); r.header.Get("X-Amz-Meta-M") != "" || r.header.Get("X-Amz-Meta-N") != "2" {
		t.Errorf("replaced metadata: %v", r.header)
	}
	past, future := "Thu, 01 Dec 1994 16:00:00 GMT", "Thu, 01 Dec 2033 16:00:00 GMT"
	for _, c := range []struct {
		h      headers
		status int
		code   string
	}{
		{headers{"X-Amz-Copy-Source-If-Match": tag}, 200, ""},
		{headers{"X-Amz-Copy-Source-If-Match": `"x"`}, 412, "PreconditionFailed"},
		{headers{"X-Amz-Copy-Source-If-None-Match": tag}, 412, "PreconditionFailed"},
		{headers{"X-Amz-Copy-Source-If-None-Match": tag, "X-Amz-Copy-Source-If-Modified-Since": past}, 412, "PreconditionFailed"},
		{headers{"X-Amz-Copy-Source-If-Modified-Since": future}, 412, "PreconditionFailed"},
		{headers{"X-Amz-Copy-Source-If-Match": tag, "X-Amz-Copy-Source-If-Unmodified-Since": past}, 200, ""},
		{headers{"X-Amz-Metadata-Directive": "OTHER"}, 400, "InvalidArgument"},
		{headers{"X-Amz-Copy-Source": "copy"}, 400, "InvalidArgument"},
		{headers{"X-Amz-Copy-Source": "copy/none"}, 404, "NoSuchKey"},
		{headers{"X-Amz-Copy-Source": "nocopy/none"}, 404, "NoSuchBucket"},
		{headers{"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key": "x"}, 501, "NotImplemented"},
		{headers{"X-Amz-Source-Expected-Bucket-Owner": "other"}, 403, "AccessDenied"},
	} {
		if c.h["X-Amz-Copy-Source"] == "" {
			c.h["X-Amz-Copy-Source"] = src
		}
		r := s.want(c.status, c.code, http.MethodPut, "/copy/to", c.h, "")
		if c.status == 412 && !strings.Contains(r.body, "<Condition>x-amz-copy-source-If-") {
			t.Errorf("%v: the condition is not named: %s", c.h, r.body)
		}
	}
	s.want(400, "InvalidRequest", http.MethodPut, src, headers{"X-Amz-Copy-Source": src}, "")
	s.want(400, "InvalidRequest", http.MethodPut, "/copy/to", headers{"X-Amz-Copy-Source": src}, "a body")
}
