package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// slowStore answers nothing before it is let go.
type slowStore struct {
	now, most atomic.Int64
	begun     chan bool
	gate      chan bool
	answer    *metapb.Answer
}

func (s *slowStore) work(ctx context.Context) {
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for m := s.most.Load(); n > m && !s.most.CompareAndSwap(m, n); m = s.most.Load() {
	}
	select {
	case s.begun <- true:
	default:
	}
	select {
	case <-s.gate:
	case <-ctx.Done():
	}
}

func (s *slowStore) Receive(*transport.Message) {}
func (s *slowStore) ServeRelease(uint64)        {}
func (s *slowStore) ServeRows(ctx context.Context, _ transport.RowsRequest) (transport.Rows, error) {
	s.work(ctx)
	return transport.Rows{Rows: []disk.Row{{Key: []byte("k"), Value: make([]byte, mib)}}}, nil
}

func (s *slowStore) ServePayload(ctx context.Context, _ disk.PayloadID) ([]byte, error) {
	s.work(ctx)
	return make([]byte, 16*kib), nil
}

func (s *slowStore) Propose(ctx context.Context, _ uint64, _ *metapb.Command, _ []byte) (*metapb.Result, error) {
	s.work(ctx)
	return &metapb.Result{}, nil
}

func (s *slowStore) Query(ctx context.Context, _ uint64, _ *metapb.Query) (*metapb.Answer, error) {
	s.work(ctx)
	return s.answer, nil
}

// one is a directory with node 1 and its disk 10.
type one struct{}

func (one) NodeOf(id disk.ID) (clustermap.NodeID, bool) { return 1, id == 10 }
func (one) Address(id clustermap.NodeID) (string, bool) { return "1", id == 1 }
func noDial(context.Context, clustermap.NodeID, string) (net.Conn, error) {
	return nil, errors.New("no way")
}

// rawServe serves one stream to a test that writes frames by hand. It returns the test's end, after the handshake.
func rawServe(t testing.TB, s Store, tune func(*Options)) (p *Peers, conn net.Conn, in *reader, ended chan error) {
	opt := Options{
		Node: 2, Directory: one{}, Dial: noDial, Clock: Wall{}, Logger: slog.New(slog.DiscardHandler),
		Store: func(id disk.ID) (Store, bool) { return s, s != nil && id == 20 },
	}
	if tune != nil {
		tune(&opt)
	}
	p = New(t.Context(), opt)
	a, b := net.Pipe()
	ended = make(chan error, 1)
	go func() { ended <- p.Serve(context.Background(), b, 1) }()
	h := &metapb.Hello{VersionLeast: 1, VersionMost: 7, Cluster: opt.Cluster[:], Node: 1, To: 2}
	if err := writeHello(a, h); err != nil {
		t.Fatal(err)
	}
	in = newReader(a)
	answer, err := readHello(in)
	if err != nil || answer.Refusal != "" || answer.VersionMost != 1 || answer.VersionLeast != 1 {
		t.Fatal(answer, err)
	}
	return p, a, in, ended
}

func mustFrame(t testing.TB, h header, m message, payload []byte) []byte {
	b, err := appendFrame(nil, h, m, len(payload))
	if err != nil {
		t.Fatal(err)
	}
	return append(b, payload...)
}

// TestVersions: the highest version in common is spoken; without one the peer is refused.
func TestVersions(t *testing.T) {
	p := New(t.Context(), Options{Node: 2})
	defer p.Close()
	for _, c := range []struct {
		least, most, want uint32
		ok                bool
	}{{1, 1, 1, true}, {1, 9, 1, true}, {0, 1, 1, true}, {2, 9, 1, false}, {0, 0, 0, false}} {
		v, err := p.judgeHello(&metapb.Hello{VersionLeast: c.least, VersionMost: c.most, Cluster: make([]byte, 16), Node: 1, To: 2}, 1)
		if (err == nil) != c.ok || c.ok && v != c.want || !c.ok && !errors.Is(err, ErrRefused) {
			t.Errorf("%d to %d: %d %v", c.least, c.most, v, err)
		}
	}
}

