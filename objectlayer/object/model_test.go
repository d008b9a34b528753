package object_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
	"github.com/contender/contender/objectlayer/outbox"
)

// TestModel puts, copies, deletes, reads and lists at random over two nodes and compares with a map. Between the steps
// the outbox worker deletes what is due at once, so that bytes deleted too much would be missed.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := objecttest.New(t, objecttest.Options{ExtentBytes: 256 << 10, InlineBytes: 100, Disks: rapid.IntRange(1, 5).Draw(rt, "disks")})
		l.Meta.SetDeleteDelay(time.Microsecond)
		ctx := context.Background()
		if _, err := l.Buckets.Create(ctx, objectlayer.Bucket{Name: bucketName}); err != nil {
			rt.Fatal(err)
		}
		worker := outbox.New(outbox.Options{
			Store: l.Meta, Bytes: l.Bytes, Led: dataRange, Now: func() time.Time { return time.Now().Add(time.Hour) },
		})
		nodes := []*objecttest.Layer{l, l.Peer(rand.NewChaCha8([32]byte{2}))}
		model := map[string][]byte{}
		key := rapid.SampledFrom([]string{"a", "b", "a/b", "ü"})
		size := rapid.SampledFrom([]int{0, 1, 99, 100, 101, 5000, 65536, 300_000})
		seed := uint64(0)
		node := func(rt *rapid.T) *objecttest.Layer { return rapid.SampledFrom(nodes).Draw(rt, "node") }
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				seed++
				data := randomBytes(seed, size.Draw(rt, "size"))
				absent := rapid.Bool().Draw(rt, "absent")
				_, err := node(rt).Objects.Put(ctx, objectlayer.PutRequest{
					Bucket: bucketName, Key: k, Size: -1, Conditions: objectlayer.WriteConditions{IfNoneMatch: absent},
				}, bytes.NewReader(data))
				if _, there := model[k]; absent && there {
					if objectlayer.KindOf(err) != objectlayer.KindPreconditionFailed || err == nil {
						rt.Fatalf("%v", err)
					}
					return
				}
				if err != nil {
					rt.Fatal(err)
				}
				model[k] = data
			},
			"copy": func(rt *rapid.T) {
				from, to := key.Draw(rt, "from"), key.Draw(rt, "to")
				_, err := node(rt).Objects.Copy(ctx, objectlayer.CopyRequest{
					Source: objectlayer.GetRequest{Bucket: bucketName, Key: from}, Bucket: bucketName, Key: to, ReplaceAttributes: true,
				})
				data, there := model[from]
				if (err == nil) != there {
					rt.Fatalf("%v", err)
				}
				if there {
					model[to] = data
				}
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				if _, err := node(rt).Objects.Delete(ctx, objectlayer.DeleteRequest{Bucket: bucketName, Key: k}); err != nil {
					rt.Fatal(err)
				}
				delete(model, k)
			},
			"outbox": func(rt *rapid.T) {
				if _, err := worker.Pass(ctx); err != nil {
					rt.Fatal(err)
				}
			},
			"get": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				want, there := model[k]
				r := objectlayer.GetRequest{Bucket: bucketName, Key: k}
				if len(want) > 0 && rapid.Bool().Draw(rt, "range") {
					first := rapid.IntRange(0, len(want)-1).Draw(rt, "first")
					last := rapid.IntRange(first, len(want)+1).Draw(rt, "last")
					r.Range = &objectlayer.Range{First: int64(first), Last: int64(last)}
					want = want[first:min(last+1, len(want))]
				}
				rd, err := node(rt).Objects.Get(ctx, r)
				if !there {
					if objectlayer.KindOf(err) != objectlayer.KindNoSuchKey || err == nil {
						rt.Fatalf("%v", err)
					}
					return
				}
				if err != nil {
					rt.Fatal(err)
				}
				defer rd.Body.Close() //nolint:errcheck // only read
				if got, err := io.ReadAll(rd.Body); err != nil || !bytes.Equal(got, want) || rd.Length != int64(len(want)) {
					rt.Fatalf("%q: %d bytes, want %d, %v", k, len(got), len(want), err)
				}
			},
			"": func(rt *rapid.T) {
				p, err := l.Listings.Keys(ctx, objectlayer.ListRequest{Bucket: bucketName, Limit: 100})
				if err != nil || len(p.Items) != len(model) {
					rt.Fatalf("%d keys listed, want %d, %v", len(p.Items), len(model), err)
				}
				for _, it := range p.Items {
					if data, ok := model[it.Version.Key]; !ok || it.Version.Size != int64(len(data)) {
						rt.Fatalf("%+v", it.Version)
					}
				}
			},
		})
	})
}

