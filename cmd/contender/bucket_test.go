package main

import (
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/gateway/admin"
)

func TestBucketVerbs(t *testing.T) {
	t.Setenv("CONTENDER_ACCESS_KEY", "AK")
	t.Setenv("CONTENDER_SECRET_KEY", "SK")
	var asked []string
	status, answer := 200, "{}"
	e := rangesEndpoint(t, func(_ int64, q string) (int, string) {
		asked = append(asked, q)
		return status, answer
	}).endpoint
	for _, c := range []struct {
		run   func() error
		asked string // empty: refused here
	}{
		{func() error {
			return (&bucketCreateVerb{Name: "b", Policy: "ec:2+1", Short: "allow", Endpoint: e, Timeout: time.Minute}).Run(t.Context())
		}, "PUT /b"},
		{func() error {
			return (&bucketSetVerb{Name: "b", Policy: "ec:2+1", Endpoint: e, Timeout: time.Minute}).Run(t.Context())
		}, `POST /-/admin/bucket/set {"name":"b","policy":"ec:2+1"}`},
		{func() error {
			return (&bucketSetVerb{Name: "b", Short: "refuse", Endpoint: e, Timeout: time.Minute}).Run(t.Context())
		}, `POST /-/admin/bucket/set {"name":"b","short":false}`},
		{func() error { return (&bucketSetVerb{Name: "b", Endpoint: e, Timeout: time.Minute}).Run(t.Context()) }, ""},
		{func() error {
			return (&bucketShowVerb{Name: "b", JSON: true, Endpoint: e, Timeout: time.Minute}).Run(t.Context())
		}, "GET /-/admin/bucket?name=b"},
	} {
		asked = nil
		if err := c.run(); (err == nil) != (c.asked != "") || strings.Join(asked, "; ") != c.asked {
			t.Errorf("asked %q, want %q: %v", asked, c.asked, err)
		}
	}
	status, answer = 400, `<?xml version="1.0"?><Error><Code>InvalidArgument</Code><Message>policy "x": want auto</Message></Error>`
	err := (&bucketCreateVerb{Name: "b", Policy: "x", Short: "refuse", Endpoint: e, Timeout: time.Minute}).Run(t.Context())
	if err == nil || err.Error() != `bucket: HTTP 400: policy "x": want auto` {
		t.Errorf("a refusal in XML is shown as %v", err)
	}
	var b strings.Builder
	if err := printBucket(&b, admin.Bucket{Name: "b", Owner: "root", Versioning: "never", Policy: "auto", Coding: "2+1", Short: true}); err != nil ||
		!strings.Contains(b.String(), "policy auto, which comes to 2+1 now") || !strings.Contains(b.String(), "allowed with less parity") {
		t.Errorf("%v: %s", err, b.String())
	}
}
