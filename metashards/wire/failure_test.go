package wire_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
	"github.com/contender/contender/metashards/wire"
)

// cutter breaks a connection after some bytes that its dialer wrote, or read.
type cutter struct {
	net.Conn
	write, read *atomic.Int64 // bytes left
}

func (c *cutter) Write(b []byte) (int, error) { return c.some(b, c.write, c.Conn.Write) }
func (c *cutter) Read(b []byte) (int, error)  { return c.some(b, c.read, c.Conn.Read) }

var errCut = errors.New("the cable is cut")

func (c *cutter) some(b []byte, left *atomic.Int64, do func([]byte) (int, error)) (int, error) {
	most := left.Load()
	if most <= 0 {
		_ = c.Close()
		return 0, errCut
	}
	n, err := do(b[:min(int64(len(b)), most)])
	if left.Add(-int64(n)); n < len(b) && err == nil && left.Load() <= 0 {
		_ = c.Close()
		if n == 0 || left == c.write {
			err = errCut
		}
	}
	return n, err
}

// TestCutEverywhere: the connection is cut after each number of bytes, in either direction. Whatever a proposal is told,
// it is true: a result or a refusal of the store only if it came there once, Unavailable only if it never did.
func TestCutEverywhere(t *testing.T) {
	for _, direction := range []string{"to the store", "from the store"} {
		kinds := map[string]int{}
		for n := int64(1); n < 420; n++ {
			kinds[cutAfter(t, direction, n)]++
		}
		t.Log(direction, kinds)
		for _, k := range []string{"result", "indeterminate", "unavailable"} {
			if kinds[k] == 0 && !(direction == "from the store" && k == "unavailable") {
				t.Errorf("cut %s: never %s", direction, k)
			}
		}
	}
}

func cutAfter(t *testing.T, direction string, bytes int64) (kind string) {
	n := newNetwork(t, false)
	defer n.close()
	var write, read atomic.Int64
	write.Store(1 << 40)
	read.Store(1 << 40)
	n.cut = func(_, _ clustermap.NodeID, c net.Conn) net.Conn { return &cutter{c, &write, &read} }
	if direction == "to the store" {
		write.Store(bytes)
	} else {
		read.Store(bytes)
	}
	n.tune = func(o *wire.Options) { o.BackoffLeast, o.BackoffMost = time.Hour, time.Hour }
	far := newFake()
	var came, done atomic.Int64
	far.propose = func(_ context.Context, _ uint64, c *metapb.Command, payload []byte) (*metapb.Result, error) {
		if string(c.Key) != "key" || string(payload) != "payload" {
			t.Errorf("%q %q", c.Key, payload)
		}
		came.Add(1)
		defer done.Add(1)
		return &metapb.Result{Detail: "done"}, nil
	}
	n.start(2).add(20, far)
	x := n.start(1)
	target, ok := x.peers.Target(20)
	if !ok {
		t.Fatal("no target")
	}
	for i := 0; ; i++ {
		before := came.Load()
		r, err := target.Propose(t.Context(), 7, &metapb.Command{Key: []byte("key")}, []byte("payload"))
		switch {
		case err == nil:
			if r.Detail != "done" || came.Load() != before+1 {
				t.Errorf("cut %s after %d: %v, came %d times", direction, bytes, r, came.Load()-before)
			}
			kind = "result"
			if i == 3 {
				return kind
			}
			continue
		case reasonOf(err) == store.Indeterminate:
			kind = "indeterminate"
		case reasonOf(err) == store.Unavailable:
			kind = "unavailable"
			n.stopNode(n.nodes[2]) // whatever was under way has arrived
			if came.Load() != before {
				t.Errorf("cut %s after %d: unavailable, and it was carried out", direction, bytes)
			}
		default:
			t.Errorf("cut %s after %d: %v", direction, bytes, err)
		}
		return kind
	}
}

// stuck is a connection whose other side does not read: what is written beyond some bytes waits for the deadline.
type stuck struct {
	net.Conn
	room     atomic.Int64
	mu       sync.Mutex
	deadline time.Time
}

func (s *stuck) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

