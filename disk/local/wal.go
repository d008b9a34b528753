package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

const (
	// writeOutBytes gathered without a sync are written out; more than gatherBytes make appenders wait.
	writeOutBytes = 1 << 20
	gatherBytes   = 4 << 20
)

var markBytes = segment.Size(segment.MarkMetaBytes, 0)

// op is the change that one synced record makes to the index.
type op struct {
	pos    segment.Pos
	size   int64
	kind   segment.Kind
	moved  bool
	body   any     // *segment.Commit, segment.Tombstone, Entry, HardState or Payload
	result *error  // where the applier puts what became of a commit; may be nil
	holder *holder // released when the change is applied; may be nil
}

// rec is a record on its way into the log.
type rec struct {
	segment.Record
	op      *op     // nil for blocks
	patch   bool    // an entry whose base is to be set
	holder  *holder // takes hold of the segment that the record lands in
	at      segment.Pos
	encoded int64
}

// holder keeps segments from being used again while a shard that lies in them is not committed.
type holder struct {
	mu   sync.Mutex
	segs []*seg
}

func (h *holder) add(s *seg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.segs {
		if x == s {
			return
		}
	}
	s.holds.Add(1)
	h.segs = append(h.segs, s)
}

func (h *holder) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.segs {
		s.unpin()
	}
	h.segs = nil
}

// chunk is encoded bytes that lie one behind the other in one segment.
type chunk struct {
	seg    *seg
	off    int64
	buf    []byte
	markAt int // where in buf a mark is still to be filled in, or -1
	first  bool
}

// wal is the write side of the log.
type wal struct {
	d *Disk

	mu       sync.Mutex
	head     *seg
	off      int64 // where the next record goes
	chunks   []*chunk
	buffered int64
	needMark bool // a group commit has begun: the next record follows a mark
	booted   bool // this boot has announced itself in the log
	ops      []op
	waiters  []chan error
	tails    map[uint64]uint64    // last index of each range's entries, unsynced ones included
	pending  map[disk.ShardID]int // commits that are not applied yet
	appended uint64               // number of the newest append
	applied  uint64               // number of the newest append that the index holds
	synced   segment.Pos
	drained  chan struct{} // closed and replaced when buffered shrinks
	spare    [][]byte

	kick    chan struct{}
	batches chan batch
	stop    chan struct{}
	done    sync.WaitGroup
	opened  time.Time
	since   atomic.Int64 // when the write and sync that is under way began, after opened, by no wall clock; 0: none is
}

// batch is a group commit on its way from the syncer to the applier.
type batch struct {
	ops      []op
	end      segment.Pos
	appended uint64
	waiters  []chan error
}

func newWAL(d *Disk) *wal {
	return &wal{
		d: d, needMark: true, opened: time.Now(), tails: map[uint64]uint64{}, pending: map[disk.ShardID]int{},
		drained: make(chan struct{}), kick: make(chan struct{}, 1), batches: make(chan batch, 1), stop: make(chan struct{}),
	}
}

func (l *wal) start() {
	l.done.Add(2)
	go l.syncer()
	go l.applier()
}

func (l *wal) nudge() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// append puts records into the log, all or none, one behind the other. When a segment is begun, reserve more are left
// ready. check, if not nil, runs under the lock and may refuse. The error is KindFull, KindFenced, KindClosed or the
// context's.
func (l *wal) append(ctx context.Context, what string, recs []rec, reserve int, check func() error) error {
	for {
		if err := ctx.Err(); err != nil {
			return disk.Errorf(what, disk.KindIO, "", err)
		}
		l.mu.Lock()
		if err := l.d.ok(what); err != nil {
			l.mu.Unlock()
			return err
		}
		if l.buffered > gatherBytes {
			ch := l.drained
			l.mu.Unlock()
			l.nudge()
			select {
			case <-ch:
			case <-ctx.Done():
			case <-l.d.fenced:
			}
			continue
		}
		need := l.segmentsFor(recs)
		if need > 0 {
			need += reserve
		}
		if need > 0 && l.d.t.readyCount() < need {
			l.mu.Unlock()
			if err := l.d.t.ensure(ctx, need); err != nil {
				return full(what, err)
			}
			continue
		}
		err := l.place(recs, check)
		out := l.buffered > writeOutBytes
		l.mu.Unlock()
		if out {
			l.nudge()
		}
		return err
	}
}

// full turns errNoRoom into the contract's error.
func full(what string, err error) error {
	if errors.Is(err, errNoRoom) {
		return disk.Errorf(what, disk.KindFull, "", err)
	}
	var e *disk.Error
	if errors.As(err, &e) {
		return err
	}
	return disk.Errorf(what, disk.KindIO, "", err)
}

