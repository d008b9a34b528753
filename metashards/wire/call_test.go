package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
	"github.com/contender/contender/metashards/wire"
)

// both runs a test over connections in memory and over the loopback.
func both(t *testing.T, run func(t *testing.T, n *network)) {
	for name, tcp := range map[string]bool{"pipe": false, "tcp": true} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, tcp)
			defer n.close()
			run(t, n)
		})
	}
}

// TestCalls: proposals, queries and pulls reach the store of their disk, and their answers come back.
func TestCalls(t *testing.T) {
	both(t, func(t *testing.T, n *network) {
		far := newFake()
		n.start(2).add(21, far)
		x := n.start(1)
		target := x.target(21)
		payload := bytes.Repeat([]byte("p"), 200_000)
		r, err := target.Propose(t.Context(), 7, &metapb.Command{Key: []byte("k")}, payload)
		if err != nil || r.Detail != "k"+string(payload) || r.Revision != 7 {
			t.Errorf("propose: %.100v %v", r, err)
		}
		a, err := target.Query(t.Context(), 8, &metapb.Query{Key: []byte("q")})
		if err != nil || a.Detail != "q" || a.Generation != 8 {
			t.Errorf("query: %v %v", a, err)
		}
		far.rows = func(_ context.Context, q transport.RowsRequest) (transport.Rows, error) {
			if q.From != 21 || q.Token != 4 || q.Span != 2 || string(q.After) != "after" || q.Bytes != 1000 {
				t.Errorf("%+v", q)
			}
			return transport.Rows{More: true, Rows: []disk.Row{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b")}}}, nil
		}
		rows, err := x.peers.Rows(t.Context(), transport.RowsRequest{From: 21, Token: 4, Span: 2, After: []byte("after"), Bytes: 1000})
		if err != nil || !rows.More || len(rows.Rows) != 2 || string(rows.Rows[0].Value) != "1" || string(rows.Rows[1].Key) != "b" {
			t.Errorf("rows: %v %v", rows, err)
		}
		b, err := x.peers.Payload(t.Context(), 21, disk.PayloadID{Range: 1, Term: 2, Index: 3, N: 4})
		if err != nil || string(b) != "1/2/3/4" {
			t.Errorf("payload: %q %v", b, err)
		}
		far.payload = func(context.Context, disk.PayloadID) ([]byte, error) { return []byte{}, nil }
		if b, err := x.peers.Payload(t.Context(), 21, disk.PayloadID{}); err != nil || b == nil || len(b) != 0 {
			t.Errorf("empty payload: %v %v", b, err)
		}
		x.peers.Release(21, 99)
		if token := <-far.released; token != 99 {
			t.Errorf("released %d", token)
		}
		if c := n.nodes[2].peers.Counters(); c.CallsServed != 5 || c.Sessions != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// TestErrorsTravel: refusals with their reason and leader, and errors of disks, come as they were.
func TestErrorsTravel(t *testing.T) {
	n := newNetwork(t, false)
	defer n.close()
	far := newFake()
	n.start(2).add(20, far)
	x := n.start(1)
	target := x.target(20)
	for reason := store.NotLeader; reason <= store.Closed; reason++ {
		refusal := &store.Refusal{Reason: reason, Range: 7, Leader: 33, Err: errors.New("the cause")}
		far.propose = func(context.Context, uint64, *metapb.Command, []byte) (*metapb.Result, error) { return nil, refusal }
		far.query = func(context.Context, uint64, *metapb.Query) (*metapb.Answer, error) { return nil, refusal }
		_, perr := target.Propose(t.Context(), 7, &metapb.Command{}, nil)
		_, qerr := target.Query(t.Context(), 7, &metapb.Query{})
		for _, err := range []error{perr, qerr} {
			var got *store.Refusal
			if !errors.As(err, &got) || got.Reason != reason || got.Range != 7 || got.Leader != 33 || !strings.Contains(got.Error(), "the cause") {
				t.Errorf("%v came as %v", refusal, err)
			}
		}
	}
	for k := disk.KindIO; k <= disk.KindClosed; k++ {
		cause := disk.Errorf("op", k, "what", errors.New("the cause"))
		far.query = func(context.Context, uint64, *metapb.Query) (*metapb.Answer, error) { return nil, cause }
		far.payload = func(context.Context, disk.PayloadID) ([]byte, error) { return nil, cause }
		far.rows = func(context.Context, transport.RowsRequest) (transport.Rows, error) { return transport.Rows{}, cause }
		_, qerr := target.Query(t.Context(), 7, &metapb.Query{})
		_, perr := x.peers.Payload(t.Context(), 20, disk.PayloadID{})
		_, rerr := x.peers.Rows(t.Context(), transport.RowsRequest{From: 20})
		for _, err := range []error{qerr, perr, rerr} {
			if !disk.Is(err, k) || !strings.Contains(err.Error(), "what") || !strings.Contains(err.Error(), "the cause") {
				t.Errorf("%v came as %v", cause, err)
			}
		}
	}
	far.query = func(context.Context, uint64, *metapb.Query) (*metapb.Answer, error) {
		return nil, errors.New(strings.Repeat("a row makes no sense ", 10_000))
	}
	var remote *wire.RemoteError
	if _, err := target.Query(t.Context(), 7, &metapb.Query{}); !errors.As(err, &remote) || remote.Node != 2 || len(remote.Text) > 5000 {
		t.Errorf("%.200v", err)
	}
	far.propose = func(context.Context, uint64, *metapb.Command, []byte) (*metapb.Result, error) {
		return &metapb.Result{Detail: strings.Repeat("x", 40<<20)}, nil
	}
	if _, err := target.Propose(t.Context(), 7, &metapb.Command{}, nil); reasonOf(err) != store.Indeterminate {
		t.Errorf("a result that fits no frame: %v", err)
	}
	if _, err := target.Propose(t.Context(), 7, &metapb.Command{}, make([]byte, 17<<20)); reasonOf(err) != store.Invalid {
		t.Errorf("a payload that fits no frame: %v", err)
	}
}

func reasonOf(err error) store.Reason {
	var r *store.Refusal
	if !errors.As(err, &r) {
		return 255
	}
	return r.Reason
}

// TestNowhere: what is for disks without a store, unknown disks and unknown nodes is refused, surely without effect.
func TestNowhere(t *testing.T) {
	n := newNetwork(t, false)
	defer n.close()
	n.start(2)
	x := n.start(1)
	target := x.target(20)
	if _, err := target.Propose(t.Context(), 7, &metapb.Command{}, nil); reasonOf(err) != store.Unavailable {
		t.Errorf("propose to a disk without a store: %v", err)
	}
	if _, err := target.Query(t.Context(), 7, &metapb.Query{}); reasonOf(err) != store.Unavailable {
		t.Errorf("query to a disk without a store: %v", err)
	}
	for _, id := range []disk.ID{20, 10, 200, 30} {
		if _, err := x.peers.Payload(t.Context(), id, disk.PayloadID{}); !disk.Is(err, disk.KindClosed) {
			t.Errorf("payload from disk %d: %v", id, err)
		}
		if _, err := x.peers.Rows(t.Context(), transport.RowsRequest{From: id}); !disk.Is(err, disk.KindClosed) {
			t.Errorf("rows from disk %d: %v", id, err)
		}
		x.peers.Release(id, 1)
	}
	for _, id := range []disk.ID{10, 200} {
		if _, ok := x.peers.Target(id); ok {
			t.Errorf("disk %d can be reached", id)
		}
	}
	eventually(t, "node 3 is down", func() bool {
		_, ok := x.peers.Target(30)
		return !ok
	})
	for _, id := range []disk.ID{10, 200, 30} {
		x.peers.Send(&transport.Message{To: id, Raft: &raftpb.Message{}})
	}
	if c := x.peers.Counters(); c.RaftDroppedUnreachable != 3 {
		t.Errorf("%+v", c)
	}
}

// TestConcurrentCalls: many calls at once over one connection, each gets its own answer; not more than the limit are
// under way, the others wait for their turn.
func TestConcurrentCalls(t *testing.T) {
	both(t, func(t *testing.T, n *network) {
		n.tune = func(o *wire.Options) { o.Calls = 20 }
		far := newFake()
		var mu sync.Mutex
		now, most := 0, 0
		answer := far.query
		far.query = func(ctx context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			defer func() {
				mu.Lock()
				now--
				mu.Unlock()
			}()
			return answer(ctx, rangeID, q)
		}
		n.start(2).add(20, far)
		target := n.start(1).target(20)
		var all sync.WaitGroup
		for w := range 100 {
			all.Go(func() {
				for i := range 20 {
					key := strings.Repeat(fmt.Sprint(w, "-", i, ";"), 1+w*i)
					a, err := target.Query(t.Context(), 7, &metapb.Query{Key: []byte(key)})
					if err != nil || a.Detail != key {
						t.Errorf("%d %d: %v", w, i, err)
					}
				}
			})
		}
		all.Wait()
		mu.Lock()
		defer mu.Unlock()
		if most > 20 {
			t.Errorf("%d calls at once", most)
		}
	})
}

// TestCancel: the end of a caller's context ends its call at once, and the work for it on the other node.
func TestCancel(t *testing.T) {
	both(t, func(t *testing.T, n *network) {
		far := newFake()
		begun, ended := make(chan bool, 1), make(chan error, 1)
		far.query = func(ctx context.Context, _ uint64, _ *metapb.Query) (*metapb.Answer, error) {
			begun <- true
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, &store.Refusal{Reason: store.Unavailable}
		}
		far.propose = func(ctx context.Context, _ uint64, _ *metapb.Command, _ []byte) (*metapb.Result, error) {
			_, err := far.query(ctx, 0, nil)
			return nil, err
		}
		n.start(2).add(20, far)
		x := n.start(1)
		target := x.target(20)
		for want, call := range map[store.Reason]func(ctx context.Context) error{
			store.Unavailable: func(ctx context.Context) error {
				_, err := target.Query(ctx, 7, &metapb.Query{})
				return err
			},
			store.Indeterminate: func(ctx context.Context) error {
				_, err := target.Propose(ctx, 7, &metapb.Command{}, nil)
				return err
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			got := make(chan error, 1)
			n.works.Go(func() { got <- call(ctx) })
			<-begun
			cancel()
			if err := <-got; reasonOf(err) != want || !errors.Is(err, context.Canceled) {
				t.Errorf("%v: %v", want, err)
			}
			if err := <-ended; err != context.Canceled {
				t.Errorf("the work ended with %v", err)
			}
		}
		if s := x.peers.Status(); s[0].Calls != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestDeadlines: in virtual time. A call ends at its deadline; the store that answers is told of it a little earlier, so
// that its own word, which knows more, comes first. Without a deadline a call has the default.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false)
		defer n.close()
		far := newFake()
		n.start(2).add(20, far)
		x := n.start(1)
		target := x.target(20)
		far.propose = func(ctx context.Context, _ uint64, _ *metapb.Command, _ []byte) (*metapb.Result, error) {
			<-ctx.Done()
			return nil, &store.Refusal{Reason: store.Full, Err: ctx.Err()} // knows more
		}
		far.payload = func(ctx context.Context, _ disk.PayloadID) ([]byte, error) {
			<-ctx.Done()
			return nil, disk.Errorf("payload", disk.KindIO, "", ctx.Err())
		}
		for _, d := range []time.Duration{0, 3 * time.Second, 100 * time.Millisecond} {
			ctx, cancel := context.WithCancel(t.Context())
			want := 10 * time.Second
			if d > 0 {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), d)
				want = d
			}
			begin := time.Now()
			_, err := target.Propose(ctx, 7, &metapb.Command{}, nil)
			if took := time.Since(begin); reasonOf(err) != store.Full || took >= want || took < want*7/8-time.Millisecond {
				t.Errorf("%v: %v after %v", want, err, took)
			}
			cancel()
		}
		begin := time.Now()
		if _, err := x.peers.Payload(t.Context(), 20, disk.PayloadID{}); !disk.Is(err, disk.KindIO) || time.Since(begin) > 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		// A store that does not look at its context.
		held := make(chan bool)
		far.propose = func(context.Context, uint64, *metapb.Command, []byte) (*metapb.Result, error) {
			<-held
			return &metapb.Result{}, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if _, err := target.Propose(ctx, 7, &metapb.Command{}, nil); reasonOf(err) != store.Indeterminate || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		close(held)
	})
}

// TestForeign: Raft messages from disks that are not the peer's, and for disks that are not here, are dropped and counted.
func TestForeign(t *testing.T) {
	n := newNetwork(t, false)
	defer n.close()
	far := newFake()
	y := n.start(2)
	y.add(20, far)
	x := n.start(1)
	for i, from := range []disk.ID{30, 20, 200, 0, 10, 11} {
		x.peers.Send(&transport.Message{Range: uint64(i), From: from, To: 20, Raft: &raftpb.Message{}})
	}
	x.peers.Send(&transport.Message{From: 10, To: 21, Raft: &raftpb.Message{}})
	eventually(t, "all messages", func() bool { return y.peers.Counters().RaftReceived == 7 })
	if c := y.peers.Counters(); c.RaftDroppedForeign != 4 || c.RaftDroppedNowhere != 1 || far.received.Load() != 2 {
		t.Errorf("%+v, %d received", c, far.received.Load())
	}
}

// TestOrder: Raft messages arrive in order, each at most once, however often connections break.
func TestOrder(t *testing.T) {
	both(t, func(t *testing.T, n *network) {
		n.tune = func(o *wire.Options) { o.BackoffLeast, o.BackoffMost = time.Millisecond, 2*time.Millisecond }
		far := newFake()
		var mu sync.Mutex
		var got []uint64
		far.receive = func(m *transport.Message) {
			mu.Lock()
			defer mu.Unlock()
			if k := len(got); k > 0 && m.Range <= got[k-1] {
				t.Errorf("%d after %d", m.Range, got[k-1])
			}
			if len(m.Payloads) != 1 || len(m.Payloads[0]) != int(m.Range%5000) {
				t.Errorf("message %d has other payloads", m.Range)
			}
			got = append(got, m.Range)
		}
		n.start(2).add(20, far)
		x := n.start(1)
		x.target(20)
		const count = 5000
		for i := 1; i <= count; i++ {
			x.peers.Send(&transport.Message{Range: uint64(i), From: 10, To: 20, Raft: &raftpb.Message{}, Payloads: [][]byte{make([]byte, i%5000)}})
			if i%500 == 0 {
				eventually(t, "some", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(got) > 0 && got[len(got)-1] > uint64(i-400)
				})
				x.breakAll()
				eventually(t, "the break", func() bool {
					s := x.peers.Status()
					return x.peers.Counters().LinksEnded >= int64(i/500) && len(s) == 1 && s[0].Reachable
				})
			}
		}
		if c := x.peers.Counters(); len(got) < count/10 || c.LinksEnded != count/500 {
			t.Errorf("%d of %d came, %+v", len(got), count, c)
		}
	})
}

// TestClose: calls that are under way when a node ends are answered on both sides, and nothing goes on.
func TestClose(t *testing.T) {
	both(t, func(t *testing.T, n *network) {
		far := newFake()
		begun := make(chan bool, 100)
		far.propose = func(ctx context.Context, _ uint64, _ *metapb.Command, _ []byte) (*metapb.Result, error) {
			begun <- true
			<-ctx.Done()
			return nil, &store.Refusal{Reason: store.Closed}
		}
		y := n.start(2)
		y.add(20, far)
		x := n.start(1)
		target := x.target(20)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := target.Propose(t.Context(), 7, &metapb.Command{}, nil)
				if r := reasonOf(err); r != store.Indeterminate && r != store.Closed {
					t.Error(err)
				}
			})
		}
		for range 20 {
			<-begun
		}
		n.stopNode(y)
		all.Wait()
		if err := <-y.ends; err == nil {
			t.Error("a stream ended without a reason")
		}
		a, b, err := n.pair()
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if err := y.peers.Serve(t.Context(), b, 1); err == nil {
			t.Error("a stream is served after the end")
		}
		if _, ok := y.peers.Target(10); ok {
			t.Error("a target after the end")
		}
		n.stopNode(x)
		if _, err := target.Query(t.Context(), 7, &metapb.Query{}); reasonOf(err) != store.Unavailable {
			t.Error(err)
		}
	})
}