// TestCancelledAnywhere cancels a put and a get at many moments: no goroutine stays (TestMain sees to that) and no half
// object is visible.
func TestCancelledAnywhere(t *testing.T) {
	l := newLayer(t)
	old, data := randomBytes(1, 700_000), randomBytes(2, 700_000)
	for _, announced := range []int64{-1, int64(len(data))} {
		for after := 0; after <= len(data)+50_000; after += 50_000 {
			put(t, l, "k", old)
			ctx, cancel := context.WithCancel(t.Context())
			_, err := l.Objects.Put(ctx, objectlayer.PutRequest{Bucket: bucketName, Key: "k", Size: announced},
				&cancelling{bytes.NewReader(data), len(data) - after, cancel})
			cancel()
			_, got := get(t, l, objectlayer.GetRequest{Key: "k"})
			switch {
			case bytes.Equal(got, data):
			case !bytes.Equal(got, old):
				t.Fatalf("after %d bytes: something else is there", after)
			case err == nil:
				t.Fatalf("after %d bytes: acknowledged and not there", after)
			}
		}
	}
	put(t, l, "k", data)
	for after := 0; after < len(data); after += 90_000 {
		ctx, cancel := context.WithCancel(t.Context())
		rd, err := l.Objects.Get(ctx, objectlayer.GetRequest{Bucket: bucketName, Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, after)
		if _, err := io.ReadFull(rd.Body, got); err != nil || !bytes.Equal(got, data[:after]) {
			t.Fatalf("%d bytes: %v", after, err)
		}
		cancel()
		if rest, err := io.ReadAll(rd.Body); !bytes.Equal(rest, data[after:after+len(rest)]) || err == nil && after+len(rest) < len(data) {
			t.Fatalf("%d bytes and %d after the end of the context: %v", after, len(rest), err)
		}
		if err := rd.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Objects.Get(ctx, objectlayer.GetRequest{Bucket: bucketName, Key: "k"})
	wantKind(t, err, objectlayer.KindUnavailable)
}

// cancelling is a body that calls cancel when so many bytes are left.
type cancelling struct {
	*bytes.Reader
	left   int
	cancel func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	if c.Len() <= max(c.left, 0) {
		c.cancel()
	}
	return c.Reader.Read(p)
}

// TestVersionReplacedBeforeItsBytesAreRead has the bytes of a version deleted between the read of its record and the
// read of its bytes.
func TestVersionReplacedBeforeItsBytesAreRead(t *testing.T) {
	l := newLayer(t)
	l.Meta.SetDeleteDelay(time.Microsecond)
	put(t, l, "k", randomBytes(1, 100_000))
	worker := outbox.New(outbox.Options{Store: l.Meta, Bytes: l.Bytes, Led: dataRange, Now: func() time.Time { return time.Now().Add(time.Hour) }})
	data := randomBytes(2, 200_000)
	var replace sync.Once
	for _, d := range l.Disks {
		d.SetHook(func(_ context.Context, op string) error {
			if op != "get" {
				return nil
			}
			replace.Do(func() {
				put(t, l, "k", data)
				if _, err := worker.Pass(t.Context()); err != nil {
					t.Error(err)
				}
			})
			return nil
		})
	}
	rd, got := get(t, l, objectlayer.GetRequest{Key: "k"})
	if !bytes.Equal(got, data) || rd.Version.Size != 200_000 {
		t.Fatalf("%d bytes of %+v", len(got), rd.Version)
	}
}

// dataRange returns a position in the only range of data.
func dataRange() []outbox.Position { return []outbox.Position{{Bucket: 1}} }
