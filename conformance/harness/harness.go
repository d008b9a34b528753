// Package harness starts, kills and restarts real Contender servers for tests. It finds the binary by CONTENDER_BIN, else
// bin/contender at the root of the checkout, which `make build` makes.
package harness

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root keys that harness servers are founded with.
const (
	AccessKey = "HARNESSACCESSKEY0001"
	SecretKey = "harness/secret+key/for/tests/only/000001"
	Region    = "us-east-1"
)

// readyTimeout bounds how long a server may take from its start to its first 200 on /-/ready.
const readyTimeout = 60 * time.Second

// Server is one server process on folders that outlive it. Its methods are for one goroutine.
type Server struct {
	Dirs     []string
	Host     string   // that it listens on; empty: 127.0.0.1
	Wrap     []string // what starts the program and becomes it; none: it is started as it is
	Endpoint string   // http://host:port, the same over restarts
	Peer     string   // host:port for other nodes, the same over restarts
	Name     string   // of the node; empty: the host's
	Join     []string // peer addresses of the cluster that it joins; none: it founds one
	FrontEnd bool     // it has no folders
	Args     []string
	Env      []string // besides the root keys

	t     testing.TB
	bin   string
	cmd   *exec.Cmd
	ended chan error // how the process ended
	out   *output

	greeted bool // since its last start
}

// New makes folders for a server of n disks below a fresh temporary folder; Start starts it. It is killed at the end of
// the test.
func New(t testing.TB, disks int, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, bin: binary(t), Args: args}
	root := t.TempDir()
	for i := range disks {
		s.Dirs = append(s.Dirs, filepath.Join(root, fmt.Sprintf("disk%d", i+1)))
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() && s.out != nil {
			t.Logf("last output of the server %s:\n%s", s.Name, s.out.tail())
		}
	})
	return s
}

func binary(t testing.TB) string {
	if b := os.Getenv("CONTENDER_BIN"); b != "" {
		return b
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			b := filepath.Join(dir, "bin", "contender")
			if _, err := os.Stat(b); err != nil {
				t.Fatalf("no %s: run make build first", b)
			}
			return b
		}
	}
	t.Fatal("not in a checkout")
	return ""
}

// Start starts the process and waits until it is ready. It returns how long that took.
func (s *Server) Start() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.Launch()
	s.WaitReady()
	return time.Since(began)
}

// Launch starts the process; WaitReady must follow.
func (s *Server) Launch() {
	s.t.Helper()
	line := slices.Concat(s.Wrap, []string{s.bin}, s.arguments())
	s.cmd = exec.Command(line[0], line[1:]...)
	s.cmd.Env = append(environment(), s.Env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.out, s.greeted = newOutput(), false
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		s.t.Fatal(err)
	}
	cmd, ended := s.cmd, make(chan error, 1)
	s.ended = ended
	go func() { ended <- cmd.Wait() }()
}

func (s *Server) arguments() []string {
	fresh := net.JoinHostPort(cmp.Or(s.Host, "127.0.0.1"), "0")
	listen, peer := fresh, fresh
	if s.Endpoint != "" {
		listen, peer = strings.TrimPrefix(s.Endpoint, "http://"), s.Peer
	}
	if s.FrontEnd {
		return append([]string{"gateway", "--listen", listen, "--name", s.Name, "--join", strings.Join(s.Join, ",")}, s.Args...)
	}
	args := []string{"server", "--init", "--listen", listen, "--console", fresh, "--peer", peer}
	if s.Name != "" {
		args = append(args, "--name", s.Name)
	}
	if len(s.Join) > 0 {
		args = append(args, "--join", strings.Join(s.Join, ","))
	}
	return slices.Concat(args, s.Args, s.Dirs)
}

// environment is this process's with the root keys. What a cluster trusts is the test's to say.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "CONTENDER_") })
	return append(env, "CONTENDER_ACCESS_KEY="+AccessKey, "CONTENDER_SECRET_KEY="+SecretKey)
}

