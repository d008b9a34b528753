package object_test

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/compress"
	"github.com/contender/contender/objectlayer/object"
	"github.com/contender/contender/objectlayer/stripe"
)

// TestLargePutInBoundedMemory streams far more bytes than it may allocate.
func TestLargePutInBoundedMemory(t *testing.T) {
	const body, allowed = 256 << 20, 64 << 20
	l := newLayer(t)
	sink := &sink{}
	bytes, err := stripe.New(stripe.Options{Fleet: sink, Topology: l.Topology})
	if err != nil {
		t.Fatal(err)
	}
	packed, err := compress.New(bytes)
	if err != nil {
		t.Fatal(err)
	}
	objects := object.New(object.Options{Buckets: l.Resolver, Bytes: packed})
	store := func(n int64) {
		t.Helper()
		v, err := objects.Put(t.Context(), objectlayer.PutRequest{Bucket: bucketName, Key: "k", Size: -1}, io.LimitReader(zeros{}, n))
		if err != nil || v.Size != n {
			t.Fatalf("%d bytes, %v", v.Size, err)
		}
	}
	store(8 << 20) // fills the pools
	before := allocated()
	store(body)
	if n := allocated() - before; n > allowed {
		t.Fatalf("a body of %d MiB had %d MiB allocated", body>>20, n>>20)
	}
	if n := sink.bytes.Load(); n < body*3/2 {
		t.Fatalf("%d bytes reached the disks", n)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// sink is a fleet whose disks forget what they are given.
type sink struct{ bytes atomic.Int64 }

func (s *sink) Disk(disk.ID) (disk.Store, error) { return s, nil }

func (s *sink) Create(context.Context, disk.ShardID, disk.Epoch) (disk.Writer, error) {
	return s, nil
}

func (s *sink) Get(context.Context, disk.ShardID, int64, int64) (io.ReadCloser, error) {
	return nil, disk.Errorf("get", disk.KindNotFound, "", nil)
}

func (s *sink) Info(context.Context, disk.ShardID) (disk.ShardInfo, error) {
	return disk.ShardInfo{}, disk.Errorf("info", disk.KindNotFound, "", nil)
}

func (s *sink) Delete(context.Context, ...disk.ShardID) error { return nil }

func (s *sink) Append(_ context.Context, p []byte) error {
	s.bytes.Add(int64(len(p)))
	return nil
}

func (s *sink) Commit(context.Context, []byte) error { return nil }

func (s *sink) Abort() {}
