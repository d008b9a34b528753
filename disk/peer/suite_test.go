package peer

import (
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/disk/local"
)

// remote is a disk whose shards are reached over the wire, and all else by call.
type remote struct {
	disk.Disk
	far *Store
}

func (r remote) Create(ctx context.Context, id disk.ShardID, e disk.Epoch) (disk.Writer, error) {
	return r.far.Create(ctx, id, e)
}

func (r remote) Get(ctx context.Context, id disk.ShardID, off, n int64) (io.ReadCloser, error) {
	return r.far.Get(ctx, id, off, n)
}

func (r remote) Info(ctx context.Context, id disk.ShardID) (disk.ShardInfo, error) {
	return r.far.Info(ctx, id)
}

func (r remote) Delete(ctx context.Context, ids ...disk.ShardID) error {
	return r.far.Delete(ctx, ids...)
}

func (r remote) List(ctx context.Context, g disk.GroupID, after disk.ShardID, fn func(disk.ShardInfo) error) error {
	return r.far.List(ctx, g, after, fn)
}

func (r remote) Verify(ctx context.Context, id disk.ShardID) error { return r.far.Verify(ctx, id) }

// far puts the wire before a disk.
func far(t *testing.T, d disk.Disk) disk.Disk {
	r := newRig(t, HandlerOptions{})
	r.offer(d)
	return remote{d, r.client(StoreOptions{})}
}

func near(d disk.Disk) disk.Disk { return d.(remote).Disk }

func TestSuiteMemory(t *testing.T) {
	disktest.Suite(t, disktest.Harness{
		Open: func(t *testing.T) disk.Disk { return far(t, disktest.NewMemory(testDisk)) },
		Reopen: func(t *testing.T, d disk.Disk) disk.Disk {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			return far(t, near(d).(*disktest.Memory).Crash(nil))
		},
		Crash: func(t *testing.T, d disk.Disk, seed uint64) disk.Disk {
			return far(t, near(d).(*disktest.Memory).Crash(rand.New(rand.NewPCG(seed, 0))))
		},
		Crashes: 3,
	})
}

// TestSuiteLocal runs on a real disk in a folder, without crashes: disk/local has its own.
func TestSuiteLocal(t *testing.T) {
	disktest.Suite(t, disktest.Harness{
		Open: func(t *testing.T) disk.Disk {
			d, err := local.Open(t.Context(), local.Options{
				FS: vfs.Default, Dir: t.TempDir(), Cluster: disk.ClusterID{1}, ID: testDisk, Boot: 1,
				Rand: rand.NewChaCha8([32]byte{1}), SegmentBytes: 1 << 20, CapacityBytes: 64 << 20,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = d.Close() })
			return far(t, d)
		},
	})
}
