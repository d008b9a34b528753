package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
)

func entryAppend(r, i uint64, n int) disk.Append {
	return disk.Append{
		Payloads: []disk.Payload{{ID: disk.PayloadID{Range: r, Term: 1, Index: i}, Data: fill(r<<32|i, n)}},
		Entries:  []disk.Entry{{Range: r, Term: 1, Index: i, Data: fill(i, 100)}},
	}
}

func appendSync(d *Disk, a disk.Append) error {
	if err := d.Log().Append(context.Background(), a); err != nil {
		return err
	}
	return d.Log().Sync(context.Background())
}

// everyCall asks everything of a disk and returns the answers that are not of kind k.
func everyCall(d *Disk, k disk.Kind) error {
	ctx := context.Background()
	var errs []error
	want := func(what string, err error) {
		if !disk.Is(err, k) {
			errs = append(errs, fmt.Errorf("%s: %v", what, err))
		}
	}
	_, err := d.Create(ctx, shard(99), 1)
	want("create", err)
	_, err = get(d, shard(1), 0, 1)
	want("get", err)
	_, err = d.Info(ctx, shard(1))
	want("info", err)
	want("delete", d.Delete(ctx, shard(1)))
	want("verify", d.Verify(ctx, shard(1)))
	want("list", d.List(ctx, 3, disk.ShardID{}, func(disk.ShardInfo) error { return nil }))
	want("append", d.Log().Append(ctx, entryAppend(9, 1, 10)))
	want("sync", d.Log().Sync(ctx))
	_, err = d.Log().Entries(ctx, 1, 1, 2, 100)
	want("entries", err)
	_, err = d.Log().Term(1, 1)
	want("term", err)
	_, err = d.Log().Payload(ctx, disk.PayloadID{Range: 1, Term: 1, Index: 1})
	want("payload", err)
	_, _, err = d.State().Get([]byte("a"))
	want("state get", err)
	b := d.State().NewBatch()
	want("set", b.Set([]byte("a"), nil))
	want("commit", b.Commit())
	want("batch close", errors.Join(b.Close(), disk.Errorf("", k, "", nil)))
	s := d.State().Snapshot()
	_, _, err = s.Get([]byte("a"))
	want("snapshot get", err)
	_ = s.Close()
	want("flush", d.State().Flush(ctx))
	want("ingest", d.State().Ingest(ctx, disk.Ingest{}))
	_, err = d.Compact(ctx)
	want("compact", err)
	return errors.Join(errs...)
}

