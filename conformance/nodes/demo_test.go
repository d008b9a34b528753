//go:build nodes

package nodes

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/contender/contender/conformance/harness"
)

// screen keeps what a program shows.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// shows reports whether something was shown.
func (s *screen) shows(pattern string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return regexp.MustCompile(pattern).Match(s.buf.Bytes())
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// freePorts finds where nobody listens on any of so many ports.
func freePorts(t *testing.T, n int) int {
	for first := 21000; first < 60000; first += n {
		free := true
		for p := first; p < first+n && free; p++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
			if free = err == nil; free {
				_ = l.Close()
			}
		}
		if free {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

// TestDemo: `contender demo` runs a cluster that goes on when a node is killed, takes it back, and grows; everything is there
// again the next time, and no process stays.
func TestDemo(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "demo"), freePorts(t, 40)
	endpoint := func(n int) string { return fmt.Sprintf("http://127.0.0.1:%d", port+10*(n-1)) }
	run := func() (say func(string), shown *screen, end func()) {
		cmd := harness.New(t, 0).Command(t.Context(), "demo", "--nodes", "3", "--disks", "1", "--dir", dir, "--port", fmt.Sprint(port))
		shown = new(screen)
		cmd.Stdout, cmd.Stderr = shown, shown
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		return func(line string) { _, _ = io.WriteString(in, line+"\n") }, shown, func() {
			t.Helper()
			_ = cmd.Process.Signal(syscall.SIGTERM)
			if err := <-ended; err != nil {
				t.Errorf("the demo ends with %v\n%s", err, shown.text())
			}
		}
	}
	say, shown, end := run()
	await(t, "it greets", spreadMax, func() bool { return shown.shows("3 nodes run") })
	asker := harness.New(t, 0)
	asker.Endpoint = endpoint(2)
	if _, err := asker.Status(t.Context(), "--wait", "tolerates.node=1", "--timeout", spreadMax.String()); err != nil {
		t.Fatal(err)
	}
	harness.CreateBucket(t, harness.Client(endpoint(2)), bucket)
	put := func(n int, key string) {
		t.Helper()
		if err := harness.Put(t.Context(), harness.Client(endpoint(n)), bucket, key, harness.Body(key, 100<<10)); err != nil {
			t.Fatalf("%v\n%s", err, shown.text())
		}
	}
	put(1, "a")
	say("kill 1")
	await(t, "node 1 is dead", healMax, func() bool { return shown.shows("node1 is dead") })
	await(t, "writes go on", healMax, func() bool {
		return harness.Put(t.Context(), harness.Client(endpoint(3)), bucket, "b", harness.Body("b", 100<<10)) == nil
	})
	say("start 1")
	await(t, "node 1 is ready", healMax, func() bool { return shown.shows("node1 is ready") })
	say("add")
	await(t, "node 4 is ready", healMax, func() bool { return shown.shows("node4 is ready") })
	put(4, "c")
	say("nonsense")
	await(t, "help", healMax, func() bool { return shown.shows("(?s)node4 is ready.*kill N") })
	end()
	if shown.shows("ended by itself") {
		t.Errorf("a node ended by itself:\n%s", shown.text())
	}
	for n := range 4 {
		if c, err := net.Dial("tcp", strings.TrimPrefix(endpoint(n+1), "http://")); err == nil {
			_ = c.Close()
			t.Errorf("node %d still listens", n+1)
		}
	}
	_, shown, end = run()
	await(t, "it greets again, with the fourth node", spreadMax, func() bool { return shown.shows("4 nodes run") })
	for _, key := range []string{"a", "b", "c"} {
		if err := check(t.Context(), harness.Client(endpoint(4)), key, 100<<10); err != nil {
			t.Error(err)
		}
	}
	end()
}
