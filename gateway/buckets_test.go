package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/contender/contender/gateway"
)

func constraint(region string) string {
	return `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>` + region +
		`</LocationConstraint></CreateBucketConfiguration>`
}

func TestBucketsInTheDefaultRegion(t *testing.T) {
	s := start(t, nil)
	if r := s.want(200, "", http.MethodPut, "/one", nil, ""); r.header.Get("Location") != "/one" {
		t.Errorf("Location %q", r.header.Get("Location"))
	}
	s.want(200, "", http.MethodPut, "/one", nil, "") // one's own, again
	s.want(200, "", http.MethodPut, "/two", nil, constraint("us-east-1"))
	s.want(400, "IllegalLocationConstraintException", http.MethodPut, "/bad", nil, constraint("eu-west-1"))
	s.want(400, "InvalidLocationConstraint", http.MethodPut, "/bad", nil, constraint("moon"))
	s.want(400, "MalformedXML", http.MethodPut, "/bad", nil, "<nonsense>")
	s.want(404, "NoSuchBucket", http.MethodGet, "/bad", nil, "")
	if r := s.want(200, "", http.MethodHead, "/one", nil, ""); r.header.Get("X-Amz-Bucket-Region") != "us-east-1" || r.body != "" {
		t.Errorf("HEAD: %v", r.header)
	}
	if r := s.want(404, "", http.MethodHead, "/none", nil, ""); r.body != "" {
		t.Errorf("HEAD of no bucket has a body: %q", r.body)
	}
	if r := s.want(200, "", http.MethodGet, "/one?location", nil, ""); !strings.Contains(r.body, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`) {
		t.Errorf("location: %s", r.body)
	}
	s.want(200, "", http.MethodPut, "/one/k", nil, "x")
	s.want(409, "BucketNotEmpty", http.MethodDelete, "/one", nil, "")
	s.want(204, "", http.MethodDelete, "/one/k", nil, "")
	s.want(200, "", http.MethodPost, "/one/unfinished?uploads", nil, "")
	s.want(204, "", http.MethodDelete, "/one", nil, "")
	s.want(404, "NoSuchBucket", http.MethodDelete, "/one", nil, "")
}

func TestBucketsElsewhere(t *testing.T) {
	s := start(t, func(o *gateway.Options) { o.Region = "eu-west-1" })
	do := func(status int, code, method, path, body string) reply {
		t.Helper()
		r := s.request(method, path, nil, body)
		signAs(t, r, body, rootKey, rootSecret, "eu-west-1", now())
		got := s.send(r)
		if got.status != status || got.code() != code {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
		}
		return got
	}
	do(400, "IllegalLocationConstraintException", http.MethodPut, "/one", "")
	do(200, "", http.MethodPut, "/one", constraint("eu-west-1"))
	do(409, "BucketAlreadyOwnedByYou", http.MethodPut, "/one", constraint("EU"))
	if r := do(200, "", http.MethodGet, "/one?location", ""); !strings.Contains(r.body, ">eu-west-1</LocationConstraint>") {
		t.Errorf("location: %s", r.body)
	}
	r := s.do(http.MethodGet, "/one", nil, "") // signed for us-east-1
	if r.status != 400 || r.code() != "AuthorizationHeaderMalformed" || !strings.Contains(r.body, "<Region>eu-west-1</Region>") {
		t.Errorf("wrong region: %d %s", r.status, r.body)
	}
}

func TestBucketNames(t *testing.T) {
	s := start(t, nil)
	for _, name := range []string{
		"ab", strings.Repeat("a", 64), "Upper", "under_score", "a..b", "-a-", "a-", ".ab", "192.168.1.1", "xn--abc", "sthree-x", "amzn-s3-demo-x",
		"x-s3alias", "x--ol-s3", "x.mrap", "x--x-s3", "x--table-s3", "%C3%BC%C3%BC%C3%BC",
	} {
		s.want(400, "InvalidBucketName", http.MethodPut, "/"+name, nil, "")
	}
	for _, name := range []string{"abc", "a.b", "1-2", strings.Repeat("a", 63)} {
		s.want(200, "", http.MethodPut, "/"+name, nil, "")
	}
}

func TestListBuckets(t *testing.T) {
	s := start(t, nil)
	for _, name := range []string{"ccc", "aaa", "bbb", "bcc"} {
		s.bucket(name)
	}
	names := func(r reply) string { return strings.Join(between(r.body, "<Name>", "</Name>"), " ") }
	if r := s.want(200, "", http.MethodGet, "/", nil, ""); names(r) != "aaa bbb bcc ccc" || !strings.Contains(r.body, "<ID>root</ID>") || strings.Contains(r.body, "BucketRegion") {
		t.Errorf("all: %s", r.body)
	}
	if r := s.want(200, "", http.MethodGet, "/?prefix=b", nil, ""); names(r) != "bbb bcc" {
		t.Errorf("prefix: %s", r.body)
	}
	r := s.want(200, "", http.MethodGet, "/?max-buckets=3", nil, "")
	token := between(r.body, "<ContinuationToken>", "</ContinuationToken>")
	if names(r) != "aaa bbb bcc" || len(token) != 1 {
		t.Fatalf("page 1: %s", r.body)
	}
	if r := s.want(200, "", http.MethodGet, "/?max-buckets=3&continuation-token="+token[0], nil, ""); names(r) != "ccc" || strings.Contains(r.body, "<ContinuationToken>") {
		t.Errorf("page 2: %s", r.body)
	}
	if r := s.want(200, "", http.MethodGet, "/?bucket-region=eu-west-1", nil, ""); names(r) != "" {
		t.Errorf("other region: %s", r.body)
	}
	for _, q := range []string{"max-buckets=0", "max-buckets=10001", "max-buckets=x", "continuation-token=!"} {
		s.want(400, "InvalidArgument", http.MethodGet, "/?"+q, nil, "")
	}
}

// between returns the texts between two marks.
func between(s, from, to string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(s, from)
		if !ok {
			return out
		}
		v, rest, _ := strings.Cut(rest, to)
		out = append(out, v)
		s = rest
	}
}
