package bucket_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

const name = "bucket"

// cuts are where the range of data is cut in tests of several ranges: the first bucket lies in four of them.
var cuts = []string{"b", "m", "t"}

// inRanges are keys of the first bucket, one in each range.
var inRanges = []string{"a", "k", "o", "z"}

// newLayer returns a layer whose first bucket lies in several ranges.
func newLayer(t testing.TB) *objecttest.Layer {
	t.Helper()
	o := objecttest.Options{}
	for _, c := range cuts {
		o.Cuts = append(o.Cuts, keys.Position(1, []byte(c)))
	}
	return objecttest.New(t, o)
}

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
	l := newLayer(t)
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
	for _, at := range []string{"b07", "b1", "b24"} { // the records of buckets may lie in several ranges, too
		l.Meta.Split(t, metashards.SystemBucket, string(metapb.BucketKey(at)))
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
	l := newLayer(t)
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
