//go:build bones

package bones

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
)

// TestSIGTERMDrains ends a server in the middle of an upload: it takes no new connections, the upload completes, the exit
// code is 0, and after a restart the object is there.
func TestSIGTERMDrains(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	c := harness.Client(s.Endpoint)
	harness.CreateBucket(t, c, bucket)
	want := harness.Body("drained", 32<<20)
	r, w := io.Pipe()
	uploaded := make(chan error, 1)
	url := harness.PresignedPut(t, c, bucket, "drained")
	go func() { uploaded <- harness.Upload(t.Context(), url, r, int64(len(want))) }()
	// More than any socket buffer holds: the server is reading.
	if _, err := w.Write(want[:24<<20]); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Stop() }()
	address := strings.TrimPrefix(s.Endpoint, "http://")
	for {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-ended:
		t.Fatalf("the server ended under an upload: %v", err)
	default:
	}
	if _, err := w.Write(want[24<<20:]); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-uploaded; err != nil {
		t.Errorf("the running upload: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v, want exit code 0", err)
	}
	s.Start()
	if b, err := harness.Get(t.Context(), harness.Client(s.Endpoint), bucket, "drained"); err != nil || !bytes.Equal(b, want) {
		t.Errorf("after a restart: %d bytes, %v", len(b), err)
	}
}

// exitCode runs a program and returns its exit code and what it printed.
func exitCode(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestOperatorsView asks what operators and their tools ask: status with its waiting and exit codes, liveness, readiness,
// metrics, version.
func TestOperatorsView(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	st := askStatus(t, s, "--wait", "tolerates.folder=1", "--wait", "healthy=true", "--timeout", "30s")
	if st.Format != 1 || !st.Healthy || st.Tolerates.Folder != 1 || len(st.Nodes) != 1 || len(st.Nodes[0].Disks) != 4 {
		t.Errorf("status %+v", st)
	}
	// All folders of a test lie on one device, and there is one node: nothing more is claimed.
	if st.Tolerates.Device != 0 || st.Tolerates.Node != 0 {
		t.Errorf("status claims to tolerate more than it can: %+v", st.Tolerates)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"status --endpoint " + s.Endpoint, 0, "survives the loss of: 1 folders"},
		{"status --endpoint " + s.Endpoint + " --wait tolerates.folder=7 --timeout 700ms", 1, "tolerates.folder=7"},
		{"status --endpoint " + s.Endpoint + " --wait nonsense=1 --timeout 5s", 1, "no field"},
		{"status --endpoint http://127.0.0.1:1 --timeout 2s", 2, ""},
		{"version", 0, "contender "},
	} {
		if code, out := exitCode(t, s.Command(t.Context(), strings.Fields(c.args)...)); code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("contender %s: exit code %d, want %d: %s", c.args, code, c.code, out)
		}
	}
	wrong := s.Command(t.Context(), "status", "--endpoint", s.Endpoint)
	wrong.Env = append(wrong.Env, "CONTENDER_SECRET_KEY=something/else")
	if code, out := exitCode(t, wrong); code != 2 {
		t.Errorf("status with a wrong key: exit code %d: %s", code, out)
	}
	for path, says := range map[string]string{"/-/live": "", "/-/ready": "", "/-/metrics": "contender_disk_up"} {
		resp, err := http.Get(s.Endpoint + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(b), says) {
			t.Errorf("%s: HTTP %d %v %.200s", path, resp.StatusCode, err, b)
		}
	}
}

// TestSecondStartRefusesOtherKeys: the root keys belong to the cluster.
func TestSecondStartRefusesOtherKeys(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := s.Command(ctx, append([]string{"server", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--peer", "127.0.0.1:0"}, s.Dirs...)...)
	cmd.Env = append(cmd.Env, "CONTENDER_SECRET_KEY=quite/another/secret")
	if code, out := exitCode(t, cmd); code != 1 || !strings.Contains(out, "differ from the cluster's root keys") {
		t.Errorf("exit code %d: %s", code, out)
	}
	s.Start()
}

// pattern is an endless body that costs next to nothing to make: a block of noise over and over, from some offset.
type pattern struct {
	block []byte
	at    int
}

func newPattern(seed byte) *pattern {
	b := make([]byte, 1<<20+7)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return &pattern{block: b}
}

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, p.block[p.at:])
	p.at = (p.at + n) % len(p.block)
	return n, nil
}

// same reads r to its end and compares it with a pattern.
func same(r io.Reader, p *pattern, size int64) error {
	b, want := make([]byte, 256<<10), make([]byte, 256<<10)
	var total int64
	for {
		n, err := r.Read(b)
		if _, e := io.ReadFull(p, want[:n]); e != nil {
			return e
		}
		if !bytes.Equal(b[:n], want[:n]) {
			return fmt.Errorf("other bytes after %d", total)
		}
		total += int64(n)
		if err == io.EOF && total == size {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", total, size, err)
		}
	}
}

// memoryMostMiB is what a server may hold while eight clients move objects that are each a large part of it.
const memoryMostMiB = 384

// TestMemoryIsBounded has eight clients put and get large objects at once, and looks at the most memory that the server
// ever held.
func TestMemoryIsBounded(t *testing.T) {
	const clients = 8
	size := int64(harness.Pick(64, 200)) << 20
	s := harness.New(t, 4, "--delete-delay", "1s")
	s.Start()
	c := harness.Client(s.Endpoint)
	harness.CreateBucket(t, c, bucket)
	idle := harness.MemoryMiB(t, s.Pid(), "VmRSS")
	harness.Each(t, clients, clients, func(i int) error {
		key := fmt.Sprintf("large/%d", i)
		if err := harness.Upload(t.Context(), harness.PresignedPut(t, c, bucket, key), io.LimitReader(newPattern(byte(i)), size), size); err != nil {
			return fmt.Errorf("put: %w", err)
		}
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		return errors.Join(same(out.Body, newPattern(byte(i)), size), out.Body.Close())
	})
	most := harness.MemoryMiB(t, s.Pid(), "VmHWM")
	t.Logf("%d clients with objects of %d MiB: at most %d MiB, idle %d MiB", clients, size>>20, most, idle)
	if most > memoryMostMiB {
		t.Errorf("the server held %d MiB, want at most %d", most, memoryMostMiB)
	}
}
