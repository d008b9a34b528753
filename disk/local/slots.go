package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// What is kept ready when a new segment is begun: reserveSegments when it is for shards, for Raft and what follows;
// reserveRaft when it is for Raft, for tombstones and compaction, which make room again and keep nothing.
const (
	reserveSegments = 2
	reserveRaft     = 1
	reserveNone     = 0
)

// bulkBytes is how much a segment takes in one group commit on the average for its successors to be allocated only.
const bulkBytes = 256 << 10

// logCategory tells the file system what our writes are for.
const logCategory = vfs.DiskWriteCategory("contender-log")

// errNoRoom: no segment can be had.
var errNoRoom = errors.New("no room for another segment")

// slot is one file of the log. It is used again and again.
type slot struct {
	num  uint32
	name string
	file vfs.File
}

// seg is one use of a slot: a segment of the log under one sequence number. live, emptyAt, sealed and stuck are guarded
// by table.mu; the rest does not change.
type seg struct {
	*slot
	hdr segment.Header
	ctx segment.Context

	syncs atomic.Int64 // group commits that ended in it

	live    int64  // bytes of records that the index refers to
	emptyAt uint64 // number of the index change that made live zero
	sealed  bool   // the log has gone on to the next segment
	stuck   bool   // compaction met damage in it and leaves it

	holds atomic.Int32 // readers, and writers whose shards are not committed
}

// table knows all slots and segments. Lock order: wal.mu, then table.mu.
type table struct {
	d   *Disk
	dir string

	mu       sync.Mutex
	segs     map[uint64]*seg
	ready    []*slot // prepared, in nobody's use
	files    int     // all slots, and files set aside
	live     int64   // sum of the live bytes of segs
	nextNum  uint32
	bulk     bool        // what the last segment took came in large pieces
	flushed  segment.Pos // the index is flushed up to here
	flushedN uint64      // number of the last index change that is flushed

	growing turn // held by who makes segments ready
}

func newTable(d *Disk) *table {
	return &table{
		d: d, dir: d.o.FS.PathJoin(d.o.Dir, "log"), segs: map[uint64]*seg{}, growing: make(turn, 1),
	}
}

// pin keeps a segment from being used again until unpin. It returns nil if there is no such segment any more.
func (t *table) pin(seq uint64) *seg {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.segs[seq]
	if s != nil {
		s.holds.Add(1)
	}
	return s
}

func (s *seg) unpin() { s.holds.Add(-1) }

// reusable reports whether the slot under s may begin a new life. table.mu is held.
func (t *table) reusable(s *seg) bool {
	if !s.sealed || s.live != 0 || s.holds.Load() != 0 {
		return false
	}
	return mutantFlushPos || s.emptyAt <= t.flushedN && s.hdr.Seq < t.flushed.Seq
}

// reclaim moves one reusable segment to the ready slots.
func (t *table) reclaim() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var best *seg
	for _, s := range t.segs {
		if t.reusable(s) && (best == nil || s.hdr.Seq < best.hdr.Seq) {
			best = s
		}
	}
	if best == nil {
		return false
	}
	delete(t.segs, best.hdr.Seq)
	t.ready = append(t.ready, best.slot)
	t.d.stats.reused.Add(1)
	return true
}

// waitingCount counts the segments that are empty and only wait for a flush.
func (t *table) waitingCount() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.segs {
		if s.sealed && s.live == 0 && s.holds.Load() == 0 && !t.reusable(s) {
			n++
		}
	}
	return n
}

func (t *table) readyCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.ready)
}

