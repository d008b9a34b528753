package disktest

import (
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Counts is what a Counter has seen of one class of files.
type Counts struct {
	Syncs int64 // Sync and SyncData of files, and SyncTo where it promised something
	Bytes int64 // bytes written
	Dirs  int64 // syncs of directories

	// Pre-writing is counted apart and in none of the above: writes of zeros to a new segment file behind everything
	// else that was written to it, and the syncs that had nothing but such writes to do.
	PreSyncs int64
	PreBytes int64
}

// Sub returns c less an earlier count.
func (c Counts) Sub(o Counts) Counts {
	return Counts{
		c.Syncs - o.Syncs, c.Bytes - o.Bytes, c.Dirs - o.Dirs,
		c.PreSyncs - o.PreSyncs, c.PreBytes - o.PreBytes,
	}
}

// Counter is a vfs.FS that counts syncs and written bytes, for segment files and for all others. Segment files are those
// whose names end in .seg. It is safe for concurrent use.
type Counter struct {
	vfs.FS
	mu       sync.Mutex
	segments Counts
	others   Counts
	files    map[string]*counted // segment files by name
}

// counted is what a Counter knows of a segment file.
type counted struct {
	end   int64 // behind the last byte that was not pre-written
	pre   bool  // there is pre-writing that is not synced
	other bool  // there are other writes that are not synced
}

var _ vfs.FS = (*Counter)(nil)

// NewCounter wraps a file system.
func NewCounter(fs vfs.FS) *Counter { return &Counter{FS: fs, files: map[string]*counted{}} }

// Segments returns what was done to segment files, and to directories that hold them by their name: log.
func (c *Counter) Segments() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.segments
}

// Others returns what was done to all other files and directories.
func (c *Counter) Others() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.others
}

func isSegment(name string) bool { return strings.HasSuffix(name, ".seg") }

// opened wraps a file. Of a segment file that was there before nothing is pre-writing.
func (c *Counter) opened(h vfs.File, name string, fresh bool, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	f := &countedFile{File: h, c: c}
	if !isSegment(name) {
		return f, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[name] == nil || fresh {
		s := &counted{end: math.MaxInt64}
		if fresh {
			s.end = 0
		}
		c.files[name] = s
	}
	f.segment = c.files[name]
	return f, nil
}

// Unwrap implements vfs.FS.
func (c *Counter) Unwrap() vfs.FS { return c.FS }

// Create implements vfs.FS.
func (c *Counter) Create(name string, k vfs.DiskWriteCategory) (vfs.File, error) {
	h, err := c.FS.Create(name, k)
	return c.opened(h, name, true, err)
}

// OpenReadWrite implements vfs.FS.
func (c *Counter) OpenReadWrite(name string, k vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	info, err := c.FS.Stat(name)
	fresh := err != nil || info.Size() == 0
	h, err := c.FS.OpenReadWrite(name, k, o...)
	return c.opened(h, name, fresh, err)
}

// ReuseForWrite implements vfs.FS.
func (c *Counter) ReuseForWrite(oldname, newname string, k vfs.DiskWriteCategory) (vfs.File, error) {
	h, err := c.FS.ReuseForWrite(oldname, newname, k)
	return c.opened(h, newname, false, err)
}

// Rename implements vfs.FS.
func (c *Counter) Rename(oldname, newname string) error {
	if err := c.FS.Rename(oldname, newname); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.files[oldname]
	delete(c.files, oldname)
	delete(c.files, newname)
	if s != nil && isSegment(newname) {
		c.files[newname] = s
	}
	return nil
}

// OpenDir implements vfs.FS.
func (c *Counter) OpenDir(name string) (vfs.File, error) {
	h, err := c.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &countedFile{File: h, c: c, dir: true, log: c.FS.PathBase(name) == "log"}, nil
}

// countedFile is a file of a Counter.
type countedFile struct {
	vfs.File
	c       *Counter
	segment *counted // nil for other files
	pos     int64
	dir     bool
	log     bool // the directory of the segments
}

func (f *countedFile) class() *Counts {
	if f.segment != nil || f.log {
		return &f.c.segments
	}
	return &f.c.others
}

// wrote counts a write. p is given up to n, what was written of it.
func (f *countedFile) wrote(zeros bool, off, n int64) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	s := f.segment
	if s != nil && zeros && off >= s.end {
		f.c.segments.PreBytes += n
		s.pre = true
		return
	}
	f.class().Bytes += n
	if s != nil {
		s.other = true
		s.end = max(s.end, off+n)
	}
}

func allZeros(p []byte) bool { return !slices.ContainsFunc(p, func(b byte) bool { return b != 0 }) }

func (f *countedFile) Write(p []byte) (int, error) {
	zeros := f.segment != nil && allZeros(p)
	n, err := f.File.Write(p)
	f.wrote(zeros, f.pos, int64(n))
	f.pos += int64(n)
	return n, err
}

func (f *countedFile) WriteAt(p []byte, off int64) (int, error) {
	zeros := f.segment != nil && allZeros(p)
	n, err := f.File.WriteAt(p, off)
	f.wrote(zeros, off, int64(n))
	return n, err
}

func (f *countedFile) synced() {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	c, s := f.class(), f.segment
	switch {
	case f.dir:
		c.Dirs++
	case s != nil && s.pre && !s.other:
		c.PreSyncs++
	default:
		c.Syncs++
	}
	if s != nil {
		s.pre, s.other = false, false
	}
}

func (f *countedFile) Sync() error {
	f.synced()
	return f.File.Sync()
}

func (f *countedFile) SyncData() error {
	f.synced()
	return f.File.SyncData()
}

func (f *countedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	if full {
		f.synced()
	}
	return full, err
}
