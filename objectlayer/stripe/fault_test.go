package stripe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/placement"
)

// TestDamage loses, or lets rot, every set of shards of an extent: up to m of them do not show, more are an error and
// never wrong bytes.
func TestDamage(t *testing.T) {
	for _, c := range []placement.Coding{{K: 1, M: 0}, {K: 1, M: 2}, {K: 2, M: 1}, {K: 2, M: 2}, {K: 3, M: 2}, {K: 4, M: 2}} {
		t.Run(c.String(), func(t *testing.T) {
			data := noise(2*unit*c.K + unit + 13)
			n := c.K + c.M
			for set := range 1 << n {
				r := newRig(t, n, c, 4)
				b := r.write(data)
				for i, p := range shardsOf(r.m, b) {
					if set>>i&1 == 0 {
						continue
					}
					if (set+i)%2 == 0 {
						if err := r.disks[p.disk].Delete(t.Context(), p.shard); err != nil {
							t.Fatal(err)
						}
					} else if !r.disks[p.disk].Corrupt(p.shard, int64(set%2)*unit) {
						t.Fatal("nothing to corrupt")
					}
				}
				for _, span := range [][2]int{{0, len(data)}, {unit - 3, 9}, {len(data) - 5, 5}, {unit / 2, 2 * unit}} {
					off, n := min(span[0], len(data)), min(span[1], len(data)-span[0])
					got, err := r.read(b, int64(off), int64(n))
					if len(got) > n || !bytes.Equal(got, data[off:off+len(got)]) {
						t.Fatalf("set %b: wrong bytes", set)
					}
					if bits.OnesCount(uint(set)) <= c.M && (err != nil || len(got) != n) {
						t.Fatalf("set %b: %v", set, err)
					}
					if err == nil && len(got) != n {
						t.Fatalf("set %b: %d bytes of %d and no error", set, len(got), n)
					}
					r.idle()
				}
				if bits.OnesCount(uint(set)) > c.M {
					if _, err := r.read(b, 0, int64(len(data))); objectlayer.KindOf(err) != objectlayer.KindDamaged {
						t.Fatalf("set %b: %v", set, err)
					}
				}
				if set == 1 && len(r.reports) == 0 {
					t.Errorf("damage was not reported")
				}
			}
		})
	}
}

func TestDamageWide(t *testing.T) {
	c := placement.Coding{K: 8, M: 3}
	r := newRig(t, 11, c, 2)
	data := noise(20*unit + 1)
	b := r.write(data)
	for _, dead := range [][]disk.ID{{1, 2, 3}, {4, 8, 11}, {9, 10, 11}} {
		clear(r.dead)
		r.kill(dead...)
		if got, err := r.read(b, 0, int64(len(data))); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("without %v: %v", dead, err)
		}
	}
	if len(r.reports) != 0 {
		t.Errorf("a dead disk is no damage: %v", r.reports)
	}
	for id := range disk.ID(4) {
		r.disks[id+1].Fence(errors.New("gone"))
	}
	if _, err := r.read(b, 0, int64(len(data))); objectlayer.KindOf(err) != objectlayer.KindUnavailable {
		t.Errorf("%v", err)
	}
}

// TestDeadAreTheLastResort reads from disks that are thought dead, and are not.
func TestDeadAreTheLastResort(t *testing.T) {
	r := newRig(t, 6, placement.Coding{K: 4, M: 2}, 2)
	data := noise(20*unit + 1)
	b := r.write(data)
	r.kill(1, 2, 3, 4, 5)
	if got, err := r.read(b, 0, int64(len(data))); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%v", err)
	}
}

// faults counts the calls of one kind to all disks and breaks some of them.
type faults struct {
	mu    sync.Mutex
	calls int
	at    int              // the call that fails; 0: none
	err   error            // what it says
	last  bool             // the disk fails from then on
	bad   map[disk.ID]bool // disks that fail
	then  func()           // called at that call
}