// segmentsFor counts the segments that must be begun to hold recs. mu is held.
func (l *wal) segmentsFor(recs []rec) (n int) {
	off, mark := l.off, l.needMark
	if l.head == nil {
		off = l.d.o.SegmentBytes
	}
	for i := range recs {
		size := recs[i].Size()
		if mark {
			size += markBytes
		}
		if off+size > l.d.o.SegmentBytes {
			n++
			off, size = segment.HeaderBytes, recs[i].Size()
		}
		mark = false
		off += size
	}
	return n
}

// place encodes recs at the head. mu is held, and enough segments are ready.
func (l *wal) place(recs []rec, check func() error) error {
	if check != nil {
		if err := check(); err != nil {
			return err
		}
	}
	var base segment.Pos
	for i := range recs {
		r := &recs[i]
		size := r.Size()
		mark := int64(0)
		if l.needMark {
			mark = markBytes
		}
		if l.head == nil || l.off+mark+size > l.d.o.SegmentBytes {
			if err := l.roll(); err != nil {
				return err
			}
		} else if l.needMark {
			l.addMark()
		}
		r.at, r.encoded = segment.Pos{Seq: l.head.hdr.Seq, Off: l.off}, size
		if i == 0 {
			base = r.at
		}
		if r.patch {
			segment.PatchBase(r.Meta, base)
		}
		if r.holder != nil {
			r.holder.add(l.head)
		}
		l.encode(&r.Record)
		if r.op != nil {
			l.note(r, base)
		}
	}
	l.appended++
	return nil
}

// note remembers what a record will change once it is synced.
func (l *wal) note(r *rec, base segment.Pos) {
	o := *r.op
	o.pos, o.size, o.kind, o.moved = r.at, r.encoded, r.Kind, r.Moved()
	switch m := o.body.(type) {
	case segment.Entry:
		m.Base = base
		o.body = m
		if !o.moved {
			l.tails[m.Range] = m.Index
		}
	case *segment.Commit:
		l.pending[m.Info.ID]++
	}
	l.ops = append(l.ops, o)
}

// current returns the chunk that the next record goes to.
func (l *wal) current() *chunk {
	if n := len(l.chunks); n > 0 && l.chunks[n-1].seg == l.head {
		return l.chunks[n-1]
	}
	c := &chunk{seg: l.head, off: l.off, markAt: -1}
	if n := len(l.spare); n > 0 {
		c.buf, l.spare = l.spare[n-1][:0], l.spare[:n-1]
	}
	l.chunks = append(l.chunks, c)
	return c
}

func (l *wal) encode(r *segment.Record) {
	c := l.current()
	r.Gen = l.d.o.Boot
	n := len(c.buf)
	c.buf = r.Append(c.buf, &l.head.ctx, l.off)
	l.off += int64(len(c.buf) - n)
	l.buffered += int64(len(c.buf) - n)
	l.needMark = false
}

// addMark leaves room for a mark; take fills it in.
func (l *wal) addMark() {
	c := l.current()
	c.markAt = len(c.buf)
	c.first = !l.booted
	l.booted = true
	r := segment.Record{Kind: segment.KindMark, Meta: segment.Mark{}.AppendMeta(nil)}
	r.Seal()
	l.encode(&r)
}

// roll goes on to the next segment. Its header says as much as a mark: where the log ended before, all synced.
func (l *wal) roll() error {
	prev := segment.Pos{}
	if l.head != nil {
		prev = segment.Pos{Seq: l.head.hdr.Seq, Off: l.off}
	}
	s, err := l.d.t.begin(prev)
	if err != nil {
		return l.d.fence(err)
	}
	l.head, l.off = s, 0
	l.booted, l.needMark = true, false
	c := l.current()
	c.buf = append(c.buf, s.hdr.Encode()...)
	c.buf = append(c.buf, make([]byte, segment.HeaderBytes-len(c.buf))...)
	l.off = segment.HeaderBytes
	l.buffered += segment.HeaderBytes
	return nil
}

// take removes what is gathered, for writing. With all it begins a new group commit. mu is held.
func (l *wal) take(all bool) (chunks []*chunk, b batch) {
	chunks, l.chunks = l.chunks, nil
	for _, c := range chunks {
		if c.markAt < 0 {
			continue
		}
		r := segment.Record{Kind: segment.KindMark, Gen: l.d.o.Boot, Meta: segment.Mark{Synced: l.synced}.AppendMeta(nil)}
		if c.first {
			r.Flags = segment.FlagFirst
		}
		r.Seal()
		r.Append(c.buf[c.markAt:c.markAt], &c.seg.ctx, c.off+int64(c.markAt))
	}
	l.buffered = 0
	close(l.drained)
	l.drained = make(chan struct{})
	if all {
		b = batch{ops: l.ops, appended: l.appended, waiters: l.waiters}
		if l.head != nil {
			b.end = segment.Pos{Seq: l.head.hdr.Seq, Off: l.off}
		}
		l.ops, l.waiters = nil, nil
		l.needMark = true
	}
	return chunks, b
}

