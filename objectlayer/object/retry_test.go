package object_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/multipart"
	"github.com/contender/contender/objectlayer/object"
	"github.com/contender/contender/objectlayer/objecttest"
)

// twice is a metadata space that loses each first answer and tries again, as a router does over a change of leader.
type twice struct{ metashards.Store }

func (s twice) Apply(ctx context.Context, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	if _, err := s.Store.Apply(ctx, c, payload); err != nil {
		return nil, err
	}
	c = c.CloneVT()
	c.Retry = true
	for _, sub := range c.GetBatch().GetCommands() {
		sub.Retry = true
	}
	return s.Store.Apply(ctx, c, payload)
}

// TestEveryRequestTwice: a request that is carried out and then tried again answers as if it had come once.
func TestEveryRequestTwice(t *testing.T) {
	l := newLayer(t)
	r := bucket.NewResolver(twice{l.Meta}, time.Now, rand.NewChaCha8([32]byte{7}))
	l.Buckets = bucket.New(r, nil)
	l.Objects = object.New(object.Options{Buckets: r, Bytes: l.Packed})
	l.Uploads = multipart.New(multipart.Options{Buckets: r, Bytes: l.Packed, Objects: l.Objects, PartBytesMin: 1})
	if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: "second"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Buckets.Delete(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{10, 100_000} {
		data := randomBytes(1, n)
		for _, c := range []objectlayer.WriteConditions{{IfNoneMatch: true}, {}, {IfMatch: "*"}} {
			if _, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: bucketName, Key: "k", Size: -1, Conditions: c}, bytes.NewReader(data)); err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			if _, got := get(t, l, objectlayer.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
				t.Fatal("other bytes")
			}
		}
		if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{
			Bucket: bucketName, Key: "k", Conditions: objectlayer.WriteConditions{IfMatch: "*"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	upload(t, l)
	ds, err := l.Objects.DeleteMany(t.Context(), bucketName, []objectlayer.DeleteRequest{{Key: "k"}, {Key: "none"}})
	if err != nil || ds[0].Err != nil || ds[1].Err != nil {
		t.Fatalf("%+v %v", ds, err)
	}
	if err := l.Buckets.Delete(t.Context(), bucketName); err != nil {
		t.Fatal(err)
	}
}

// upload makes an object k of two parts and aborts another upload.
func upload(t *testing.T, l *objecttest.Layer) {
	t.Helper()
	for _, abort := range []bool{true, false} {
		u, err := l.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: bucketName, Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		r := objectlayer.CompleteRequest{
			Bucket: bucketName, Key: "k", UploadID: u.ID, Conditions: objectlayer.WriteConditions{IfNoneMatch: true},
		}
		for _, n := range []int{1, 2, 2} {
			p, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{
				Bucket: bucketName, Key: "k", UploadID: u.ID, Number: n, Size: -1,
			}, bytes.NewReader(randomBytes(uint64(n), 1000)))
			if err != nil {
				t.Fatal(err)
			}
			if n == len(r.Parts)+1 {
				r.Parts = append(r.Parts, objectlayer.CompletedPart{Number: n, ETag: p.ETag.String()})
			}
		}
		if abort {
			err = l.Uploads.Abort(t.Context(), objectlayer.AbortRequest{Bucket: bucketName, Key: "k", UploadID: u.ID})
		} else {
			_, err = l.Uploads.Complete(t.Context(), r)
		}
		if err != nil {
			t.Fatalf("abort %v: %v", abort, err)
		}
	}
	if _, got := get(t, l, objectlayer.GetRequest{Key: "k"}); !bytes.Equal(got, append(randomBytes(1, 1000), randomBytes(2, 1000)...)) {
		t.Fatal("other bytes")
	}
}