func (s *stuck) Write(b []byte) (int, error) {
	if s.room.Add(-int64(len(b))) >= 0 {
		return s.Conn.Write(b)
	}
	s.mu.Lock()
	d := s.deadline
	s.mu.Unlock()
	time.Sleep(time.Until(d)) // virtual
	return 0, timeoutError{}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "the write takes too long" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return false }

// TestSlowPeer: to a peer that does not read, no more than the limits wait, Send never does, and the connection ends.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false)
		defer n.close()
		n.tune = func(o *wire.Options) {
			o.RaftBytes, o.RaftMessages, o.Calls, o.CallBytes = 1<<20, 500, 10, 1<<20
			o.SilenceTimeout = time.Hour
		}
		n.cut = func(_, _ clustermap.NodeID, c net.Conn) net.Conn {
			s := &stuck{Conn: c}
			s.room.Store(500)
			return s
		}
		n.start(2).add(20, newFake())
		x := n.start(1)
		x.target(20)
		synctest.Wait()
		begin := time.Now()
		for _, size := range []int{10_000, 10} {
			for range 1000 {
				x.peers.Send(&transport.Message{From: 10, To: 20, Raft: &raftpb.Message{}, Payloads: [][]byte{make([]byte, size)}})
				if s := x.peers.Status()[0]; s.RaftBytes > 1<<20 || s.RaftMessages > 500 {
					t.Fatalf("%+v", s)
				}
			}
		}
		if !time.Now().Equal(begin) {
			t.Error("Send waits")
		}
		c := x.peers.Counters()
		s := x.peers.Status()[0]
		if s.RaftMessages != 500 && s.RaftBytes < 1<<20-11_000 || c.RaftDroppedFull != 2000-int64(s.RaftMessages) {
			t.Errorf("%+v %+v", s, c)
		}
		target := x.target(20)
		reasons := make(chan store.Reason, 50)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 50 {
			n.works.Go(func() {
				_, err := target.Propose(ctx, 7, &metapb.Command{}, make([]byte, 1000))
				reasons <- reasonOf(err)
			})
		}
		synctest.Wait()
		if s := x.peers.Status()[0]; s.Calls != 10 {
			t.Errorf("%+v", s)
		}
		for range 50 {
			// None left this node: the Raft messages are being written.
			if r := <-reasons; r != store.Unavailable {
				t.Error(r)
			}
		}
		time.Sleep(5 * time.Second) // virtual: the time of a write
		synctest.Wait()
		if c := x.peers.Counters(); c.LinksEnded == 0 {
			t.Errorf("%+v", c)
		}
	})
}

// TestSilentPeer: a peer that answers the handshake and then nothing is given up after the time of silence, and so is a
// dialer that says nothing. Calls end with their time, or with the connection.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false)
		defer n.close()
		var silent atomic.Bool
		n.cut = func(_, _ clustermap.NodeID, c net.Conn) net.Conn { return &mute{Conn: c, silent: &silent} }
		y := n.start(2)
		y.add(20, newFake())
		x := n.start(1)
		target := x.target(20)
		if _, err := target.Query(t.Context(), 7, &metapb.Query{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // virtual
		s := x.peers.Status()[0]
		if !s.Reachable || s.Node != 2 || s.Instance != 1 || time.Since(s.LastHeard) > 500*time.Millisecond || s.Err != nil {
			t.Fatalf("%+v", s)
		}
		if s := y.peers.Status()[0]; s.Node != 1 || !s.Served || s.Reachable || s.Instance != 2 {
			t.Errorf("%+v", s)
		}
		if !x.peers.LastHeard(2).Equal(s.LastHeard) || !x.peers.LastHeard(5).IsZero() {
			t.Error("last heard")
		}
		silent.Store(true)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := target.Propose(ctx, 7, &metapb.Command{}, nil); reasonOf(err) != store.Indeterminate || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if _, err := target.Propose(t.Context(), 7, &metapb.Command{}, nil); reasonOf(err) != store.Indeterminate || time.Since(begin) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := <-y.ends; err == nil || time.Since(begin) > 3500*time.Millisecond {
			t.Errorf("served until %v: %v", time.Since(begin), err)
		}
		time.Sleep(time.Minute) // virtual: dials again and again
		if s := x.peers.Status()[0]; s.Reachable || s.Err == nil || time.Since(s.LastHeard) < time.Minute {
			t.Errorf("%+v", s)
		}
		if _, ok := x.peers.Target(20); ok {
			t.Error("a silent node can be reached")
		}
		silent.Store(false)
		time.Sleep(5 * time.Second) // virtual
		if _, err := target.Query(t.Context(), 7, &metapb.Query{}); err != nil {
			t.Error(err)
		}
	})
}

