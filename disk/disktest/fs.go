package disktest

import (
	"cmp"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is a vfs.FS in memory that knows what a power cut would leave of it. It is deterministic: the same seed and the
// same order of calls give the same bytes, crash after crash. It is safe for concurrent use, starts no goroutine, and a
// sync costs nothing but forgetting what was unsynced.
//
// What counts as durable is the least that POSIX promises. The bytes of a file are durable after Sync or SyncData of
// the file (SyncTo promises nothing and does nothing); that a file was created, linked, renamed or removed is durable
// after Sync of its directory; and a directory itself is an entry of its parent. Names are rooted: "a" and "/a" are one.
type FS struct {
	mu      sync.RWMutex
	rng     *rand.Rand
	root    *node
	locks   map[string]bool
	partial func(name string) bool
	limit   int64
	used    int64
}

var _ vfs.FS = (*FS)(nil)

// NewFS returns an empty file system. The seed decides the crashes that are given no random source of their own.
func NewFS(seed uint64) *FS {
	return &FS{
		rng:     rand.New(rand.NewPCG(seed, 0)),
		root:    newDir(),
		locks:   map[string]bool{},
		partial: PartialByDefault,
		limit:   DefaultCapacityBytes,
	}
}

// PartialByDefault reports whether a crash keeps some of what was not synced of a file: of everything in a folder named
// log, and of identity files.
func PartialByDefault(name string) bool {
	return strings.HasPrefix(path.Base(name), "identity") || slices.Contains(strings.Split(name, "/"), "log")
}

// SetPartial says of which files a crash keeps some of what was not synced; of all others it keeps nothing of it.
func (f *FS) SetPartial(fn func(name string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.partial = fn
}

// SetCapacity sets how many bytes all files together may have; writes past it fail with ENOSPC.
func (f *FS) SetCapacity(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = bytes
}

// Crash returns the file system as a power cut at this moment could leave it; f itself stays as it is, so that one
// moment can be crashed many times. Everything synced is there. What was not synced is gone, but for the partial files
// (see SetPartial): there each sector of 512 bytes that was not synced is kept or dropped, the last one may be torn in
// the middle, and of the changes of a directory a prefix is kept. r decides; nil means the seed of the file system.
// No file of the result is open or locked.
func (f *FS) Crash(r *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r == nil {
		r = f.rng
	}
	seed := r.Uint64()
	c := NewFS(seed)
	c.partial, c.limit = f.partial, f.limit
	x := crash{fs: c, seed: seed, done: map[*node]*node{}}
	c.root = x.node("", f.root)
	return c
}

// Hash returns a hash over the names and bytes of all files: two file systems of one hash hold the same.
func (f *FS) Hash() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	h := xxhash.New()
	f.root.hash(h, "")
	return h.Sum64()
}

// Corrupt turns over all bits of n bytes of a file from offset off on, durably, as rot on the medium would.
func (f *FS) Corrupt(name string, off, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.find("corrupt", name)
	if err != nil {
		return err
	}
	if at.dir() || off < 0 || n < 0 || off+n > at.size {
		return pathError("corrupt", name, os.ErrInvalid)
	}
	b := make([]byte, n)
	at.readAt(b, off)
	for i := range b {
		b[i] = ^b[i]
	}
	at.put(b, off)
	for s := range at.dirty {
		if old := at.dirty[s]; old != nil {
			for i := max(off, s*sectorBytes); i < min(off+n, (s+1)*sectorBytes); i++ {
				old[i-s*sectorBytes] = ^old[i-s*sectorBytes]
			}
		}
	}
	return nil
}

func pathError(op, name string, err error) error { return &os.PathError{Op: op, Path: name, Err: err} }

// clean gives each file one name.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// find returns the file or directory of a name. The mutex is held.
func (f *FS) find(op, name string) (*node, error) {
	at := f.root
	for rest := clean(name); rest != ""; {
		var first string
		first, rest, _ = strings.Cut(rest, "/")
		if !at.dir() {
			return nil, pathError(op, name, syscall.ENOTDIR)
		}
		if at = at.children[first]; at == nil {
			return nil, pathError(op, name, os.ErrNotExist)
		}
	}
	return at, nil
}

// parent returns the directory that holds, or would hold, a name. The mutex is held.
func (f *FS) parent(op, name string) (dir *node, last string, err error) {
	p := clean(name)
	if p == "" {
		return nil, "", pathError(op, name, os.ErrInvalid)
	}
	dir, err = f.find(op, path.Dir("/"+p))
	if err == nil && !dir.dir() {
		err = pathError(op, name, syscall.ENOTDIR)
	}
	return dir, path.Base(p), err
}

// enter puts a node, or nil for none, under a name, until a sync of the directory only for now. The mutex is held.
func (f *FS) enter(dir *node, changes ...dirChange) {
	for _, c := range changes {
		if old := dir.children[c.name]; old != nil {
			old.links--
			f.account(old, -old.size)
		}
		if c.node == nil {
			delete(dir.children, c.name)
			continue
		}
		dir.children[c.name] = c.node
		c.node.links++
		f.account(c.node, c.node.size)
	}
	dir.ops = append(dir.ops, changes)
}

// account counts the room of a file when its last link goes or its first one comes.
func (f *FS) account(n *node, bytes int64) {
	if bytes < 0 && n.links == 0 || bytes > 0 && n.links == 1 {
		f.used += bytes
	}
}

// Create implements vfs.FS.
func (f *FS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.create(name)
}

func (f *FS) create(name string) (vfs.File, error) {
	dir, last, err := f.parent("create", name)
	if err != nil {
		return nil, err
	}
	if old := dir.children[last]; old != nil && old.dir() {
		return nil, pathError("create", name, syscall.EISDIR)
	}
	n := newFile()
	f.enter(dir, dirChange{last, n})
	return &file{fs: f, node: n, name: last, write: true}, nil
}

// Link implements vfs.FS.
func (f *FS) Link(oldname, newname string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find("link", oldname)
	if err != nil {
		return err
	}
	dir, last, err := f.parent("link", newname)
	if err != nil {
		return err
	}
	if dir.children[last] != nil {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: os.ErrExist}
	}
	f.enter(dir, dirChange{last, n})
	return nil
}

