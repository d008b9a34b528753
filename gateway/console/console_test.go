package console_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/gateway/console"
)

type source struct {
	s   admin.Status
	err error
}

func (s source) Status(context.Context) (admin.Status, error) { return s.s, s.err }

func get(t *testing.T, src admin.Source, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	h, err := console.New(src, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func sample() admin.Status {
	return admin.Status{
		Version: "secret-version", Cluster: "secret-cluster", Policy: "ec:2+1", Tolerates: admin.Tolerates{Folder: 1},
		Nodes: []admin.Node{
			{
				ID: "secret-id", Name: "secret-name", S3: "secret-s3", Peer: "secret-peer", State: admin.StateUp,
				Site: "secret-site", Rack: "secret-rack",
				Disks: []admin.Disk{
					{ID: "secret-disk", Path: "/secret/path", Device: "secret-device", State: admin.StateUp, UsedBytes: 1536, CapacityBytes: 1 << 20},
					{State: "secret-state"},
				},
			},
			{State: "secret-down"},
		},
	}
}

func TestPageSaysHowTheClusterFeels(t *testing.T) {
	w := get(t, source{s: sample()}, http.MethodGet, "/")
	if w.Code != http.StatusOK {
		t.Fatalf("status %d", w.Code)
	}
	body := w.Body.String()
	for _, s := range []string{
		"Needs attention", "1 of 2</dd>", "1.5 KiB of 1.0 MiB", "ec:2&#43;1", "<td>not up</td>", `<th scope="row">folders</th><td>1</td>`,
	} {
		if !strings.Contains(strings.ReplaceAll(body, ` class="bad"`, ""), s) {
			t.Errorf("%q is not in the page:\n%s", s, body)
		}
	}
	healthy := sample()
	healthy.Healthy = true
	if w := get(t, source{s: healthy}, http.MethodGet, "/"); !strings.Contains(w.Body.String(), ">Healthy</h1>") {
		t.Errorf("not healthy:\n%s", w.Body)
	}
}

func TestPageShowsNoNamesOrPaths(t *testing.T) {
	if w := get(t, source{s: sample()}, http.MethodGet, "/"); strings.Contains(w.Body.String(), "secret") {
		t.Errorf("leaks:\n%s", w.Body)
	}
	w := get(t, source{err: errors.New("secret cause")}, http.MethodGet, "/")
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
}

func TestGuards(t *testing.T) {
	for _, path := range []string{"/", "/style.css", "/nothing", "/style.css/../page.html"} {
		w := get(t, source{s: sample()}, http.MethodGet, path)
		if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no policy", path)
		}
	}
	if w := get(t, source{}, http.MethodPost, "/"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	if w := get(t, source{}, http.MethodGet, "/style.css"); !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style has type %q", w.Header().Get("Content-Type"))
	}
}
