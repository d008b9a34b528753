package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
	"github.com/contender/contender/objectlayer/outbox"
	"github.com/contender/contender/objectlayer/stripe"
)

const (
	name  = "bucket"
	delay = time.Minute
)

// clock is a clock that stands until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type rig struct {
	*objecttest.Layer
	clock *clock
	o     outbox.Options
}

func newRig(t testing.TB) *rig {
	t.Helper()
	c := &clock{t: time.Unix(1_800_000_000, 0)}
	l := objecttest.New(t, objecttest.Options{Clock: c.now, PartBytesMin: 1})
	l.Meta.SetDeleteDelay(delay)
	if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name}); err != nil {
		t.Fatal(err)
	}
	return &rig{l, c, outbox.Options{Store: l.Meta, Bytes: l.Bytes, Now: c.now, Led: func() []outbox.Position { return []outbox.Position{{Bucket: 1}} }}}
}

func (r *rig) put(t testing.TB, key string, n int) {
	t.Helper()
	_, err := r.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: name, Key: key, Size: -1}, bytes.NewReader(make([]byte, n)))
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) delete(t testing.TB, key string) {
	t.Helper()
	if _, err := r.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: key}); err != nil {
		t.Fatal(err)
	}
}

// rows counts the outbox rows, due or not.
func (r *rig) rows(t testing.TB) int {
	t.Helper()
	a, err := r.Meta.Query(t.Context(), &metapb.Query{Format: 1, Bucket: 1, Op: &metapb.Query_ListOutbox{
		ListOutbox: &metapb.ListOutbox{Due: 1 << 62, Limit: 1000},
	}})
	if err != nil || a.Status != metapb.Status_OK {
		t.Fatal(a, err)
	}
	return len(a.Outbox)
}

// TestBytesFollowTheirRecords catches the mutant outboxlost: after every way in which bytes lose their record, and one
// pass of the worker, the disks hold nothing that no record names.
func TestBytesFollowTheirRecords(t *testing.T) {
	r := newRig(t)
	w := outbox.New(r.o)
	r.put(t, "kept", 100_000)
	want := r.Shards(t)
	r.put(t, "deleted", 100_000)
	r.delete(t, "deleted")
	r.put(t, "replaced", 100_000)
	r.put(t, "replaced", 10)
	u, err := r.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: name, Key: "upload"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 1, 2} {
		if _, err := r.Uploads.PutPart(t.Context(), objectlayer.PartRequest{Bucket: name, Key: "upload", UploadID: u.ID, Number: n, Size: -1}, strings.NewReader("part")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Uploads.Abort(t.Context(), objectlayer.AbortRequest{Bucket: name, Key: "upload", UploadID: u.ID}); err != nil {
		t.Fatal(err)
	}
	before := r.Shards(t)
	if done, err := w.Pass(t.Context()); done != 0 || err != nil {
		t.Fatalf("%d rows done before they were due, %v", done, err)
	}
	if n := r.Shards(t); n != before || n <= want {
		t.Fatalf("%d shards, %d before", n, before)
	}
	r.clock.advance(delay)
	done, err := w.Pass(t.Context())
	if err != nil || done != 4 {
		t.Fatalf("%d rows done, %v", done, err)
	}
	if n := r.Shards(t); n != want {
		t.Fatalf("%d shards, want %d", n, want)
	}
	if n := r.rows(t); n != 0 {
		t.Fatalf("%d rows left", n)
	}
	if _, err := r.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "kept"}); err != nil {
		t.Fatal(err)
	}
}

func TestManyRowsInPages(t *testing.T) {
	r := newRig(t)
	for i := range 250 {
		key := fmt.Sprint(i)
		r.put(t, key, 20_000)
		r.delete(t, key)
	}
	r.clock.advance(delay)
	if done, err := outbox.New(r.o).Pass(t.Context()); done != 250 || err != nil {
		t.Fatalf("%d, %v", done, err)
	}
	if n := r.Shards(t); n != 0 {
		t.Fatalf("%d shards", n)
	}
}

// TestAtLeastOnce loses the acknowledgement: the row stays and is done again.
func TestAtLeastOnce(t *testing.T) {
	r := newRig(t)
	r.put(t, "k", 100_000)
	r.delete(t, "k")
	r.clock.advance(delay)
	w := outbox.New(r.o)
	r.Meta.Before(func(context.Context, *metapb.Command) error {
		return &metashards.Error{Op: "apply", Kind: metashards.KindUnavailable}
	})
	if _, err := w.Pass(t.Context()); err == nil {
		t.Fatal("no error")
	}
	r.Meta.Before(nil)
	if n := r.rows(t); n != 1 {
		t.Fatalf("%d rows", n)
	}
	if done, err := w.Pass(t.Context()); done != 1 || err != nil || r.rows(t) != 0 {
		t.Fatalf("%d, %v", done, err)
	}
}

