package wire

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var listTime = time.Date(2026, 8, 3, 4, 5, 6, 789_999_999, time.UTC)

func TestAppendText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":            "plain",
		`<a href="x">&'`:   "&lt;a href=&quot;x&quot;&gt;&amp;&apos;",
		"\t\n\r":           "&#x9;&#xa;&#xd;",
		"\x00\x01\x1f\x7f": "&#x0;&#x1;&#x1f;&#x7f;",
		"\ufffe\uffff":     "&#xfffe;&#xffff;",
		"ä€😀":              "ä€😀",
		"a\xffb":           "a\uFFFDb",
		"\ufffd":           "\ufffd",
		"":                 "",
	} {
		if got := string(AppendText(nil, in)); got != want {
			t.Errorf("%q = %q, want %q", in, got, want)
		}
	}
}

func FuzzAppendText(f *testing.F) {
	f.Add("a<b>&\r\n\tä")
	f.Add("\uffff\x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		doc := string(AppendText([]byte("<K>"), s)) + "</K>"
		if strings.ContainsAny(doc[3:len(doc)-4], "<>\"'\r\n\x00\x01") || !utf8.ValidString(doc) {
			t.Fatalf("%q", doc)
		}
		carried := utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
			return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
		})
		if !carried {
			return // XML 1.0 parsers refuse the references
		}
		var got string
		if err := xml.Unmarshal([]byte(doc), &got); err != nil || got != s {
			t.Fatalf("%q read as %q, %v", doc, got, err)
		}
	})
}

func TestAppendURLEncoded(t *testing.T) {
	if got := string(AppendURLEncoded(nil, "aZ09-_.~*/ +%&ä\x00\"")); got != "aZ09-_.~*/+%2B%25%26%C3%A4%00%22" {
		t.Error(got)
	}
	for _, s := range []string{"a b+c", "ä€", "\x01\uffff", "a/b*c~d"} {
		if got, err := url.QueryUnescape(string(AppendURLEncoded(nil, s))); err != nil || got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	}
}

