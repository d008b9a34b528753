package bucket_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

const name = "bucket"

func create(t testing.TB, l *objecttest.Layer) objectlayer.Bucket {
	t.Helper()
	b, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name, Owner: "me", Region: "here"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, l *objecttest.Layer, key string) error {
	t.Helper()
	_, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: name, Key: key, Size: 1}, bytes.NewReader([]byte("1")))
	return err
}

func wantKind(t testing.TB, err error, want objectlayer.Kind) {
	t.Helper()
	if err == nil || objectlayer.KindOf(err) != want {
		t.Fatalf("%v, want %v", err, want)
	}
}

func peer(l *objecttest.Layer, seed byte) *objecttest.Layer {
	return l.Peer(rand.NewChaCha8([32]byte{seed}))
}

func TestLife(t *testing.T) {
	l := objecttest.NewMemory(t)
	_, err := l.Buckets.Get(t.Context(), name)
	wantKind(t, err, objectlayer.KindNoSuchBucket)
	wantKind(t, put(t, l, "k"), objectlayer.KindNoSuchBucket)
	wantKind(t, l.Buckets.Delete(t.Context(), name), objectlayer.KindNoSuchBucket)
	made := create(t, l)
	if made.Name != name || made.ID == 0 || made.Created.IsZero() || made.Owner != "me" || made.Region != "here" {
		t.Fatalf("%+v", made)
	}
	again, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name, Owner: "you"})
	wantKind(t, err, objectlayer.KindBucketExists)
	if again != made {
		t.Fatalf("%+v, %+v", again, made)
	}
	if got, err := l.Buckets.Get(t.Context(), name); err != nil || got != made {
		t.Fatalf("%+v %v", got, err)
	}
	for range 3 {
		if err := put(t, l, "k"); err != nil {
			t.Fatal(err)
		}
		wantKind(t, l.Buckets.Delete(t.Context(), name), objectlayer.KindBucketNotEmpty)
	}
	if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Buckets.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	wantKind(t, put(t, l, "k"), objectlayer.KindNoSuchBucket)
	if b := create(t, l); b.ID == made.ID {
		t.Fatal("an id was given twice")
	}
	if err := put(t, l, "k"); err != nil {
		t.Fatal(err)
	}
}

func TestList(t *testing.T) {
	l := objecttest.NewMemory(t)
	var want []string
	for i := range 25 {
		n := fmt.Sprintf("b%02d", i)
		if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: n}); err != nil {
			t.Fatal(err)
		}
		want = append(want, n)
	}
	if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	after := ""
	for more := true; more; {
		var bs []objectlayer.Bucket
		var err error
		if bs, more, err = l.Buckets.List(t.Context(), "b", after, 10); err != nil || len(bs) > 10 {
			t.Fatalf("%d, %v", len(bs), err)
		}
		for _, b := range bs {
			got = append(got, b.Name)
			after = b.Name
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	if bs, more, err := l.Buckets.List(t.Context(), "", "", 0); len(bs) != 0 || more || err != nil {
		t.Fatalf("%v %v %v", bs, more, err)
	}
}

// TestPeersRememberOldBuckets lets one node use what it remembers of a bucket that another has deleted and made anew.
func TestPeersRememberOldBuckets(t *testing.T) {
	l := objecttest.NewMemory(t)
	p := peer(l, 2)
	create(t, l)
	if err := put(t, p, "old"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "old"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Buckets.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	wantKind(t, put(t, p, "k"), objectlayer.KindNoSuchBucket)
	create(t, l)
	if err := put(t, l, "k"); err != nil {
		t.Fatal(err)
	}
	stale := peer(l, 3)
	if _, err := stale.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Buckets.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	create(t, l)
	if err := put(t, l, "k2"); err != nil {
		t.Fatal(err)
	}
	if _, err := stale.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "k2"}); err != nil {
		t.Fatal(err)
	}
	_, err := stale.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "k"})
	wantKind(t, err, objectlayer.KindNoSuchKey)
}

// TestDeleteStoppedAnywhere stops a deletion before and after each of its commands, as a crash would, and has another
// node go on with each of the operations that may meet what is left.
func TestDeleteStoppedAnywhere(t *testing.T) {
	operations := map[string]func(*objecttest.Layer) error{
		"delete": func(l *objecttest.Layer) error { return l.Buckets.Delete(t.Context(), name) },
		"create": func(l *objecttest.Layer) error {
			_, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name})
			return err
		},
		"get": func(l *objecttest.Layer) error { _, err := l.Buckets.Get(t.Context(), name); return err },
		"put": func(l *objecttest.Layer) error { return put(t, l, "new") },
		"head": func(l *objecttest.Layer) error {
			_, err := l.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "k"})
			return err
		},
	}
	for op, run := range operations {
		for _, empty := range []bool{true, false} {
			for step := range 8 {
				t.Run(fmt.Sprintf("%s empty=%v step %d", op, empty, step), func(t *testing.T) {
					l := objecttest.NewMemory(t)
					create(t, l)
					p := peer(l, 2)
					if err := put(t, p, "k"); err != nil { // the peer remembers the bucket
						t.Fatal(err)
					}
					if empty {
						if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "k"}); err != nil {
							t.Fatal(err)
						}
					}
					stopAt(l, step)
					stopped := l.Buckets.Delete(t.Context(), name)
					l.Meta.Before(nil)
					l.Meta.After(nil)
					afterStop(t, p, empty, stopped, op, run(p))
				})
			}
		}
	}
}

