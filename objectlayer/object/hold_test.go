package object_test

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

// TestLongGet: whoever reads an object slowly reads all of it, although it was deleted or replaced soon after, and the time that deleted
// bytes stay passes many times over. Once the reader has ended they go.
//
// Caught mutants: nohold, nodelay.
func TestLongGet(t *testing.T) {
	const extent, extents = 128 << 10, 40
	for what, change := range map[string]func(t *testing.T, l *objecttest.Layer){
		"deleted": func(t *testing.T, l *objecttest.Layer) {
			if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: bucketName, Key: "k"}); err != nil {
				t.Fatal(err)
			}
		},
		"replaced": func(t *testing.T, l *objecttest.Layer) { put(t, l, "k", []byte("short")) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := objecttest.New(t, objecttest.Options{UnitBytes: 64 << 10, ExtentBytes: extent})
				if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: bucketName}); err != nil {
					t.Fatal(err)
				}
				data := randomBytes(7, extents*extent)
				put(t, l, "k", data)
				rd, err := l.Objects.Get(t.Context(), objectlayer.GetRequest{Bucket: bucketName, Key: "k"})
				if err != nil {
					t.Fatal(err)
				}
				change(t, l)
				var got bytes.Buffer
				for range extents {
					if _, err := io.CopyN(&got, rd.Body, extent); err != nil {
						t.Fatalf("after %d bytes: %v", got.Len(), err)
					}
					for range 6 {
						time.Sleep(30 * time.Second) // virtual
						l.EmptyOutbox(t, nil)
					}
				}
				if !bytes.Equal(got.Bytes(), data) {
					t.Error("other bytes came")
				}
				if err := rd.Body.Close(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(16 * time.Minute)
				l.EmptyOutbox(t, nil)
				if n := l.Shards(t); n != 0 {
					t.Errorf("%d shards stay though nobody reads them", n)
				}
			})
		})
	}
}
