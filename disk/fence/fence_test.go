package fence_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/disk/fence"
)

func TestMain(m *testing.M) { disktest.VerifyTestMain(m) }

// bench is a Pebble without a log on files that can be made to fail.
type bench struct {
	faults *disktest.Faults
	fence  *fence.FS
	db     *pebble.DB
	log    *bytes.Buffer
	waits  chan time.Duration
	goOn   chan struct{}

	mu    sync.Mutex
	fails []error
	fulls atomic.Int64
}

func open(t *testing.T, fs vfs.FS) *bench {
	t.Helper()
	b := &bench{log: &bytes.Buffer{}, waits: make(chan time.Duration), goOn: make(chan struct{})}
	b.faults = disktest.NewFaults(fs)
	b.fence = fence.New(b.faults, func(err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.fails = append(b.fails, err)
	}, fence.WithFull(func(error) { b.fulls.Add(1) }), fence.WithWait(func(d time.Duration) {
		b.waits <- d
		<-b.goOn
	}))
	db, err := pebble.Open("state", &pebble.Options{
		FS:                  b.fence,
		DisableWAL:          true,
		MaxManifestFileSize: 1, // each flush writes a new MANIFEST and moves the marker
		Logger:              b.fence.Logger(slog.New(slog.NewTextHandler(b.log, nil))),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.db = db
	return b
}

func (b *bench) set(t *testing.T, key string) {
	t.Helper()
	if err := b.db.Set([]byte(key), []byte("value of "+key), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) check(t *testing.T, key string) {
	t.Helper()
	v, c, err := b.db.Get([]byte(key))
	if err != nil || string(v) != "value of "+key {
		t.Fatalf("get %s: %q %v", key, v, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFailures lets each change that a flush makes to a file fail once, and checks that the disk is fenced and the
// process lives.
func TestFailures(t *testing.T) {
	table, manifest := disktest.Suffix(".sst"), disktest.Containing("MANIFEST")
	cases := []struct {
		name string
		rule disktest.Rule
		err  []error
	}{
		{"table create", disktest.Rule{Path: table, Op: disktest.OpCreate}, []error{syscall.EIO, syscall.EROFS}},
		{"table write", disktest.Rule{Path: table, Op: disktest.OpWrite, Short: true}, []error{syscall.EIO}},
		{"table sync", disktest.Rule{Path: table, Op: disktest.OpSync}, []error{syscall.EIO}},
		{"manifest create", disktest.Rule{Path: manifest, Op: disktest.OpCreate}, []error{syscall.EIO, syscall.ENOSPC}},
		{"manifest write", disktest.Rule{Path: manifest, Op: disktest.OpWrite}, []error{syscall.EIO, syscall.ENOSPC}},
		{"manifest sync", disktest.Rule{Path: manifest, Op: disktest.OpSync}, []error{syscall.EIO, syscall.ENOSPC}},
		{"marker create", disktest.Rule{Path: disktest.Containing("marker.manifest"), Op: disktest.OpCreate}, []error{syscall.EIO, syscall.ENOSPC}},
		{"marker remove", disktest.Rule{Path: disktest.Containing("marker.manifest"), Op: disktest.OpRemove}, []error{syscall.EIO}},
		{"first directory sync", disktest.Rule{Op: disktest.OpSyncDir}, []error{syscall.EIO, syscall.ENOSPC}},
		{"second directory sync", disktest.Rule{Op: disktest.OpSyncDir, Nth: 2}, []error{syscall.EIO, syscall.ENOSPC}},
	}
	for _, c := range cases {
		for _, cause := range c.err {
			t.Run(fmt.Sprintf("%s %v", c.name, cause), func(t *testing.T) {
				b := open(t, disktest.NewFS(1))
				b.set(t, "before")
				if err := b.db.Flush(); err != nil {
					t.Fatal(err)
				}
				b.set(t, "after")
				c.rule.Err = cause
				b.faults.Add(c.rule)
				flushed, err := b.db.AsyncFlush()
				if err != nil {
					t.Fatal(err)
				}
				<-b.fence.Failed()
				b.check(t, "before")
				b.check(t, "after")
				b.set(t, "later")
				b.check(t, "later")
				select {
				case <-flushed:
					t.Error("the flush was reported as done")
				default:
				}
				b.fenced(t, cause)
			})
		}
	}
}

// fenced checks that one failure was reported, with its cause, and that Pebble never spoke its own verdict.
func (b *bench) fenced(t *testing.T, cause error) {
	t.Helper()
	b.fence.Fail(errors.New("a second failure"))
	b.mu.Lock()
	defer b.mu.Unlock()
	var e *fence.Error
	if len(b.fails) != 1 || !errors.Is(b.fails[0], cause) || !errors.As(b.fails[0], &e) {
		t.Errorf("reported: %v", b.fails)
	}
	if !errors.Is(b.fence.Err(), cause) {
		t.Errorf("Err: %v", b.fence.Err())
	}
	if strings.Contains(b.log.String(), "gave up") {
		t.Errorf("Pebble gave up: %s", b.log)
	}
}

// TestFullTable checks that a full disk stalls a flush with growing waits, and that the flush ends once there is room.
func TestFullTable(t *testing.T) {
	for name, op := range map[string]disktest.Op{
		"create": disktest.OpCreate, "write": disktest.OpWrite, "sync": disktest.OpSync,
	} {
		t.Run(name, func(t *testing.T) {
			fs := disktest.NewFS(1)
			b := open(t, fs)
			b.set(t, "a")
			full := b.faults.Add(disktest.Rule{
				Path: disktest.Suffix(".sst"), Op: op, Err: syscall.ENOSPC, Times: disktest.Forever,
			})
			flushed, err := b.db.AsyncFlush()
			if err != nil {
				t.Fatal(err)
			}
			want := 50 * time.Millisecond
			for i := range 10 {
				got := <-b.waits
				if got != want || b.fulls.Load() != int64(i+1) {
					t.Errorf("wait %d: %v, want %v, %d reports", i, got, want, b.fulls.Load())
				}
				want = min(2*want, 3*time.Second)
				b.check(t, "a")
				if i == 9 {
					full.Remove()
				}
				b.goOn <- struct{}{}
			}
			<-flushed
			b.again(t)
			if len(b.fails) > 0 {
				t.Errorf("failed: %v", b.fails)
			}
			if err := b.db.Close(); err != nil {
				t.Fatal(err)
			}
			b = open(t, fs.Crash(nil))
			b.check(t, "a")
			if err := b.db.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// again checks that after a success the waits begin anew.
func (b *bench) again(t *testing.T) {
	t.Helper()
	b.set(t, "b")
	b.faults.Add(disktest.Rule{Path: disktest.Suffix(".sst"), Op: disktest.OpSync, Err: syscall.ENOSPC})
	flushed, err := b.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	if got := <-b.waits; got != 50*time.Millisecond {
		t.Errorf("first wait of the second time: %v", got)
	}
	b.goOn <- struct{}{}
	<-flushed
}

// TestOpenFails checks that a failing Open neither returns nor ends the process.
func TestOpenFails(t *testing.T) {
	faults := disktest.NewFaults(disktest.NewFS(1))
	faults.Add(disktest.Rule{Path: disktest.Containing("MANIFEST"), Op: disktest.OpSync, Err: syscall.EIO})
	f := fence.New(faults, func(error) {})
	opened := make(chan error, 1)
	go func() {
		_, err := pebble.Open("state", &pebble.Options{FS: f, DisableWAL: true, Logger: f.Logger(slog.New(slog.DiscardHandler))})
		opened <- err
	}()
	select {
	case <-f.Failed():
	case err := <-opened:
		t.Fatalf("Open returned %v", err)
	}
}

// TestFatal checks that Pebble's own verdict fences the disk, and that then no change gets through.
func TestFatal(t *testing.T) {
	mem := disktest.NewFS(1)
	failed := make(chan error, 2)
	f := fence.New(mem, func(err error) { failed <- err })
	h, err := f.Create("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	back := make(chan string, 20)
	go func() {
		f.Logger(slog.New(slog.DiscardHandler)).Fatalf("verdict %d", 7)
		back <- "fatal"
	}()
	if err := <-failed; !strings.Contains(err.Error(), "verdict 7") {
		t.Errorf("reported %v", err)
	}
	changes := map[string]func(){
		"create": func() { _, _ = f.Create("b", vfs.WriteCategoryUnspecified) },
		"write":  func() { _, _ = h.Write([]byte("x")) },
		"sync":   func() { _ = h.Sync() },
		"data":   func() { _ = h.SyncData() },
		"to":     func() { _, _ = h.SyncTo(1) },
		"link":   func() { _ = f.Link("a", "c") },
		"rename": func() { _ = f.Rename("a", "d") },
		"remove": func() { _ = f.Remove("a") },
		"mkdir":  func() { _ = f.MkdirAll("e", 0o755) },
		"lock":   func() { _, _ = f.Lock("f") },
		"close":  func() { _ = h.Close() },
	}
	var started sync.WaitGroup
	for name, change := range changes {
		started.Add(1)
		go func() {
			started.Done()
			change()
			back <- name
		}()
	}
	started.Wait()
	if _, err := r.Stat(); err != nil {
		t.Errorf("a read after the failure: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	select {
	case name := <-back:
		t.Errorf("%s came back", name)
	case err := <-failed:
		t.Errorf("reported twice: %v", err)
	default:
	}
	if names, err := f.List(""); err != nil || len(names) != 1 {
		t.Errorf("files %v %v", names, err)
	}
}

// TestPassed lists the errors that are part of normal life.
func TestPassed(t *testing.T) {
	faults := disktest.NewFaults(disktest.NewFS(1))
	f := fence.New(faults, func(err error) { t.Errorf("failed: %v", err) }, fence.WithWait(func(time.Duration) {}))
	is := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	if _, err := f.Create("a", vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	_, err := f.Open("nothing")
	is("open", err, os.ErrNotExist)
	is("remove", f.Remove("nothing"), os.ErrNotExist)
	is("link", f.Link("a", "a"), os.ErrExist)
	faults.Add(disktest.Rule{Op: disktest.OpLink, Err: syscall.EXDEV})
	is("link across", f.Link("a", "b.sst"), syscall.EXDEV)
	faults.Add(disktest.Rule{Op: disktest.OpRead, Err: syscall.EIO})
	r, err := f.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Read(make([]byte, 1))
	is("read", err, syscall.EIO)
	faults.Add(disktest.Rule{Op: disktest.OpLink, Err: syscall.ENOSPC})
	is("link of a table", f.Link("a", "b.sst"), syscall.ENOSPC)
	if f.Err() != nil {
		t.Error(f.Err())
	}
}

// TestFolderGone takes the folder away under a running Pebble: the disk is fenced; Pebble would try its flush again and
// again without a pause.
func TestFolderGone(t *testing.T) {
	dir := t.TempDir() + "/state"
	failed := make(chan error, 1)
	f := fence.New(vfs.Default, func(err error) { failed <- err })
	db, err := pebble.Open(dir, &pebble.Options{FS: f, DisableWAL: true, Logger: f.Logger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte("k"), []byte("v"), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := vfs.Default.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	go func() { _ = db.Flush() }() // parked: nothing returns into a Pebble whose disk has failed
	if err := <-failed; !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("fenced by %v, want a file that does not exist", err)
	}
}