// mute swallows what is written, and holds back what is to be read, while it is silent.
type mute struct {
	net.Conn
	silent *atomic.Bool
}

func (m *mute) Write(b []byte) (int, error) {
	if m.silent.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

func (m *mute) Read(b []byte) (int, error) {
	for {
		n, err := m.Conn.Read(b)
		if err != nil || !m.silent.Load() {
			return n, err
		}
	}
}

// TestReconnect: the pauses between attempts grow to their bound, with jitter; a stream that the peer dials shows that it
// is worth a try at once.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false)
		defer n.close()
		var mu sync.Mutex
		var dials []time.Time
		begin := time.Now()
		n.tune = func(o *wire.Options) {
			o.Jitter = func(d time.Duration) time.Duration { return d }
			if o.Node == 1 {
				dial := o.Dial
				o.Dial = func(ctx context.Context, to clustermap.NodeID, address string) (net.Conn, error) {
					mu.Lock()
					dials = append(dials, time.Now())
					mu.Unlock()
					return dial(ctx, to, address)
				}
			}
		}
		all := func() []time.Time {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(dials)
		}
		last := func() time.Time { d := all(); return d[len(d)-1] }
		x := n.start(1)
		if _, ok := x.peers.Target(20); !ok {
			t.Error("the first attempt is not waited for")
		}
		time.Sleep(10 * time.Second) // virtual
		want, pause := time.Duration(0), 10*time.Millisecond
		for i, d := range all() {
			if d.Sub(begin) != want {
				t.Errorf("attempt %d after %v, want %v", i, d.Sub(begin), want)
			}
			pause = min(2*pause, time.Second)
			want += pause
		}
		if n := len(all()); n < 10 {
			t.Errorf("%d attempts", n)
		}
		y := n.start(2)
		y.add(20, newFake())
		x.add(10, newFake())
		for time.Since(last()) < 100*time.Millisecond {
			time.Sleep(10 * time.Millisecond) // virtual
		}
		now := time.Now()
		if _, err := y.target(10).Query(t.Context(), 7, &metapb.Query{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if last := last(); !last.Equal(now) {
			t.Errorf("the peer came at %v, dialed at %v", now.Sub(begin), last.Sub(begin))
		}
		if s := x.peers.Status()[0]; !s.Reachable || !s.Served {
			t.Errorf("%+v", s)
		}
	})
}

