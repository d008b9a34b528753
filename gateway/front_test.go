package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/gateway"
	"github.com/contender/contender/objectlayer"
)

func TestSignatures(t *testing.T) {
	s := start(t, nil)
	s.bucket("sig")
	for _, c := range []struct {
		name                string
		key, secret, region string
		at                  time.Time
		status              int
		code                string
	}{
		{"root", rootKey, rootSecret, "us-east-1", now(), 200, ""},
		{"wrong secret", rootKey, "x", "us-east-1", now(), 403, "SignatureDoesNotMatch"},
		{"unknown key", "NOBODY", "x", "us-east-1", now(), 403, "InvalidAccessKeyId"},
		{"early", rootKey, rootSecret, "us-east-1", now().Add(-16 * time.Minute), 403, "RequestTimeTooSkewed"},
		{"late", rootKey, rootSecret, "us-east-1", now().Add(16 * time.Minute), 403, "RequestTimeTooSkewed"},
		{"other region", rootKey, rootSecret, "eu-west-1", now(), 400, "AuthorizationHeaderMalformed"},
		{"not root", userKey, userSecret, "us-east-1", now(), 403, "AccessDenied"},
		{"keys cannot be looked up", "BROKEN", "x", "us-east-1", now(), 500, "InternalError"},
	} {
		r := s.request(http.MethodGet, "/sig", nil, "")
		signAs(t, r, "", c.key, c.secret, c.region, c.at)
		if got := s.send(r); got.status != c.status || got.code() != c.code {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
	}
	for _, path := range []string{"/", "/sig", "/sig/k", "/sig?acl", "/sig?unknown"} {
		if got := s.send(s.request(http.MethodGet, path, nil, "")); got.status != 403 || got.code() != "AccessDenied" {
			t.Errorf("anonymous %s: %d %s", path, got.status, got.body)
		}
	}
	r := s.request(http.MethodGet, "/sig", nil, "")
	sign(t, r, "")
	r.Header.Set("X-Amz-Meta-Added", "later")
	if got := s.send(r); got.status != 403 || got.code() != "AccessDenied" {
		t.Errorf("header added: %d %s", got.status, got.body)
	}
	// Inner spaces and repeated headers are signed as they are canonicalised.
	s.want(200, "", http.MethodPut, "/sig/k", headers{"X-Amz-Meta-S": "a   b  c"}, "x")
	s.want(200, "", http.MethodGet, "/sig?prefix=&list-type=2&delimiter=%2F&start-after=a%20b", nil, "")
}

func TestUnknownIsNotImplemented(t *testing.T) {
	s := start(t, nil)
	s.bucket("unk")
	s.want(200, "", http.MethodPut, "/unk/k", nil, "kept")
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/unk?versioning"},
		{http.MethodGet, "/unk?acl"},
		{http.MethodGet, "/unk?versions"},
		{http.MethodPut, "/unk?tagging"},
		{http.MethodGet, "/unk/k?tagging"},
		{http.MethodGet, "/unk/k?attributes"},
		{http.MethodPut, "/unk/k?acl"},
		{http.MethodPut, "/unk/k?retention"},
		{http.MethodPost, "/unk/k?restore"},
		{http.MethodPost, "/unk/k?select&select-type=2"},
		{http.MethodPut, "/unk/k?somethingnew"},
		{http.MethodGet, "/unk?somethingnew"},
		{http.MethodDelete, "/unk/k?somethingnew"},
	} {
		s.want(501, "NotImplemented", c.method, c.path, nil, "")
	}
	s.want(405, "MethodNotAllowed", http.MethodPatch, "/unk/k", nil, "")
	if r := s.want(200, "", http.MethodGet, "/unk/k?x-id=GetObject", nil, ""); r.body != "kept" {
		t.Errorf("changed: %q", r.body)
	}
}

