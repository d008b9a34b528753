package disktest

import (
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	sectorBytes = 512
	pageBytes   = 8 * sectorBytes
)

// node is a file or a directory.
type node struct {
	links int

	children map[string]*node // of a directory; nil for a file
	synced   map[string]*node // what a crash keeps of children
	ops      [][]dirChange    // what led from synced to children

	pages      []*page
	token      *byte // pages of this token are this node's own, others are shared and copied before a write
	size       int64
	syncedSize int64
	dirty      map[int64]*[sectorBytes]byte // sectors not synced, and what they held before; nil means zeros
}

// page is a piece of a file. A nil page is all zeros.
type page struct {
	token *byte
	data  [pageBytes]byte
}

// dirChange puts a node under a name; a nil node removes the name.
type dirChange struct {
	name string
	node *node
}

func newDir() *node {
	return &node{children: map[string]*node{}, synced: map[string]*node{}}
}

func newFile() *node {
	return &node{token: new(byte), dirty: map[int64]*[sectorBytes]byte{}}
}

func (n *node) dir() bool { return n.children != nil }

func (n *node) names() []string { return slices.Sorted(maps.Keys(n.children)) }

func (n *node) readAt(p []byte, off int64) int {
	p = p[:max(0, min(int64(len(p)), n.size-off))]
	for done := 0; done < len(p); {
		at := off + int64(done)
		end := min(len(p), done+int(pageBytes-at%pageBytes))
		if i := at / pageBytes; i < int64(len(n.pages)) && n.pages[i] != nil {
			copy(p[done:end], n.pages[i].data[at%pageBytes:])
		} else {
			clear(p[done:end])
		}
		done = end
	}
	return len(p)
}

// put writes without remembering what was there before.
func (n *node) put(p []byte, off int64) {
	for done := 0; done < len(p); {
		at := off + int64(done)
		end := min(len(p), done+int(pageBytes-at%pageBytes))
		copy(n.page(at / pageBytes).data[at%pageBytes:], p[done:end])
		done = end
	}
	n.size = max(n.size, off+int64(len(p)))
}

// page returns a page to write to.
func (n *node) page(i int64) *page {
	for int64(len(n.pages)) <= i {
		n.pages = append(n.pages, nil)
	}
	switch pg := n.pages[i]; {
	case pg == nil:
		n.pages[i] = &page{token: n.token}
	case pg.token != n.token:
		n.pages[i] = &page{token: n.token, data: pg.data}
	}
	return n.pages[i]
}

func (n *node) writeAt(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	for s := off / sectorBytes; s*sectorBytes < off+int64(len(p)); s++ {
		if _, ok := n.dirty[s]; ok {
			continue
		}
		var old *[sectorBytes]byte
		if i := s * sectorBytes / pageBytes; i < int64(len(n.pages)) && n.pages[i] != nil {
			old = new([sectorBytes]byte)
			copy(old[:], n.pages[i].data[s*sectorBytes%pageBytes:])
		}
		n.dirty[s] = old
	}
	n.put(p, off)
}

func (n *node) sync() {
	if n.dir() {
		if len(n.ops) > 0 {
			n.synced, n.ops = maps.Clone(n.children), nil
		}
		return
	}
	n.syncedSize = n.size
	clear(n.dirty)
}

func (n *node) hash(h *xxhash.Digest, name string) {
	_, _ = h.WriteString(name)
	if n.dir() {
		for _, c := range n.names() {
			n.children[c].hash(h, name+"/"+c)
		}
		return
	}
	b := make([]byte, n.size+1)
	n.readAt(b, 0)
	_, _ = h.Write(b)
}

func (n *node) info(name string) vfs.FileInfo { return fileInfo{name, n.size, n.dir()} }

// fileInfo is a vfs.FileInfo without a clock: all files are of 1970.
type fileInfo struct {
	name  string
	size  int64
	isDir bool
}

func (i fileInfo) Name() string           { return i.name }
func (i fileInfo) Size() int64            { return i.size }
func (i fileInfo) IsDir() bool            { return i.isDir }
func (i fileInfo) ModTime() time.Time     { return time.Unix(0, 0) }
func (i fileInfo) Sys() any               { return nil }
func (i fileInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i fileInfo) Mode() os.FileMode {
	if i.isDir {
		return os.ModeDir | 0o755
	}
	return 0o644
}

// file is an open file or directory of an FS.
type file struct {
	fs    *FS
	node  *node
	name  string
	pos   int64
	write bool
}

var errReadOnly = errors.New("the file was opened for reading")

func (f *file) fail(op string, err error) error { return pathError(op, f.name, err) }

// open says why the file can't be read.
func (f *file) readable(op string) error {
	switch {
	case f.node == nil:
		return f.fail(op, os.ErrClosed)
	case f.node.dir():
		return f.fail(op, syscall.EISDIR)
	}
	return nil
}

func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.node == nil {
		return f.fail("close", os.ErrClosed)
	}
	f.node = nil
	return nil
}

func (f *file) Read(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.readable("read"); err != nil {
		return 0, err
	}
	n := f.node.readAt(p, f.pos)
	f.pos += int64(n)
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.readable("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, f.fail("read", os.ErrInvalid)
	}
	n := f.node.readAt(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.put(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.put(p, off)
}

// put writes what fits. The mutex is held.
func (f *file) put(p []byte, off int64) (int, error) {
	if err := f.readable("write"); err != nil {
		return 0, err
	}
	if !f.write {
		return 0, f.fail("write", errReadOnly)
	}
	if off < 0 {
		return 0, f.fail("write", os.ErrInvalid)
	}
	n := f.node
	var err error
	if grow := off + int64(len(p)) - n.size; grow > 0 {
		if over := f.fs.used + grow - f.fs.limit; over > 0 {
			p, err = p[:max(0, int64(len(p))-over)], f.fail("write", syscall.ENOSPC)
		}
	}
	before := n.size
	n.writeAt(p, off)
	if n.links > 0 {
		f.fs.used += n.size - before
	}
	return len(p), err
}

func (f *file) Preallocate(_, _ int64) error { return nil }

func (f *file) Prefetch(_, _ int64) error { return nil }

func (f *file) Stat() (vfs.FileInfo, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if f.node == nil {
		return nil, f.fail("stat", os.ErrClosed)
	}
	return f.node.info(f.name), nil
}

func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.node == nil {
		return f.fail("sync", os.ErrClosed)
	}
	f.node.sync()
	return nil
}

func (f *file) SyncData() error { return f.Sync() }

// SyncTo promises nothing, so it does nothing: who relies on it is found out.
func (f *file) SyncTo(int64) (bool, error) { return false, nil }

func (f *file) Fd() uintptr { return vfs.InvalidFd }
