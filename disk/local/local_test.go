package local

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
)

func testOptions(fs vfs.FS, boot uint64) Options {
	var seed [32]byte
	seed[0] = byte(boot)
	return Options{
		FS: fs, Dir: "d", Cluster: disk.ClusterID{1}, ID: 7, Boot: boot, SegmentBytes: 256 << 10, Manual: true,
		Rand: rand.NewChaCha8(seed), MemTableBytes: 1 << 20,
	}
}

func mustOpen(t testing.TB, o Options) *Disk {
	t.Helper()
	d, err := Open(context.Background(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return d
}

func shard(n int) disk.ShardID {
	return disk.ShardID{Group: 3, Blob: disk.NewBlobID(uint64(n), [10]byte{9}), Extent: 1, Slot: 2}
}

func fill(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func put(t testing.TB, d *Disk, id disk.ShardID, data []byte) {
	t.Helper()
	if err := tryPut(d, id, data); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func tryPut(d *Disk, id disk.ShardID, data []byte) error {
	ctx := context.Background()
	w, err := d.Create(ctx, id, 1)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.Append(ctx, data); err != nil {
		return err
	}
	return w.Commit(ctx, []byte("owner"))
}

func get(d *Disk, id disk.ShardID, off, n int64) ([]byte, error) {
	r, err := d.Get(context.Background(), id, off, n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

func TestSmoke(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(fs, 1)
			if name == "os" {
				o.Dir = t.TempDir()
			}
			ctx := context.Background()
			d := mustOpen(t, o)
			data := fill(1, 300<<10)
			put(t, d, shard(1), data)
			if err := d.Log().Append(ctx, disk.Append{
				Payloads:   []disk.Payload{{ID: disk.PayloadID{Range: 1, Term: 1, Index: 1}, Data: []byte("pay")}},
				Entries:    []disk.Entry{{Range: 1, Term: 1, Index: 1, Data: []byte("entry")}},
				HardStates: []disk.HardState{{Range: 1, Term: 1, Vote: 1}},
			}); err != nil {
				t.Fatal(err)
			}
			if err := d.Log().Sync(ctx); err != nil {
				t.Fatal(err)
			}
			for boot := uint64(2); boot < 5; boot++ {
				b, err := get(d, shard(1), 1000, 200<<10)
				if err != nil || !bytes.Equal(b, data[1000:1000+200<<10]) {
					t.Fatalf("get: %v", err)
				}
				p, err := d.Log().Payload(ctx, disk.PayloadID{Range: 1, Term: 1, Index: 1})
				if err != nil || string(p) != "pay" {
					t.Fatalf("payload: %q %v", p, err)
				}
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				o.Boot = boot
				d = mustOpen(t, o)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