// TestFirstAttemptFails: what waits for the first attempt is told when it fails, surely without effect.
func TestFirstAttemptFails(t *testing.T) {
	n := newNetwork(t, false)
	defer n.close()
	x := n.start(1)
	var all sync.WaitGroup
	target, _ := x.peers.Target(20)
	if target == nil {
		t.Fatal("no target")
	}
	for range 10 {
		all.Go(func() {
			_, err := target.Propose(t.Context(), 7, &metapb.Command{}, nil)
			if reasonOf(err) != store.Unavailable || !errors.Is(err, errDown) {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestNodeLeaves: a node that the directory does not know any more is not dialed again, until it knows it again.
func TestNodeLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false)
		defer n.close()
		d := &changing{}
		var dials atomic.Int64
		n.tune = func(o *wire.Options) {
			o.Directory = d
			dial := o.Dial
			o.Dial = func(ctx context.Context, to clustermap.NodeID, address string) (net.Conn, error) {
				dials.Add(1)
				return dial(ctx, to, address)
			}
		}
		y := n.start(2)
		y.add(20, newFake())
		x := n.start(1)
		target := x.target(20)
		if _, err := target.Query(t.Context(), 7, &metapb.Query{}); err != nil {
			t.Fatal(err)
		}
		d.gone.Store(true)
		n.stopNode(y)
		time.Sleep(time.Minute) // virtual
		if dials.Load() != 1 {
			t.Errorf("%d dials", dials.Load())
		}
		if _, err := target.Query(t.Context(), 7, &metapb.Query{}); reasonOf(err) != store.Unavailable {
			t.Error(err)
		}
		d.gone.Store(false)
		n.start(2).add(20, newFake())
		if _, err := target.Query(t.Context(), 7, &metapb.Query{}); err != nil {
			t.Error(err)
		}
	})
}

type changing struct {
	directory
	gone atomic.Bool
}

func (c *changing) Address(n clustermap.NodeID) (string, bool) {
	return n.String(), !c.gone.Load()
}

func (c *changing) NodeOf(id disk.ID) (clustermap.NodeID, bool) { return c.directory.NodeOf(id) }

// TestHandshake: who is of another cluster, means another node or is another one than its connection shows gets nothing.
func TestHandshake(t *testing.T) {
	for what, tune := range map[string]func(*wire.Options){
		"another cluster":      func(o *wire.Options) { o.Cluster[0]++ },
		"says that it is node": func(o *wire.Options) { o.Node = 9 },
	} {
		n := newNetwork(t, false)
		y := n.start(2)
		y.add(20, newFake())
		n.tune = tune
		x := n.start(1)
		x.id = 1
		target, _ := x.peers.Target(20)
		_, err := target.Query(t.Context(), 7, &metapb.Query{})
		if !errors.Is(err, wire.ErrRefused) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: the dialer gets %v", what, err)
		}
		if err := <-y.ends; !errors.Is(err, wire.ErrRefused) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: served until %v", what, err)
		}
		eventually(t, "the count", func() bool { return y.peers.Counters().SessionsRefused > 0 })
		n.close()
	}
	n := newNetwork(t, false)
	defer n.close()
	y := n.start(2)
	n.nodes[3] = y // node 3's address leads to node 2
	target, _ := n.start(1).peers.Target(30)
	if _, err := target.Query(t.Context(), 7, &metapb.Query{}); !errors.Is(err, wire.ErrRefused) {
		t.Error(err)
	}
}

// TestGarbage: a stream that does not keep to the protocol ends with an error, and takes nothing with it.
func TestGarbage(t *testing.T) {
	n := newNetwork(t, true)
	defer n.close()
	y := n.start(2)
	for i, b := range [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n and more and more"), make([]byte, 1000), []byte(strings.Repeat("\xff", 1000)), {}, {1, 2, 3},
	} {
		a, s, err := n.pair()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		n.works.Go(func() { ended <- y.peers.Serve(t.Context(), s, 1) })
		if _, err := a.Write(b); err != nil {
			t.Fatal(err)
		}
		if len(b) < 24 {
			_ = a.Close()
		}
		if err := <-ended; err == nil {
			t.Errorf("garbage %d is served", i)
		}
		_ = a.Close()
	}
	if s := y.peers.Status(); len(s) != 1 || s[0].Served {
		t.Errorf("%+v", s)
	}
}

// TestNewStreamReplacesOld: of two streams of one peer the newer one is served.
func TestNewStreamReplacesOld(t *testing.T) {
	n := newNetwork(t, false)
	defer n.close()
	y := n.start(2)
	y.add(20, newFake())
	if _, err := n.start(1).target(20).Query(t.Context(), 7, &metapb.Query{}); err != nil {
		t.Fatal(err)
	}
	// Another process with the same name.
	if _, err := n.start(1).target(20).Query(t.Context(), 7, &metapb.Query{}); err != nil {
		t.Fatal(err)
	}
	if err := <-y.ends; !errors.Is(err, wire.ErrReplaced) {
		t.Error(err)
	}
	if s := y.peers.Status(); len(s) != 1 || !s[0].Served {
		t.Error(fmt.Sprint(s))
	}
}