// TestFailuresDoNotHoldUpOthers has one blob that no disk deletes.
func TestFailuresDoNotHoldUpOthers(t *testing.T) {
	r := newRig(t)
	for _, key := range []string{"a", "b", "c"} {
		r.put(t, key, 100_000)
		r.delete(t, key)
	}
	r.clock.advance(delay)
	stubborn := &bytesThatFail{Bytes: r.Bytes}
	r.o.Bytes = stubborn
	w := outbox.New(r.o)
	if done, err := w.Pass(t.Context()); done != 2 || err == nil {
		t.Fatalf("%d, %v", done, err)
	}
	if n := r.rows(t); n != 1 {
		t.Fatalf("%d rows", n)
	}
	stubborn.id = []byte{} // it is over
	if done, err := w.Pass(t.Context()); done != 1 || err != nil || r.Shards(t) != 0 {
		t.Fatalf("%d, %v", done, err)
	}
}

// bytesThatFail fails to delete the first blob that it is asked for.
type bytesThatFail struct {
	outbox.Bytes
	id []byte
}

func (b *bytesThatFail) Drop(ctx context.Context, blobs ...*metapb.Blob) error {
	if b.id == nil {
		b.id = blobs[0].Id
	}
	if slices.ContainsFunc(blobs, func(x *metapb.Blob) bool { return bytes.Equal(x.Id, b.id) }) {
		return errors.New("it will not go")
	}
	return b.Bytes.Drop(ctx, blobs...)
}

// TestAbsentDisks: a disk that is known to be away does not keep rows in the outbox, one that should answer does.
func TestAbsentDisks(t *testing.T) {
	r := newRig(t)
	r.put(t, "k", 100_000)
	r.delete(t, "k")
	r.clock.advance(delay)
	r.o.Bytes = bytesOf(func() error {
		return &objectlayer.Error{Op: "drop", Kind: objectlayer.KindUnavailable, Err: &stripe.AbsentError{Disks: []disk.ID{3}}}
	})
	r.o.Alive = func(id disk.ID) bool { return id == 3 }
	if done, err := outbox.New(r.o).Pass(t.Context()); done != 0 || err == nil {
		t.Fatalf("%d, %v", done, err)
	}
	r.o.Alive = func(disk.ID) bool { return false }
	if done, err := outbox.New(r.o).Pass(t.Context()); done != 1 || err != nil {
		t.Fatalf("%d, %v", done, err)
	}
}

type bytesOf func() error

func (b bytesOf) Drop(context.Context, ...*metapb.Blob) error { return b() }

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := objecttest.New(t, objecttest.Options{})
		l.Meta.SetDeleteDelay(delay)
		if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		leads, fails, drops := false, false, 0
		kick := make(chan struct{})
		w := outbox.New(outbox.Options{
			Store: l.Meta, Now: time.Now, Kick: kick, Interval: time.Second,
			Led: func() []outbox.Position {
				mu.Lock()
				defer mu.Unlock()
				if !leads {
					return nil
				}
				return []outbox.Position{{Bucket: 1}}
			},
			Bytes: bytesOf(func() error {
				mu.Lock()
				defer mu.Unlock()
				drops++
				if fails {
					return errors.New("not now")
				}
				return nil
			}),
		})
		r := &rig{Layer: l}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(ctx)
		}()
		expect := func(rows int) {
			t.Helper()
			synctest.Wait()
			if n := r.rows(t); n != rows {
				t.Fatalf("%d rows, want %d", n, rows)
			}
		}
		r.put(t, "k", 100_000)
		r.delete(t, "k")
		time.Sleep(2 * delay) // virtual time
		expect(1)             // nobody leads
		mu.Lock()
		leads, fails = true, true
		mu.Unlock()
		time.Sleep(10 * time.Second)
		expect(1)
		mu.Lock()
		if drops < 4 || drops > 60 {
			t.Errorf("%d attempts in ten seconds", drops)
		}
		fails = false
		mu.Unlock()
		kick <- struct{}{}
		expect(0)
		cancel()
		<-ended
	})
}