// Open implements vfs.FS.
func (f *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f.mu.RLock()
	n, err := f.find("open", name)
	f.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	h := &file{fs: f, node: n, name: path.Base("/" + clean(name))}
	for _, o := range opts {
		o.Apply(h)
	}
	return h, nil
}

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	h, err := f.openReadWrite(name)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(h)
	}
	return h, nil
}

func (f *FS) openReadWrite(name string) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find("open", name)
	if os.IsNotExist(err) {
		return f.create(name)
	}
	if err != nil {
		return nil, err
	}
	if n.dir() {
		return nil, pathError("open", name, syscall.EISDIR)
	}
	return &file{fs: f, node: n, name: path.Base("/" + clean(name)), write: true}, nil
}

// OpenDir implements vfs.FS.
func (f *FS) OpenDir(name string) (vfs.File, error) { return f.Open(name) }

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, last, err := f.parent("remove", name)
	if err != nil {
		return err
	}
	n := dir.children[last]
	switch {
	case n == nil:
		return pathError("remove", name, os.ErrNotExist)
	case len(n.children) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	f.enter(dir, dirChange{last, nil})
	return nil
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, last, err := f.parent("remove", name)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := dir.children[last]; n != nil {
		f.removeBelow(n)
		f.enter(dir, dirChange{last, nil})
	}
	return nil
}

func (f *FS) removeBelow(n *node) {
	for _, name := range n.names() {
		f.removeBelow(n.children[name])
		f.enter(n, dirChange{name, nil})
	}
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldname, newname string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rename(oldname, newname)
}

func (f *FS) rename(oldname, newname string) error {
	from, oldLast, err := f.parent("rename", oldname)
	if err != nil {
		return err
	}
	to, newLast, err := f.parent("rename", newname)
	if err != nil {
		return err
	}
	n := from.children[oldLast]
	if n == nil {
		return pathError("rename", oldname, os.ErrNotExist)
	}
	if old := to.children[newLast]; old == n {
		return nil
	} else if old != nil && len(old.children) > 0 {
		return pathError("rename", newname, syscall.ENOTEMPTY)
	}
	if from == to {
		f.enter(from, dirChange{newLast, n}, dirChange{oldLast, nil})
		return nil
	}
	f.enter(to, dirChange{newLast, n})
	f.enter(from, dirChange{oldLast, nil})
	return nil
}

// ReuseForWrite implements vfs.FS.
func (f *FS) ReuseForWrite(oldname, newname string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.rename(oldname, newname); err != nil {
		return nil, err
	}
	n, err := f.find("open", newname)
	if err != nil {
		return nil, err
	}
	return &file{fs: f, node: n, name: path.Base(newname), write: true}, nil
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(name string, _ os.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.root
	for rest := clean(name); rest != ""; {
		var first string
		first, rest, _ = strings.Cut(rest, "/")
		next := at.children[first]
		if next == nil {
			next = newDir()
			f.enter(at, dirChange{first, next})
		}
		if !next.dir() {
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
		at = next
	}
	return nil
}

// Lock implements vfs.FS. A lock holds against everybody who uses this file system, until its closer is closed.
func (f *FS) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := clean(name)
	if f.locks[p] {
		return nil, pathError("lock", name, syscall.EAGAIN)
	}
	if _, err := f.create(name); err != nil {
		return nil, err
	}
	f.locks[p] = true
	return &lock{f, p}, nil
}

type lock struct {
	fs   *FS
	name string
}

// Close releases the lock; a second Close does nothing.
func (l *lock) Close() error {
	if l.fs == nil {
		return nil
	}
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.name)
	l.fs = nil
	return nil
}

// List implements vfs.FS. The names are sorted.
func (f *FS) List(name string) ([]string, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.find("list", name)
	if err != nil {
		return nil, err
	}
	if !n.dir() {
		return nil, pathError("list", name, syscall.ENOTDIR)
	}
	return n.names(), nil
}

// Stat implements vfs.FS.
func (f *FS) Stat(name string) (vfs.FileInfo, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n.info(cmp.Or(path.Base("/"+clean(name)), "/")), nil
}

// PathBase implements vfs.FS.
func (f *FS) PathBase(name string) string { return path.Base(name) }

// PathJoin implements vfs.FS.
func (f *FS) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir implements vfs.FS.
func (f *FS) PathDir(name string) string { return path.Dir(name) }

// GetDiskUsage implements vfs.FS; see SetCapacity.
func (f *FS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return vfs.DiskUsage{
		AvailBytes: uint64(max(0, f.limit-f.used)),
		TotalBytes: uint64(f.limit),
		UsedBytes:  uint64(f.used),
	}, nil
}

// Unwrap implements vfs.FS.
func (f *FS) Unwrap() vfs.FS { return nil }
