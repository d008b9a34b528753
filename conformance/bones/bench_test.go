//go:build bones

package bones

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/contender/contender/conformance/harness"
)

// TestBenchProgram runs every operation of `contender bench` on one server under two names, and checks what it reports.
func TestBenchProgram(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	for _, c := range []struct {
		ops, size string
		rows      int
	}{
		{"put,get,mixed,head,list,delete", "4KiB,100KiB", 2 * (2*3 + 3)}, // what does not depend on size runs once
		{"multipart", "5MiB", 2},
	} {
		cmd := s.Command(t.Context(), "bench", "--json", "--endpoint", "a="+s.Endpoint, "--endpoint", "b="+s.Endpoint,
			"--pids", fmt.Sprintf("a=%d", s.Pid()), "--ops", c.ops, "--size", c.size,
			"--concurrency", "4", "--rounds", "2", "--round", "100ms", "--objects", "50")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("bench: %v: %s", err, stderr.String())
		}
		var rows []struct {
			Scenario, Target string
			Ops, Errors      int
			Rate             float64 `json:"ops_per_second"`
			P50              float64 `json:"p50_ms"`
			P99              float64 `json:"p99_ms"`
			CPU              float64 `json:"cpu_ms_per_op"`
			RateRatio        float64 `json:"rate_ratio"`
			FirstError       string  `json:"first_error"`
		}
		if err := json.Unmarshal(out, &rows); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		if len(rows) != c.rows {
			t.Errorf("%s: %d rows, want %d", c.ops, len(rows), c.rows)
		}
		for _, r := range rows {
			if r.Ops == 0 || r.Errors > 0 || r.Rate <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.RateRatio <= 0 || r.Target == "a" && r.CPU <= 0 {
				t.Errorf("%+v", r)
			}
		}
	}
}

// TestBenchBesidePeer loads this server and a peer in turns. PEER_ENDPOINT names the peer, PEER_PIDS its processes,
// PEER_ACCESS_KEY and PEER_SECRET_KEY its keys. It reports; what is demanded of the figures stands in later issues.
func TestBenchBesidePeer(t *testing.T) {
	peer := os.Getenv("PEER_ENDPOINT")
	if peer == "" {
		t.Skip("PEER_ENDPOINT is not set")
	}
	s := harness.New(t, 4)
	s.Start()
	args := []string{
		"bench", "--endpoint", "contender=" + s.Endpoint, "--endpoint", "peer=" + peer, "--pids", fmt.Sprintf("contender=%d", s.Pid()),
		"--keys", "peer=" + os.Getenv("PEER_ACCESS_KEY") + ":" + os.Getenv("PEER_SECRET_KEY"),
		"--concurrency", "1,16", "--rounds", "3", "--round", map[bool]string{true: "3s", false: "300ms"}[harness.Full()],
	}
	if pids := os.Getenv("PEER_PIDS"); pids != "" {
		args = append(args, "--pids", "peer="+strings.ReplaceAll(pids, " ", ","))
	}
	for _, scenarios := range [][]string{
		{"--ops", "put,get,head,list,delete,mixed", "--size", "4KiB,1MiB"},
		{"--ops", "multipart", "--size", "8MiB"},
	} {
		out, err := s.Command(t.Context(), append(args, scenarios...)...).Output() // progress goes elsewhere
		t.Logf("\n%s", out)
		if err != nil {
			t.Error(err)
		}
	}
}
