package disktest

import (
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Op is a set of kinds of operation of a file system.
type Op uint

// The kinds of operation that a Rule can match.
const (
	OpCreate  Op = 1 << iota // Create, OpenReadWrite, ReuseForWrite
	OpOpen                   // Open, OpenDir
	OpRead                   // Read, ReadAt
	OpWrite                  // Write, WriteAt
	OpSync                   // Sync, SyncData, SyncTo of a file
	OpSyncDir                // Sync of a directory
	OpLink                   // Link
	OpRename                 // Rename; the path is the new name
	OpRemove                 // Remove, RemoveAll
	OpMkdir                  // MkdirAll
	OpLock                   // Lock
	OpList                   // List, Stat

	// OpChange is everything that changes something.
	OpChange = OpCreate | OpWrite | OpSync | OpSyncDir | OpLink | OpRename | OpRemove | OpMkdir
)

// Forever is the Times of a rule that never ends by itself.
const Forever = int(^uint(0) >> 1)

// Rule says which operations fail, and how.
type Rule struct {
	Path  func(name string) bool // which files; nil means all
	Op    Op                     // which operations; 0 means all
	Nth   int                    // the first operation that fails among those that match, counted from 1; 0 means 1
	Times int                    // how many fail from there on; 0 means 1
	Err   error                  // the error; nil lets the operation go on after a hang
	Hang  bool                   // the operation waits for Release before it fails
	Short bool                   // a write brings the first half of its bytes to the file before it fails
}

// Suffix returns a Path for Rule that matches names with that ending.
func Suffix(end string) func(string) bool {
	return func(name string) bool { return strings.HasSuffix(name, end) }
}

// Containing returns a Path for Rule that matches names that contain a part.
func Containing(part string) func(string) bool {
	return func(name string) bool { return strings.Contains(name, part) }
}

// Faults is a vfs.FS that fails or hangs where its rules say so. It is safe for concurrent use.
type Faults struct {
	vfs.FS
	mu    sync.Mutex
	rules []*Fault
}

var _ vfs.FS = (*Faults)(nil)

// NewFaults wraps a file system; without rules it changes nothing.
func NewFaults(fs vfs.FS) *Faults { return &Faults{FS: fs} }

// Fault is a rule at work.
type Fault struct {
	rule    Rule
	faults  *Faults
	matched int
	hit     chan struct{}
	release chan struct{}
	once    sync.Once
}

// Add lets a rule begin. Where several rules match an operation, the first added one decides, but all count it.
func (f *Faults) Add(r Rule) *Fault {
	r.Nth, r.Times = max(r.Nth, 1), max(r.Times, 1)
	if r.Path == nil {
		r.Path = func(string) bool { return true }
	}
	if r.Op == 0 {
		r.Op = ^Op(0)
	}
	x := &Fault{rule: r, faults: f, hit: make(chan struct{}), release: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, x)
	return x
}

// Hit is closed when the rule first strikes.
func (x *Fault) Hit() <-chan struct{} { return x.hit }

// Strikes returns how often the rule has struck.
func (x *Fault) Strikes() int {
	x.faults.mu.Lock()
	defer x.faults.mu.Unlock()
	return min(max(0, x.matched-x.rule.Nth+1), x.rule.Times)
}

// Release ends all hangs of the rule, also those to come.
func (x *Fault) Release() { x.once.Do(func() { close(x.release) }) }

// Remove ends the rule, and its hangs.
func (x *Fault) Remove() {
	x.Release()
	x.faults.mu.Lock()
	defer x.faults.mu.Unlock()
	for i, r := range x.faults.rules {
		if r == x {
			x.faults.rules = append(x.faults.rules[:i:i], x.faults.rules[i+1:]...)
			return
		}
	}
}

// strike finds the rule that an operation falls under, and waits if it says so.
func (f *Faults) strike(op Op, name string) (struck *Fault, err error) {
	f.mu.Lock()
	for _, x := range f.rules {
		if x.rule.Op&op == 0 || !x.rule.Path(name) {
			continue
		}
		x.matched++
		over := x.matched - x.rule.Nth // how many strikes there have been before this one
		if over < 0 || over >= x.rule.Times {
			continue
		}
		if over == 0 {
			close(x.hit)
		}
		if struck == nil {
			struck = x
		}
	}
	f.mu.Unlock()
	if struck == nil {
		return nil, nil
	}
	if struck.rule.Hang {
		<-struck.release
	}
	if struck.rule.Err == nil {
		return struck, nil
	}
	return struck, &os.PathError{Op: "injected", Path: name, Err: struck.rule.Err}
}

func (f *Faults) fail(op Op, name string) error {
	_, err := f.strike(op, name)
	return err
}

// opened wraps a file that the wrapped file system opened.
func (f *Faults) opened(h vfs.File, name string, dir bool, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{File: h, faults: f, name: name, dir: dir}, nil
}

// Unwrap implements vfs.FS.
func (f *Faults) Unwrap() vfs.FS { return f.FS }

// Create implements vfs.FS.
func (f *Faults) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fail(OpCreate, name); err != nil {
		return nil, err
	}
	h, err := f.FS.Create(name, c)
	return f.opened(h, name, false, err)
}