// TestBoundedService: a peer that asks without end is refused beyond the limits, and served again when there is room.
func TestBoundedService(t *testing.T) {
	s := &slowStore{begun: make(chan bool, 1), gate: make(chan bool), answer: &metapb.Answer{}}
	p, conn, in, ended := rawServe(t, s, func(o *Options) { o.ServeCalls, o.ServeBytes = 8, 2*mib })
	defer p.Close()
	answers := make(chan frame, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			f, err := in.next()
			if err != nil {
				return
			}
			f.own()
			answers <- f
		}
	})
	for id := range uint64(100) {
		if _, err := conn.Write(mustFrame(t, header{kind: kindQuery, id: id + 1}, &metapb.QueryRequest{Disk: 20, Query: &metapb.Query{}}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	for range 92 {
		if f := <-answers; f.kind != kindFailure || f.id <= 8 {
			t.Errorf("%+v", f.header)
		}
	}
	for s.now.Load() < 8 { // all that were let in are at work
		runtime.Gosched()
	}
	close(s.gate)
	for range 8 {
		if f := <-answers; f.kind != kindAnswer || f.id > 8 {
			t.Errorf("%+v", f.header)
		}
	}
	if s.most.Load() != 8 || p.Counters().CallsRefused != 92 {
		t.Errorf("%d at once, %+v", s.most.Load(), p.Counters())
	}
	x := p.peer(1)
	x.mu.Lock()
	load := x.session.load
	x.mu.Unlock()
	for n := 1; n > 0; n, _ = load.used() { // the room comes back when the answers are written
		runtime.Gosched()
	}
	if _, err := conn.Write(mustFrame(t, header{kind: kindRows, id: 200}, &metapb.RowsRequest{Disk: 20}, nil)); err != nil {
		t.Fatal(err)
	}
	if f := <-answers; f.kind != kindRowsAnswer || len(f.body) < mib {
		t.Errorf("%+v", f.header)
	}
	_ = conn.Close()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
	reading.Wait()
}

// TestDeafPeer: a peer that asks and does not read the answers costs bounded memory, and is cut off after the time of a
// write, or before if it goes on asking.
func TestDeafPeer(t *testing.T) {
	for name, gap := range map[string]time.Duration{"patient": 100 * time.Millisecond, "greedy": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slowStore{begun: make(chan bool, 1), gate: make(chan bool), answer: &metapb.Answer{Payload: make([]byte, 256*kib)}}
				close(s.gate)
				p, conn, _, ended := rawServe(t, s, func(o *Options) { o.ServeBytes = 8 * mib })
				defer p.Close()
				begin := time.Now()
				q := mustFrame(t, header{kind: kindQuery}, &metapb.QueryRequest{Disk: 20, Query: &metapb.Query{}}, nil)
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				asked := 0
				for id := uint64(1); ; id++ {
					header{kind: kindQuery, id: id, body: uint32(len(q) - headerBytes)}.put(q)
					if _, err := conn.Write(q); err != nil {
						break
					}
					asked++
					if asked == 2000 {
						runtime.GC()
						runtime.ReadMemStats(&after)
						// Until it is known how long answers are, each counts for a quarter of what it is.
						if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4*8*mib+8*mib {
							t.Errorf("%d MiB after %d requests", grown/mib, asked)
						}
					}
					if gap > 0 {
						time.Sleep(gap) // virtual
					}
				}
				err := <-ended
				took := time.Since(begin)
				// Refusals wait, controlMost of them, and as many again may be in the write that does not get on.
				if err == nil || took > 6*time.Second || gap == 0 && asked > 2*controlMost+1000 {
					t.Errorf("%d asked, after %v: %v", asked, took, err)
				}
				_ = conn.Close()
			})
		})
	}
}

