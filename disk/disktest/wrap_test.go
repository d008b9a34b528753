package disktest

import (
	"bytes"
	"io"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestFaults(t *testing.T) {
	fs := NewFaults(vfs.NewMem())
	second := fs.Add(Rule{Path: Suffix(".seg"), Op: OpSync, Nth: 2, Err: syscall.EIO})
	forever := fs.Add(Rule{Path: Containing("x"), Op: OpCreate | OpRename, Times: Forever, Err: syscall.ENOSPC})
	f := must(fs.Create("a.seg", unspecified))
	other := must(fs.Create("b", unspecified))
	for i, want := range []error{nil, syscall.EIO, nil} {
		if err := other.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := f.SyncData(); want == nil && err != nil || want != nil {
			checkIs(t, err, want)
		}
		if got := second.Strikes(); got != min(i, 1) {
			t.Errorf("after sync %d: %d strikes", i, got)
		}
	}
	for range 3 {
		_, err := fs.Create("x", unspecified)
		checkIs(t, err, syscall.ENOSPC)
		checkIs(t, fs.Rename("b", "x"), syscall.ENOSPC)
	}
	if forever.Strikes() != 6 {
		t.Errorf("%d strikes", forever.Strikes())
	}
	forever.Remove()
	if err := fs.Rename("b", "x"); err != nil {
		t.Error(err)
	}
}

func TestFaultsShortWrite(t *testing.T) {
	fs := NewFaults(vfs.NewMem())
	fs.Add(Rule{Op: OpWrite, Nth: 2, Err: syscall.EIO, Short: true})
	f := must(fs.Create("a", unspecified))
	must(f.Write([]byte("12")))
	n, err := f.Write([]byte("3456"))
	checkIs(t, err, syscall.EIO)
	if n != 2 || string(must(readAll(fs, "a"))) != "1234" {
		t.Errorf("wrote %d", n)
	}
}

func TestFaultsHang(t *testing.T) {
	fs := NewFaults(vfs.NewMem())
	hang := fs.Add(Rule{Op: OpSyncDir, Hang: true})
	done := make(chan error)
	go func() {
		d := must(fs.OpenDir("/"))
		done <- d.Sync()
	}()
	<-hang.Hit()
	select {
	case <-done:
		t.Fatal("the hang ended by itself")
	default:
	}
	hang.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFaultsRead(t *testing.T) {
	fs := NewFaults(vfs.NewMem())
	must(must(fs.Create("a", unspecified)).Write([]byte("1")))
	fs.Add(Rule{Op: OpRead, Err: syscall.EIO})
	f := must(fs.Open("a"))
	_, err := f.ReadAt(make([]byte, 1), 0)
	checkIs(t, err, syscall.EIO)
	if b, err := io.ReadAll(f); err != nil || string(b) != "1" {
		t.Errorf("%q %v", b, err)
	}
}

func TestCounter(t *testing.T) {
	c := NewCounter(NewFS(1))
	if err := c.MkdirAll("log", 0o755); err != nil {
		t.Fatal(err)
	}
	sync := func(f vfs.File) {
		t.Helper()
		if err := f.SyncData(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(step string, segments, others Counts) {
		t.Helper()
		if got := c.Segments(); got != segments {
			t.Errorf("%s: segments %+v, want %+v", step, got, segments)
		}
		if got := c.Others(); got != others {
			t.Errorf("%s: others %+v, want %+v", step, got, others)
		}
	}
	zeros := make([]byte, 4096)
	s := must(c.OpenReadWrite("log/1.seg", unspecified))
	must(s.WriteAt(zeros, 0))
	must(s.WriteAt(zeros, 4096))
	sync(s)
	expect("pre-write", Counts{PreSyncs: 1, PreBytes: 8192}, Counts{})
	must(s.WriteAt([]byte("record"), 0))
	must(s.WriteAt([]byte("record"), 4096))
	must(s.WriteAt(zeros[:100], 200))
	sync(s)
	expect("records", Counts{Syncs: 1, Bytes: 112, PreSyncs: 1, PreBytes: 8192}, Counts{})
	if err := c.Rename("log/1.seg", "log/2.seg"); err != nil {
		t.Fatal(err)
	}
	r := must(c.OpenReadWrite("log/2.seg", unspecified))
	must(r.WriteAt(zeros[:10], 0))
	sync(r)
	syncDir(t, c, "log", "")
	o := must(c.Create("MANIFEST-000001", unspecified))
	must(o.Write(bytes.Repeat([]byte{0}, 7)))
	sync(o)
	expect("reuse", Counts{Syncs: 2, Bytes: 122, Dirs: 1, PreSyncs: 1, PreBytes: 8192}, Counts{Syncs: 1, Bytes: 7, Dirs: 1})
	if got := c.Segments().Sub(Counts{Syncs: 1, Bytes: 22}); got.Syncs != 1 || got.Bytes != 100 {
		t.Errorf("difference %+v", got)
	}
}
