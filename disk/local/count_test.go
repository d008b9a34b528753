package local

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
)

// slowFS makes each sync of a file last a while, as on a device: others get their turn meanwhile.
type slowFS struct{ vfs.FS }

type slowFile struct{ vfs.File }

func (s slowFS) OpenReadWrite(n string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.OpenReadWrite(n, c, o...)
	return slowFile{f}, err
}

func (f slowFile) SyncData() error {
	for range 300 {
		runtime.Gosched()
	}
	return f.File.SyncData()
}

// TestOneWriterSyncs: one writer, 1,000 small appends, 1,000 syncs of the log and no other.
func TestOneWriterSyncs(t *testing.T) {
	c := disktest.NewCounter(disktest.NewFS(1))
	o := testOptions(c, 1)
	o.SegmentBytes = 4 << 20
	d := mustOpen(t, o)
	if err := appendSync(d, entryAppend(1, 1, 200)); err != nil { // begins the first segment
		t.Fatal(err)
	}
	before, rest := c.Segments(), c.Others()
	for i := uint64(2); i <= 1001; i++ {
		if err := appendSync(d, entryAppend(1, i, 200)); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Segments().Sub(before); n.Syncs != 1000 || n.Dirs != 0 {
		t.Errorf("%+v", n)
	}
	if n := c.Others().Sub(rest); n.Syncs != 0 || n.Bytes != 0 || n.Dirs != 0 {
		t.Errorf("the state did something: %+v", n)
	}
	mustClose(t, d)
}

// TestManyWritersSync: 64 writers share their syncs: at most 0.2 for each append.
func TestManyWritersSync(t *testing.T) {
	c := disktest.NewCounter(disktest.NewFS(1))
	o := testOptions(slowFS{c}, 1)
	o.SegmentBytes = 4 << 20
	d := mustOpen(t, o)
	before := c.Segments()
	const writers, each = 64, 30
	var wg sync.WaitGroup
	for w := range uint64(writers) {
		wg.Go(func() {
			for i := uint64(1); i <= each; i++ {
				var err error
				if w%2 == 0 {
					err = appendSync(d, entryAppend(w+1, i, 200))
				} else {
					err = tryPut(d, shard(int(w*each+i)), fill(i, 300))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := c.Segments().Sub(before); float64(n.Syncs) > 0.2*writers*each {
		t.Errorf("%d syncs for %d appends", n.Syncs, writers*each)
	}
	mustClose(t, d)
}

// TestWrittenBytes: a payload of 4 KiB with an entry of 300 bytes costs at most 1.4 times the payload in all that is
// written, flushes of the state and truncation of the log included, pre-writing left out.
func TestWrittenBytes(t *testing.T) {
	ctx := context.Background()
	c := disktest.NewCounter(disktest.NewFS(1))
	o := testOptions(c, 1)
	o.SegmentBytes, o.Manual, o.MemTableBytes = 1<<20, false, 1<<20
	d := mustOpen(t, o)
	segs, rest := c.Segments(), c.Others()
	const n = 4000
	for i := uint64(1); i <= n; i++ {
		a := entryAppend(1, i, 4096)
		a.Entries[0].Data = fill(i, 300)
		if err := d.Log().Append(ctx, a); err != nil {
			t.Fatal(err)
		}
		if i%8 > 0 { // eight writers share a sync
			continue
		}
		if err := d.Log().Sync(ctx); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			b := d.State().NewBatch()
			if err := b.TruncateLog(1, i-500); err != nil {
				t.Fatal(err)
			}
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.State().Flush(ctx); err != nil {
		t.Fatal(err)
	}
	total := c.Segments().Sub(segs).Bytes + c.Others().Sub(rest).Bytes
	if limit := 1.4 * n * 4096; float64(total) > limit {
		t.Errorf("%d bytes written, limit %.0f: log %+v, state %+v", total, limit, c.Segments().Sub(segs), c.Others().Sub(rest))
	}
	t.Logf("%.2f times the payload", float64(total)/(n*4096))
	mustClose(t, d)
}

// TestFiles: 4,000 shards of 32 KiB and 4,000 payloads of 1 KiB leave few files, and all of them are right.
func TestFiles(t *testing.T) {
	fs := disktest.NewFS(1)
	o := testOptions(fs, 1)
	o.SegmentBytes, o.Manual, o.MemTableBytes = 16<<20, false, 0
	d := mustOpen(t, o)
	data := fill(1, 32<<10)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < 4000; i += 8 {
				if err := tryPut(d, shard(i), data[i%100:]); err != nil {
					t.Error(err)
					return
				}
				if err := appendSync(d, entryAppend(uint64(w+1), uint64(i/8+1), 1024)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := countFiles(t, fs, "d"); n >= 100 {
		t.Errorf("%d files", n)
	}
	for i := range 4000 {
		if b, err := get(d, shard(i), 0, int64(len(data)-i%100)); err != nil || string(b) != string(data[i%100:]) {
			t.Fatalf("shard %d: %v", i, err)
		}
	}
	if u := d.Usage(); u.LiveBytes < 4000*33<<10 || u.UsedBytes < u.LiveBytes || u.CapacityBytes < u.UsedBytes {
		t.Errorf("usage %+v", u)
	}
	mustClose(t, d)
}

func countFiles(t *testing.T, fs vfs.FS, dir string) (n int) {
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		p := fs.PathJoin(dir, name)
		if i, err := fs.Stat(p); err == nil && i.IsDir() {
			n += countFiles(t, fs, p)
			continue
		}
		n++
	}
	return n
}

// TestReuse: under a steady churn of shards the log stays small, and what is live stays right.
func TestReuse(t *testing.T) {
	ctx := context.Background()
	fs := disktest.NewFS(1)
	o := testOptions(fs, 1)
	o.Manual = false
	d := mustOpen(t, o)
	put(t, d, shard(100000), fill(7, 100<<10))
	const keep = 20
	for i := range 600 {
		put(t, d, shard(i), fill(uint64(i), 30<<10))
		if i >= keep && i%7 != 0 {
			if err := d.Delete(ctx, shard(i-keep)); err != nil {
				t.Fatal(err)
			}
		}
		if i >= 2*keep {
			if err := d.Delete(ctx, shard(i-2*keep)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := d.Stats()
	if s.SegmentsReused == 0 || s.MovedRecords == 0 || s.Segments > 40 {
		t.Errorf("%+v", s)
	}
	if b, err := get(d, shard(100000), 0, 100<<10); err != nil || string(b) != string(fill(7, 100<<10)) {
		t.Errorf("old shard: %v", err)
	}
	mustClose(t, d)
}

// TestLiveBytes: the live bytes of the segments are exact: they are zero when all is gone, also after a restart.
func TestLiveBytes(t *testing.T) {
	ctx := context.Background()
	fs := disktest.NewFS(1)
	d := mustOpen(t, testOptions(fs, 1))
	for i := range 10 {
		put(t, d, shard(i), fill(uint64(i), 50<<10))
		if err := appendSync(d, entryAppend(1, uint64(i+1), 5000)); err != nil {
			t.Fatal(err)
		}
	}
	d.wake()
	if _, err := d.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	fs = crash(t, d, fs)
	d = mustOpen(t, testOptions(fs, 2))
	b := d.State().NewBatch()
	for i := range 10 {
		if err := d.Delete(ctx, shard(i)); err != nil {
			t.Fatal(err)
		}
		if err := b.DropPayloads(disk.PayloadID{Range: 1, Term: 1, Index: uint64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.TruncateLog(1, 10); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := d.Usage().LiveBytes; n != 0 {
		t.Errorf("%d live bytes are left", n)
	}
	mustClose(t, d)
}

// TestReuseWaitsForFlush: a segment is not used again before the flush behind its emptiness, nor while a reader is in it
// or a shard is being written to it. A build that lets go earlier does not pass.
func TestReuseWaitsForFlush(t *testing.T) {
	ctx := context.Background()
	d := mustOpen(t, testOptions(disktest.NewFS(1), 1))
	w, err := d.Create(ctx, shard(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(ctx, fill(1, 64<<10)); err != nil { // lies in the first segment, not committed
		t.Fatal(err)
	}
	put(t, d, shard(2), fill(2, 100<<10))
	r, err := d.Get(ctx, shard(2), 0, 100<<10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		put(t, d, shard(10+i), fill(3, 100<<10))
		if err := d.Delete(ctx, shard(10+i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Delete(ctx, shard(2)); err != nil {
		t.Fatal(err)
	}
	if d.t.reclaim() {
		t.Error("reused before a flush")
	}
	if err := d.State().Flush(ctx); err != nil {
		t.Fatal(err)
	}
	n := 0
	for d.t.reclaim() {
		n++
	}
	if n < 5 {
		t.Errorf("%d segments to be used again after the flush", n)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != string(fill(2, 100<<10)) {
		t.Errorf("reader of a deleted shard: %v", err)
	}
	if err := w.Append(ctx, fill(4, 100)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := get(d, shard(1), 0, 64<<10+100); err != nil || string(b) != string(fill(1, 64<<10))+string(fill(4, 100)) {
		t.Errorf("shard that was slowly written: %v", err)
	}
	_ = r.Close()
	mustClose(t, d)
}