// ensure makes at least n slots ready: by reuse, by a flush that allows reuse, by new files. errNoRoom if it cannot.
func (t *table) ensure(ctx context.Context, n int) error {
	return t.d.leave(ctx, "grow", func() error {
		if err := t.d.take(t.growing, 1); err != nil {
			return err
		}
		defer t.growing.give(1)
		flushed := false
		for t.readyCount() < n {
			if t.reclaim() {
				continue
			}
			err := t.create()
			if errors.Is(err, errNoRoom) && !flushed && t.waitingCount() > 0 {
				flushed = true
				err = t.d.flush()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// create makes a new file, synced with its name. It is filled with zeros, because small syncs of a written file take half
// the time of those of one that is only allocated; but while the log takes large pieces it is only allocated: to write
// everything twice would cost more than it saves (docs/decisions/001-prewriting.md).
func (t *table) create() error {
	o := &t.d.o
	t.mu.Lock()
	num, files, bulk := t.nextNum, t.files, t.bulk
	t.mu.Unlock()
	if o.CapacityBytes > 0 && int64(files+1)*o.SegmentBytes > o.CapacityBytes {
		return errNoRoom
	}
	if u, err := o.FS.GetDiskUsage(t.dir); err == nil && u.AvailBytes < uint64(o.SegmentBytes) {
		return errNoRoom // what would fail anyway is not tried by filling the last room
	}
	name := o.FS.PathJoin(t.dir, fmt.Sprintf("%08d.seg", num))
	f, err := t.fill(name, bulk)
	if errors.Is(err, syscall.ENOSPC) {
		if rerr := o.FS.Remove(name); rerr != nil {
			o.Logger.Warn("unfinished segment stays", "file", name, "err", rerr)
		}
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	if err != nil {
		return t.d.fence(fmt.Errorf("make segment %s: %w", name, err))
	}
	t.mu.Lock()
	t.nextNum, t.files = num+1, t.files+1
	t.ready = append(t.ready, &slot{num: num, name: name, file: f})
	t.mu.Unlock()
	t.d.stats.created.Add(1)
	t.d.refreshRoom()
	return nil
}

// fill makes a file that reads as zeros, syncs it and its name, and opens it for writing anywhere.
func (t *table) fill(name string, bulk bool) (vfs.File, error) {
	f, err := t.d.o.FS.Create(name, logCategory)
	if err != nil {
		return nil, err
	}
	if !bulk || !t.allocate(f) {
		err = t.zeros(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if f, err = t.d.o.FS.OpenReadWrite(name, logCategory); err != nil {
		return nil, err
	}
	if bulk { // the last byte gives an allocated file its size
		if _, err = f.WriteAt([]byte{0}, t.d.o.SegmentBytes-1); err == nil {
			err = f.Sync()
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if err = syncDir(t.d.o.FS, t.dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// allocate reserves a segment's room without writing it; false if the file system cannot, or has no room.
func (t *table) allocate(f vfs.File) bool { return f.Preallocate(0, t.d.o.SegmentBytes) == nil }

func (t *table) zeros(f vfs.File) error {
	zeros := make([]byte, min(t.d.o.SegmentBytes, 1<<20))
	for off := int64(0); off < t.d.o.SegmentBytes; off += int64(len(zeros)) {
		n := min(int64(len(zeros)), t.d.o.SegmentBytes-off)
		if _, err := f.Write(zeros[:n]); err != nil {
			return err
		}
	}
	return nil
}

// begin turns a ready slot into the next segment. wal.mu is held, and a slot is ready.
func (t *table) begin(prevEnd segment.Pos) (*seg, error) {
	h := segment.Header{
		Cluster: t.d.o.Cluster, Disk: t.d.o.ID, Seq: prevEnd.Seq + 1, Boot: t.d.o.Boot, Bytes: t.d.o.SegmentBytes,
		PrevEnd: prevEnd,
	}
	if _, err := io.ReadFull(t.d.o.Rand, h.Salt[:]); err != nil {
		return nil, fmt.Errorf("draw segment salt: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.segs[prevEnd.Seq]; old != nil {
		old.sealed = true
		t.bulk = prevEnd.Off/max(1, old.syncs.Load()) >= bulkBytes
	}
	s := &seg{slot: t.ready[0], hdr: h, ctx: h.Context()}
	t.ready = t.ready[1:]
	t.segs[h.Seq] = s
	return s, nil
}

// load opens all files of the log and sorts them into segments, ready slots and files that say nothing.
func (t *table) load() (unclear []*slot, err error) {
	o := &t.d.o
	names, err := o.FS.List(t.dir)
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	for _, n := range names {
		var num uint32
		if _, serr := fmt.Sscanf(n, "%08d.seg", &num); serr != nil || !strings.HasSuffix(n, ".seg") {
			continue
		}
		s := &slot{num: num, name: o.FS.PathJoin(t.dir, n)}
		if s.file, err = o.FS.OpenReadWrite(s.name, logCategory); err != nil {
			return nil, err
		}
		t.files++
		t.nextNum = max(t.nextNum, num+1)
		h, err := t.readHeader(s)
		switch {
		case err == nil && t.segs[h.Seq] != nil:
			return nil, fmt.Errorf("segments %s and %s claim the same number %d", t.segs[h.Seq].name, n, h.Seq)
		case err == nil:
			t.segs[h.Seq] = &seg{slot: s, hdr: h, ctx: h.Context(), sealed: true}
		case errors.Is(err, segment.ErrNoHeader):
			t.ready = append(t.ready, s)
		case errors.Is(err, segment.ErrBadHeader):
			unclear = append(unclear, s)
		default:
			return nil, err
		}
	}
	return unclear, nil
}

func (t *table) readHeader(s *slot) (segment.Header, error) {
	fi, err := s.file.Stat()
	if err != nil {
		return segment.Header{}, err
	}
	b := make([]byte, segment.HeaderBytes)
	if fi.Size() < int64(len(b)) {
		return segment.Header{}, segment.ErrBadHeader
	}
	if _, err := s.file.ReadAt(b, 0); err != nil {
		return segment.Header{}, err
	}
	h, err := segment.DecodeHeader(b)
	if err == nil && (h.Cluster != t.d.o.Cluster || h.Disk != t.d.o.ID) {
		return h, disk.Errorf("open", disk.KindInvalid, s.name,
			fmt.Errorf("segment of disk %v of cluster %v", h.Disk, h.Cluster))
	}
	if err == nil && (h.Bytes != t.d.o.SegmentBytes || fi.Size() < h.Bytes) {
		return h, fmt.Errorf("segment %s has %d bytes, its header says %d, the options say %d",
			s.name, fi.Size(), h.Bytes, t.d.o.SegmentBytes)
	}
	if errors.Is(err, segment.ErrNoHeader) && fi.Size() != t.d.o.SegmentBytes {
		err = segment.ErrBadHeader
	}
	return h, err
}

// release gives unclear files a use: if every segment that the index needs is here, they are leftovers of a crash while
// a segment was made or begun, and become ready again; else one of them may be a damaged segment, and they are left.
func (t *table) release(unclear []*slot, complete bool) error {
	for _, s := range unclear {
		if !complete {
			t.d.o.Logger.Error("segment file without a valid header set aside", "file", s.name)
			continue
		}
		if err := s.file.Close(); err != nil {
			return err
		}
		f, err := t.fill(s.name, false)
		if errors.Is(err, syscall.ENOSPC) {
			t.files--
			continue
		}
		if err != nil {
			return err
		}
		s.file = f
		t.ready = append(t.ready, s)
	}
	return nil
}

// closeAll closes every file.
func (t *table) closeAll() (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.segs {
		err = errors.Join(err, s.file.Close())
	}
	for _, s := range t.ready {
		err = errors.Join(err, s.file.Close())
	}
	t.segs, t.ready = map[uint64]*seg{}, nil
	return err
}

func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
