package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
)

// rig is a node with one disk, and a client of it.
type rig struct {
	t       testing.TB
	mem     *disktest.Memory
	handler *Handler
	server  *httptest.Server
	dialed  func(net.Conn) net.Conn // what becomes of connections; nil: nothing

	mu    sync.Mutex
	store disk.Store // what the server offers; mem at first
	base  string
	dials int
}

const testDisk = disk.ID(7)

// newRig starts a server. Its limits are short enough for tests of what they do, and long enough for all others.
func newRig(t testing.TB, o HandlerOptions) *rig {
	t.Helper()
	r := &rig{t: t, mem: disktest.NewMemory(testDisk)}
	r.store = r.mem
	o.Disk = func(id disk.ID) (disk.Store, error) {
		if id != testDisk {
			return nil, disk.Errorf("find", disk.KindNotFound, id.String(), nil)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.store, nil
	}
	h, err := NewHandler(o)
	if err != nil {
		t.Fatal(err)
	}
	r.handler = h
	r.server = httptest.NewServer(h)
	r.base = r.server.URL
	t.Cleanup(func() {
		r.server.CloseClientConnections()
		r.server.Close()
		if u := h.Usage(); u != (Usage{}) {
			t.Errorf("at the end the server holds %+v", u)
		}
	})
	return r
}

func (r *rig) offer(s disk.Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store = s
}

func (r *rig) address() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.base
}

func (r *rig) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials
}

// client returns a client of the rig. Options that are not set are the rig's.
func (r *rig) client(o StoreOptions) *Store {
	r.t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, WriteBufferSize: 64 << 10}
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil {
			r.dials++
			if r.dialed != nil {
				c = r.dialed(c)
			}
		}
		return c, err
	}
	r.t.Cleanup(tr.CloseIdleConnections)
	if o.Client == nil {
		o.Client = &http.Client{Transport: tr}
	}
	if o.Base == nil {
		o.Base = r.address
	}
	if o.Disk == 0 {
		o.Disk = testDisk
	}
	s, err := NewStore(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// hooked is a disk whose operations can be held up or made to fail.
type hooked struct {
	disk.Store
	appended func(ctx context.Context) error // before each Append
	read     func(ctx context.Context) error // before each Read
	aborted  chan struct{}                   // closed at the first Abort of a writer, if set
	once     *sync.Once
}

type hookedWriter struct {
	disk.Writer
	h *hooked
}

type hookedReader struct {
	io.ReadCloser
	ctx context.Context
	h   *hooked
}

func (h *hooked) Create(ctx context.Context, id disk.ShardID, e disk.Epoch) (disk.Writer, error) {
	w, err := h.Store.Create(ctx, id, e)
	return hookedWriter{w, h}, err
}

func (h *hooked) Get(ctx context.Context, id disk.ShardID, off, n int64) (io.ReadCloser, error) {
	r, err := h.Store.Get(ctx, id, off, n)
	if err != nil {
		return nil, err
	}
	return hookedReader{r, ctx, h}, nil
}

func (w hookedWriter) Append(ctx context.Context, p []byte) error {
	if w.h.appended != nil {
		if err := w.h.appended(ctx); err != nil {
			return err
		}
	}
	return w.Writer.Append(ctx, p)
}

func (w hookedWriter) Abort() {
	w.Writer.Abort()
	if w.h.aborted != nil {
		w.h.once.Do(func() { close(w.h.aborted) })
	}
}

func (r hookedReader) Read(p []byte) (int, error) {
	if r.h.read != nil {
		if err := r.h.read(r.ctx); err != nil {
			return 0, err
		}
	}
	return r.ReadCloser.Read(p)
}

func shard(n int) disk.ShardID {
	return disk.ShardID{Group: 3, Blob: disk.NewBlobID(uint64(1000+n), [10]byte{byte(n)}), Extent: 1, Slot: 2}
}

func pattern(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	for i := 0; i+8 <= n; i += 8 {
		v := rng.Uint64()
		for k := range 8 {
			b[i+k] = byte(v >> (8 * k))
		}
	}
	return b
}

// put writes a shard in pieces.
func put(s disk.Store, id disk.ShardID, data, owner []byte, piece int) error {
	ctx := context.Background()
	w, err := s.Create(ctx, id, 1)
	if err != nil {
		return err
	}
	defer w.Abort()
	for rest := data; len(rest) > 0; {
		n := min(len(rest), piece)
		if err := w.Append(ctx, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return w.Commit(ctx, owner)
}

func mustPut(t testing.TB, s disk.Store, id disk.ShardID, data []byte) {
	t.Helper()
	if err := put(s, id, data, []byte("owner"), 4*disk.BlockBytes); err != nil {
		t.Fatal(err)
	}
}

func get(s disk.Store, id disk.ShardID, off, n int64) ([]byte, error) {
	r, err := s.Get(context.Background(), id, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func mustHold(t testing.TB, s disk.Store, id disk.ShardID, data []byte) {
	t.Helper()
	got, err := get(s, id, 0, int64(len(data)))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes of %d came back, %v", len(got), len(data), err)
	}
}

func wantKind(t testing.TB, err error, k disk.Kind) {
	t.Helper()
	if !disk.Is(err, k) {
		t.Errorf("%v, want a disk.Error of kind %q", err, k)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v passes for the end of a shard", err)
	}
}

// soon waits for a condition that another goroutine brings about.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}

// within fails a test if fn takes too long.
func within(t testing.TB, d time.Duration, what string, fn func()) {
	t.Helper()
	start := time.Now()
	fn()
	if took := time.Since(start); took > d {
		t.Errorf("%s took %v", what, took)
	}
}
