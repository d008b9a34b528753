package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/contender/contender/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	testCluster = disk.ClusterID{1, 2, 3}
	testStart   = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
)

const testSecret = "b1946ac92492d2347c6235b4d2611184"

// testClock is a clock that is set by hand.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// random is a seeded source, safe for concurrent use.
type random struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func newRandom(seed byte) *random { return &random{r: rand.NewChaCha8([32]byte{seed})} }

func (r *random) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.Read(p)
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t *testing.T, err error, k Kind) {
	t.Helper()
	if !Is(err, k) {
		t.Errorf("error %v, want one of kind %q", err, k)
	}
}

// fixture is a cluster with one member.
type fixture struct {
	t         *testing.T
	clock     *testClock
	rand      *random
	authority *Authority
	member    *Credentials

	mu       sync.Mutex
	tokens   map[TokenID]TokenRecord
	findErr  error
	admitted []Admission
	admit    func(Admission) ([]byte, error)
}

func newFixture(t *testing.T, cluster disk.ClusterID, seed byte) *fixture {
	f := &fixture{t: t, clock: &testClock{at: testStart}, rand: newRandom(seed), tokens: map[TokenID]TokenRecord{}}
	f.authority = must[*Authority](t)(NewAuthority(cluster, f.rand, f.clock.now))
	f.member = f.credentials(f.identity(1), nil)
	return f
}

func (f *fixture) identity(n NodeID) Identity {
	f.t.Helper()
	a := must[Applicant](f.t)(NewApplicant(f.rand))
	a.Node = n
	return must[Identity](f.t)(f.authority.Identity(a, []string{"127.0.0.1", "node.example"}, f.rand, f.clock.now))
}

func (f *fixture) credentials(id Identity, allow func(NodeID) error) *Credentials {
	f.t.Helper()
	return must[*Credentials](f.t)(NewCredentials(id, CredentialsOptions{Clock: f.clock.now, Allow: allow}))
}

// Find implements Tokens.
func (f *fixture) Find(_ context.Context, id TokenID) (TokenRecord, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.tokens[id]
	return r, ok, f.findErr
}

func (f *fixture) token(expires time.Duration) Token {
	f.t.Helper()
	k, r, err := NewToken(f.authority, f.clock.now().Add(expires), 1, f.rand)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens[k.ID()] = r
	return k
}

func (f *fixture) secret(text string) Secret {
	f.t.Helper()
	return must[Secret](f.t)(ParseSecret(text))
}

func (f *fixture) serveOptions() ServeOptions {
	return ServeOptions{
		Cluster: f.authority.Cluster(), Secret: f.secret(testSecret), Tokens: f, Clock: f.clock.now, Rand: f.rand, Limit: NewJoinLimit(4, 1),
		Authority: func(context.Context) (*Authority, error) { return f.authority, nil },
		Admit: func(_ context.Context, a Admission) ([]byte, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.admitted = append(f.admitted, a)
			if f.admit != nil {
				return f.admit(a)
			}
			return []byte("the map"), nil
		},
	}
}

func (f *fixture) joinOptions() JoinOptions {
	f.t.Helper()
	return JoinOptions{
		Applicant: must[Applicant](f.t)(NewApplicant(f.rand)), Hosts: []string{"10.0.0.7"}, Wishes: []byte("four disks"),
		Clock: f.clock.now,
	}
}

func (f *fixture) admissions() []Admission {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.admitted)
}

// pair returns both ends of a connection over loopback. Unlike net.Pipe it has buffers: TLS needs them, since a side
// that turns the other away writes its alert while the other may still be writing too.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	near = must[net.Conn](t)(net.Dial("tcp", l.Addr().String()))
	return near, must[net.Conn](t)(l.Accept())
}

// serve serves one join on the far end of the connection that it returns; the channel gives its error.
func (f *fixture) serve(ctx context.Context, o ServeOptions) (net.Conn, <-chan error) {
	f.t.Helper()
	near, far := pair(f.t)
	return near, f.serveOn(ctx, far, o)
}

func (f *fixture) serveOn(ctx context.Context, far net.Conn, o ServeOptions) <-chan error {
	done := make(chan error, 1)
	go func() { done <- ServeJoin(ctx, tls.Server(far, f.member.ServerTLS()), o) }()
	return done
}

// join makes one join against one serving and returns the errors of both.
func (f *fixture) join(so ServeOptions, jo JoinOptions) (id Identity, payload []byte, joinErr, serveErr error) {
	near, done := f.serve(f.t.Context(), so)
	id, payload, joinErr = Join(f.t.Context(), dialer(near), jo)
	_ = near.Close()
	return id, payload, joinErr, <-done
}

func dialer(c net.Conn) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) { return c, nil }
}

// shake makes a handshake and lets one byte pass each way; it returns what each side says.
func shake(t *testing.T, server, client *tls.Config) (s, c tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	near, far := pair(t)
	sc, cc := tls.Server(far, server), tls.Client(near, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		if serverErr = sc.Handshake(); serverErr == nil {
			_, serverErr = sc.Write([]byte{1})
		}
		s = sc.ConnectionState()
	}()
	if clientErr = cc.Handshake(); clientErr == nil {
		_, clientErr = cc.Read(make([]byte, 1))
	}
	c = cc.ConnectionState()
	_ = near.Close()
	<-done
	return s, c, serverErr, clientErr
}

// noCertificate is a client that trusts everybody and shows nothing.
func noCertificate(protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}

func certificate(id Identity) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.Key, Leaf: id.Certificate}
}

var errGone = errors.New("the node was removed")

func names(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return out
}
