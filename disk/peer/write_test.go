package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
)

// cutter is a connection that breaks after so many bytes one way.
type cutter struct {
	net.Conn
	write, read *atomic.Int64 // bytes left; nil: no end
}

func (c *cutter) take(left *atomic.Int64, p []byte) ([]byte, bool) {
	if left == nil {
		return p, false
	}
	n := left.Add(-int64(len(p)))
	if n >= 0 {
		return p, false
	}
	return p[:max(0, int64(len(p))+n)], true
}

func (c *cutter) Write(p []byte) (int, error) {
	part, cut := c.take(c.write, p)
	n, err := c.Conn.Write(part)
	if cut && err == nil {
		_ = c.Conn.Close()
		err = net.ErrClosed
	}
	return n, err
}

func (c *cutter) Read(p []byte) (int, error) {
	if c.read == nil {
		return c.Conn.Read(p)
	}
	if c.read.Load() <= 0 {
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.read.Load())])
	c.read.Add(-int64(n))
	return n, err
}

// TestCutWrite cuts the connection at each byte of a small write and at many of a large one, on the way there and on the
// way back. What was acknowledged is there; what is there is whole; writing it again is no error.
func TestCutWrite(t *testing.T) {
	for _, size := range []int{300, 3*disk.BlockBytes + 100} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprint(size, back), func(t *testing.T) {
				r := newRig(t, HandlerOptions{})
				data, acked, there := pattern(1, size), 0, 0
				step := max(1, size/100)
				for i, cut := 0, int64(0); acked < 2; i, cut = i+1, cut+int64(step) {
					left := new(atomic.Int64)
					left.Store(cut)
					r.dialed = func(c net.Conn) net.Conn {
						if back {
							return &cutter{Conn: c, read: left}
						}
						return &cutter{Conn: c, write: left}
					}
					err := put(r.client(StoreOptions{}), shard(i), data, []byte("owner"), disk.BlockBytes)
					if err == nil {
						acked++
					} else {
						wantKind(t, err, disk.KindIO)
					}
					soon(t, "the server lets go", func() bool { return r.handler.Usage() == Usage{} })
					info, ierr := r.mem.Info(t.Context(), shard(i))
					if err == nil && ierr != nil {
						t.Fatalf("cut after %d: acknowledged and not there: %v", cut, ierr)
					}
					if ierr == nil {
						there++
						mustHold(t, r.mem, shard(i), data)
						if string(info.Owner) != "owner" || info.Length != int64(size) {
							t.Fatalf("cut after %d: %+v", cut, info)
						}
					}
					r.dialed = nil
					mustPut(t, r.client(StoreOptions{}), shard(i), data)
				}
				if !back && there > acked+7 { // the few bytes that end the body may be missing
					t.Errorf("%d shards are there of %d acknowledged", there, acked)
				}
			})
		}
	}
}

// TestAppendRefused: what the disk says of an Append is known while the client still appends, with its kind, and the
// shard is aborted.
func TestAppendRefused(t *testing.T) {
	for k := disk.KindIO; k <= disk.KindBusy; k++ {
		r := newRig(t, HandlerOptions{})
		calls := 0
		h := &hooked{Store: r.mem, aborted: make(chan struct{}), once: new(sync.Once)}
		h.appended = func(context.Context) error {
			if calls++; calls == 3 {
				return disk.Errorf("append", k, "some shard", errors.New("the cause"))
			}
			return nil
		}
		r.offer(h)
		s := r.client(StoreOptions{})
		w, err := s.Create(t.Context(), shard(1), 1)
		if err != nil {
			t.Fatal(err)
		}
		data := pattern(1, 4*disk.BlockBytes)
		for err == nil {
			err = w.Append(t.Context(), data)
		}
		wantKind(t, err, k)
		var e *disk.Error
		if !errors.As(err, &e) || e.What != "some shard" || e.Op != "append" || !bytes.Contains([]byte(err.Error()), []byte("the cause")) {
			t.Errorf("error %v", err)
		}
		wantKind(t, w.Append(t.Context(), data), k)
		wantKind(t, w.Commit(t.Context(), nil), k)
		w.Abort()
		<-h.aborted
		if calls != 3 {
			t.Errorf("%d appends", calls)
		}
	}
}

