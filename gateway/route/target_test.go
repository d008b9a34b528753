package route

import (
	"bufio"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/contender/contender/gateway/wire"
)

func TestParse(t *testing.T) {
	hosts := []string{"s3.test", "eu.s3.test"}
	for _, c := range []struct {
		uri, host   string
		bucket, key string
		virtual     bool
	}{
		{"/", "", "", "", false},
		{"/b", "", "b", "", false},
		{"/b/", "", "b", "", false},
		{"/b?x", "", "b", "", false},
		{"/b/k", "", "b", "k", false},
		{"/b//k", "", "b", "/k", false},
		{"/b/a//b/", "", "b", "a//b/", false},
		{"/b/../x/./y", "", "b", "../x/./y", false},
		{"/b/.", "", "b", ".", false},
		{"/b/a+b", "", "b", "a+b", false},
		{"/b/a%2Bb%20c", "", "b", "a+b c", false},
		{"/b/a%2Fb", "", "b", "a/b", false},
		{"/b/a|b%2F", "", "b", "a|b/", false},
		{"/b/a%252F", "", "b", "a%2F", false},
		{"/b/%E2%82%AC", "", "b", "€", false},
		{"/b/%00", "", "b", "\x00", false},
		{"/b/k?a=/x?y", "", "b", "k", false},
		{"/b%2Fk/x", "", "b/k", "x", false},
		{"http://any.host/b/k?q", "", "b", "k", false},
		{"http://any.host", "", "", "", false},
		{"http://any.host?q", "", "", "", false},
		{"/k", "b.s3.test", "b", "k", true},
		{"//k", "b.s3.test:9000", "b", "/k", true},
		{"/", "B.S3.Test.", "b", "", true},
		{"/b/k", "s3.test", "b", "k", false},
		{"/b/k", "s3.test:80", "b", "k", false},
		{"/k", "my.bucket.s3.test", "my.bucket", "k", true},
		{"/b/k", "eu.s3.test", "b", "k", false},
		{"/k", "b.eu.s3.test", "b", "k", true},
		{"/b/k", "xs3.test", "b", "k", false},
		{"/b/k", ".s3.test", "b", "k", false},
		{"/b/k", "[::1]:9000", "b", "k", false},
		{"/b/k", "[::1]", "b", "k", false},
	} {
		r := &http.Request{Method: "GET", RequestURI: c.uri, Host: c.host}
		got, err := Parse(r, hosts)
		if want := (Target{c.bucket, c.key, c.virtual}); err != nil || got != want {
			t.Errorf("%s at %s = %+v, %v; want %+v", c.uri, c.host, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for uri, code := range map[string]wire.Code{
		"*":                                   wire.InvalidURI,
		"host:443":                            wire.InvalidURI,
		"/b/%zz":                              wire.InvalidURI,
		"/b/%2":                               wire.InvalidURI,
		"/%":                                  wire.InvalidURI,
		"/b/%ff":                              wire.InvalidURI,
		"//k":                                 wire.InvalidBucketName,
		"/b/" + strings.Repeat("k", 1025):     wire.KeyTooLongError,
		"/b/" + strings.Repeat("%c3%a4", 513): wire.KeyTooLongError,
	} {
		if _, err := Parse(&http.Request{RequestURI: uri}, nil); !errors.Is(err, code) {
			t.Errorf("%.20s: %v, want %s", uri, err, code)
		}
	}
	if _, err := Parse(&http.Request{RequestURI: "/b/" + strings.Repeat("k", 1024)}, nil); err != nil {
		t.Error(err)
	}
}

// The raw line survives net/http's own reading of the request.
func TestParseServerRequest(t *testing.T) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /b/a|b%2F/../c?x=%2F HTTP/1.1\r\nHost: h\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(r, nil)
	if err != nil || got != (Target{Bucket: "b", Key: "a|b//../c"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if RawQuery(r) != "x=%2F" {
		t.Errorf("query %q", RawQuery(r))
	}
}

func TestParseQuery(t *testing.T) {
	q, err := ParseQuery("a=1&a=2&b&c=&d=x%2By+z&&e;f=1&=v")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(q["a"], ",") != "1,2" || q.Get("d") != "x+y z" || !q.Has("b") || !q.Has("c") || q.Get("e;f") != "1" || q.Get("") != "v" {
		t.Errorf("%v", q)
	}
	for _, bad := range []string{"a=%zz", "%=1", strings.Repeat("a&", MaxQueryParameters+1)} {
		if _, err := ParseQuery(bad); !errors.Is(err, wire.InvalidURI) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}
