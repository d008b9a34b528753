package gateway_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"testing"
)

func listed(r reply) string {
	keys := between(r.body, "<Key>", "</Key>")
	for _, p := range between(r.body, "<CommonPrefixes><Prefix>", "</Prefix>") {
		keys = append(keys, "["+p+"]")
	}
	return strings.Join(keys, " ")
}

func element(r reply, name string) string {
	v := between(r.body, "<"+name+">", "</"+name+">")
	if len(v) == 0 {
		return "-"
	}
	return v[0]
}

func TestListObjectsV2(t *testing.T) {
	s := start(t, nil)
	s.bucket("list")
	for _, k := range []string{"a", "b/1", "b/2", "c/1", "d", "ü", "x y", "p+q"} {
		s.want(200, "", http.MethodPut, "/list/"+escaped(k), nil, k)
	}
	get := func(query string) reply {
		t.Helper()
		return s.want(200, "", http.MethodGet, "/list?list-type=2&"+query, nil, "")
	}
	for _, c := range []struct{ query, want, truncated string }{
		{"", "a b/1 b/2 c/1 d p+q x y ü", "false"},
		{"delimiter=%2F", "a d p+q x y ü [b/] [c/]", "false"},
		{"delimiter=%2F&max-keys=2", "a [b/]", "true"},
		{"prefix=b%2F", "b/1 b/2", "false"},
		{"prefix=b&delimiter=%2F", "[b/]", "false"},
		{"start-after=b%2F1", "b/2 c/1 d p+q x y ü", "false"},
		{"start-after=b&delimiter=%2F", "d p+q x y ü [b/] [c/]", "false"},
		{"start-after=b%2F&delimiter=%2F", "d p+q x y ü [c/]", "false"},
		{"max-keys=0", "", "false"},
		{"max-keys=5000&prefix=d", "d", "false"},
		{"encoding-type=url&prefix=p", "p%2Bq", "false"},
		{"encoding-type=url&prefix=x", "x+y", "false"},
	} {
		r := get(c.query)
		if got := listed(r); got != c.want || element(r, "IsTruncated") != c.truncated {
			t.Errorf("%s: %q truncated %s, want %q %s", c.query, got, element(r, "IsTruncated"), c.want, c.truncated)
		}
	}
	r := get("max-keys=5000")
	if element(r, "MaxKeys") != "1000" || element(r, "KeyCount") != "8" || strings.Contains(r.body, "<Owner>") || strings.Contains(r.body, "ContinuationToken") {
		t.Errorf("page: %s", r.body)
	}
	if r := get("fetch-owner=true&max-keys=1"); !strings.Contains(r.body, "<Owner><ID>root</ID>") {
		t.Errorf("no owner: %s", r.body)
	}
	if r := get("continuation-token="); !strings.Contains(r.body, "<ContinuationToken></ContinuationToken>") || element(r, "KeyCount") != "8" {
		t.Errorf("empty token: %s", r.body)
	}
	for _, q := range []string{"max-keys=-1", "max-keys=x", "max-keys=99999999999", "encoding-type=base64", "prefix=%FF", "fetch-owner=maybe"} {
		s.want(400, "InvalidArgument", http.MethodGet, "/list?list-type=2&"+q, nil, "")
	}
}

// Pages of every size, with and without delimiter, give each key and prefix once.
func TestPagesAreWhole(t *testing.T) {
	s := start(t, nil)
	s.bucket("pages")
	for i := range 7 {
		for j := range 3 {
			s.want(200, "", http.MethodPut, fmt.Sprintf("/pages/d%d/%d", i, j), nil, "x")
		}
		s.want(200, "", http.MethodPut, fmt.Sprintf("/pages/f%d", i), nil, "x")
	}
	for _, delimiter := range []string{"", "&delimiter=/", "&delimiter=1/"} {
		whole := listed(s.want(200, "", http.MethodGet, "/pages?list-type=2"+delimiter, nil, ""))
		for size := 1; size <= 9; size += 2 {
			for _, version := range []string{"&list-type=2", ""} {
				var all, prefixes []string
				next := ""
				for {
					r := s.want(200, "", http.MethodGet, fmt.Sprintf("/pages?max-keys=%d%s%s%s", size, version, delimiter, next), nil, "")
					for _, k := range strings.Fields(listed(r)) {
						if k[0] == '[' {
							prefixes = append(prefixes, k)
						} else {
							all = append(all, k)
						}
					}
					if element(r, "IsTruncated") != "true" {
						break
					}
					switch {
					case version != "":
						next = "&start-after=zzz&continuation-token=" + escaped(element(r, "NextContinuationToken"))
					case delimiter != "":
						next = "&marker=" + escaped(element(r, "NextMarker"))
					default:
						if strings.Contains(r.body, "NextMarker") {
							t.Fatal("NextMarker without a delimiter")
						}
						next = "&marker=" + escaped(all[len(all)-1])
					}
				}
				if got := strings.Join(append(all, prefixes...), " "); got != whole {
					t.Errorf("%q %q pages of %d: %s\nwant %s", version, delimiter, size, got, whole)
				}
			}
		}
	}
}

