package wire

import (
	"errors"
	"mime"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRange(t *testing.T) {
	for _, c := range []struct {
		header         string
		size           int64
		offset, length int64
		whole          bool
		code           Code
	}{
		{"bytes=0-4", 10, 0, 5, false, ""},
		{"bytes=9-9", 10, 9, 1, false, ""},
		{"bytes=5-", 10, 5, 5, false, ""},
		{"bytes=5-100", 10, 5, 5, false, ""},
		{"bytes=0-99999999999999999999", 10, 0, 10, false, ""},
		{"bytes=-3", 10, 7, 3, false, ""},
		{"bytes=-30", 10, 0, 10, false, ""},
		{" bytes=0-0 ", 10, 0, 1, false, ""},
		{"bytes=10-", 10, 0, 0, false, InvalidRange},
		{"bytes=10-12", 10, 0, 0, false, InvalidRange},
		{"bytes=99999999999999999999-", 10, 0, 0, false, InvalidRange},
		{"bytes=-0", 10, 0, 0, false, InvalidRange},
		{"bytes=0-", 0, 0, 0, false, InvalidRange},
		{"bytes=-1", 0, 0, 0, false, InvalidRange},
		{"", 10, 0, 0, true, ""},
		{"bytes=0-1,3-4", 10, 0, 0, true, ""},
		{"bytes=4-3", 10, 0, 0, true, ""},
		{"bytes=-", 10, 0, 0, true, ""},
		{"bytes=a-b", 10, 0, 0, true, ""},
		{"bytes=--1", 10, 0, 0, true, ""},
		{"bytes=+1-2", 10, 0, 0, true, ""},
		{"bytes=1", 10, 0, 0, true, ""},
		{"items=0-1", 10, 0, 0, true, ""},
		{"Bytes 0-1", 10, 0, 0, true, ""},
	} {
		r, ok := ParseRange(c.header)
		if ok == c.whole {
			t.Errorf("%q: ok %v", c.header, ok)
			continue
		}
		if c.whole {
			continue
		}
		offset, length, err := r.Resolve(c.size)
		if offset != c.offset || length != c.length || (err == nil) != (c.code == "") || err != nil && !errors.Is(err, c.code) {
			t.Errorf("%q of %d = %d+%d, %v", c.header, c.size, offset, length, err)
		}
	}
	_, _, err := Range{First: 20, Last: -1}.Resolve(10)
	if e := AsError(err); e.Field("ActualObjectSize") != "10" || e.Field("RangeRequested") != "bytes=20-" {
		t.Errorf("%+v", e)
	}
	if got := ContentRange(5, 5, 10); got != "bytes 5-9/10" {
		t.Error(got)
	}
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=1-2", int64(5))
	f.Add("bytes=-0", int64(0))
	f.Add("bytes=9223372036854775807-", int64(1)<<62)
	f.Fuzz(func(t *testing.T, header string, size int64) {
		r, ok := ParseRange(header)
		if !ok || size < 0 {
			return
		}
		offset, length, err := r.Resolve(size)
		if err == nil && (offset < 0 || length < 1 || length > size || offset > size-length) {
			t.Fatalf("%q of %d = %d+%d", header, size, offset, length)
		}
		if again, ok := ParseRange(r.String()); !ok || again != r {
			t.Fatalf("%+v written as %s", r, r)
		}
	})
}

func TestCopySourceRange(t *testing.T) {
	header := func(v string) http.Header { return http.Header{HeaderCopySourceRange: {v}} }
	r, ok, err := ParseCopySourceRange(header("bytes=2-5"))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if offset, length, err := r.ResolveCopy(6); offset != 2 || length != 4 || err != nil {
		t.Error(offset, length, err)
	}
	if _, _, err := r.ResolveCopy(5); !errors.Is(err, InvalidArgument) {
		t.Error(err)
	}
	if _, ok, err := ParseCopySourceRange(http.Header{}); ok || err != nil {
		t.Error(ok, err)
	}
	for _, bad := range []string{"", "bytes=2-", "bytes=-2", "bytes=3-2", "bytes=0-1,2-3", "0-1"} {
		if _, _, err := ParseCopySourceRange(header(bad)); !errors.Is(err, InvalidArgument) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestReadConditions(t *testing.T) {
	modified := time.Date(2026, 8, 3, 4, 5, 6, 700, time.UTC)
	const same, earlier, later = "Mon, 03 Aug 2026 04:05:06 GMT", "Mon, 03 Aug 2026 04:05:05 GMT", "Mon, 03 Aug 2026 04:05:07 GMT"
	for _, c := range []struct {
		match, noneMatch, since, unmodified string
		read                                Code
		copied                              Code
	}{
		{"", "", "", "", "", ""},
		{`"e"`, "", "", "", "", ""},
		{`e`, "", "", "", "", ""},
		{`"x", "e"`, "", "", "", "", ""},
		{`*`, "", "", "", "", ""},
		{`W/"e"`, "", "", "", PreconditionFailed, PreconditionFailed},
		{`"x"`, "", "", "", PreconditionFailed, PreconditionFailed},
		{"", `"e"`, "", "", NotModified, PreconditionFailed},
		{"", `W/"e"`, "", "", NotModified, PreconditionFailed},
		{"", `*`, "", "", NotModified, PreconditionFailed},
		{"", `"x"`, "", "", "", ""},
		{"", "", same, "", NotModified, PreconditionFailed},
		{"", "", later, "", NotModified, PreconditionFailed},
		{"", "", earlier, "", "", ""},
		{"", "", "", same, "", ""},
		{"", "", "", earlier, PreconditionFailed, PreconditionFailed},
		{`"e"`, "", "", earlier, "", ""},                          // If-Match overrides
		{"", `"x"`, later, "", "", ""},                            // If-None-Match overrides
		{"", `"e"`, earlier, "", NotModified, PreconditionFailed}, // and is judged first
	} {
		get := func(prefix string) http.Header {
			h := http.Header{}
			for name, v := range map[string]string{"If-Match": c.match, "If-None-Match": c.noneMatch, "If-Modified-Since": c.since, "If-Unmodified-Since": c.unmodified} {
				if v != "" {
					h.Set(prefix+name, v)
				}
			}
			return h
		}
		conditions, err := ParseConditions(get(""))
		if err != nil {
			t.Fatal(err)
		}
		if err := conditions.JudgeRead("e", modified); (err == nil) != (c.read == "") || err != nil && !errors.Is(err, c.read) {
			t.Errorf("%+v: read %v", c, err)
		}
		conditions, err = ParseCopyConditions(get("x-amz-copy-source-"))
		if err != nil {
			t.Fatal(err)
		}
		if err := conditions.JudgeCopy("e", modified); (err == nil) != (c.copied == "") || err != nil && !errors.Is(err, c.copied) {
			t.Errorf("%+v: copy %v", c, err)
		}
	}
	for name, v := range map[string]string{"If-Match": "", "If-None-Match": `"a`, "If-Modified-Since": "yesterday", "If-Unmodified-Since": ""} {
		if _, err := ParseConditions(http.Header{name: {v}}); !errors.Is(err, InvalidArgument) {
			t.Errorf("%s: %q: %v", name, v, err)
		}
	}
	if err := (Conditions{IfMatch: ETags{{Value: "x"}}}).JudgeRead("e", modified); AsError(err).Field("Condition") != "If-Match" {
		t.Error(err)
	}
}

func TestETagWithComma(t *testing.T) {
	list, ok := parseETags([]string{`"a,b" , W/"c"`, `d`})
	if !ok || len(list) != 3 || list[0].Value != "a,b" || !list[1].Weak || list[2].Value != "d" {
		t.Errorf("%+v", list)
	}
	if _, ok := parseETags([]string{strings.Repeat("a,", MaxConditionETags+1)}); ok {
		t.Error("no bound")
	}
}

func TestWriteConditions(t *testing.T) {
	for _, c := range []struct {
		h    http.Header
		code Code
	}{
		{http.Header{"If-None-Match": {`"e"`}}, NotImplemented},
		{http.Header{"If-None-Match": {`*, "e"`}}, NotImplemented},
		{http.Header{"If-None-Match": {``}}, NotImplemented},
		{http.Header{"If-Match": {`"a", "b"`}}, NotImplemented},
		{http.Header{"If-Match": {`W/"a"`}}, NotImplemented},
		{http.Header{"If-Match": {`"a"`}, "If-None-Match": {"*"}}, NotImplemented},
		{http.Header{"If-Modified-Since": {"x"}}, NotImplemented},
		{http.Header{"If-Unmodified-Since": {"x"}}, NotImplemented},
	} {
		if _, err := ParseWriteConditions(c.h); !errors.Is(err, c.code) {
			t.Errorf("%v: %v", c.h, err)
		}
	}
	if c, err := ParseWriteConditions(http.Header{}); err != nil || c != (WriteConditions{}) {
		t.Error(c, err)
	}
	if c, err := ParseWriteConditions(http.Header{"If-None-Match": {" * "}}); err != nil || !c.IfNoneMatch {
		t.Error(c, err)
	}
	if c, err := ParseWriteConditions(http.Header{"If-Match": {`"a"`}}); err != nil || c.IfMatch.Value != "a" {
		t.Error(c, err)
	}
	d, err := ParseDeleteConditions(http.Header{"If-Match": {"*"}, "X-Amz-If-Match-Size": {"5"}, "X-Amz-If-Match-Last-Modified-Time": {"Mon, 03 Aug 2026 04:05:06 GMT"}})
	if err != nil || !d.IfMatch.Any || *d.Size != 5 || d.Modified.Second() != 6 {
		t.Error(d, err)
	}
	for h, v := range map[string]string{"X-Amz-If-Match-Size": "-5", "X-Amz-If-Match-Last-Modified-Time": "x"} {
		if _, err := ParseDeleteConditions(http.Header{h: {v}}); !errors.Is(err, InvalidArgument) {
			t.Error(err)
		}
	}
	if _, err := ParseDeleteConditions(http.Header{"If-None-Match": {"*"}}); !errors.Is(err, NotImplemented) {
		t.Error(err)
	}
}

func TestCopySource(t *testing.T) {
	for value, want := range map[string]CopySource{
		"/bucket/key":                      {"bucket", "key", ""},
		"bucket/key":                       {"bucket", "key", ""},
		"bucket/a%2Fb%20c+d%252F":          {"bucket", "a/b c+d%2F", ""},
		"bucket//x/../y":                   {"bucket", "/x/../y", ""},
		"%2Fbucket%2Fkey":                  {"bucket", "key", ""},
		"bucket/key?versionId=v1":          {"bucket", "key", "v1"},
		"bucket/key?versionId=a%2Bb":       {"bucket", "key", "a+b"},
		"bucket/k%3FversionId=x":           {"bucket", "k?versionId=x", ""},
		"bucket/k?a=b":                     {"bucket", "k?a=b", ""},
		"bucket/k?versionId=a?versionId=b": {"bucket", "k?versionId=a", "b"},
	} {
		if got, err := ParseCopySource(value); err != nil || got != want {
			t.Errorf("%q = %+v, %v", value, got, err)
		}
	}
	for value, code := range map[string]Code{
		"": InvalidArgument, "/": InvalidArgument, "bucket": InvalidArgument, "bucket/": InvalidArgument, "//key": InvalidArgument,
		"bucket/%zz": InvalidArgument, "bucket/k?versionId=": InvalidArgument, "bucket/k?versionId=%": InvalidArgument,
		"BUCKET/k": InvalidBucketName, "arn:aws:s3:r:1:accesspoint/a/object/k": InvalidBucketName,
		"bucket/" + strings.Repeat("k", 1025): KeyTooLongError, "bucket/%ff": InvalidURI,
	} {
		if _, err := ParseCopySource(value); !errors.Is(err, code) {
			t.Errorf("%.20q: %v, want %s", value, err, code)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("/bucket/key?versionId=x")
	f.Add(`"a", W/"b,c" , *`)
	f.Add("Mon, 03 Aug 2026 04:05:06 GMT")
	f.Add("CRC32,x-amz-checksum-crc32")
	f.Fuzz(func(t *testing.T, v string) {
		src, err := ParseCopySource(v)
		mustBeWire(t, err)
		if err == nil && (CheckKey(src.Key) != nil || CheckBucketName(src.Bucket) != nil) {
			t.Fatalf("%+v", src)
		}
		for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "X-Amz-If-Match-Size", "X-Amz-Meta-A", "X-Amz-Checksum-Crc32", "X-Amz-Trailer", "X-Amz-Sdk-Checksum-Algorithm", "X-Amz-Checksum-Algorithm", "Content-Md5"} {
			h := http.Header{name: {v}}
			_, err := ParseConditions(h)
			mustBeWire(t, err)
			_, err = ParseDeleteConditions(h)
			mustBeWire(t, err)
			_, err = ParseMetadata(h)
			mustBeWire(t, err)
			_, err = ParseChecksum(h)
			mustBeWire(t, err)
			_, _, err = ParseChecksumChoice(h)
			mustBeWire(t, err)
			_, err = ParseContentMD5(h)
			mustBeWire(t, err)
		}
	})
}

func TestMetadata(t *testing.T) {
	h := http.Header{
		"X-Amz-Meta-B": {"1", "2"}, "X-Amz-Meta-A": {"ä€"}, "X-Amz-Meta-Latin": {"\xe4"}, "X-Amz-Meta-Word": {"=?UTF-8?B?w6Q=?="},
		"X-Amz-Metadata-Directive": {"COPY"}, "Content-Type": {"x"},
	}
	list, err := ParseMetadata(h)
	want := []Metadata{{"a", "ä€"}, {"b", "1,2"}, {"latin", "ä"}, {"word", "=?UTF-8?B?w6Q=?="}}
	if err != nil || len(list) != len(want) {
		t.Fatal(list, err)
	}
	for i := range want {
		if list[i] != want[i] {
			t.Errorf("%+v, want %+v", list[i], want[i])
		}
	}
	out := http.Header{}
	SetMetadata(out, list)
	if out.Get("x-amz-meta-b") != "1,2" || out.Get("x-amz-meta-word") != "=?UTF-8?B?w6Q=?=" {
		t.Errorf("%v", out)
	}
	got, err := new(mime.WordDecoder).DecodeHeader(out.Get("x-amz-meta-a"))
	if err != nil || got != "ä€" || strings.ContainsFunc(out.Get("x-amz-meta-a"), func(r rune) bool { return r > 126 }) {
		t.Errorf("%q = %q, %v", out.Get("x-amz-meta-a"), got, err)
	}
	if _, err := ParseMetadata(http.Header{"X-Amz-Meta-": {"x"}}); !errors.Is(err, InvalidArgument) {
		t.Error(err)
	}
	if _, err := ParseMetadata(http.Header{"X-Amz-Meta-Abcd": {strings.Repeat("x", MaxMetadataBytes-4)}}); err != nil {
		t.Error(err)
	}
	if _, err := ParseMetadata(http.Header{"X-Amz-Meta-Abcd": {strings.Repeat("x", MaxMetadataBytes-3)}}); !errors.Is(err, MetadataTooLarge) {
		t.Error(err)
	}
}

func TestContentEncoding(t *testing.T) {
	for in, want := range map[string]string{
		"aws-chunked": "", "gzip": "gzip", "aws-chunked,gzip": "gzip", "aws-chunked, gzip": "gzip", "gzip, aws-chunked": "gzip",
		"gzip, AWS-Chunked , br": "gzip, br", "deflate, gzip": "deflate, gzip", "aws-chunked, deflate, gzip": "deflate, gzip",
		"": "", "aws-chunked,": "",
	} {
		if got := ContentEncoding(http.Header{"Content-Encoding": {in}}); got != want {
			t.Errorf("%q = %q", in, got)
		}
	}
}

func TestChecksums(t *testing.T) {
	const zero = "AAAAAA=="
	for _, c := range []struct {
		h    map[string]string
		want ChecksumRequest
		code Code
	}{
		{nil, ChecksumRequest{}, ""},
		{map[string]string{"x-amz-checksum-crc32": zero}, ChecksumRequest{Algorithm: CRC32, Value: zero}, ""},
		{map[string]string{"x-amz-checksum-crc32c": zero, "x-amz-sdk-checksum-algorithm": "crc32c", "x-amz-checksum-type": "FULL_OBJECT"}, ChecksumRequest{Algorithm: CRC32C, Value: zero, Type: FullObject}, ""},
		{map[string]string{"x-amz-checksum-crc64nvme": "rosUhgiYYmA="}, ChecksumRequest{Algorithm: CRC64NVME, Value: "rosUhgiYYmA="}, ""},
		{map[string]string{"x-amz-trailer": "x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm": "SHA256"}, ChecksumRequest{Algorithm: SHA256, Trailing: true}, ""},
		{map[string]string{"x-amz-checksum-crc32": zero, "x-amz-checksum-sha1": "x"}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-checksum-crc32": zero, "x-amz-trailer": "x-amz-checksum-crc32"}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-checksum-crc32": "AAAA"}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-checksum-crc32": ""}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-checksum-sha1": zero}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-trailer": "x-amz-meta-a"}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-sdk-checksum-algorithm": "CRC32"}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32c": zero}, ChecksumRequest{}, InvalidRequest},
		{map[string]string{"x-amz-sdk-checksum-algorithm": "CRC33"}, ChecksumRequest{}, InvalidArgument},
		{map[string]string{"x-amz-checksum-sha512": zero}, ChecksumRequest{}, NotImplemented},
		{map[string]string{"x-amz-trailer": "x-amz-checksum-xxhash128"}, ChecksumRequest{}, NotImplemented},
		{map[string]string{"x-amz-checksum-type": "HALF"}, ChecksumRequest{}, InvalidRequest},
	} {
		h := http.Header{}
		for k, v := range c.h {
			h.Set(k, v)
		}
		got, err := ParseChecksum(h)
		if (err == nil) != (c.code == "") || err != nil && !errors.Is(err, c.code) || err == nil && got != c.want {
			t.Errorf("%v = %+v, %v", c.h, got, err)
		}
	}
	trailing := ChecksumRequest{Algorithm: CRC32, Trailing: true}
	if got, err := trailing.WithTrailer(http.Header{"X-Amz-Checksum-Crc32": {zero}}); err != nil || got.Value != zero {
		t.Error(got, err)
	}
	if _, err := trailing.WithTrailer(nil); !errors.Is(err, MalformedTrailerError) {
		t.Error(err)
	}
	if _, err := trailing.WithTrailer(http.Header{"X-Amz-Checksum-Crc32": {"A"}}); !errors.Is(err, InvalidRequest) {
		t.Error(err)
	}
	if sum := (Checksum{CRC32, zero}).Sum(); len(sum) != 4 {
		t.Error(sum)
	}
	if (Checksum{CRC32, zero + "-2"}).Sum() != nil || (Checksum{"X", zero}).Sum() != nil {
		t.Error("not a plain sum")
	}
}

func TestChecksumChoice(t *testing.T) {
	for _, c := range []struct {
		algorithm, kind string
		want            ChecksumType
		code            Code
	}{
		{"", "", "", ""},
		{"crc32", "", Composite, ""},
		{"CRC64NVME", "", FullObject, ""},
		{"CRC32C", "full_object", FullObject, ""},
		{"SHA256", "COMPOSITE", Composite, ""},
		{"SHA1", "FULL_OBJECT", "", InvalidRequest},
		{"CRC64NVME", "COMPOSITE", "", InvalidRequest},
		{"", "COMPOSITE", "", InvalidRequest},
		{"CRC1", "", "", InvalidRequest},
		{"MD5", "", "", NotImplemented},
		{"CRC32", "x", "", InvalidRequest},
	} {
		h := http.Header{}
		if c.algorithm != "" {
			h.Set("x-amz-checksum-algorithm", c.algorithm)
		}
		if c.kind != "" {
			h.Set("x-amz-checksum-type", c.kind)
		}
		a, kind, err := ParseChecksumChoice(h)
		if kind != c.want || (err == nil) != (c.code == "") || err != nil && !errors.Is(err, c.code) || err == nil && string(a) != strings.ToUpper(c.algorithm) {
			t.Errorf("%s %s = %s %s, %v", c.algorithm, c.kind, a, kind, err)
		}
	}
}

func TestContentMD5(t *testing.T) {
	if sum, err := ParseContentMD5(http.Header{}); sum != nil || err != nil {
		t.Error(sum, err)
	}
	if sum, err := ParseContentMD5(http.Header{"Content-Md5": {"1B2M2Y8AsgTpgAmY7PhCfg=="}}); len(sum) != 16 || err != nil {
		t.Error(sum, err)
	}
	for _, bad := range []string{"", "x", "AAAA", "1B2M2Y8AsgTpgAmY7PhCfg"} {
		if _, err := ParseContentMD5(http.Header{"Content-Md5": {bad}}); !errors.Is(err, InvalidDigest) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"abc", "a-b", "my.bucket", "123", "1.2.3", "1.2.3.4567", "a.b-c", strings.Repeat("a", 63), "a--b", "xn-x"} {
		if err := CheckBucketName(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "ab", strings.Repeat("a", 64), "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "192.168.5.4", "999.999.999.999", "a/b", "ä..", "a b",
		"xn--abc", "sthree-abc", "amzn-s3-demo-x", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3", strings.Repeat("a", 10000),
	} {
		if err := CheckBucketName(bad); !errors.Is(err, InvalidBucketName) || len(AsError(err).Field("BucketName")) > 300 {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
	for key, code := range map[string]Code{"k": "", "/": "", "..": "", strings.Repeat("ä", 512): "", strings.Repeat("ä", 513): KeyTooLongError, "\xff": InvalidURI, "": InvalidArgument, "\x00": ""} {
		if err := CheckKey(key); (err == nil) != (code == "") || err != nil && !errors.Is(err, code) {
			t.Errorf("%.9q: %v", key, err)
		}
	}
}
