package local

import (
	"context"
	"errors"
	"io"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

const (
	// compactShare is the share of live bytes, in percent, up to which a segment is worth copying; compactShareFull
	// when room is short.
	compactShare     = 50
	compactShareFull = 90
	// copyBytes is about how much compaction puts into the log at once.
	copyBytes = 1 << 20
	// lazySegments is how many empty segments may wait before the housekeeper flushes for them alone.
	lazySegments = 4
)

// Compact does one step towards having more free segments: it copies what is live in the emptiest segment to the head
// of the log, or flushes so that empty segments may be used again. It reports whether there was something to do. One
// step runs at a time.
func (d *Disk) Compact(ctx context.Context) (did bool, err error) {
	result := make(chan bool, 1)
	err = d.leave(ctx, "compact", func() error {
		if err := d.take(d.compacting, 1); err != nil {
			return err
		}
		defer d.compacting.give(1)
		did, err := d.compactStep(ctx)
		result <- did
		return err
	})
	if err != nil {
		return false, err
	}
	return <-result, nil
}

func (d *Disk) compactStep(ctx context.Context) (bool, error) {
	if s := d.t.victim(d.applied(), d.share()); s != nil {
		defer s.unpin()
		if err := d.evacuate(ctx, s); err != nil {
			return false, err
		}
		return true, d.flush()
	}
	if d.t.waitingCount() == 0 {
		return false, nil
	}
	before := d.t.waitingCount()
	err := d.flush()
	return err == nil && d.t.waitingCount() < before, err
}

func (d *Disk) share() int64 {
	if d.nearlyFull() {
		return compactShareFull
	}
	return compactShare
}

// applied returns the position up to which the index holds the log.
func (d *Disk) applied() segment.Pos {
	d.x.mu.RLock()
	defer d.x.mu.RUnlock()
	return d.x.pos
}

// victim picks and pins the segment with the fewest live bytes, if they are few enough.
func (t *table) victim(applied segment.Pos, share int64) *seg {
	t.mu.Lock()
	defer t.mu.Unlock()
	var best *seg
	for _, s := range t.segs {
		if !s.sealed || s.stuck || s.live == 0 || s.holds.Load() != 0 || s.hdr.Seq >= applied.Seq ||
			s.live > t.d.o.SegmentBytes*share/100 {
			continue
		}
		if best == nil || s.live < best.live || s.live == best.live && s.hdr.Seq < best.hdr.Seq {
			best = s
		}
	}
	if best != nil {
		best.holds.Add(1)
	}
	return best
}

// mover copies the live records of one segment.
type mover struct {
	d      *Disk
	ctx    context.Context
	s      *seg
	b      []byte
	recs   []rec
	bytes  int64
	shards map[disk.ShardID]bool // with something in the segment
	order  []disk.ShardID
	bad    bool // something live could not be read
}

// evacuate copies everything live out of a segment and waits until the index knows the copies.
func (d *Disk) evacuate(ctx context.Context, s *seg) error {
	m := &mover{d: d, ctx: ctx, s: s, b: make([]byte, d.o.SegmentBytes), shards: map[disk.ShardID]bool{}}
	if _, err := s.file.ReadAt(m.b, 0); err != nil && err != io.EOF {
		return disk.Errorf("compact", disk.KindIO, s.name, err)
	}
	if err := m.records(); err != nil {
		return err
	}
	for _, id := range m.order {
		if err := m.shard(id); err != nil {
			return err
		}
	}
	if err := d.w.sync(ctx, "compact"); err != nil {
		return err
	}
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	if s.live != 0 {
		s.stuck = true
		d.o.Logger.Warn("segment keeps live bytes after compaction", "segment", s.name, "live", s.live, "damaged", m.bad)
	}
	return nil
}

// records copies entries, payloads and hard states, and collects the shards that have something here.
func (m *mover) records() error {
	w := segment.NewWalk(m.b, m.s.hdr, segment.HeaderBytes, m.s.hdr.Boot)
	for {
		r, off, err := w.Next()
		if errors.Is(err, segment.ErrBadRecord) {
			if !w.Resync() {
				return m.flush()
			}
			continue
		}
		at := segment.Pos{Seq: m.s.hdr.Seq, Off: off}
		o, ok, derr := decodeOp(&r, at, w.Off()-off)
		if derr != nil {
			return derr
		}
		if r.Kind == segment.KindBlock {
			if b, err := segment.ParseBlock(r.Meta); err == nil {
				m.note(b.ID)
			}
			continue
		}
		if !ok {
			continue
		}
		if err := m.record(&o, &r, err != nil); err != nil {
			return err
		}
	}
}

func (m *mover) note(id disk.ShardID) {
	if !m.shards[id] {
		m.shards[id] = true
		m.order = append(m.order, id)
	}
}

// record copies one record if the index still refers to it.
func (m *mover) record(o *op, r *segment.Record, bad bool) error {
	var meta []byte
	var body any
	x := m.d.x
	switch b := o.body.(type) {
	case *segment.Commit:
		m.note(b.Info.ID)
		return nil
	case segment.Payload:
		p, ok, err := x.payload(x.db, b.ID)
		if err != nil || !ok || p.at != o.pos {
			return err
		}
		b.Old = o.pos
		meta, body = b.AppendMeta(nil, true), b
	case segment.Entry:
		refs := x.entries(b.Range, b.Index, b.Index+1)
		if len(refs) == 0 || refs[0].place().at != o.pos {
			return nil
		}
		b.Old = o.pos
		meta, body = b.AppendMeta(nil, true), b
	case segment.HardState:
		x.mu.RLock()
		h := x.hard[b.State.Range]
		x.mu.RUnlock()
		if h.place.at != o.pos {
			return nil
		}
		b.Old = o.pos
		meta, body = b.AppendMeta(nil, true), b
	default:
		return nil
	}
	if bad {
		m.bad = true
		return nil
	}
	n := newRec(r.Kind, meta, r.Data, body)
	n.Flags = segment.FlagMoved
	return m.put(n)
}

func (m *mover) put(r rec) error {
	m.recs = append(m.recs, r)
	if m.bytes += r.Size(); m.bytes < copyBytes {
		return nil
	}
	return m.flush()
}

// flush puts what was collected into the log.
func (m *mover) flush() error {
	recs, n := m.recs, m.bytes
	m.recs, m.bytes = nil, 0
	if len(recs) == 0 {
		return nil
	}
	m.d.stats.moved.Add(int64(len(recs)))
	m.d.stats.movedBytes.Add(n)
	return m.d.w.append(m.ctx, "compact", recs, reserveNone, nil)
}

// shard copies the blocks of a shard that lie here, and writes a commit record with its new places.
func (m *mover) shard(id disk.ShardID) error {
	row, ok, err := m.d.x.shard(m.d.db, id)
	if err != nil || !ok {
		return err
	}
	here := row.place.at.Seq == m.s.hdr.Seq
	for _, r := range row.Runs {
		here = here || r.At.Seq == m.s.hdr.Seq
	}
	if !here {
		return nil
	}
	h := &holder{}
	runs, whole, err := m.blocks(row, h)
	if err != nil || !whole {
		h.release()
		return err
	}
	c := &segment.Commit{Info: row.Info, Digest: row.Digest, Runs: runs, Old: row.place.at}
	r := newRec(segment.KindCommit, c.AppendMeta(nil, true), nil, c)
	r.Flags = segment.FlagMoved
	r.op.holder = h
	if err := m.put(r); err != nil {
		h.release()
		return err
	}
	if err := m.flush(); err != nil {
		h.release()
		return err
	}
	return nil
}

// blocks copies the blocks of a shard that lie here and returns all its runs as they are then. whole is false if one of
// them is damaged; the shard then stays where it is.
func (m *mover) blocks(row shardRow, h *holder) (runs []segment.Run, whole bool, err error) {
	for _, run := range row.Runs {
		if run.At.Seq != m.s.hdr.Seq {
			runs = append(runs, run)
			continue
		}
		for i := uint32(0); i < run.Count; {
			n := min(run.Count-i, appendBlocks)
			recs := make([]rec, 0, n)
			for j := range n {
				off := run.At.Off + int64(i+j)*segment.BlockStride
				r, _, err := segment.Parse(m.b[off:], &m.s.ctx, off)
				b, perr := segment.ParseBlock(r.Meta)
				if err != nil || perr != nil || b.ID != row.Info.ID || b.Number != run.First+i+j {
					m.bad = true
					return nil, false, nil
				}
				recs = append(recs, rec{Record: segment.Record{
					Kind: segment.KindBlock, Flags: segment.FlagMoved, Meta: r.Meta, Data: r.Data, DataSum: r.DataSum,
				}, holder: h})
			}
			if err := m.d.w.append(m.ctx, "compact", recs, reserveNone, nil); err != nil {
				return nil, false, err
			}
			for j := range recs {
				runs = addBlock(runs, run.First+i+uint32(j), recs[j].at)
				m.d.stats.moved.Add(1)
				m.d.stats.movedBytes.Add(recs[j].encoded)
			}
			i += n
		}
	}
	return runs, true, nil
}
