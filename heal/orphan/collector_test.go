package orphan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/heal/orphan"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

const (
	name  = "bucket"
	grace = time.Second
)

// rig is an object layer with a collector, for a synctest bubble.
type rig struct {
	*objecttest.Layer
	t *testing.T
	c *orphan.Collector
}

func newRig(t *testing.T) *rig {
	t.Helper()
	l := objecttest.New(t, objecttest.Options{ExtentBytes: 1 << 20, PartBytesMin: 1})
	l.Meta.SetDeleteDelay(time.Millisecond)
	if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name}); err != nil {
		t.Fatal(err)
	}
	c, err := orphan.New(orphan.Options{
		Store: l.Meta, Grace: grace, Now: time.Now,
		Disks: func() (list []orphan.Disk) {
			for _, d := range l.Disks {
				list = append(list, d)
			}
			return list
		},
		Groups: func() (list []disk.GroupID) {
			for _, g := range l.Topology.Map().Groups {
				list = append(list, g.ID)
			}
			return list
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{l, t, c}
}

func (r *rig) put(key string, data []byte) error {
	_, err := r.Objects.Put(r.t.Context(), objectlayer.PutRequest{Bucket: name, Key: key, Size: -1}, bytes.NewReader(data))
	return err
}

// expect reads a key: data, or nil for none.
func (r *rig) expect(key string, data []byte) {
	r.t.Helper()
	rd, err := r.Objects.Get(r.t.Context(), objectlayer.GetRequest{Bucket: name, Key: key})
	if data == nil {
		if objectlayer.KindOf(err) != objectlayer.KindNoSuchKey {
			r.t.Errorf("get %q: %v, want no such key", key, err)
		}
		return
	}
	if err != nil {
		r.t.Errorf("get %q: %v", key, err)
		return
	}
	defer rd.Body.Close()
	if got, err := io.ReadAll(rd.Body); err != nil || !bytes.Equal(got, data) {
		r.t.Errorf("get %q: %d bytes, %v", key, len(got), err)
	}
}

// age lets everything that is there now become older than the grace.
func (r *rig) age() { time.Sleep(grace + time.Millisecond) } // virtual

func (r *rig) pass() {
	r.t.Helper()
	if err := r.c.Pass(r.t.Context()); err != nil {
		r.t.Errorf("pass: %v", err)
	}
}

func body(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b) //nolint:errcheck // never fails
	return b
}

// gate stops whoever comes to it as the n-th, until it is opened.
type gate struct {
	mu   sync.Mutex
	n    int
	came int
	open chan struct{}
}

func (g *gate) pass() {
	g.mu.Lock()
	g.came++
	stop := g.came == g.n
	g.mu.Unlock()
	if stop {
		<-g.open
	}
}

// watch has every step of a write come to a gate: each call to a disk, and the command before and after it was applied.
func (r *rig) watch(g *gate) {
	for _, d := range r.Disks {
		d.SetHook(func(_ context.Context, op string) error {
			switch op {
			case "create", "append", "commit":
				g.pass()
			}
			return nil
		})
	}
	step := func(_ context.Context, c *metapb.Command) error {
		switch c.Op.(type) {
		case *metapb.Command_Put, *metapb.Command_PutPart, *metapb.Command_Complete:
			g.pass()
		}
		return nil
	}
	r.Meta.Before(step)
	r.Meta.After(step)
}

// paused stops a write at each of its steps in turn, on a new rig each, while the collector makes passes; then the write goes
// on. It returns what became of it.
func paused(t *testing.T, write func(r *rig) error, check func(r *rig, err error)) {
	for n, more := 1, true; more; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, g := newRig(t), &gate{n: n, open: make(chan struct{})}
				r.watch(g)
				done := make(chan error, 1)
				go func() { done <- write(r) }()
				synctest.Wait()
				r.age()
				r.pass()
				close(g.open)
				err := <-done
				if more = g.came >= n; !more && err != nil {
					t.Errorf("not stopped, and fails: %v", err)
				}
				r.age()
				r.pass()
				check(r, err)
			})
		})
	}
}