// WaitReady waits until the server has greeted and /-/ready answers 200.
func (s *Server) WaitReady() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	last := "no greeting"
	if !s.greeted {
		select {
		case g := <-s.out.greeting:
			s.Endpoint, s.Peer, s.greeted = g.endpoint, g.peer, true
		case err := <-s.ended:
			s.failEnded(err)
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		ready, answer := s.ready(ctx)
		if ready {
			return
		}
		last = answer
		select {
		case err := <-s.ended:
			s.failEnded(err)
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.t.Fatalf("%s is not ready after %v: %s\n%s", s.Name, readyTimeout, last, s.out.tail())
}

// EndsBeforeGreeting waits until the server has greeted or ended, and reports whether it ended.
func (s *Server) EndsBeforeGreeting() bool {
	s.t.Helper()
	select {
	case g := <-s.out.greeting:
		s.Endpoint, s.Peer, s.greeted = g.endpoint, g.peer, true
		return false
	case <-s.ended:
		s.cmd = nil
		return true
	case <-time.After(readyTimeout):
		s.t.Fatalf("%s neither greets nor ends\n%s", s.Name, s.out.tail())
	}
	return false
}

// Ends waits for the server to end by itself, and reports whether it did in time.
func (s *Server) Ends(within time.Duration) bool {
	select {
	case <-s.ended:
		s.cmd = nil
		return true
	case <-time.After(within):
		return false
	}
}

// ready asks once whether the server is ready, and returns what it said.
func (s *Server) ready(ctx context.Context) (bool, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/-/ready", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return resp.StatusCode == http.StatusOK, string(b)
}

// failEnded fails the test because the process ended by itself.
func (s *Server) failEnded(err error) {
	s.t.Helper()
	s.cmd = nil
	s.t.Fatalf("the server %s ended by itself: %v\n%s", s.Name, err, s.out.tail())
}

// Command returns a run of another verb of the program, with the root keys in its environment.
func (s *Server) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Env = environment()
	return cmd
}

// Pid returns the process id.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Running reports whether there is a process that this test started and did not end.
func (s *Server) Running() bool { return s.cmd != nil }

// Check fails the test if the process has ended by itself.
func (s *Server) Check() {
	s.t.Helper()
	if s.cmd == nil {
		return
	}
	select {
	case err := <-s.ended:
		s.failEnded(err)
	default:
	}
}

// Signal sends the process a signal.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends the process with SIGKILL and waits for its end. It does nothing if there is none.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
}

// Stop ends the process with SIGTERM and returns how it ended.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := <-s.ended
	s.cmd = nil
	return err
}

// greeting is what a test wants to know of what a server prints when it has started.
type greeting struct{ endpoint, peer string }

// output keeps the last lines of a process and finds the greeting among them.
type output struct {
	mu       sync.Mutex
	buf      bytes.Buffer
	found    bool
	greeting chan greeting
}

// outputBytesMax bounds what is kept of a server's output.
const outputBytesMax = 1 << 20

var greetingLines = regexp.MustCompile(`S3 endpoint\s+(http://\S+)[^\n]*\n(?:[^\n]*\n\s+peer\s+(\S+)\n)?\n`)

func newOutput() *output { return &output{greeting: make(chan greeting, 1)} }

// Write keeps p.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len() > outputBytesMax {
		o.buf.Reset()
	}
	o.buf.Write(p)
	if !o.found {
		if m := greetingLines.FindSubmatch(o.buf.Bytes()); m != nil {
			o.found = true
			o.greeting <- greeting{string(m[1]), string(m[2])}
		}
	}
	return len(p), nil
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	sc := bufio.NewScanner(bytes.NewReader(o.buf.Bytes()))
	for sc.Scan() {
		if lines = append(lines, sc.Text()); len(lines) > 60 {
			lines = lines[1:]
		}
	}
	return strings.Join(lines, "\n")
}
