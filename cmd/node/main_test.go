package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk/disktest"
)

func TestMain(m *testing.M) { disktest.VerifyTestMain(m) }

// Root keys of the nodes of these tests.
const (
	testAccess = "NODETESTACCESSKEY"
	testSecret = "node/test/secret+key/0001"
	testBucket = "bucket"
)

// full reports whether the full sizes are asked for, as `make prove` does.
func full() bool { return os.Getenv("CONTENDER_FULL") == "1" }

// fourDirs are the folders of a test node, below root.
func fourDirs(root string) (dirs []string) {
	for i := range 4 {
		dirs = append(dirs, path.Join(root, fmt.Sprintf("disk%d", i+1)))
	}
	return dirs
}

func testConfig(dirs []string) Config {
	return Config{
		Dirs: dirs, Init: true, Listen: "127.0.0.1:0", Peer: "127.0.0.1:0", Console: "127.0.0.1:0",
		Region: "us-east-1", Name: "test", AccessKey: testAccess, SecretKey: testSecret, Version: "test",
		Metrics: MetricsLocal, SegmentBytes: 8 << 20, CapacityBytes: 8 << 30, DrainTimeout: 10 * time.Second,
	}
}

// testEnv is a world on a file system, else the real one. All folders lie on one device.
func testEnv(fs vfs.FS) Env {
	return Env{
		FS: fs, Listen: net.Listen, Dial: new(net.Dialer).DialContext, Clock: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Device:   func(string) (uint64, error) { return 1, nil },
		Hostname: func() (string, error) { return "host", nil },
	}
}

// server is a node that serves.
type server struct {
	*Node
	t      testing.TB
	client *s3.Client
	http   *http.Transport
	stop   context.CancelFunc
	served chan error
}

// serve opens a node and serves it until the test ends or close is called.
func serve(t testing.TB, cfg Config, env Env) *server {
	t.Helper()
	return serveOn(t, cfg, env, &http.Transport{MaxIdleConnsPerHost: 128})
}

// serveOn is serve with a client that reaches the node in its own way.
func serveOn(t testing.TB, cfg Config, env Env, reach *http.Transport) *server {
	t.Helper()
	n, err := Open(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, n, reach)
	s.awaitReady()
	return s
}

func newServer(t testing.TB, n *Node, reach *http.Transport) *server {
	return newServerWithKeys(t, n, reach, rootKey{testAccess, testSecret})
}

func newServerWithKeys(t testing.TB, n *Node, reach *http.Transport, k rootKey) *server {
	ctx, stop := context.WithCancel(context.Background())
	s := &server{Node: n, t: t, http: reach, stop: stop, served: make(chan error, 1)}
	s.client = s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + n.s3.Addr().String()), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(k.AccessKey, k.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: s.http},
	})
	go func() { s.served <- n.Serve(ctx) }()
	t.Cleanup(func() {
		if s.stop != nil {
			s.close()
		}
	})
	return s
}

// close drains the node and returns how it ended.
func (s *server) close() error {
	s.http.CloseIdleConnections()
	s.stop()
	s.stop = nil
	return <-s.served
}

// await waits until a condition holds.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func (s *server) awaitReady() {
	s.t.Helper()
	await(s.t, "ready", func() bool { return s.ready(s.t.Context()) == nil })
}

func (s *server) createBucket() {
	s.t.Helper()
	if _, err := s.client.CreateBucket(s.t.Context(), &s3.CreateBucketInput{Bucket: aws.String(testBucket)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) put(key string, body []byte) error {
	return s.putIn(s.t.Context(), key, body)
}

func (s *server) putIn(ctx context.Context, key string, body []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(testBucket), Key: aws.String(key), Body: bytes.NewReader(body),
	})
	return err
}

func (s *server) mustPut(key string, body []byte) {
	s.t.Helper()
	if err := s.put(key, body); err != nil {
		s.t.Fatalf("put %s: %v", key, err)
	}
}

func (s *server) get(key string) ([]byte, error) {
	out, err := s.client.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key)})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(out.Body)
	return b, errors.Join(err, out.Body.Close())
}

// mustGet checks that an object has these bytes.
func (s *server) mustGet(key string, want []byte) {
	s.t.Helper()
	b, err := s.get(key)
	if err != nil {
		s.t.Fatalf("get %s: %v", key, err)
	}
	if !bytes.Equal(b, want) {
		s.t.Fatalf("get %s: %d bytes that are not the %d put", key, len(b), len(want))
	}
}

// body makes bytes that no other seed has.
func body(seed string, n int) []byte {
	return []byte(strings.Repeat(seed+"/", n/(len(seed)+1)+1))[:n]
}