// TestPutsPausedAnywhere: a PUT may be stopped at any step while what it has written becomes older than the grace: either it is
// refused, or what was acknowledged is whole. In both cases nothing is left that no record names.
//
// Caught mutants: inventory, nofloor.
func TestPutsPausedAnywhere(t *testing.T) {
	data := body(1, 2<<20+5)
	acknowledged, refused := 0, 0
	paused(t, func(r *rig) error { return r.put("k", data) }, func(r *rig, err error) {
		if err != nil {
			refused++
			if objectlayer.KindOf(err) != objectlayer.KindUnavailable {
				r.t.Errorf("refused with %v", err)
			}
			r.expect("k", nil)
			if n := r.Shards(r.t); n != 0 {
				r.t.Errorf("%d shards are left of a write that was refused", n)
			}
			return
		}
		acknowledged++
		r.expect("k", data)
		if n := r.Shards(r.t); n != 3*3 { // extents, each on three of four disks
			r.t.Errorf("%d shards", n)
		}
	})
	if acknowledged == 0 || refused == 0 {
		t.Errorf("%d were acknowledged, %d refused: both kinds are wanted", acknowledged, refused)
	}
}

// TestCompletePausedAnywhere: completing an upload moves references to parts however old they are.
//
// Caught mutant: floormoved.
func TestCompletePausedAnywhere(t *testing.T) {
	data := body(2, 1<<20)
	paused(t, func(r *rig) error {
		u, err := r.Uploads.Create(r.t.Context(), objectlayer.UploadRequest{Bucket: name, Key: "k"})
		if err != nil {
			return err
		}
		p, err := r.Uploads.PutPart(r.t.Context(), objectlayer.PartRequest{Bucket: name, Key: "k", UploadID: u.ID, Number: 1, Size: -1}, bytes.NewReader(data))
		if err != nil {
			return err
		}
		time.Sleep(7 * 24 * time.Hour)
		if _, err := r.Meta.Apply(r.t.Context(), &metapb.Command{ // for some orphan
			Format: 1, Bucket: 1, Key: []byte("k"), Time: uint64(time.Now().UnixMicro()),
			Op: &metapb.Command_RaiseFloor{RaiseFloor: &metapb.RaiseFloor{Floor: uint64(time.Now().Add(-grace).UnixMilli())}},
		}, nil); err != nil {
			return err
		}
		r.pass()
		_, err = r.Uploads.Complete(r.t.Context(), objectlayer.CompleteRequest{
			Bucket: name, Key: "k", UploadID: u.ID, Parts: []objectlayer.CompletedPart{{Number: 1, ETag: p.ETag.String()}},
		})
		if err != nil {
			return fmt.Errorf("complete: %w", err)
		}
		return nil
	}, func(r *rig, err error) {
		switch {
		case err == nil:
			r.expect("k", data)
			if n := r.Shards(r.t); n != 3 {
				r.t.Errorf("%d shards", n)
			}
		case strings.HasPrefix(err.Error(), "complete:"):
			r.t.Error(err)
		default: // the part was refused
			r.expect("k", nil)
			if n := r.Shards(r.t); n != 0 {
				r.t.Errorf("%d shards are left of a part that was refused", n)
			}
		}
	})
}