func (f *faults) hook(id disk.ID) func(context.Context, string) error {
	return func(_ context.Context, op string) error {
		if op != "create" && op != "append" && op != "commit" {
			return nil
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls++
		if f.calls == f.at {
			if f.then != nil {
				f.then()
				return nil
			}
			f.bad[id] = f.last
			return f.err
		}
		if f.bad[id] {
			return f.err
		}
		return nil
	}
}

func (r *rig) inject(f *faults) {
	f.bad = map[disk.ID]bool{}
	for id, d := range r.disks {
		d.SetHook(f.hook(id))
	}
}

func TestWriteFailsOnce(t *testing.T) {
	for _, c := range []struct {
		coding placement.Coding
		disks  int
	}{{placement.Coding{K: 2, M: 1}, 4}, {placement.Coding{K: 2, M: 1}, 3}, {placement.Coding{K: 2, M: 2}, 5}, {placement.Coding{K: 1, M: 1}, 3}} {
		for _, last := range []bool{false, true} {
			for _, cause := range []disk.Kind{disk.KindIO, disk.KindFull, disk.KindStaleEpoch} {
				if cause != disk.KindIO && c.disks != 4 {
					continue
				}
				t.Run(fmt.Sprintf("%v on %d disks, %v, to the end %v", c.coding, c.disks, cause, last), func(t *testing.T) {
					failEverywhere(t, c.coding, c.disks, &faults{err: disk.Errorf("test", cause, "", nil), last: last})
				})
			}
		}
	}
}

// failEverywhere writes blobs again and again, each time with another call failing, until no call is left to fail.
func failEverywhere(t *testing.T, c placement.Coding, disks int, f *faults) {
	stripe := c.K * unit
	sizes := []int{100, 5*stripe + 7}
	stale := disk.Is(f.err, disk.KindStaleEpoch)
	if c.M == 1 && disks == 4 || c.M == 2 && f.last {
		sizes = append(sizes, 2*chunkBytes, 4*chunkBytes+9)
	}
	for _, size := range sizes {
		data := noise(size)
		stripes := int64(3)
		if size >= 2*chunkBytes {
			stripes = int64(4 * chunkBytes / stripe) // extents of several chunks
		}
		refused := 0
		for f.at = 1; ; f.at += disktest.Stride() {
			r := newRig(t, disks, c, stripes)
			f.calls = 0
			r.inject(f)
			q := r.request()
			var hashed bytes.Buffer
			finished := 0
			q.Hashes, q.Finish = []io.Writer{&hashed}, func() error { finished++; return nil }
			b, err := r.store.Write(t.Context(), q, bytes.NewReader(data))
			calls := f.calls
			r.inject(&faults{})
			if finished > 1 {
				t.Fatalf("call %d of %d bytes: %d times finished", f.at, size, finished)
			}
			if err != nil {
				refused++
				if k := objectlayer.KindOf(err); k != objectlayer.KindUnavailable && k != objectlayer.KindFull || r.shards() != 0 {
					t.Fatalf("call %d of %d bytes: %d shards are left after %v", f.at, size, r.shards(), err)
				}
				r.idle()
			} else {
				if !bytes.Equal(hashed.Bytes(), data) {
					t.Fatalf("call %d of %d bytes: the hashes saw %d bytes", f.at, size, hashed.Len())
				}
				r.check(b, data)
				for _, e := range b.Extents {
					if e.Coding.M != uint32(c.M) {
						t.Fatalf("call %d of %d bytes: parity was given up: %v", f.at, size, e)
					}
				}
				if len(r.reports) != 0 {
					t.Fatalf("call %d of %d bytes: false alarm: %v", f.at, size, r.reports)
				}
			}
			if calls < f.at {
				break
			}
		}
		// A disk that calls every group's epoch stale means that this node's map is old: no other group helps then.
		if refused > 0 && !(stale && f.last) {
			t.Errorf("%d bytes: %d writes were refused though one disk failed", size, refused)
		}
	}
}

// TestWriteFailsAgain lets one disk fail, and another one while the hurt extent is copied out.
func TestWriteFailsAgain(t *testing.T) {
	c := placement.Coding{K: 2, M: 1}
	data := noise(5 * chunkBytes)
	good, refused := 0, 0
	for second := 30; second < 60; second++ {
		r := newRig(t, 6, c, 40)
		f := &faults{at: 14, err: errors.New("first"), last: true}
		r.inject(f)
		inner := map[disk.ID]func(context.Context, string) error{}
		for id, d := range r.disks {
			inner[id] = f.hook(id)
			d.SetHook(func(ctx context.Context, op string) error {
				f.mu.Lock()
				if f.calls == second {
					f.bad[id] = true
				}
				f.mu.Unlock()
				return inner[id](ctx, op)
			})
		}
		b, err := r.store.Write(t.Context(), r.request(), bytes.NewReader(data))
		r.inject(&faults{})
		if err != nil {
			refused++
			if objectlayer.KindOf(err) != objectlayer.KindUnavailable || r.shards() != 0 {
				t.Fatalf("call %d: %d shards are left after %v", second, r.shards(), err)
			}
			r.idle()
			continue
		}
		good++
		r.check(b, data)
	}
	if good == 0 {
		t.Errorf("no write of %d lived through two failures", refused)
	}
}

func TestWriteCancelled(t *testing.T) {
	data := noise(3*chunkBytes + 5)
	for at := 1; ; at++ {
		r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 6)
		ctx, cancel := context.WithCancel(t.Context())
		f := &faults{at: at, then: cancel}
		r.inject(f)
		b, err := r.store.Write(ctx, r.request(), bytes.NewReader(data))
		ended := ctx.Err() != nil
		cancel()
		switch {
		case err == nil:
			r.check(b, data)
		case objectlayer.KindOf(err) != objectlayer.KindUnavailable || !errors.Is(err, context.Canceled):
			t.Fatalf("call %d: %v", at, err)
		case r.shards() != 0:
			t.Fatalf("call %d: %d shards are left", at, r.shards())
		}
		r.idle()
		if !ended {
			return
		}
	}
}