// stopAt has the layer's commands fail from a step on; even steps are before a command, odd ones after it.
func stopAt(l *objecttest.Layer, step int) {
	var n atomic.Int32
	dead := &metashards.Error{Op: "apply", Kind: metashards.KindIndeterminate}
	l.Meta.Before(func(context.Context, *metapb.Command) error {
		if int(n.Load()) >= step {
			return dead
		}
		n.Add(1)
		return nil
	})
	l.Meta.After(func(context.Context, *metapb.Command) error {
		if int(n.Load()) >= step {
			return dead
		}
		n.Add(1)
		return nil
	})
}

// afterStop judges what a peer's operation made of a deletion that was stopped, and that the bucket is in order.
func afterStop(t *testing.T, p *objecttest.Layer, empty bool, stopped error, op string, err error) {
	t.Helper()
	if !empty { // the bucket must be as if nobody had tried
		switch op {
		case "delete":
			wantKind(t, err, objectlayer.KindBucketNotEmpty)
		case "create":
			wantKind(t, err, objectlayer.KindBucketExists)
		default:
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := put(t, p, "more"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "k"}); err != nil {
			t.Fatal(err)
		}
		return
	}
	_, there := p.Buckets.Get(t.Context(), name)
	switch {
	case stopped == nil && op != "create" && there == nil:
		t.Fatal("a deletion was acknowledged and the bucket is there")
	case there == nil:
		if err := put(t, p, "more"); err != nil {
			t.Fatalf("the bucket is there and takes nothing: %v", err)
		}
	default:
		wantKind(t, there, objectlayer.KindNoSuchBucket)
		wantKind(t, put(t, p, "more"), objectlayer.KindNoSuchBucket)
	}
}

// TestDeleteAgainstPuts races deletions with puts: an acknowledged object is never in a deleted bucket.
func TestDeleteAgainstPuts(t *testing.T) {
	for round := range 30 {
		l := objecttest.NewMemory(t)
		create(t, l)
		layers := []*objecttest.Layer{peer(l, 1), peer(l, 2), peer(l, 3), peer(l, 4)}
		var stored atomic.Int32
		var deleted atomic.Int32
		var wg sync.WaitGroup
		for i, p := range layers {
			wg.Go(func() {
				if i < 2 {
					switch err := p.Buckets.Delete(t.Context(), name); objectlayer.KindOf(err) {
					case objectlayer.KindBucketNotEmpty, objectlayer.KindNoSuchBucket, objectlayer.KindUnavailable:
					default:
						if err != nil {
							t.Errorf("delete: %v", err)
							return
						}
						deleted.Add(1)
					}
					return
				}
				switch err := put(t, p, fmt.Sprint(i)); {
				case err == nil:
					stored.Add(1)
				case objectlayer.KindOf(err) != objectlayer.KindNoSuchBucket:
					t.Errorf("put: %v", err)
				}
			})
		}
		wg.Wait()
		if stored.Load() > 0 && deleted.Load() > 0 {
			t.Fatalf("round %d: %d objects in a deleted bucket", round, stored.Load())
		}
		_, err := l.Buckets.Get(t.Context(), name)
		if (err == nil) != (deleted.Load() == 0) {
			t.Fatalf("round %d: deleted %d times, %v", round, deleted.Load(), err)
		}
	}
}

// TestLargePutIntoReplacedBucket has a bucket replaced while a body is under way: the bytes carry the old bucket's id
// and must not become an object of the new one.
func TestLargePutIntoReplacedBucket(t *testing.T) {
	l := objecttest.NewMemory(t)
	create(t, l)
	body := &interrupting{data: bytes.NewReader(make([]byte, 200_000)), at: func() {
		if err := l.Buckets.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
		create(t, l)
	}}
	p := peer(l, 2)
	if _, err := p.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "k"}); objectlayer.KindOf(err) != objectlayer.KindNoSuchKey {
		t.Fatal(err)
	}
	_, err := p.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: name, Key: "k", Size: 200_000}, body)
	wantKind(t, err, objectlayer.KindUnavailable)
	if n := l.Shards(t); n != 0 {
		t.Fatalf("%d shards stay", n)
	}
	if err := put(t, p, "k"); err != nil {
		t.Fatal(err)
	}
}

type interrupting struct {
	data *bytes.Reader
	at   func()
}

func (i *interrupting) Read(p []byte) (int, error) {
	if i.data.Len() < 150_000 && i.at != nil {
		i.at()
		i.at = nil
	}
	return i.data.Read(p)
}