// TestDeletedWhileAway: what is deleted while a disk is away does not come back with it, and its space does.
func TestDeletedWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const objects = 100
		for i := range objects {
			if err := r.put(fmt.Sprint(i), body(byte(i), 100_000)); err != nil {
				t.Fatal(err)
			}
		}
		away := r.Disks[1]
		away.SetHook(func(_ context.Context, op string) error {
			return disk.Errorf(op, disk.KindFenced, "", errors.New("away"))
		})
		for i := range objects - 1 {
			if _, err := r.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(15 * time.Minute)
		r.EmptyOutbox(t, func(id disk.ID) bool { return id != away.ID() })
		away.SetHook(nil)
		if n := r.Shards(t); n <= 3 {
			t.Fatalf("%d shards: the disk was not away", n)
		}
		r.pass()
		if n := r.Shards(t); n != 3 {
			t.Errorf("%d shards are left, want those of one object", n)
		}
		for i := range objects - 1 {
			r.expect(fmt.Sprint(i), nil)
		}
		r.expect(fmt.Sprint(objects-1), body(objects-1, 100_000))
		page, err := r.Listings.Keys(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1000})
		if err != nil || len(page.Items) != 1 {
			t.Errorf("%d keys are listed, %v", len(page.Items), err)
		}
		if shards, size := r.c.Deleted(); shards == 0 || size == 0 {
			t.Errorf("%d shards, %d bytes are counted", shards, size)
		}
	})
}

// TestExtentsInVain: a disk that fails in the middle of a write keeps shards of extents that were written anew. They belong to no
// blob, although the blob's other extents do.
func TestExtentsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		data := body(3, 6<<20)
		commits := 0
		sick := r.Disks[2]
		sick.SetHook(func(_ context.Context, op string) error {
			if op == "commit" {
				commits++
			}
			if commits > 1 || op == "delete" { // it takes a shard, and later fails and forgets nothing
				return disk.Errorf(op, disk.KindIO, "", errors.New("sick"))
			}
			return nil
		})
		if err := r.put("k", data); err != nil {
			t.Fatal(err)
		}
		sick.SetHook(nil)
		whole := 0
		for _, e := range r.extents("k") {
			whole += len(e.Slots)
		}
		before := r.Shards(t)
		r.age()
		r.pass()
		if n := r.Shards(t); n != whole {
			t.Errorf("%d shards before, %d after, want the %d of the object", before, n, whole)
		}
		r.expect("k", data)
	})
}

// extents returns those of an object.
func (r *rig) extents(key string) []*metapb.Extent {
	r.t.Helper()
	q := &metapb.Query{Format: 1, Bucket: 1, Key: []byte(key), Generation: 1, Op: &metapb.Query_Get{Get: &metapb.GetVersion{}}}
	a, err := r.Meta.Query(r.t.Context(), q)
	if err != nil || a.Status != metapb.Status_OK {
		r.t.Fatalf("%v, %v", a, err)
	}
	return a.Version.GetBlob().Extents
}

// TestNothingWithoutAnAnswer: where the metadata cannot be asked nothing is deleted, and what does not say for whom it was written is left
// alone.
func TestNothingWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if err := r.put("k", body(4, 200_000)); err != nil {
			t.Fatal(err)
		}
		w, err := r.Disks[0].Create(t.Context(), disk.ShardID{Group: r.Topology.Map().Groups[0].ID}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), []byte("nobody")); err != nil {
			t.Fatal(err)
		}
		before := r.Shards(t)
		r.age()
		end := r.Meta.Silence(t, 1, "k")
		var unavailable *metashards.Error
		if err := r.c.Pass(t.Context()); !errors.As(err, &unavailable) {
			t.Errorf("pass without metadata: %v", err)
		}
		end()
		r.pass()
		if n := r.Shards(t); n != before {
			t.Errorf("%d shards, want %d", n, before)
		}
	})
}

// TestRun: passes follow one another until the end of the context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.c.Run(ctx)
		}()
		for i := range 3 {
			r.Meta.Before(func(_ context.Context, c *metapb.Command) error {
				if c.GetPut() != nil {
					return &metashards.Error{Kind: metashards.KindIndeterminate, Err: errors.New("lost")}
				}
				return nil
			})
			if err := r.put("k", body(byte(i), 200_000)); err == nil || r.Shards(t) == 0 {
				t.Fatalf("%v, %d shards: a write whose outcome is unknown must leave them", err, r.Shards(t))
			}
			time.Sleep(3 * grace)
			if n := r.Shards(t); n != 0 {
				t.Errorf("%d shards are left", n)
			}
		}
		cancel()
		<-done
	})
}