func TestListObjectsV1(t *testing.T) {
	s := start(t, nil)
	s.bucket("list")
	for _, k := range []string{"a", "b/1", "c"} {
		s.want(200, "", http.MethodPut, "/list/"+k, nil, k)
	}
	r := s.want(200, "", http.MethodGet, "/list?marker=a&encoding-type=url&delimiter=/", nil, "")
	if listed(r) != "c [b/]" || element(r, "Marker") != "a" || element(r, "EncodingType") != "url" || element(r, "Delimiter") != "/" || !strings.Contains(r.body, "<Owner>") {
		t.Errorf("page: %s", r.body)
	}
	s.want(404, "NoSuchBucket", http.MethodGet, "/nolist", nil, "")
}

func TestListUploadsAndParts(t *testing.T) {
	s := start(t, nil)
	s.bucket("ups")
	ids := map[string]string{}
	for _, k := range []string{"a", "b/1", "b/2", "c"} {
		r := s.want(200, "", http.MethodPost, "/ups/"+k+"?uploads", headers{"X-Amz-Checksum-Algorithm": "CRC32C"}, "")
		ids[k] = element(r, "UploadId")
	}
	for _, c := range []struct{ query, want string }{
		{"", "a b/1 b/2 c"},
		{"&prefix=b", "b/1 b/2"},
		{"&delimiter=/", "a c [b/]"},
		{"&key-marker=b/1", "b/2 c"},
		{"&key-marker=a&upload-id-marker=" + ids["a"], "b/1 b/2 c"},
		{"&upload-id-marker=" + ids["c"], "a b/1 b/2 c"},
	} {
		if r := s.want(200, "", http.MethodGet, "/ups?uploads"+c.query, nil, ""); listed(r) != c.want {
			t.Errorf("%s: %s", c.query, listed(r))
		}
	}
	r := s.want(200, "", http.MethodGet, "/ups?uploads&max-uploads=2", nil, "")
	if element(r, "IsTruncated") != "true" || element(r, "NextKeyMarker") != "b/1" || element(r, "NextUploadIdMarker") != ids["b/1"] ||
		element(r, "ChecksumAlgorithm") != "CRC32C" || element(r, "ChecksumType") != "COMPOSITE" {
		t.Errorf("page: %s", r.body)
	}
	s.want(400, "InvalidArgument", http.MethodGet, "/ups?uploads&max-uploads=-1", nil, "")

	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte("x"), crc32.MakeTable(crc32.Castagnoli)))
	for n := 1; n <= 3; n++ {
		s.want(200, "", http.MethodPut, fmt.Sprintf("/ups/a?partNumber=%d&uploadId=%s", n, ids["a"]), headers{"X-Amz-Checksum-Crc32c": base64.StdEncoding.EncodeToString(sum)}, "x")
	}
	r = s.want(200, "", http.MethodGet, "/ups/a?max-parts=2&uploadId="+ids["a"], nil, "")
	if got := strings.Join(between(r.body, "<PartNumber>", "</PartNumber>"), " "); got != "1 2" || element(r, "NextPartNumberMarker") != "2" || element(r, "IsTruncated") != "true" {
		t.Errorf("parts: %s", r.body)
	}
	r = s.want(200, "", http.MethodGet, "/ups/a?part-number-marker=2&uploadId="+ids["a"], nil, "")
	if got := strings.Join(between(r.body, "<PartNumber>", "</PartNumber>"), " "); got != "3" || element(r, "ChecksumCRC32C") == "-" || element(r, "StorageClass") != "STANDARD" {
		t.Errorf("parts behind 2: %s", r.body)
	}
	s.want(404, "NoSuchUpload", http.MethodGet, "/ups/a?uploadId=none", nil, "")
	s.want(404, "NoSuchUpload", http.MethodGet, "/ups/b?uploadId="+ids["a"], nil, "")
	s.want(400, "InvalidArgument", http.MethodGet, "/ups/a?part-number-marker=x&uploadId="+ids["a"], nil, "")
}