// TestBodyFails ends the body by an error after any number of bytes: a body cut short must never pass for a whole one.
func TestBodyFails(t *testing.T) {
	r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 4)
	data := noise(20 * unit)
	for _, n := range []int{0, 1, unit, 2 * unit, 8 * unit, 8*unit + 1, 19 * unit} {
		for _, size := range []int64{-1, int64(n)} {
			q := r.request()
			q.Size = size
			b, err := r.store.Write(t.Context(), q, io.MultiReader(bytes.NewReader(data[:n]), cut{}))
			if !errors.Is(err, io.ErrUnexpectedEOF) || b != nil || r.shards() != 0 {
				t.Fatalf("%d bytes: %v, %v, %d shards", n, b, err, r.shards())
			}
			r.idle()
		}
	}
	bad := errors.New("bad digest")
	for _, n := range []int{0, 1, 20 * unit} {
		q := r.request()
		q.Finish = func() error { return bad }
		if _, err := r.store.Write(t.Context(), q, bytes.NewReader(data[:n])); !errors.Is(err, bad) || r.shards() != 0 {
			t.Fatalf("%d bytes: %v, %d shards", n, err, r.shards())
		}
		r.idle()
	}
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWriteWithDisksMissing(t *testing.T) {
	data := noise(7*unit + 3)
	r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 4)
	r.kill(1, 2)
	b := r.write(data)
	for _, e := range b.Extents {
		if e.Coding.K != 1 || e.Coding.M != 1 {
			t.Errorf("%v, want 1+1", e.Coding)
		}
	}
	r.check(b, data)
	r.kill(3)
	if _, err := r.store.Write(t.Context(), r.request(), bytes.NewReader(data)); objectlayer.KindOf(err) != objectlayer.KindUnavailable {
		t.Errorf("%v", err)
	}
	full := newRig(t, 3, placement.Coding{K: 2, M: 1}, 4)
	for _, d := range full.disks {
		d.SetCapacity(1000)
	}
	if _, err := full.store.Write(t.Context(), full.request(), bytes.NewReader(data)); objectlayer.KindOf(err) != objectlayer.KindFull {
		t.Errorf("%v", err)
	}
}

// TestMemoryIsBounded writes and reads a long stream and looks at the buffers in use all the time.
func TestMemoryIsBounded(t *testing.T) {
	c := placement.Coding{K: 4, M: 2}
	r := newRig(t, 6, c, 16)
	data := noise(8 << 20)
	var most int64
	watch := func(p []byte) (int, error) {
		most = max(most, r.store.BufferBytes())
		return len(p), nil
	}
	q := r.request()
	q.Hashes = []io.Writer{writerFunc(watch)}
	b, err := r.store.Write(t.Context(), q, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(chunksMax) * chunkBytes * 6 / 4; most > limit {
		t.Errorf("a write held %d bytes, at most %d wanted", most, limit)
	}
	most = 0
	rc, err := r.store.Open(t.Context(), b, 0, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := rc.(io.WriterTo).WriteTo(writerFunc(watch)); err != nil {
		t.Fatal(err)
	}
	if limit := int64(3 * chunkBytes); most > limit {
		t.Errorf("a read held %d bytes, at most %d wanted", most, limit)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestHedge stops a disk in the middle of its answers: the reader waits for its delay once, then goes on with parity.
func TestHedge(t *testing.T) {
	for _, c := range []struct {
		name  string
		slow  int // data disks that hang
		takes time.Duration
	}{{"none", 0, 0}, {"one", 1, DefaultHedgeDelay}, {"two", 2, DefaultHedgeDelay}, {"three, for a second", 3, time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 6, placement.Coding{K: 4, M: 2}, 64)
				data := noise(40 * unit)
				b := r.write(data)
				begin := time.Now()
				for _, p := range shardsOf(r.m, b)[:c.slow] {
					r.disks[p.disk].SetHook(func(ctx context.Context, op string) error {
						select {
						case <-ctx.Done():
						case <-time.After(time.Second):
						}
						return ctx.Err()
					})
				}
				got, err := r.read(b, 0, int64(len(data)))
				if err != nil || !bytes.Equal(got, data) {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != c.takes {
					t.Errorf("it took %v, want %v", took, c.takes)
				}
				r.idle()
			})
		})
	}
}

// TestStall stops a disk for good at each call of a write: it is given up after a while, and the write is whole.
func TestStall(t *testing.T) {
	data := noise(5*chunkBytes + 9)
	for at := 1; at < 40; at++ {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 12)
			var mu sync.Mutex
			var stalled disk.ID
			calls := 0
			for id, d := range r.disks {
				d.SetHook(func(ctx context.Context, op string) error {
					mu.Lock()
					if calls++; calls == at {
						stalled = id
					}
					stop := stalled == id && op != "get" && op != "delete" && op != "list"
					mu.Unlock()
					if stop {
						<-ctx.Done()
					}
					return ctx.Err()
				})
			}
			begin := time.Now()
			b, err := r.store.Write(t.Context(), r.request(), bytes.NewReader(data))
			if err != nil {
				t.Fatalf("call %d: %v", at, err)
			}
			if took := time.Since(begin); took > 2*DefaultStallTimeout {
				t.Errorf("call %d: it took %v", at, took)
			}
			r.check(b, data)
		})
	}
}