func TestDeletes(t *testing.T) {
	s := start(t, nil)
	s.bucket("del")
	for _, k := range []string{"a", "b", "c"} {
		s.want(200, "", http.MethodPut, "/del/"+k, nil, k)
	}
	doc := func(quiet bool, keys ...string) string {
		d := "<Delete>"
		if quiet {
			d += "<Quiet>true</Quiet>"
		}
		for _, k := range keys {
			d += "<Object><Key>" + k + "</Key></Object>"
		}
		return d + "</Delete>"
	}
	send := func(status int, code, body string) reply {
		t.Helper()
		return s.want(status, code, http.MethodPost, "/del?delete", headers{"Content-Md5": md5Of(body)}, body)
	}
	r := send(200, "", doc(false, "a", "none", strings.Repeat("x", 1025)))
	if got := strings.Join(between(r.body, "<Deleted><Key>", "</Key>"), " "); got != "a none" || !strings.Contains(r.body, "<Code>KeyTooLongError</Code>") {
		t.Errorf("result: %.400s", r.body)
	}
	if r := send(200, "", doc(true, "b", "none")); strings.Contains(r.body, "<Deleted>") {
		t.Errorf("quiet: %s", r.body)
	}
	if r := send(200, "", `<Delete><Object><Key>c</Key><ETag>"x"</ETag></Object></Delete>`); !strings.Contains(r.body, "<Code>PreconditionFailed</Code>") {
		t.Errorf("condition: %s", r.body)
	}
	s.want(200, "", http.MethodGet, "/del/c", nil, "")
	s.want(404, "NoSuchKey", http.MethodGet, "/del/a", nil, "")
	send(400, "MalformedXML", "<Delete></Delete>")
	send(400, "MalformedXML", doc(false, strings.Split(strings.Repeat("k ", 1001), " ")[:1001]...))
	s.want(400, "InvalidRequest", http.MethodPost, "/del?delete", nil, doc(false, "c"))
	s.want(400, "BadDigest", http.MethodPost, "/del?delete", headers{"Content-Md5": md5Of("other")}, doc(false, "c"))
	s.want(400, "BadDigest", http.MethodPost, "/del?delete", headers{"X-Amz-Checksum-Crc32": "AAAAAA=="}, doc(false, "c"))
	s.want(404, "NoSuchBucket", http.MethodPost, "/nodel?delete", headers{"Content-Md5": md5Of(doc(false, "c"))}, doc(false, "c"))
	s.want(204, "", http.MethodDelete, "/del/none", nil, "")
	s.want(400, "InvalidArgument", http.MethodDelete, "/del/c?versionId=", nil, "")
}

func TestErrorsAreXML(t *testing.T) {
	s := start(t, func(o *gateway.Options) { o.Rand = ones{} })
	s.bucket("err")
	r := s.want(404, "NoSuchKey", http.MethodGet, "/err/a%26b", nil, "")
	if r.header.Get("Content-Type") != "application/xml" || element(r, "Resource") != "/err/a%26b" || element(r, "Key") != "a&amp;b" ||
		element(r, "RequestId") != "0101010101010101" || r.header.Get("X-Amz-Request-Id") != "0101010101010101" || element(r, "HostId") != r.header.Get("X-Amz-Id-2") {
		t.Errorf("error: %v %s", r.header, r.body)
	}
	if _, err := time.Parse(http.TimeFormat, r.header.Get("Date")); err != nil {
		t.Error(err)
	}
}

type ones struct{}

func (ones) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

// blocked holds reads of objects back.
type blocked struct {
	objectlayer.Objects
	entered chan struct{}
	release chan struct{}
}

func (b blocked) Get(ctx context.Context, r objectlayer.GetRequest) (objectlayer.Reading, error) {
	b.entered <- struct{}{}
	select {
	case <-b.release:
		return b.Objects.Get(ctx, r)
	case <-ctx.Done():
		return objectlayer.Reading{}, ctx.Err()
	}
}

func TestTooManyRequests(t *testing.T) {
	b := blocked{entered: make(chan struct{}), release: make(chan struct{})}
	var seen []gateway.Observation
	s := start(t, func(o *gateway.Options) {
		b.Objects = o.Objects
		o.Objects = b
		o.Limits.RequestsMax = 1
		o.Observe = func(x gateway.Observation) { seen = append(seen, x) } // requests end one by one here
	})
	s.bucket("busy")
	s.want(200, "", http.MethodPut, "/busy/k", nil, "x")
	done := make(chan reply)
	go func() { done <- s.do(http.MethodGet, "/busy/k", nil, "") }()
	<-b.entered
	if r := s.want(503, "SlowDown", http.MethodGet, "/busy/k", nil, ""); r.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", r.header)
	}
	if r := s.send(s.request(http.MethodGet, "/-/live", nil, "")); r.status != 200 {
		t.Errorf("a busy server is not live: %d", r.status)
	}
	close(b.release)
	if r := <-done; r.status != 200 || r.body != "x" {
		t.Errorf("%d %s", r.status, r.body)
	}
	s.http.Close() // waits for the requests
	last := seen[len(seen)-1]
	if last.Op != "GetObject" || last.Status != 200 || last.Sent != 1 || seen[1].Received != 1 {
		t.Errorf("observed %+v", seen)
	}
}

// broken fails in ways that handlers do not foresee.
type broken struct{ objectlayer.Objects }

