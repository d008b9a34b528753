//go:build partitions

package partitions

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
	"github.com/contender/contender/conformance/lab"
)

const (
	spreadMax = 2 * time.Minute // until a new cluster has spread over its nodes
	// bootAheadMax is how much the boot clock of a node may be ahead.
	bootAheadMax = 11 * 24 * time.Hour
	// rangeBytes makes ranges split every few objects of the crowd.
	rangeBytes = 192 << 10
)

// A member is one node: its process, its place in the network, its wall clock, and the way of clients to it.
type member struct {
	*harness.Server
	t     *testing.T
	host  *lab.Host
	clock *lab.WallClock

	client *s3.Client
	ahead  atomic.Int64  // the clock's, for who signs
	gate   chan struct{} // holds the requests under way, so that a node that does not answer keeps only some clients busy
}

// A fleet is a cluster in a lab. Its methods are for the test's goroutine; ways is for all.
type fleet struct {
	t       *testing.T
	rand    *rand.Rand
	cluster *harness.Cluster
	net     *lab.Network
	members []*member

	mu   sync.Mutex
	open []*member // whose service clients may use
}

// newFleet starts so many nodes and waits until they survive the loss of one.
func newFleet(t *testing.T, r *rand.Rand, nodes int) *fleet {
	t.Helper()
	f := &fleet{t: t, rand: r, cluster: harness.NewCluster(t, 0, 0), net: lab.NewNetwork(t)}
	for range nodes {
		f.add()
	}
	f.cluster.Start()
	f.cluster.WaitStatus(0, fmt.Sprintf("tolerates.node=%d", (nodes-1)/2), spreadMax)
	for _, m := range f.members {
		f.admit(m)
		m.ownClocks()
	}
	return f
}

// ownClocks fails the test if a node has not the clocks that the lab says it has.
func (m *member) ownClocks() {
	m.t.Helper()
	m.step(time.Hour)
	defer m.step(0)
	if _, err := m.client.ListBuckets(m.t.Context(), &s3.ListBucketsInput{}); err != nil {
		m.t.Fatalf("%s does not answer requests of the time that it has been given; was it built with -tags clockfile? %v", m.Name, err)
	}
	own, err := os.Readlink("/proc/self/ns/time")
	if err != nil {
		m.t.Fatal(err)
	}
	if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/time", m.Pid())); err != nil || its == own {
		m.t.Fatalf("%s has the boot clock of the test: %s %v", m.Name, its, err)
	}
}

// add makes one more node, which is not started.
func (f *fleet) add() *member {
	f.t.Helper()
	m := &member{t: f.t, host: f.net.Add(), clock: lab.NewWallClock(f.t), gate: make(chan struct{}, gateWidth)}
	m.Server = f.cluster.Add(1, "--range-max-bytes", fmt.Sprint(rangeBytes), "--delete-delay", "1s")
	m.Env = append(m.Env, lab.ClockVar+"="+m.clock.Path)
	m.Host = m.host.IP
	f.wrap(m)
	f.members = append(f.members, m)
	return m
}

// wrap draws the boot clock of a node's next start.
func (f *fleet) wrap(m *member) {
	m.Wrap = m.host.Wrap(time.Duration(f.rand.Int64N(int64(bootAheadMax))))
}

// admit lets clients use a node that is ready.
func (f *fleet) admit(m *member) {
	m.client = harness.Client(m.Endpoint, func(o *s3.Options) { o.HTTPSignerV4 = signer{m} })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = append(f.open, m)
}

// ways returns the nodes that clients may use.
func (f *fleet) ways() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open[:len(f.open):len(f.open)]
}

// step sets a node's wall clock.
func (m *member) step(ahead time.Duration) {
	m.clock.Set(ahead)
	m.ahead.Store(int64(ahead))
}

// signer signs by the clock of the node that is asked.
type signer struct{ m *member }

// SignHTTP implements s3.HTTPSignerV4.
func (s signer) SignHTTP(
	ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, more ...func(*v4.SignerOptions),
) error {
	at := time.Now().Add(time.Duration(s.m.ahead.Load())) // the time given has what the client guesses of the clock
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(ctx, c, r, hash, service, region, at, more...)
}

// led is what tests read of a range.
type led struct {
	ID       uint64
	Leader   *struct{ Node string }
	Replicas []struct{ Node, Disk string }
}

// ranges asks a node which ranges there are. It knows nothing while that node does not answer.
func (f *fleet) ranges(m *member) (list []led) {
	var out struct{ Ranges []led }
	b, err := f.verb("range", "ls", "--json", "--endpoint", m.Endpoint, "--timeout", "1s")
	if err != nil {
		return nil
	}
	if err := json.Unmarshal(b, &out); err != nil {
		f.t.Fatalf("range ls: %v: %s", err, b)
	}
	return out.Ranges
}

// verb runs another verb of the program.
func (f *fleet) verb(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
	defer cancel()
	return f.members[0].Command(ctx, args...).Output()
}
