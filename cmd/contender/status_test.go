package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const sampleStatus = `{"format":1,"version":"v1","cluster":"c1","healthy":true,"nodes":[{"name":"n1","s3":"h:1","state":"up",` +
	`"disks":[{"id":"d1","path":"/p1","state":"up","used_bytes":1536,"capacity_bytes":1073741824}]}],` +
	`"ranges":{"count":2,"under_replicated":0},"groups":{"count":4,"at_risk":0},"policy":"auto",` +
	`"tolerates":{"folder":1,"device":0,"node":0,"rack":0,"site":0},"bytes_below_policy":0}`

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		list  []string
		unmet string // a part of what is said; empty: met
		err   string
	}{
		{nil, "", ""},
		{[]string{"tolerates.folder=1"}, "", ""},
		{[]string{"tolerates.folder=0"}, "", ""},
		{[]string{"tolerates.folder=2"}, "tolerates.folder=2 (now 1", ""},
		{[]string{"tolerates.folder=1", "tolerates.node=1"}, "tolerates.node=1 (now 0", ""},
		{[]string{"healthy=true"}, "", ""},
		{[]string{"healthy=false"}, "healthy=false", ""},
		{[]string{"policy=auto"}, "", ""},
		{[]string{"policy=ec:2+1"}, "policy", ""},
		{[]string{"groups.count=4"}, "", ""},
		{[]string{"nothing=1"}, "", "no field nothing"},
		{[]string{"tolerates.folder.more=1"}, "", "no field tolerates.folder.more"},
		{[]string{"tolerates.folder"}, "", "want FIELD=VALUE"},
		{[]string{"=1"}, "", "want FIELD=VALUE"},
		{[]string{"healthy="}, "", "want FIELD=VALUE"},
	} {
		conditions, err := parseConditions(c.list)
		unmet := ""
		if err == nil {
			unmet, err = firstUnmet([]byte(sampleStatus), conditions)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%v: %v, want %q", c.list, err, c.err)
		}
		if (unmet == "") != (c.unmet == "") || !strings.Contains(unmet, c.unmet) {
			t.Errorf("%v: %q, want %q", c.list, unmet, c.unmet)
		}
	}
	if _, err := firstUnmet([]byte("<html>"), nil); err == nil {
		t.Error("what is no JSON is accepted")
	}
}

// endpoint answers status requests by a function of how many there were before.
func endpoint(t *testing.T, answer func(n int64) (int, string)) (adminClient, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Bucket-Region", "eu-1")
		if r.URL.Path == "/-/live" {
			return
		}
		if a := r.Header.Get("Authorization"); r.URL.Path != "/-/admin/status" || !strings.Contains(a, "Credential=AK/") || !strings.Contains(a, "/eu-1/s3/") {
			t.Errorf("%s %s", r.URL.Path, a)
		}
		code, body := answer(asked.Add(1))
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(func() { s.Close(); http.DefaultClient.CloseIdleConnections() })
	return adminClient{endpoint: s.URL, accessKey: "AK", secretKey: "SK"}, &asked
}

func exitOf(err error) int {
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	return 1
}

func TestWaitForStatus(t *testing.T) {
	wait := []condition{{"tolerates.folder", "1"}}
	always := func(code int, body string) func(int64) (int, string) {
		return func(int64) (int, string) { return code, body }
	}
	for _, c := range []struct {
		name       string
		answer     func(int64) (int, string)
		conditions []condition
		exit       int
		asked      int64 // at least; 1: exactly
	}{
		{"answered", always(200, sampleStatus), nil, 0, 1},
		{"met at once", always(200, sampleStatus), wait, 0, 1},
		{"met later", func(n int64) (int, string) {
			if n < 3 {
				return 200, strings.Replace(sampleStatus, `"folder":1`, `"folder":0`, 1)
			}
			return 200, sampleStatus
		}, wait, 0, 3},
		{"never met", always(200, strings.Replace(sampleStatus, `"folder":1`, `"folder":0`, 1)), wait, 1, 2},
		{"not up", always(503, "starting"), nil, 2, 1},
		{"up later", func(n int64) (int, string) {
			if n < 3 {
				return 503, "starting"
			}
			return 200, sampleStatus
		}, wait, 0, 3},
		{"never up", always(503, "starting"), wait, 2, 2},
		{"refused", always(403, "no"), wait, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, asked := endpoint(t, c.answer)
			ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
			defer cancel()
			body, err := waitForStatus(ctx, client, c.conditions)
			if exitOf(err) != c.exit || err == nil && string(body) != sampleStatus {
				t.Errorf("exit code %d, want %d: %s %v", exitOf(err), c.exit, body, err)
			}
			if n := asked.Load(); n < c.asked || c.asked == 1 && n != 1 {
				t.Errorf("asked %d times, want %d", n, c.asked)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := waitForStatus(t.Context(), adminClient{url, "AK", "SK"}, nil); exitOf(err) != exitUnreachable {
		t.Errorf("%v", err)
	}
	if _, err := waitForStatus(t.Context(), adminClient{url, "", ""}, []condition{{"healthy", "true"}}); exitOf(err) != exitUnreachable || !strings.Contains(err.Error(), "CONTENDER_ACCESS_KEY") {
		t.Errorf("without keys: %v", err)
	}
}

func TestPrintStatus(t *testing.T) {
	var out strings.Builder
	if err := printStatus(&out, []byte(sampleStatus)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cluster c1, healthy, version v1", "loss of: 1 folders, 0 devices", "node n1", "/p1", "1.5 KiB of 1.0 GiB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := printStatus(&out, []byte(strings.Replace(sampleStatus, "true", "false", 1))); err != nil || !strings.Contains(out.String(), "NOT healthy") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestPrintSick: a node whose clock is off, replicas that differ and those that were remade are told.
func TestPrintSick(t *testing.T) {
	var out strings.Builder
	sick := `{"nodes":[{"name":"n1","state":"up","clock_off":true,"clock_ahead_seconds":34.2,"disks":[]},` +
		`{"name":"n2","state":"up","clock_off":true,"clock_ahead_seconds":-11,"disks":[]},{"name":"n3","state":"up","disks":[]}],` +
		`"ranges":{"differing":2,"remade":3,"remade_last":1767225600}}`
	if err := printStatus(&out, []byte(sick)); err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]int{
		"SICK": 2, "34 s ahead": 1, "11 s behind": 1, "told 2 times": 1,
		"3 replica(s) held other rows than most and were made anew, the last on 2026-01-01T00:00:00Z": 1,
	} {
		if strings.Count(out.String(), want) != n {
			t.Errorf("%q not %d times in:\n%s", want, n, out.String())
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "4096": 4096, "4KiB": 4096, "1 MiB": 1 << 20, "2GiB": 2 << 30, "7B": 7} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "4KB", "1.5MiB"} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, n)
		}
	}
}
