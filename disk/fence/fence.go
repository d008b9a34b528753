// Package fence keeps a failing disk from taking the process with it.
//
// Pebble ends the process when its MANIFEST can't be written, and panics, past its logger, when a directory can't be
// synced. Neither may happen to a server that has other disks. So Pebble gets its files through FS: at the first error
// that Pebble could not survive, FS reports the disk as failed and never returns to Pebble. The goroutine that met the
// error stays where it is for good, and so does every one that comes later to change something. They cost a few
// kilobytes each, for a disk that failed; a DB that was fenced is never closed, and its callers leave by their context.
//
// A sync that failed is thereby never tried again, and nothing that follows it is ever acknowledged.
package fence

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Parked is the name of the function in which goroutines stay for ever after a failure. It is the one that a leak check
// may except.
const Parked = "github.com/contender/contender/disk/fence.park"

// The waits between two reports of a full disk to Pebble, which tries again at once after each.
const (
	firstWait = 50 * time.Millisecond
	lastWait  = 3 * time.Second
)

// Error says which operation failed the disk.
type Error struct {
	Op   string // create, write, sync, link, rename, remove, mkdir, close, or fatal for Pebble's own verdict
	Path string
	Err  error
}

// Error prints operation, path and cause.
func (e *Error) Error() string { return fmt.Sprintf("fence: %s %s: %v", e.Op, e.Path, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// FS is a vfs.FS for one Pebble that fails for good at the first error that matters:
//
//   - Errors of create, write, sync, link, rename, mkdir and of a sync of a directory fail the disk. So do EIO and
//     EROFS of a remove and of closing a file that was written.
//   - ENOSPC on a table or blob file is returned to Pebble, which keeps its memtable and tries again; the answer is held
//     back for 50 ms at first and for 3 s at last, so that the retries don't spin. On any other file it fails the disk.
//   - Errors of reads, of locks and of questions (list, stat, disk usage) are returned. So are those that are part of
//     normal life: a file that is to be removed and does not exist, one that exists already; a link that the file system doesn't offer.
//
// It is safe for concurrent use and starts no goroutine.
type FS struct {
	vfs.FS
	onFail func(error)
	onFull func(error)
	wait   func(time.Duration)

	once   sync.Once
	failed chan struct{}
	err    error // set before failed is closed

	mu    sync.Mutex
	pause time.Duration // the last wait because of a full disk, 0 after a success
	full  atomic.Bool
}

var _ vfs.FS = (*FS)(nil)

// Option changes what New builds.
type Option func(*FS)

// WithWait sets how a goroutine waits before it tells Pebble of a full disk; the default is time.Sleep. The owner's
// Close should make it return early.
func WithWait(wait func(time.Duration)) Option { return func(f *FS) { f.wait = wait } }

// WithFull has onFull called, with the error, each time that Pebble is told of a full disk, before the wait.
func WithFull(onFull func(error)) Option { return func(f *FS) { f.onFull = onFull } }

// New wraps the file system of one Pebble. onFail is called once, at the first failure, with an *Error, by the goroutine
// that met it; it must not wait for anything that Pebble does.
func New(fs vfs.FS, onFail func(error), options ...Option) *FS {
	f := &FS{
		FS:     fs,
		onFail: onFail,
		onFull: func(error) {},
		wait:   time.Sleep,
		failed: make(chan struct{}),
	}
	for _, o := range options {
		o(f)
	}
	return f
}

// Fail fails the disk for a reason of the owner's, as if an operation had. It returns; onFail is called unless the disk
// has failed already.
func (f *FS) Fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.failed)
		f.onFail(err)
	})
}

// Failed is closed when the disk fails.
func (f *FS) Failed() <-chan struct{} { return f.failed }

// Err returns nil while the disk works and why it failed afterwards.
func (f *FS) Err() error {
	select {
	case <-f.failed:
		return f.err
	default:
		return nil
	}
}

// Unwrap returns the wrapped file system.
func (f *FS) Unwrap() vfs.FS { return f.FS }

// Logger returns a pebble.Logger that writes to l. Its Fatalf fails the disk and never returns.
func (f *FS) Logger(l *slog.Logger) *Logger { return &Logger{fs: f, log: l} }

// Logger is a pebble.Logger that never ends the process.
type Logger struct {
	fs  *FS
	log *slog.Logger
}

// Infof logs at level debug: Pebble is talkative.
func (l *Logger) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }

// Errorf logs at level error.
func (l *Logger) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }

// Fatalf logs at level error, fails the disk and never returns.
func (l *Logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.log.Error("pebble gave up", "error", err)
	l.fs.Fail(&Error{Op: "fatal", Path: "pebble", Err: err})
	park()
}

// park never returns.
func park() { select {} }

