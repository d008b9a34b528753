package node

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/gateway/admin"
)

// TestMissingFolder takes folders away while the node is stopped, one after the other. With one gone it serves and
// tolerates nothing more; with two gone it says that it is not ready, and why.
func TestMissingFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disktest.NewFS(1)
		open := func() *server {
			p := newPipes()
			n, err := Open(t.Context(), memoryConfig(), memoryEnv(fs, p))
			if err != nil {
				t.Fatal(err)
			}
			return newServer(t, n, p.transport())
		}
		s := open()
		s.awaitReady()
		st, err := s.Status(t.Context())
		if err != nil || !st.Healthy || st.Format != admin.StatusFormat || st.Version != "test" || st.Policy != "auto" ||
			st.Ranges.Count != 2 || st.Ranges.ReplicasWanted != 3 || st.Ranges.UnderReplicated != 0 || st.Groups.AtRisk != 0 ||
			st.Tolerates != (admin.Tolerates{Folder: 1}) || st.Groups.Count == 0 || len(st.Nodes) != 1 || len(st.Nodes[0].Disks) != 4 {
			t.Errorf("whole: %+v %v", st, err)
		}
		for _, d := range st.Nodes[0].Disks {
			if d.State != admin.StateUp || d.UsedBytes == 0 || d.CapacityBytes != 256<<20 || d.Device != "1" {
				t.Errorf("disk %+v", d)
			}
		}
		s.createBucket()
		for i := range 10 {
			s.mustPut(fmt.Sprintf("small%d", i), body(fmt.Sprintf("small%d", i), 4<<10))
			s.mustPut(fmt.Sprintf("large%d", i), body(fmt.Sprintf("large%d", i), 200<<10))
		}
		gone := s.leaderOf(dataRange)
		if err := s.close(); err != nil {
			t.Fatal(err)
		}

		remove(t, fs, gone.dir)
		s = open()
		s.checkOneFailed(gone, stateMissing)
		second := s.leaderOf(dataRange)
		if err := s.close(); err != nil {
			t.Fatal(err)
		}

		remove(t, fs, second.dir)
		s = open()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // virtual
		defer cancel()
		if err := s.ready(ctx); err == nil {
			t.Error("ready with half of its folders")
		}
		if st, err = s.Status(t.Context()); err != nil || st.Healthy || st.Ranges.UnderReplicated == 0 {
			t.Errorf("with two folders missing: %+v %v", st, err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
}

func remove(t *testing.T, fs *disktest.FS, dir string) {
	t.Helper()
	if err := fs.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// TestMetrics: what Prometheus reads shows each disk and counts each request.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		cfg := memoryConfig()
		cfg.Metrics = MetricsOpen
		s := serveOn(t, cfg, memoryEnv(disktest.NewFS(1), p), p.transport())
		s.createBucket()
		s.mustPut("k", body("k", 1000))
		w := &recorder{header: http.Header{}}
		s.metrics.handler().ServeHTTP(w, &http.Request{Method: http.MethodGet, Header: http.Header{}})
		text := w.String()
		for _, want := range []string{
			`contender_s3_requests_total{code="",operation="PutObject",status="200"} 1`,
			`contender_s3_received_bytes_total{operation="PutObject"} `,
			`contender_s3_request_seconds_count{operation="PutObject"} 1`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s", want)
			}
		}
		if n := strings.Count(text, "contender_disk_up{") - strings.Count(text, "contender_disk_up{}"); n != 4 {
			t.Errorf("%d disks are shown, want 4", n)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
}

// recorder keeps an answer.
type recorder struct {
	strings.Builder
	header http.Header
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}
