package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/contender/contender/gateway/admin"
)

type source struct {
	s   admin.Status
	err error
}

func (s source) Status(context.Context) (admin.Status, error) { return s.s, s.err }

func do(t *testing.T, src admin.Source, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	admin.New(admin.Services{Source: src}, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestStatusHasTheContractsFields(t *testing.T) {
	s := admin.Status{
		Version: "v1", Cluster: "c", Healthy: true, Policy: "ec:2+1", BytesBelowPolicy: 7,
		Nodes: []admin.Node{{
			ID: "n1", Name: "one", S3: "h:1", Peer: "h:2", State: admin.StateUp, Site: "s", Rack: "r",
			Disks: []admin.Disk{{ID: "d", Path: "/p", Device: "8:1", State: admin.StateUp, UsedBytes: 1, CapacityBytes: 2}},
		}},
		Ranges: admin.Ranges{Count: 2, ReplicasWanted: 3}, Groups: admin.Groups{Count: 4, AtRisk: 1},
		Tolerates: admin.Tolerates{Folder: 1},
	}
	w := do(t, source{s: s}, http.MethodGet, "/-/admin/status")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, type %q", w.Code, w.Header().Get("Content-Type"))
	}
	const want = `{"format":1,"version":"v1","cluster":"c","healthy":true,"nodes":[{"id":"n1","name":"one","s3":"h:1",` +
		`"peer":"h:2","state":"up","site":"s","rack":"r","disks":[{"id":"d","path":"/p","device":"8:1","state":"up",` +
		`"used_bytes":1,"capacity_bytes":2}]}],"ranges":{"count":2,"replicas_wanted":3,"under_replicated":0,"differing":0},` +
		`"groups":{"count":4,"at_risk":1},"policy":"ec:2+1","tolerates":{"folder":1,"device":0,"node":0,"rack":0,"site":0},` +
		`"bytes_below_policy":7}`
	if got := strings.TrimSpace(w.Body.String()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	w := do(t, source{s: admin.Status{Nodes: []admin.Node{{}}}}, http.MethodGet, "/-/admin/status")
	if strings.Contains(w.Body.String(), "null") {
		t.Errorf("null in %s", w.Body)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		method, path string
		src          source
		status       int
		code         string
	}{
		{http.MethodGet, "/-/admin/status", source{err: errors.New("secret detail")}, 503, "Unavailable"},
		{http.MethodPost, "/-/admin/status", source{}, 405, "MethodNotAllowed"},
		{http.MethodGet, "/-/admin/nothing", source{}, 404, "NotFound"},
	} {
		w := do(t, c.src, c.method, c.path)
		var p struct{ Code string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Code != c.code {
			t.Errorf("%s %s: %d %s (%v)", c.method, c.path, w.Code, w.Body, err)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("the cause reached the client: %s", w.Body)
		}
	}
}
