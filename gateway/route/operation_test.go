package route

import (
	"bufio"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/contender/contender/gateway/wire"
)

// modelRow is one line of testdata/s3-operations.tsv.
type modelRow struct{ name, method, line string }

func readModel(t testing.TB) []modelRow {
	t.Helper()
	f, err := os.Open("testdata/s3-operations.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []modelRow
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			c := strings.Split(line, "\t")
			rows = append(rows, modelRow{c[0], c[1], c[2]})
		}
	}
	return rows
}

// distinguish holds what the model binds to members and not to the request
// line: query parameters and headers that tell two operations apart.
var distinguish = map[string]struct{ query, header string }{
	"AbortMultipartUpload":                      {query: "uploadId=u"},
	"CompleteMultipartUpload":                   {query: "uploadId=u"},
	"ListParts":                                 {query: "uploadId=u&x-id=ListParts"},
	"UploadPart":                                {query: "uploadId=u&partNumber=1&x-id=UploadPart"},
	"UploadPartCopy":                            {query: "uploadId=u&partNumber=1", header: "X-Amz-Copy-Source"},
	"CopyObject":                                {query: "x-id=CopyObject", header: "X-Amz-Copy-Source"},
	"GetObjectAnnotation":                       {query: "annotationName=n"},
	"GetBucketAnalyticsConfiguration":           {query: "id=1"},
	"GetBucketIntelligentTieringConfiguration":  {query: "id=1"},
	"GetBucketInventoryConfiguration":           {query: "id=1"},
	"GetBucketMetricsConfiguration":             {query: "id=1"},
	"ListDirectoryBuckets":                      {query: "x-id=ListDirectoryBuckets"},
	"DeleteBucketAnalyticsConfiguration":        {query: "id=1"},
	"PutBucketIntelligentTieringConfiguration":  {query: "id=1"},
	"GetObject":                                 {query: "x-id=GetObject&versionId=v&partNumber=3&response-expires=x"},
	"ListObjects":                               {query: "prefix=&marker=&max-keys=5&delimiter=/"},
	"ListObjectVersions":                        {query: "prefix=&key-marker=&version-id-marker="},
	"ListBucketIntelligentTieringConfiguration": {},
}

// older names of one and the same request
var newer = map[string]string{
	"GetBucketLifecycle":    "GetBucketLifecycleConfiguration",
	"PutBucketLifecycle":    "PutBucketLifecycleConfiguration",
	"GetBucketNotification": "GetBucketNotificationConfiguration",
	"PutBucketNotification": "PutBucketNotificationConfiguration",
}

func TestOperationNamesEveryLineOfTheModel(t *testing.T) {
	rows := readModel(t)
	if len(rows) < 100 {
		t.Fatalf("only %d rows", len(rows))
	}
	seen := map[Op]bool{}
	for _, row := range rows {
		line := strings.NewReplacer("{Bucket}", "bucket", "{Key+}", "a/key").Replace(row.line)
		d := distinguish[row.name]
		if d.query != "" {
			if strings.Contains(line, "?") {
				line += "&" + d.query
			} else {
				line += "?" + d.query
			}
		}
		r := &http.Request{Method: row.method, RequestURI: line, Header: http.Header{}}
		if d.header != "" {
			r.Header.Set(d.header, "/b/k")
		}
		target, err := Parse(r, nil)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		query, err := ParseQuery(RawQuery(r))
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		op, err := Operation(r.Method, target, query, r.Header)
		want := row.name
		if n := newer[want]; n != "" {
			want = n
		}
		if err != nil || op.Name() != want {
			t.Errorf("%s %s = %q, %v; want %s", row.method, line, op, err, want)
		}
		seen[op] = true
	}
	for i := range table {
		if !seen[table[i].op] {
			t.Errorf("no line of the model reaches %s", table[i].op)
		}
	}
}