// gate is passed by everything that changes something; after a failure nobody passes.
func (f *FS) gate() {
	select {
	case <-f.failed:
		park()
	default:
	}
}

// check decides about the outcome of a change: it returns what Pebble may know, and does not return otherwise.
func (f *FS) check(op, name string, err error) error {
	f.gate() // nothing is acknowledged after a failure
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrExist):
		return err
	case op == "remove" && errors.Is(err, os.ErrNotExist):
		return err // elsewhere it means that the folder itself is gone
	case op == "link" && anyOf(err, syscall.EXDEV, syscall.EOPNOTSUPP, syscall.EMLINK, syscall.EPERM):
		return err
	case (op == "remove" || op == "close") && !anyOf(err, syscall.EIO, syscall.EROFS):
		return err
	case errors.Is(err, syscall.ENOSPC) && isTable(name):
		f.throttle(err)
		f.gate()
		return err
	}
	f.Fail(&Error{Op: op, Path: name, Err: err})
	park()
	return nil
}

func anyOf(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// isTable reports whether Pebble can do without the file: it drops what it has of it and writes another.
func isTable(name string) bool {
	ext := path.Ext(strings.ReplaceAll(name, `\`, "/"))
	return ext == ".sst" || ext == ".blob"
}

func (f *FS) throttle(err error) {
	f.full.Store(true)
	f.mu.Lock()
	f.pause = min(max(firstWait, 2*f.pause), lastWait)
	pause := f.pause
	f.mu.Unlock()
	f.onFull(err)
	f.wait(pause)
}

// room ends the throttling: a table was written.
func (f *FS) room() {
	if !f.full.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pause = 0
	f.full.Store(false)
}

// Create implements vfs.FS.
func (f *FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.gate()
	h, err := f.FS.Create(name, c)
	return f.written(h, "create", name, err)
}

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f.gate()
	h, err := f.FS.OpenReadWrite(name, c, opts...)
	return f.written(h, "create", name, err)
}

// ReuseForWrite implements vfs.FS.
func (f *FS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.gate()
	h, err := f.FS.ReuseForWrite(oldname, newname, c)
	return f.written(h, "create", newname, err)
}

// OpenDir implements vfs.FS.
func (f *FS) OpenDir(name string) (vfs.File, error) {
	h, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &file{File: h, fs: f, name: name}, nil
}

func (f *FS) written(h vfs.File, op, name string, err error) (vfs.File, error) {
	if err := f.check(op, name, err); err != nil {
		return nil, err
	}
	return &file{File: h, fs: f, name: name}, nil
}

// Link implements vfs.FS.
func (f *FS) Link(oldname, newname string) error {
	f.gate()
	return f.check("link", newname, f.FS.Link(oldname, newname))
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	f.gate()
	return f.check("remove", name, f.FS.Remove(name))
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	f.gate()
	return f.check("remove", name, f.FS.RemoveAll(name))
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldname, newname string) error {
	f.gate()
	return f.check("rename", newname, f.FS.Rename(oldname, newname))
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(name string, perm os.FileMode) error {
	f.gate()
	return f.check("mkdir", name, f.FS.MkdirAll(name, perm))
}

// Lock implements vfs.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	f.gate()
	return f.FS.Lock(name)
}

// file is a file, or directory, that was opened to be changed. Others need no wrapping: their errors are returned.
type file struct {
	vfs.File
	fs   *FS
	name string
	full atomic.Bool // a write or sync met a full disk
}

// check is FS.check for an operation of this file. A table that could be written and synced ends the throttling.
func (f *file) check(op string, err error) error {
	if err = f.fs.check(op, f.name, err); err != nil {
		f.full.Store(true)
	} else if op == "sync" && isTable(f.name) && !f.full.Load() {
		f.fs.room()
	}
	return err
}

func (f *file) Write(p []byte) (int, error) {
	f.fs.gate()
	n, err := f.File.Write(p)
	return n, f.check("write", err)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.fs.gate()
	n, err := f.File.WriteAt(p, off)
	return n, f.check("write", err)
}

func (f *file) Sync() error {
	f.fs.gate()
	return f.check("sync", f.File.Sync())
}

func (f *file) SyncData() error {
	f.fs.gate()
	return f.check("sync", f.File.SyncData())
}

func (f *file) SyncTo(length int64) (bool, error) {
	f.fs.gate()
	full, err := f.File.SyncTo(length)
	if err == nil && !full {
		f.fs.gate()
		return false, nil
	}
	return full, f.check("sync", err)
}

// Preallocate only makes later writes cheaper; its errors are returned, and Pebble drops them.
func (f *file) Preallocate(off, length int64) error {
	f.fs.gate()
	return f.File.Preallocate(off, length)
}

func (f *file) Close() error {
	return f.check("close", f.File.Close())
}