// OpenReadWrite implements vfs.FS.
func (f *Faults) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.fail(OpCreate, name); err != nil {
		return nil, err
	}
	h, err := f.FS.OpenReadWrite(name, c, o...)
	return f.opened(h, name, false, err)
}

// ReuseForWrite implements vfs.FS.
func (f *Faults) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fail(OpCreate, newname); err != nil {
		return nil, err
	}
	h, err := f.FS.ReuseForWrite(oldname, newname, c)
	return f.opened(h, newname, false, err)
}

// Open implements vfs.FS.
func (f *Faults) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.fail(OpOpen, name); err != nil {
		return nil, err
	}
	h, err := f.FS.Open(name, o...)
	return f.opened(h, name, false, err)
}

// OpenDir implements vfs.FS.
func (f *Faults) OpenDir(name string) (vfs.File, error) {
	if err := f.fail(OpOpen, name); err != nil {
		return nil, err
	}
	h, err := f.FS.OpenDir(name)
	return f.opened(h, name, true, err)
}

// Link implements vfs.FS.
func (f *Faults) Link(oldname, newname string) error {
	if err := f.fail(OpLink, newname); err != nil {
		return err
	}
	return f.FS.Link(oldname, newname)
}

// Rename implements vfs.FS.
func (f *Faults) Rename(oldname, newname string) error {
	if err := f.fail(OpRename, newname); err != nil {
		return err
	}
	return f.FS.Rename(oldname, newname)
}

// Remove implements vfs.FS.
func (f *Faults) Remove(name string) error {
	if err := f.fail(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (f *Faults) RemoveAll(name string) error {
	if err := f.fail(OpRemove, name); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

// MkdirAll implements vfs.FS.
func (f *Faults) MkdirAll(name string, perm os.FileMode) error {
	if err := f.fail(OpMkdir, name); err != nil {
		return err
	}
	return f.FS.MkdirAll(name, perm)
}

// Lock implements vfs.FS.
func (f *Faults) Lock(name string) (io.Closer, error) {
	if err := f.fail(OpLock, name); err != nil {
		return nil, err
	}
	return f.FS.Lock(name)
}

// List implements vfs.FS.
func (f *Faults) List(name string) ([]string, error) {
	if err := f.fail(OpList, name); err != nil {
		return nil, err
	}
	return f.FS.List(name)
}

// Stat implements vfs.FS.
func (f *Faults) Stat(name string) (vfs.FileInfo, error) {
	if err := f.fail(OpList, name); err != nil {
		return nil, err
	}
	return f.FS.Stat(name)
}

// faultFile is a file of Faults.
type faultFile struct {
	vfs.File
	faults *Faults
	name   string
	dir    bool
}

func (f *faultFile) Read(p []byte) (int, error) {
	if err := f.faults.fail(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.faults.fail(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultFile) Write(p []byte) (int, error) {
	return f.write(p, f.File.Write)
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *faultFile) write(p []byte, write func([]byte) (int, error)) (int, error) {
	x, err := f.faults.strike(OpWrite, f.name)
	if err == nil {
		return write(p)
	}
	if !x.rule.Short {
		return 0, err
	}
	n, _ := write(p[:len(p)/2])
	return n, err
}

func (f *faultFile) failSync() error {
	if f.dir {
		return f.faults.fail(OpSyncDir, f.name)
	}
	return f.faults.fail(OpSync, f.name)
}

func (f *faultFile) Sync() error {
	if err := f.failSync(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultFile) SyncData() error {
	if err := f.failSync(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *faultFile) SyncTo(length int64) (bool, error) {
	if err := f.failSync(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}