// TestProtocolErrors: frames that have no place end the stream, those that only make no sense are answered.
func TestProtocolErrors(t *testing.T) {
	s := &slowStore{begun: make(chan bool, 1), gate: make(chan bool), answer: &metapb.Answer{}}
	q := &metapb.QueryRequest{Disk: 20, Query: &metapb.Query{}}
	for name, b := range map[string][]byte{
		"second hello":   mustFrame(t, header{kind: kindHello}, &metapb.Hello{}, nil),
		"an answer":      mustFrame(t, header{kind: kindAnswer}, &metapb.Answer{}, nil),
		"one id twice":   slices.Concat(mustFrame(t, header{kind: kindQuery, id: 5}, q, nil), mustFrame(t, header{kind: kindQuery, id: 5}, q, nil)),
		"bad ping":       badBody(kindPing),
		"bad release":    badBody(kindRelease),
		"bad Raft":       badBody(kindRaft),
		"too large ping": tooLargePing(),
	} {
		p, conn, in, ended := rawServe(t, s, nil)
		go func() {
			for {
				if _, err := in.next(); err != nil {
					return
				}
			}
		}()
		_, _ = conn.Write(b) // it may end before all is written
		var protocol *ProtocolError
		if err := <-ended; !errors.As(err, &protocol) {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.Close()
		p.Close()
	}
	close(s.gate)
	p, conn, in, _ := rawServe(t, s, nil)
	defer p.Close()
	defer conn.Close()
	for _, k := range []kind{kindPropose, kindQuery, kindRows, kindPayload, kindFetchMap} {
		b := badBody(k)
		if k == kindFetchMap {
			b = mustFrame(t, header{kind: k, id: 1}, nil, nil)
		}
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		if f, err := in.next(); err != nil || f.kind != kindFailure {
			t.Errorf("kind %d: %+v %v", k, f.header, err)
		}
	}
	// Requests without what they should hold, a cancellation of nothing, a map for nobody.
	for _, b := range [][]byte{
		mustFrame(t, header{kind: kindCancel, id: 77}, nil, nil),
		mustFrame(t, header{kind: kindOfferMap}, &metapb.MapOffer{Revision: 3}, []byte("map")),
		mustFrame(t, header{kind: kindPropose, id: 2}, &metapb.ProposeRequest{Disk: 20}, nil),
	} {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := in.next(); err != nil || f.kind != kindResult || f.id != 2 {
		t.Errorf("%+v %v", f.header, err)
	}
}

func badBody(k kind) []byte {
	b := make([]byte, headerBytes, headerBytes+2)
	header{kind: k, id: 1, body: 2}.put(b)
	return append(b, 0xff, 0xff)
}

func tooLargePing() []byte {
	b := make([]byte, headerBytes)
	header{kind: kindPing, body: 65}.put(b)
	return b
}

// FuzzServe: whatever a peer sends after its Hello, the stream ends, and nothing goes on.
func FuzzServe(f *testing.F) {
	f.Add(mustFrame(f, header{kind: kindPing, id: 1}, &metapb.Beat{MapRevision: 3}, nil))
	f.Add(mustFrame(f, header{kind: kindPropose, id: 1}, &metapb.ProposeRequest{Disk: 20, Command: &metapb.Command{}}, []byte("x")))
	f.Add(slices.Concat(mustFrame(f, header{kind: kindRows, id: 1, wait: 5}, &metapb.RowsRequest{Disk: 20}, nil), mustFrame(f, header{kind: kindCancel, id: 1}, nil, nil)))
	f.Add(badBody(kindQuery))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &slowStore{begun: make(chan bool, 1), gate: make(chan bool), answer: &metapb.Answer{}}
		close(s.gate)
		p, conn, _, ended := rawServe(t, s, nil)
		defer p.Close()
		var all sync.WaitGroup
		all.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		_, _ = io.Copy(conn, bytes.NewReader(b)) // it may end before all is written
		_ = conn.Close()
		if err := <-ended; err == nil {
			t.Error("no error")
		}
		all.Wait()
	})
}

// TestBudget: room is given in turn, one thing alone may be larger than the bound, and who leaves takes none.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(3, 100)
		if !b.try(1000) || b.try(1) {
			t.Error("a large thing comes alone")
		}
		var order []int
		var mu sync.Mutex
		wait := func(ctx context.Context, n, bytes int) {
			go func() {
				err := b.wait(ctx, bytes)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					n = -n
				}
				order = append(order, n)
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		wait(t.Context(), 1, 60)
		wait(ctx, 2, 60)
		wait(t.Context(), 3, 10)
		if b.release(1, 1000); b.try(1) {
			t.Error("somebody pushes in")
		}
		synctest.Wait()
		if want := []int{1}; !slices.Equal(order, want) {
			t.Errorf("%v, want %v", order, want)
		}
		cancel()
		synctest.Wait()
		wait(ctx, 4, 10) // there is room
		wait(ctx, 5, 10) // there is none
		slices.Sort(order)
		if want := []int{-5, -2, 1, 3, 4}; !slices.Equal(order, want) {
			t.Errorf("%v, want %v", order, want)
		}
		if n, bytes := b.used(); n != 3 || bytes != 80 {
			t.Errorf("%d of %d bytes", n, bytes)
		}
	})
}

// TestQueue: first in, first out, also with some taken out of the middle.
func TestQueue(t *testing.T) {
	var q queue[int]
	next, last := 0, 0
	gone := map[int]bool{}
	for round := range 200 {
		for range round % 37 * 100 {
			q.push(last)
			last++
		}
		if q.len() > 10 {
			x := next + q.len()/2
			if q.remove(func(y int) bool { return y == x }) {
				gone[x] = true
			}
		}
		for range round % 41 * 90 {
			for gone[next] {
				next++
			}
			x, ok := q.pop()
			if ok != (next < last) || ok && x != next {
				t.Fatalf("%d %v, want %d of %d", x, ok, next, last)
			}
			if !ok {
				break
			}
			next++
		}
	}
}