func TestOperationEdges(t *testing.T) {
	bucket, object := Target{Bucket: "b"}, Target{Bucket: "b", Key: "k"}
	for _, c := range []struct {
		method string
		target Target
		query  string
		header http.Header
		op     Op
		code   wire.Code
	}{
		{"GET", object, "unknown", nil, "", wire.NotImplemented},
		{"PUT", object, "unknown", nil, "", wire.NotImplemented},
		{"PUT", object, "unknown=", nil, "", wire.NotImplemented},
		{"GET", bucket, "acl;x", nil, "", wire.NotImplemented},
		{"GET", object, "harmless=1", nil, GetObject, ""},
		{"GET", object, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=", nil, GetObject, ""},
		{"GET", object, "AWSAccessKeyId=a&Signature=b&Expires=1", nil, GetObject, ""},
		{"GET", object, "acl&tagging", nil, "", wire.InvalidArgument},
		{"GET", object, "acl=1", nil, GetObjectAcl, ""},
		{"GET", object, "acl=", nil, GetObjectAcl, ""},
		{"GET", object, "uploadId", nil, ListParts, ""},
		{"PUT", object, "partNumber=1", nil, "", wire.InvalidArgument},
		{"PUT", object, "uploadId=1", nil, "", wire.InvalidArgument},
		{"PUT", object, "versionId=1", nil, "", wire.InvalidArgument},
		{"PUT", object, "acl&versionId=1", nil, PutObjectAcl, ""},
		{"PUT", object, "X-Amz-Copy-Source=%2Fb%2Fk&X-Amz-Signature=x", nil, CopyObject, ""},
		{"PUT", object, "", http.Header{"X-Amz-Copy-Source": {""}}, CopyObject, ""},
		{"PUT", object, "uploads", nil, "", wire.MethodNotAllowed},
		{"GET", object, "uploads", nil, "", wire.InvalidRequest},
		{"GET", bucket, "attributes", nil, "", wire.InvalidRequest},
		{"GET", bucket, "uploadId=x", nil, "", wire.InvalidRequest},
		{"POST", object, "", nil, "", wire.MethodNotAllowed},
		{"POST", bucket, "", nil, "", wire.MethodNotAllowed},
		{"POST", bucket, "", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, PostObject, ""},
		{"DELETE", Target{}, "", nil, "", wire.MethodNotAllowed},
		{"PATCH", object, "", nil, "", wire.MethodNotAllowed},
		{"HEAD", object, "acl", nil, "", wire.MethodNotAllowed},
		{"HEAD", object, "versionId=1&partNumber=2", nil, HeadObject, ""},
		{"OPTIONS", object, "", nil, OptionsObject, ""},
		{"GET", bucket, "list-type=2&prefix=", nil, ListObjectsV2, ""},
		{"GET", bucket, "list-type=1", nil, ListObjects, ""},
		{"GET", Target{}, "max-buckets=1", nil, ListBuckets, ""},
		{"GET", bucket, "lifecycle", nil, GetBucketLifecycleConfiguration, ""},
		{"GET", bucket, "analytics", nil, ListBucketAnalyticsConfigurations, ""},
		{"GET", object, "annotation", nil, ListObjectAnnotations, ""},
		{"POST", object, "select&select-type=2", nil, SelectObjectContent, ""},
	} {
		query, err := ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		op, err := Operation(c.method, c.target, query, c.header)
		if op != c.op || (c.code == "") != (err == nil) || c.code != "" && !errors.Is(err, c.code) {
			t.Errorf("%s %+v ?%s = %q, %v; want %q, %q", c.method, c.target, c.query, op, err, c.op, c.code)
		}
	}
}

func TestOpRead(t *testing.T) {
	for op, want := range map[Op]bool{GetObject: true, HeadBucket: true, PutObject: false, DeleteObjects: false, SelectObjectContent: true, OptionsObject: true, PostObject: false} {
		if op.Read() != want {
			t.Errorf("%s.Read() = %v", op, !want)
		}
	}
}

func FuzzOperation(f *testing.F) {
	f.Add("GET", "/b/k?acl&versionId=1", "")
	f.Add("PUT", "//..%2F?uploads=%zz;&=&&partNumber", "b.s3.test:80")
	f.Add("GET", "http://h?list-type=2", "s3.test")
	f.Fuzz(func(t *testing.T, method, uri, host string) {
		r := &http.Request{Method: method, RequestURI: uri, Host: host, URL: &url.URL{}, Header: http.Header{}}
		target, err := Parse(r, []string{"s3.test"})
		if err != nil {
			mustBeWire(t, err)
			return
		}
		if target.Key != "" && target.Bucket == "" {
			t.Fatal("a key without a bucket")
		}
		query, err := ParseQuery(RawQuery(r))
		if err != nil {
			mustBeWire(t, err)
			return
		}
		op, err := Operation(method, target, query, r.Header)
		if err != nil {
			mustBeWire(t, err)
		}
		if (op == "") == (err == nil) {
			t.Fatalf("op %q with error %v", op, err)
		}
	})
}

func mustBeWire(t *testing.T, err error) {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *wire.Error", err)
	}
}

func BenchmarkRoute(b *testing.B) {
	for name, uri := range map[string]string{
		"get":      "/bucket/some/key.txt?x-id=GetObject",
		"last":     "/bucket/some/key.txt?encryption",
		"list":     "/bucket?list-type=2&prefix=a%2Fb&delimiter=%2F&max-keys=1000&encoding-type=url",
		"unparsed": "/bucket/some/key.txt",
	} {
		b.Run(name, func(b *testing.B) {
			method := "GET"
			if name == "last" {
				method = "PUT"
			}
			r := &http.Request{Method: method, RequestURI: uri, Host: "localhost:9000", Header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				target, err := Parse(r, []string{"s3.example.com"})
				if err != nil {
					b.Fatal(err)
				}
				query, err := ParseQuery(RawQuery(r))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := Operation(r.Method, target, query, r.Header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
