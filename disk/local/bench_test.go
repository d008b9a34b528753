package local

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func benchDisk(b *testing.B) *Disk {
	o := testOptions(vfs.Default, 1)
	o.Dir, o.Manual, o.SegmentBytes, o.MemTableBytes = b.TempDir(), false, 0, 0
	d := mustOpen(b, o)
	b.Cleanup(func() { mustClose(b, d) })
	return d
}

// BenchmarkLimit is what the machine allows at the most, for the figures of the others to stand beside: a block of 4 KiB
// written into a file that was written before, and synced, one after the other; and a copy of 1 MiB in memory.
func BenchmarkLimit(b *testing.B) {
	b.Run("fdatasync", func(b *testing.B) {
		f, err := vfs.Default.Create(filepath.Join(b.TempDir(), "f"), vfs.WriteCategoryUnspecified)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		const size = 64 << 20
		if _, err := f.Write(fill(1, size)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		block := fill(2, 4096)
		b.SetBytes(int64(len(block)))
		b.ResetTimer()
		for i := range int64(b.N) {
			if _, err := f.WriteAt(block, i*4096%size); err != nil {
				b.Fatal(err)
			}
			if err := f.SyncData(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copy", func(b *testing.B) {
		from, to := fill(1, 1<<20), make([]byte, 1<<20)
		b.SetBytes(int64(len(from)))
		for b.Loop() {
			copy(to, from)
		}
	})
}

// BenchmarkAppendSync: a payload of 4 KiB and its entry, appended and synced, by writers of as many ranges.
func BenchmarkAppendSync(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			d := benchDisk(b)
			b.SetBytes(4096)
			before := d.Stats()
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					for i := uint64(1); next.Add(1) <= int64(b.N); i++ {
						if err := appendSync(d, entryAppend(uint64(w+1), i, 4096)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			s := d.Stats()
			b.ReportMetric(float64(s.LogSyncs-before.LogSyncs)/float64(b.N), "syncs/op")
			b.ReportMetric(float64(s.LogBytes-before.LogBytes)/float64(b.N)/4096, "log/payload")
		})
	}
}

// BenchmarkShardWrite: shards of 1 MiB, created, appended and committed by four writers.
func BenchmarkShardWrite(b *testing.B) {
	d := benchDisk(b)
	data := fill(1, 1<<20)
	b.SetBytes(int64(len(data)))
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 4 {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				if err := tryPut(d, shard(int(i)), data); err != nil {
					b.Error(err)
					return
				}
				if i > 256 { // keep it small
					if err := d.Delete(context.Background(), shard(int(i)-256)); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkGet: reads of a shard of 8 MiB, whole and by 4 KiB.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int64{4 << 10, 8 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := benchDisk(b)
			put(b, d, shard(1), fill(1, 8<<20))
			b.SetBytes(n)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range int64(b.N) {
				r, err := d.Get(context.Background(), shard(1), i*(4<<10)%(8<<20-n+1), n)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				_ = r.Close()
			}
		})
	}
}