// sync waits until everything appended before it is synced and in the index.
func (l *wal) sync(ctx context.Context, what string) error {
	ch := make(chan error, 1)
	l.mu.Lock()
	if err := l.d.ok(what); err != nil {
		l.mu.Unlock()
		return err
	}
	if l.applied == l.appended {
		l.mu.Unlock()
		return nil
	}
	l.waiters = append(l.waiters, ch)
	l.mu.Unlock()
	l.nudge()
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return disk.Errorf(what, disk.KindIO, "", ctx.Err())
	case <-l.d.fenced:
		return l.d.ok(what)
	}
}

// syncer writes and syncs. It is the only goroutine that writes records to segments.
func (l *wal) syncer() {
	defer l.done.Done()
	defer close(l.batches)
	var dirty *seg
	for last := false; !last; {
		select {
		case <-l.kick:
		case <-l.stop:
			last = true
		case <-l.d.fenced:
			return
		}
		l.mu.Lock()
		all := len(l.waiters) > 0 || last
		if last && len(l.ops) == 0 && l.booted && l.head != nil && l.off+markBytes <= l.d.o.SegmentBytes {
			l.needMark = false
			l.addMark() // tells the next start that everything before it was synced
		}
		if !all && l.buffered < writeOutBytes {
			l.mu.Unlock()
			continue
		}
		chunks, b := l.take(all)
		l.mu.Unlock()
		var err error
		l.since.Store(max(1, int64(time.Since(l.opened))))
		if dirty, err = l.write(chunks, dirty); err == nil && all && dirty != nil {
			err = l.syncSegment(dirty)
			dirty = nil
		}
		l.since.Store(0)
		if err != nil {
			_ = l.d.fence(err)
			return
		}
		l.recycle(chunks)
		if !all {
			continue
		}
		l.mu.Lock()
		l.synced = b.end
		l.mu.Unlock()
		select {
		case l.batches <- b:
		case <-l.d.fenced:
			return
		}
	}
}

// write writes chunks; a segment is synced before anything is written to the next. It returns the segment that still
// needs a sync.
func (l *wal) write(chunks []*chunk, dirty *seg) (*seg, error) {
	for _, c := range chunks {
		if dirty != nil && dirty != c.seg {
			if err := l.syncSegment(dirty); err != nil {
				return dirty, err
			}
		}
		dirty = c.seg
		n := int64(len(c.buf))
		if _, err := c.seg.file.WriteAt(c.buf, c.off); err != nil {
			return dirty, fmt.Errorf("write segment %s: %w", c.seg.name, err)
		}
		l.d.stats.writes.Add(1)
		l.d.stats.bytes.Add(n)
	}
	return dirty, nil
}

func (l *wal) syncSegment(s *seg) error {
	if mutantNoSync {
		return nil
	}
	l.d.stats.syncs.Add(1)
	s.syncs.Add(1)
	if err := s.file.SyncData(); err != nil {
		return fmt.Errorf("sync segment %s: %w", s.name, err)
	}
	return nil
}

// recycle keeps a few buffers for the next chunks.
func (l *wal) recycle(chunks []*chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range chunks {
		if len(l.spare) < 2 && cap(c.buf) <= 2*gatherBytes {
			l.spare = append(l.spare, c.buf)
		}
	}
}

// applier brings synced batches into the index, in order, and lets their waiters go.
func (l *wal) applier() {
	defer l.done.Done()
	for b := range l.batches {
		err := l.d.x.apply(b.ops, b.end, l.d.o.Boot)
		if err != nil {
			err = l.d.fence(err)
		}
		l.mu.Lock()
		l.applied = b.appended
		for i := range b.ops {
			if m, ok := b.ops[i].body.(*segment.Commit); ok {
				if l.pending[m.Info.ID]--; l.pending[m.Info.ID] == 0 {
					delete(l.pending, m.Info.ID)
				}
			}
		}
		l.mu.Unlock()
		for i := range b.ops {
			if b.ops[i].holder != nil {
				b.ops[i].holder.release()
			}
		}
		for _, w := range b.waiters {
			w <- err
		}
		if err != nil {
			return
		}
		l.d.wake()
	}
}