func (b broken) Get(ctx context.Context, r objectlayer.GetRequest) (objectlayer.Reading, error) {
	switch r.Key {
	case "panic":
		panic("secret of the house")
	case "error":
		return objectlayer.Reading{}, errors.New("secret of the house")
	case "first":
		a := objectlayer.Attributes{ContentEncoding: "gzip", User: map[string]string{"m": "1"}}
		return objectlayer.Reading{Length: 5, Version: objectlayer.Version{Size: 5, Attributes: a}, Body: io.NopCloser(failing(0))}, nil
	case "later":
		return objectlayer.Reading{Length: 1 << 20, Version: objectlayer.Version{Size: 1 << 20}, Body: io.NopCloser(io.MultiReader(strings.NewReader(string(pattern(1<<19))), failing(0)))}, nil
	}
	return b.Objects.Get(ctx, r)
}

type failing int

func (failing) Read([]byte) (int, error) {
	return 0, &objectlayer.Error{Kind: objectlayer.KindDamaged, Err: errors.New("secret of the house")}
}

func TestFailuresInside(t *testing.T) {
	s := start(t, func(o *gateway.Options) { o.Objects = broken{o.Objects} })
	s.bucket("bad")
	for _, key := range []string{"panic", "error", "first"} {
		r := s.want(500, "InternalError", http.MethodGet, "/bad/"+key, nil, "")
		if strings.Contains(r.body, "secret") ||
			r.header.Get("Accept-Ranges")+r.header.Get("X-Amz-Meta-M")+r.header.Get("Content-Encoding")+r.header.Get("Etag") != "" {
			t.Errorf("%s: %v %s", key, r.header, r.body)
		}
	}
	r := s.request(http.MethodGet, "/bad/later", nil, "")
	sign(t, r, "")
	resp, err := s.raw.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is broken
	if b, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err == nil || len(b) >= 1<<20 {
		t.Errorf("a body that fails half way: %d, %d bytes, %v", resp.StatusCode, len(b), err)
	}
}

func TestOwnPaths(t *testing.T) {
	notReady := errors.New("no quorum")
	text := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
	}
	options := func(a gateway.Access) func(*gateway.Options) {
		return func(o *gateway.Options) {
			o.Hosts = []string{"s3.test"}
			o.Ready = func(context.Context) error { return notReady }
			o.Metrics, o.MetricsAccess, o.Admin = text("metrics"), a, text("admin")
		}
	}
	s := start(t, options(gateway.AccessRoot))
	plain := func(path string) reply { t.Helper(); return s.send(s.request(http.MethodGet, path, nil, "")) }
	if r := plain("/-/live"); r.status != 200 || r.body != "live\n" {
		t.Errorf("live: %d %q", r.status, r.body)
	}
	if r := plain("/-/ready"); r.status != 503 || r.body != "no quorum\n" {
		t.Errorf("ready: %d %q", r.status, r.body)
	}
	for _, path := range []string{"/-/metrics", "/-/admin/status", "/-/other"} {
		if r := plain(path); r.status != 403 || r.code() != "AccessDenied" {
			t.Errorf("%s without keys: %d %s", path, r.status, r.body)
		}
		r := s.request(http.MethodGet, path, nil, "")
		signAs(t, r, "", userKey, userSecret, "us-east-1", now())
		if got := s.send(r); got.status != 403 || got.code() != "AccessDenied" {
			t.Errorf("%s as a user: %d %s", path, got.status, got.body)
		}
	}
	if r := s.want(200, "", http.MethodGet, "/-/metrics", nil, ""); r.body != "metrics" {
		t.Errorf("metrics: %s", r.body)
	}
	if r := s.want(200, "", http.MethodGet, "/-/admin/status", nil, ""); r.body != "admin" {
		t.Errorf("admin: %s", r.body)
	}
	s.want(404, "NoSuchKey", http.MethodGet, "/-/other", nil, "")

	// Under a bucket's host the same path is a key.
	s.bucket("hosted")
	host := headers{"Host": "hosted.s3.test"}
	s.want(200, "", http.MethodPut, "/-/live", host, "a key")
	if r := s.want(200, "", http.MethodGet, "/-/live", host, ""); r.body != "a key" {
		t.Errorf("key: %q", r.body)
	}
	if r := s.want(200, "", http.MethodGet, "/?list-type=2", host, ""); listed(r) != "-/live" {
		t.Errorf("list: %s", r.body)
	}
	for _, a := range []gateway.Access{gateway.AccessLoopback, gateway.AccessPublic} {
		s = start(t, options(a))
		if r := plain("/-/metrics"); r.body != "metrics" {
			t.Errorf("access %d: %s", a, r.body)
		}
	}
}