// TestFence lets one operation of the device fail and expects that the disk is out, that nobody waits, that the process
// lives, and that the failed sync was not tried again.
func TestFence(t *testing.T) {
	manifest := disktest.Containing("MANIFEST")
	tests := []struct {
		name string
		rule disktest.Rule
		do   func(d *Disk) error
	}{
		{"append EIO", disktest.Rule{Path: disktest.Suffix(".seg"), Op: disktest.OpWrite, Err: syscall.EIO, Short: true}, nil},
		{"append ENOSPC", disktest.Rule{Path: disktest.Suffix(".seg"), Op: disktest.OpWrite, Err: syscall.ENOSPC}, nil},
		{"sync EIO", disktest.Rule{Path: disktest.Suffix(".seg"), Op: disktest.OpSync, Err: syscall.EIO}, nil},
		{"sync ENOSPC", disktest.Rule{Path: disktest.Suffix(".seg"), Op: disktest.OpSync, Err: syscall.ENOSPC}, nil},
		{"flush EIO", disktest.Rule{Path: disktest.Suffix(".sst"), Op: disktest.OpSync, Err: syscall.EIO}, flushState},
		{"flush create EIO", disktest.Rule{Path: disktest.Suffix(".sst"), Op: disktest.OpCreate, Err: syscall.EIO}, flushState},
		{"manifest write EIO", disktest.Rule{Path: manifest, Op: disktest.OpWrite, Err: syscall.EIO}, flushState},
		{"manifest sync EIO", disktest.Rule{Path: manifest, Op: disktest.OpSync, Err: syscall.EIO}, flushState},
		{"manifest ENOSPC", disktest.Rule{Path: manifest, Op: disktest.OpWrite, Err: syscall.ENOSPC}, flushState},
		{"folder sync EIO", disktest.Rule{Path: disktest.Containing("state"), Op: disktest.OpSyncDir, Err: syscall.EIO}, flushState},
		{"ingest EIO", disktest.Rule{Path: disktest.Containing("ingest-"), Op: disktest.OpWrite, Err: syscall.EIO}, ingestState},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			faults := disktest.NewFaults(disktest.NewFS(1))
			d := mustOpen(t, testOptions(faults, 1))
			put(t, d, shard(1), fill(1, 1000))
			if err := appendSync(d, entryAppend(1, 1, 100)); err != nil {
				t.Fatal(err)
			}
			open, err := d.Get(context.Background(), shard(1), 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			f := faults.Add(test.rule)
			do := test.do
			if do == nil {
				do = func(d *Disk) error { return appendSync(d, entryAppend(1, 2, 100)) }
			}
			waiting := make(chan error, 8)
			for range cap(waiting) - 1 {
				go func() { waiting <- do(d) }()
			}
			waiting <- do(d)
			for range cap(waiting) {
				if err := <-waiting; !disk.Is(err, disk.KindFenced) {
					t.Errorf("the failing call: %v", err)
				}
			}
			<-d.Fenced()
			if !disk.Is(d.Err(), disk.KindFenced) || !errors.Is(d.Err(), test.rule.Err) {
				t.Errorf("Err is %v", d.Err())
			}
			if n := f.Strikes(); n != 1 {
				t.Errorf("%d strikes", n)
			}
			if err := everyCall(d, disk.KindFenced); err != nil {
				t.Error(err)
			}
			if _, err := open.Read(make([]byte, 10)); !disk.Is(err, disk.KindFenced) {
				t.Errorf("open reader: %v", err)
			}
			if err := d.Close(); !disk.Is(err, disk.KindFenced) {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func flushState(d *Disk) error {
	b := d.State().NewBatch()
	if err := b.Set([]byte("k"), []byte("v")); err != nil {
		return err
	}
	if err := b.Commit(); err != nil {
		return err
	}
	return d.State().Flush(context.Background())
}

func ingestState(d *Disk) error {
	return d.State().Ingest(context.Background(), disk.Ingest{Clear: []disk.Span{{Lower: []byte("a"), Upper: []byte("b")}}})
}

// TestFenceAtOpen: a device that fails while the disk is opened answers with an error.
func TestFenceAtOpen(t *testing.T) {
	for _, rule := range []disktest.Rule{
		{Path: disktest.Containing("MANIFEST"), Op: disktest.OpSync, Err: syscall.EIO},
		{Path: disktest.Suffix(".seg"), Op: disktest.OpSync, Err: syscall.EIO},
		{Path: disktest.Containing("d"), Op: disktest.OpMkdir, Err: syscall.EROFS},
	} {
		faults := disktest.NewFaults(disktest.NewFS(1))
		faults.Add(rule)
		if d, err := Open(context.Background(), testOptions(faults, 1)); err == nil {
			t.Errorf("%+v: opened", rule)
			_ = d.Close()
		}
	}
}

// TestHang: a device that hangs keeps nobody whose context ends.
func TestHang(t *testing.T) {
	faults := disktest.NewFaults(disktest.NewFS(1))
	d := mustOpen(t, testOptions(faults, 1))
	if err := d.Log().Append(context.Background(), entryAppend(1, 1, 100)); err != nil {
		t.Fatal(err)
	}
	f := faults.Add(disktest.Rule{Path: disktest.Suffix(".seg"), Op: disktest.OpSync, Hang: true})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Log().Sync(ctx) }()
	<-f.Hit()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("sync: %v", err)
	}
	if err := d.Log().Append(context.Background(), entryAppend(1, 2, 100)); err != nil {
		t.Errorf("append while a sync hangs: %v", err)
	}
	f.Release()
	if err := d.Log().Sync(context.Background()); err != nil {
		t.Error(err)
	}
	if _, last, _ := d.Log().Bounds(1); last != 2 {
		t.Errorf("last is %d", last)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := everyCall(d, disk.KindClosed); err != nil {
		t.Error(err)
	}
}

// TestStateFull: a full disk at a flush is no failure; the flush succeeds when there is room again.
func TestStateFull(t *testing.T) {
	faults := disktest.NewFaults(disktest.NewFS(1))
	d := mustOpen(t, testOptions(faults, 1))
	f := faults.Add(disktest.Rule{
		Path: disktest.Suffix(".sst"), Op: disktest.OpWrite, Err: syscall.ENOSPC, Times: disktest.Forever,
	})
	done := make(chan error, 1)
	go func() { done <- flushState(d) }()
	<-f.Hit()
	if v, ok, err := d.State().Get([]byte("k")); err != nil || !ok || string(v) != "v" {
		t.Errorf("get on a full disk: %q %v %v", v, ok, err)
	}
	f.Remove()
	if err := <-done; err != nil {
		t.Errorf("flush: %v", err)
	}
	if d.Err() != nil {
		t.Errorf("fenced: %v", d.Err())
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// fillShards writes shards until the disk refuses.
func fillShards(t *testing.T, d *Disk) (n int) {
	t.Helper()
	for {
		err := tryPut(d, shard(n), fill(uint64(n), 60<<10))
		if disk.Is(err, disk.KindFull) {
			return n
		}
		if err != nil {
			t.Fatalf("shard %d: %v", n, err)
		}
		n++
	}
}

// TestFull: a disk that is full refuses shards first, Raft later, deletes never, and works again after deletes.
func TestFull(t *testing.T) {
	for _, name := range []string{"capacity", "ENOSPC"} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			fs := disktest.NewFS(1)
			o := testOptions(fs, 1)
			if name == "capacity" {
				o.CapacityBytes = 12*o.SegmentBytes + 1
			} else {
				fs.SetCapacity(12*o.SegmentBytes + 200<<10)
			}
			d := mustOpen(t, o)
			n := fillShards(t, d)
			if n < 20 {
				t.Errorf("full after %d shards", n)
			}
			var last uint64
			for {
				a := entryAppend(1, last+1, 10<<10)
				if err := d.Log().Append(ctx, a); disk.Is(err, disk.KindFull) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				last++
			}
			if last < 10 {
				t.Errorf("no room kept for Raft: %d entries", last)
			}
			if err := d.Log().Sync(ctx); err != nil {
				t.Fatal(err)
			}
			if _, got, _ := d.Log().Bounds(1); got != last {
				t.Errorf("log ends at %d, want %d", got, last)
			}
			for i := range n {
				if i%4 == 3 {
					continue
				}
				if err := d.Delete(ctx, shard(i)); err != nil && !disk.Is(err, disk.KindFull) {
					t.Fatalf("delete: %v", err)
				} else if err != nil {
					t.Fatalf("delete %d of %d refused", i, n)
				}
			}
			for did := true; did; {
				var err error
				if did, err = d.Compact(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if err := tryPut(d, shard(1000), fill(1, 60<<10)); err != nil {
				t.Errorf("after deletes: %v, %+v", err, d.Stats())
			}
			for i := 3; i < n; i += 4 {
				if b, err := get(d, shard(i), 0, 60<<10); err != nil || !bytes.Equal(b, fill(uint64(i), 60<<10)) {
					t.Fatalf("shard %d: %v", i, err)
				}
			}
			if d.Err() != nil {
				t.Errorf("fenced: %v", d.Err())
			}
			if err := d.Close(); err != nil && !strings.Contains(err.Error(), "full") {
				t.Error(err)
			}
		})
	}
}

// TestNoSegment: a file system that has no room for another segment makes the disk full, not fenced, whatever step of
// making the file says so.
func TestNoSegment(t *testing.T) {
	for _, op := range []disktest.Op{disktest.OpCreate, disktest.OpWrite, disktest.OpSync} {
		faults := disktest.NewFaults(disktest.NewFS(1))
		d := mustOpen(t, testOptions(faults, 1))
		f := faults.Add(disktest.Rule{Path: disktest.Suffix(".seg"), Op: op, Err: syscall.ENOSPC, Times: disktest.Forever})
		if _, err := d.Create(context.Background(), shard(1), 1); !disk.Is(err, disk.KindFull) {
			t.Errorf("create: %v", err)
		}
		if err := d.Log().Append(context.Background(), entryAppend(1, 1, 10)); !disk.Is(err, disk.KindFull) {
			t.Errorf("append: %v", err)
		}
		f.Remove()
		if err := tryPut(d, shard(1), fill(1, 100)); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if err := appendSync(d, entryAppend(1, 1, 10)); err != nil {
			t.Errorf("with room again: %v", err)
		}
		mustClose(t, d)
	}
}