func TestAppendTime(t *testing.T) {
	zone := time.FixedZone("x", 3600)
	for _, c := range []time.Time{listTime, time.Unix(0, 0), time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 23, 59, 59, 1e6, zone), time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got, want := string(AppendTime(nil, c)), c.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestListObjectsV2(t *testing.T) {
	empty := ""
	l := ListObjectsV2{
		Name: "b", Prefix: "p+", Delimiter: "/", StartAfter: "s ", ContinuationToken: &empty, NextContinuationToken: "t+/=", MaxKeys: 2, IsTruncated: true,
		Contents:       []Object{{Key: "p+a b", LastModified: listTime, ETag: "e", ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT", Size: 5, StorageClass: "STANDARD", Owner: &Owner{ID: "o"}}},
		CommonPrefixes: []string{"p+ä/"},
	}
	const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>`
	const middle = `<LastModified>2026-08-03T04:05:06.789Z</LastModified><ETag>&quot;e&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>5</Size><Owner><ID>o</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>`
	want := head + `<Prefix>p+</Prefix><StartAfter>s </StartAfter><ContinuationToken></ContinuationToken><NextContinuationToken>t+/=</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><Contents><Key>p+a b</Key>` +
		middle + `<CommonPrefixes><Prefix>p+ä/</Prefix></CommonPrefixes></ListBucketResult>`
	if got := string(l.AppendXML(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	l.EncodingType, l.ContinuationToken, l.NextContinuationToken = EncodingURL, nil, "t+/="
	want = head + `<Prefix>p%2B</Prefix><StartAfter>s+</StartAfter><NextContinuationToken>t+/=</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><Contents><Key>p%2Ba+b</Key>` +
		middle + `<CommonPrefixes><Prefix>p%2B%C3%A4/</Prefix></CommonPrefixes></ListBucketResult>`
	if got := string(l.AppendXML(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Every document is read back by encoding/xml with what it was made of.
func TestDocumentsReadBack(t *testing.T) {
	for _, c := range []struct {
		doc  []byte
		root string
		want map[string]string
	}{
		{
			(&ListObjects{Name: "b", Prefix: "p", Marker: "m", NextMarker: "n", Delimiter: "d", EncodingType: "url", MaxKeys: 3, Contents: []Object{{Key: "k&"}}}).AppendXML(nil), "ListBucketResult",
			map[string]string{"Name": "b", "Marker": "m", "NextMarker": "n", "Delimiter": "d", "MaxKeys": "3", "IsTruncated": "false", "Contents>Key": "k%26"},
		},
		{
			(&ListBuckets{Owner: Owner{"i", "d"}, Buckets: []Bucket{{Name: "x", CreationDate: listTime, Region: "r"}}, Prefix: "p", ContinuationToken: "t"}).AppendXML(nil), "ListAllMyBucketsResult",
			map[string]string{"Owner>ID": "i", "Buckets>Bucket>Name": "x", "Buckets>Bucket>CreationDate": "2026-08-03T04:05:06.789Z", "Buckets>Bucket>BucketRegion": "r", "ContinuationToken": "t", "Prefix": "p"},
		},
		{
			(&ListMultipartUploads{Bucket: "b", KeyMarker: "k", NextUploadIDMarker: "n", MaxUploads: 7, IsTruncated: true, Uploads: []Upload{{Key: "a", UploadID: "u", Initiator: Owner{ID: "i"}, Initiated: listTime}}, CommonPrefixes: []string{"c/"}}).AppendXML(nil), "ListMultipartUploadsResult",
			map[string]string{"Bucket": "b", "KeyMarker": "k", "NextUploadIdMarker": "n", "MaxUploads": "7", "IsTruncated": "true", "Upload>Key": "a", "Upload>UploadId": "u", "Upload>Initiator>ID": "i", "CommonPrefixes>Prefix": "c/"},
		},
		{
			(&ListParts{Bucket: "b", Key: "k", UploadID: "u", NextPartNumberMarker: 4, MaxParts: 9, ChecksumType: "COMPOSITE", Parts: []Part{{Number: 4, ETag: "e", Size: 6, Checksums: []Checksum{{CRC32, "v"}}}}}).AppendXML(nil), "ListPartsResult",
			map[string]string{"Key": "k", "UploadId": "u", "NextPartNumberMarker": "4", "MaxParts": "9", "ChecksumType": "COMPOSITE", "Part>PartNumber": "4", "Part>ETag": `"e"`, "Part>Size": "6", "Part>ChecksumCRC32": "v"},
		},
		{(&InitiateMultipartUpload{"b", "k", "u"}).AppendXML(nil), "InitiateMultipartUploadResult", map[string]string{"Bucket": "b", "Key": "k", "UploadId": "u"}},
		{
			(&CompleteMultipartUpload{Location: "l", Bucket: "b", Key: "k", ETag: "e-2", Checksums: []Checksum{{SHA256, "v-2"}}, ChecksumType: "COMPOSITE"}).AppendXML(nil), "CompleteMultipartUploadResult",
			map[string]string{"Location": "l", "ETag": `"e-2"`, "ChecksumSHA256": "v-2", "ChecksumType": "COMPOSITE"},
		},
		{(&CopyResult{ETag: "e", LastModified: listTime}).AppendXML(nil), "CopyObjectResult", map[string]string{"ETag": `"e"`, "LastModified": "2026-08-03T04:05:06.789Z"}},
		{(&CopyResult{Part: true, ETag: "e"}).AppendXML(nil), "CopyPartResult", map[string]string{"ETag": `"e"`}},
		{
			(&DeleteResult{Deleted: []Deleted{{Key: "k", VersionID: "v", DeleteMarker: true, DeleteMarkerVersionID: "m"}}, Errors: []DeleteFailure{{"x", "", New(AccessDenied)}}}).AppendXML(nil), "DeleteResult",
			map[string]string{"Deleted>Key": "k", "Deleted>VersionId": "v", "Deleted>DeleteMarker": "true", "Deleted>DeleteMarkerVersionId": "m", "Error>Key": "x", "Error>Code": "AccessDenied"},
		},
		{AppendLocation(nil, "eu-west-1"), "LocationConstraint", map[string]string{"": "eu-west-1"}},
		{AppendLocation(nil, "us-east-1"), "LocationConstraint", map[string]string{"": ""}},
	} {
		got, root := flatten(t, c.doc)
		if root != (xml.Name{Space: Namespace, Local: c.root}) {
			t.Errorf("root %v", root)
		}
		for path, want := range c.want {
			if v, ok := got[path]; v != want || !ok {
				t.Errorf("%s: %s = %q, want %q", c.root, path, v, want)
			}
		}
	}
}

// flatten reads a document into path → text.
func flatten(t *testing.T, doc []byte) (map[string]string, xml.Name) {
	t.Helper()
	type node struct {
		XMLName  xml.Name
		Text     string `xml:",chardata"`
		Children []struct {
			XMLName xml.Name
			Inner   string `xml:",innerxml"`
			Text    string `xml:",chardata"`
		} `xml:",any"`
	}
	out := map[string]string{}
	var root xml.Name
	var walk func(path string, raw []byte)
	walk = func(path string, raw []byte) {
		var n node
		if err := xml.Unmarshal(raw, &n); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		if path == "" {
			root = n.XMLName
		}
		out[path] = n.Text
		for _, c := range n.Children {
			walk(strings.TrimPrefix(path+">"+c.XMLName.Local, ">"), []byte("<x>"+c.Inner+"</x>"))
		}
	}
	walk("", doc)
	return out, root
}

func TestLongAnswer(t *testing.T) {
	b := append(StartLong(nil), "   \n"...)
	for _, doc := range [][]byte{
		(&CompleteMultipartUpload{Key: "k"}).AppendElement(append([]byte{}, b...)),
		New(InternalError).AppendElement(append([]byte{}, b...), "i", "h", "/b/k"),
		(&CopyResult{}).AppendElement(append([]byte{}, b...)),
	} {
		var any struct{ XMLName xml.Name }
		if err := xml.Unmarshal(doc, &any); err != nil {
			t.Errorf("%v: %s", err, doc)
		}
	}
}

func thousand() *ListObjectsV2 {
	l := &ListObjectsV2{Name: "bucket", MaxKeys: 1000}
	for i := range 1000 {
		l.Contents = append(l.Contents, Object{Key: fmt.Sprintf("photos/2026/08/%08d.jpg", i), LastModified: listTime, ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 123456, StorageClass: "STANDARD"})
	}
	return l
}

func BenchmarkList(b *testing.B) {
	l := thousand()
	b.Run("appended", func(b *testing.B) {
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			buf = l.AppendXML(buf[:0])
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("url", func(b *testing.B) {
		u := *l
		u.EncodingType = EncodingURL
		var buf []byte
		for b.Loop() {
			buf = u.AppendXML(buf[:0])
		}
	})
	b.Run("encoding-xml", func(b *testing.B) {
		type content struct {
			Key          string
			LastModified string
			ETag         string
			Size         int64
			StorageClass string
		}
		type result struct {
			XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
			Contents []content
		}
		for b.Loop() {
			r := result{Contents: make([]content, len(l.Contents))}
			for i, o := range l.Contents {
				r.Contents[i] = content{o.Key, o.LastModified.Format("2006-01-02T15:04:05.000Z"), `"` + o.ETag + `"`, o.Size, o.StorageClass}
			}
			if _, err := xml.Marshal(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