// TestAppendRefusedSilently: a refusal is known although the client appends nothing more than fits into the connection.
func TestAppendRefusedSilently(t *testing.T) {
	r := newRig(t, HandlerOptions{})
	r.offer(&hooked{Store: r.mem, appended: func(context.Context) error {
		return disk.Errorf("append", disk.KindFull, "", nil)
	}})
	w, err := r.client(StoreOptions{}).Create(t.Context(), shard(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Append(t.Context(), make([]byte, disk.BlockBytes)); err != nil {
		t.Fatal(err) // the connection took it
	}
	<-w.(*writer).answered
	wantKind(t, w.Append(t.Context(), make([]byte, disk.BlockBytes)), disk.KindFull)
}

// TestCommitKinds: each kind of error of Create and of Commit arrives as it is, with what keeps connections.
func TestCommitKinds(t *testing.T) {
	r := newRig(t, HandlerOptions{})
	s := r.client(StoreOptions{})
	for k := disk.KindIO; k <= disk.KindBusy; k++ {
		for _, op := range []string{"create", "commit", "info", "get", "delete", "list", "verify"} {
			r.mem.SetHook(func(_ context.Context, o string) error {
				if o == op {
					return disk.Errorf(op, k, "x", nil)
				}
				return nil
			})
			var err error
			switch op {
			case "create", "commit":
				err = put(s, shard(1), pattern(1, 100), nil, 100)
			case "info":
				_, err = s.Info(t.Context(), shard(1))
			case "get":
				_, err = s.Get(t.Context(), shard(1), 0, 1)
			case "delete":
				err = s.Delete(t.Context(), shard(1))
			case "list":
				err = s.List(t.Context(), 1, disk.ShardID{}, nil)
			case "verify":
				err = s.Verify(t.Context(), shard(1))
			}
			wantKind(t, err, k)
		}
	}
	if n := r.connections(); n > 12 { // one for each failed commit
		t.Errorf("%d connections", n)
	}
}

// TestAbort: the server aborts when the client does, when its process dies, and when its context ends.
func TestAbort(t *testing.T) {
	for name, end := range map[string]func(r *rig, w disk.Writer, cancel func()){
		"abort": func(_ *rig, w disk.Writer, _ func()) { w.Abort() },
		"dies":  func(r *rig, _ disk.Writer, _ func()) { r.server.CloseClientConnections() },
		"cancel": func(r *rig, w disk.Writer, cancel func()) {
			cancel()
			_ = w.Append(r.t.Context(), nil)
			w.Abort()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, HandlerOptions{})
			h := &hooked{Store: r.mem, aborted: make(chan struct{}), once: new(sync.Once)}
			r.offer(h)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w, err := r.client(StoreOptions{}).Create(ctx, shard(1), 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Append(ctx, pattern(1, disk.BlockBytes)); err != nil {
				t.Fatal(err)
			}
			end(r, w, cancel)
			<-h.aborted
			w.Abort()
			wantKind(t, errors.Join(w.Commit(t.Context(), nil)), disk.KindOf(w.Commit(t.Context(), nil)))
			if _, err := r.mem.Info(t.Context(), shard(1)); !disk.Is(err, disk.KindNotFound) {
				t.Errorf("an aborted shard: %v", err)
			}
		})
	}
}

// TestCancelAppend: an Append that waits for a disk ends with its context, and does not hold the caller's memory.
func TestCancelAppend(t *testing.T) {
	r := newRig(t, HandlerOptions{})
	begun, once := make(chan struct{}), sync.Once{}
	released := make(chan struct{})
	r.offer(&hooked{Store: r.mem, appended: func(ctx context.Context) error {
		once.Do(func() { close(begun) })
		select {
		case <-ctx.Done():
		case <-released:
		}
		return ctx.Err()
	}})
	defer close(released)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := r.client(StoreOptions{}).Create(t.Context(), shard(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	go func() {
		<-begun
		cancel()
	}()
	data := make([]byte, pieceBytes)
	for err == nil {
		err = w.Append(ctx, data)
		clear(data) // the race detector sees whether somebody still reads it
	}
	wantKind(t, err, disk.KindIO)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestCancelCommit: the end of a context reaches a disk that is at work on a commit.
func TestCancelCommit(t *testing.T) {
	r := newRig(t, HandlerOptions{})
	begun, ended := make(chan struct{}), make(chan struct{})
	r.mem.SetHook(func(ctx context.Context, op string) error {
		if op != "commit" {
			return nil
		}
		close(begun)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	w, err := r.client(StoreOptions{}).Create(t.Context(), shard(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-begun
		cancel()
	}()
	err = w.Commit(ctx, nil)
	wantKind(t, err, disk.KindIO)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
	w.Abort()
}

// TestStalledPeer: a peer that takes the connection and says nothing costs the stall timeout, whatever is asked.
func TestStalledPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel accepts, nobody else does
	r := newRig(t, HandlerOptions{})
	s := r.client(StoreOptions{
		Base:         func() string { return "http://" + l.Addr().String() },
		StallTimeout: 50 * time.Millisecond, CallTimeout: 50 * time.Millisecond,
	})
	for name, fn := range map[string]func() error{
		"create": func() error { _, err := s.Create(t.Context(), shard(1), 1); return err },
		"get":    func() error { _, err := s.Get(t.Context(), shard(1), 0, 1); return err },
		"info":   func() error { _, err := s.Info(t.Context(), shard(1)); return err },
		"delete": func() error { return s.Delete(t.Context(), shard(1)) },
		"verify": func() error { return s.Verify(t.Context(), shard(1)) },
		"list":   func() error { return s.List(t.Context(), 1, disk.ShardID{}, nil) },
	} {
		within(t, 5*time.Second, name, func() {
			err := fn()
			wantKind(t, err, disk.KindIO)
			if !errors.Is(err, ErrStalled) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// limit is a clock whose timers run out when a test says so, and not before.
type limit struct {
	mu   sync.Mutex
	over map[time.Duration]bool
	runs map[*func()]time.Duration
}

// Limits of time that only expire ends.
const (
	stepLimit = time.Hour + iota
	callLimit
)

func (l *limit) after(d time.Duration, fn func()) (stop func() bool) {
	if d < stepLimit {
		return time.AfterFunc(d, fn).Stop
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over[d] {
		go fn()
		return func() bool { return false }
	}
	if l.runs == nil {
		l.runs = map[*func()]time.Duration{}
	}
	l.runs[&fn] = d
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		_, running := l.runs[&fn]
		delete(l.runs, &fn)
		return running
	}
}

// expire ends the timers of one length, those to come as well.
func (l *limit) expire(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = map[time.Duration]bool{d: true}
	for fn, is := range l.runs {
		if is == d {
			delete(l.runs, fn)
			go (*fn)()
		}
	}
}

// TestStalledDisk: a disk that hangs in an Append or a Commit costs the client the time limit of that step, and the server
// its own.
func TestStalledDisk(t *testing.T) {
	for op, d := range map[string]time.Duration{"append": stepLimit, "commit": callLimit} {
		here, there := new(limit), new(limit)
		r := newRig(t, HandlerOptions{Limits: Limits{Idle: stepLimit, Total: callLimit}, AfterFunc: there.after})
		r.mem.SetHook(func(ctx context.Context, o string) error {
			if o != op {
				return nil
			}
			here.expire(d)
			<-ctx.Done()
			return ctx.Err()
		})
		s := r.client(StoreOptions{StallTimeout: stepLimit, CallTimeout: callLimit, AfterFunc: here.after})
		w, err := s.Create(t.Context(), shard(1), 1)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, pieceBytes)
		for op == "append" && err == nil { // the first few fit into the connection
			err = w.Append(t.Context(), data)
		}
		if err == nil {
			err = w.Commit(t.Context(), nil)
		}
		wantKind(t, err, disk.KindIO)
		if !errors.Is(err, ErrStalled) {
			t.Errorf("%s: %v", op, err)
		}
		w.Abort()
		there.expire(stepLimit)
		soon(t, "the server lets go", func() bool { return r.handler.Usage() == Usage{} })
	}
}

// TestSlowCaller: a writer whose caller is silent for longer than the server waits goes on afterwards; one that does not
// say that it lives is dropped.
func TestSlowCaller(t *testing.T) {
	r := newRig(t, HandlerOptions{Limits: Limits{Idle: 300 * time.Millisecond}})
	h := &hooked{Store: r.mem, aborted: make(chan struct{}), once: new(sync.Once)}
	r.offer(h)
	s := r.client(StoreOptions{KeepAlive: 50 * time.Millisecond})
	dead := r.client(StoreOptions{KeepAlive: time.Hour})
	data := pattern(1, disk.BlockBytes)
	var both []disk.Writer
	for i, s := range []*Store{s, dead} {
		w, err := s.Create(t.Context(), shard(i), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Append(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		both = append(both, w)
	}
	<-h.aborted // the dead one; the other was just as silent, and began before it
	soon(t, "one is left", func() bool { return r.handler.Usage().Streams == 1 })
	if err := both[0].Append(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	if err := both[0].Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	mustHold(t, r.mem, shard(0), append(bytes.Clone(data), data...))
	wantKind(t, both[1].Commit(t.Context(), nil), disk.KindIO)
	both[1].Abort()
}

// TestBrokenBody: what comes behind a body that breaks off, or does not end in time, is no request. It is what the client's
// clients stored.
func TestBrokenBody(t *testing.T) {
	r := newRig(t, HandlerOptions{Limits: Limits{Idle: 100 * time.Millisecond}})
	mustPut(t, r.client(StoreOptions{}), shard(1), pattern(1, 100))
	q := request{verb: verbInfo, disk: testDisk, shard: shard(1)}
	info := "GET " + q.target() + " HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, c := range map[string]struct {
		epoch disk.Epoch
		body  string
	}{
		"refused, broken":   {0, "no chunk\r\n" + info},
		"refused, no end":   {0, "1000\r\n"},
		"begun, broken":     {1, "no chunk\r\n" + info},
		"begun, no end":     {1, "1000\r\n"},
		"after the commit":  {1, "5\r\n\x02\x00\x00\x00\x00\r\nno chunk\r\n" + info},
		"a strange trailer": {1, "5\r\n\x02\x00\x00\x00\x00\r\n0\r\n\x00\r\n\r\n" + info},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			q := request{verb: verbWrite, disk: testDisk, shard: shard(2), epoch: c.epoch}
			head := "PUT " + q.target() + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
			if _, err := io.WriteString(conn, head+c.body); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(conn) // to the end of the connection
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			if n := bytes.Count(b, []byte("HTTP/1.1 ")); n > 1 {
				t.Errorf("%d answers to one request: %q", n, b)
			}
		})
	}
}

// plain hides the WriterTo of bodies, as a transport may that does not know it.
type plain struct{ http.RoundTripper }

type plainBody struct{ io.ReadCloser }

func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Body, r.GetBody = plainBody{r.Body}, nil
	return p.RoundTripper.RoundTrip(r)
}

func TestPlainTransport(t *testing.T) {
	r := newRig(t, HandlerOptions{})
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	s := r.client(StoreOptions{Client: &http.Client{Transport: plain{tr}}})
	data := pattern(1, 3*pieceBytes+17)
	mustPut(t, s, shard(1), data)
	mustHold(t, s, shard(1), data)
	r.mem.SetHook(func(_ context.Context, op string) error {
		if op == "append" {
			return disk.Errorf("append", disk.KindFull, "", nil)
		}
		return nil
	})
	wantKind(t, put(s, shard(2), data, nil, disk.BlockBytes), disk.KindFull)
	w, err := s.Create(t.Context(), shard(2), 1)
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
}

// TestOwners: owners up to the limit arrive, longer ones are refused.
func TestOwners(t *testing.T) {
	r := newRig(t, HandlerOptions{})
	s := r.client(StoreOptions{})
	owner := pattern(3, OwnerBytesMax)
	if err := put(s, shard(1), []byte("x"), owner, 1); err != nil {
		t.Fatal(err)
	}
	i, err := s.Info(t.Context(), shard(1))
	if err != nil || !bytes.Equal(i.Owner, owner) {
		t.Errorf("%d bytes of owner, %v", len(i.Owner), err)
	}
	wantKind(t, put(s, shard(2), []byte("x"), append(owner, 1), 1), disk.KindInvalid)
}

// TestReplacedConnection: a server that has closed its idle connections is not noticed.
func TestReplacedConnection(t *testing.T) {
	r := newRig(t, HandlerOptions{})
	s := r.client(StoreOptions{})
	for i := range 5 {
		mustPut(t, s, shard(i), pattern(1, 1000))
		r.server.CloseClientConnections()
	}
	mustHold(t, s, shard(0), pattern(1, 1000))
	if n := r.connections(); n < 5 {
		t.Errorf("%d connections", n)
	}
	before := r.connections()
	for i := range 5 {
		mustPut(t, s, shard(10+i), pattern(1, 1000))
		mustHold(t, s, shard(10+i), pattern(1, 1000))
		_, err := s.Create(t.Context(), shard(20), 0)
		wantKind(t, err, disk.KindStaleEpoch)
	}
	if n := r.connections() - before; n > 1 {
		t.Errorf("%d new connections for requests one after the other", n)
	}
}

var _ disk.Store = (*disktest.Memory)(nil)
