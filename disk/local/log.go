package local

import (
	"context"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// logDoor is the disk's Log.
type logDoor struct{ d *Disk }

// Append writes records.
func (g logDoor) Append(ctx context.Context, a disk.Append) error {
	recs := make([]rec, 0, len(a.Payloads)+len(a.Entries)+len(a.HardStates))
	for i := range a.Payloads {
		p := &a.Payloads[i]
		m := segment.Payload{ID: p.ID}
		recs = append(recs, newRec(segment.KindPayload, m.AppendMeta(nil, false), p.Data, m))
	}
	for i := range a.Entries {
		e := &a.Entries[i]
		m := segment.Entry{Range: e.Range, Term: e.Term, Index: e.Index, Type: e.Type}
		r := newRec(segment.KindEntry, m.AppendMeta(nil, false), e.Data, m)
		r.patch = true
		recs = append(recs, r)
	}
	for _, h := range a.HardStates {
		m := segment.HardState{State: h}
		recs = append(recs, newRec(segment.KindHardState, m.AppendMeta(nil, false), nil, m))
	}
	if len(recs) == 0 {
		return g.d.ok("append")
	}
	if err := g.d.fits(recs); err != nil {
		return err
	}
	return g.d.w.append(ctx, "append", recs, reserveRaft, func() error { return g.d.w.inOrder(a.Entries) })
}

func newRec(k segment.Kind, meta, data []byte, body any) rec {
	r := rec{Record: segment.Record{Kind: k, Meta: meta, Data: data}, op: &op{body: body}}
	r.Seal()
	return r
}

// fits refuses records that no segment can hold.
func (d *Disk) fits(recs []rec) error {
	most := d.o.SegmentBytes - segment.HeaderBytes - markBytes
	for i := range recs {
		if recs[i].Size() > most {
			return disk.Errorf("append", disk.KindInvalid, "",
				fmt.Errorf("record of %d bytes, a segment holds %d", recs[i].Size(), most))
		}
	}
	return nil
}

// inOrder refuses entries that would leave a gap in the log of a range. mu is held.
func (l *wal) inOrder(entries []disk.Entry) error {
	for i, e := range entries {
		tail, ok := l.tails[e.Range]
		if i > 0 && entries[i-1].Range == e.Range {
			tail, ok = entries[i-1].Index, true
		}
		if ok && e.Index > tail+1 {
			return disk.Errorf("append", disk.KindInvalid, fmt.Sprintf("%d/%d", e.Range, e.Index),
				fmt.Errorf("the log of the range ends at %d", tail))
		}
	}
	return nil
}

// Sync makes everything appended before it durable and readable.
func (g logDoor) Sync(ctx context.Context) error { return g.d.w.sync(ctx, "sync") }

// Entries returns entries of a range.
func (g logDoor) Entries(ctx context.Context, rangeID, lo, hi uint64, maxBytes int) ([]disk.Entry, error) {
	if lo >= hi {
		return nil, g.d.ok("entries")
	}
	refs := g.d.x.entries(rangeID, lo, hi)
	what := fmt.Sprintf("%d/%d", rangeID, lo)
	if len(refs) == 0 {
		if err := g.d.ok("entries"); err != nil {
			return nil, err
		}
		return nil, disk.Errorf("entries", disk.KindNotFound, what, nil)
	}
	var out []disk.Entry
	left := maxBytes
	for i, ref := range refs {
		e, err := g.entry(ctx, rangeID, lo+uint64(i), ref)
		if err != nil && i == 0 {
			return nil, err
		}
		if err != nil || i > 0 && len(e.Data) > left {
			break
		}
		left -= len(e.Data)
		out = append(out, e)
	}
	return out, nil
}

// entries copies the references to entries lo ≤ index < hi that are here without a gap.
func (x *index) entries(rangeID, lo, hi uint64) []entryRef {
	x.mu.RLock()
	defer x.mu.RUnlock()
	lg := x.logs[rangeID]
	if lg.at(lo) == nil {
		return nil
	}
	hi = min(hi, lg.last()+1)
	return append([]entryRef(nil), lg.refs[lo-lg.first:hi-lg.first]...)
}

func (g logDoor) entry(ctx context.Context, rangeID, i uint64, ref entryRef) (e disk.Entry, err error) {
	what := fmt.Sprintf("entry %d/%d", rangeID, i)
	if ref.seq == 0 {
		return e, disk.Errorf("entries", disk.KindCorrupt, what, nil)
	}
	again := func() (place, bool, error) {
		refs := g.d.x.entries(rangeID, i, i+1)
		if len(refs) == 0 {
			return place{}, false, nil
		}
		return refs[0].place(), true, nil
	}
	r, err := g.d.read(ctx, "entries", what, ref.place(), again)
	if err != nil {
		return e, err
	}
	m, err := segment.ParseEntry(r.Meta, r.Moved())
	if err != nil || r.Kind != segment.KindEntry || m.Range != rangeID || m.Index != i {
		return e, g.d.corrupt("entries", what, err)
	}
	return disk.Entry{Range: m.Range, Term: m.Term, Index: m.Index, Type: m.Type, Data: r.Data}, nil
}

// Term returns the term of an entry.
func (g logDoor) Term(rangeID, i uint64) (uint64, error) {
	if err := g.d.ok("term"); err != nil {
		return 0, err
	}
	x := g.d.x
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := x.logs[rangeID].at(i)
	switch {
	case e == nil:
		return 0, disk.Errorf("term", disk.KindNotFound, fmt.Sprintf("%d/%d", rangeID, i), nil)
	case e.seq == 0:
		return 0, disk.Errorf("term", disk.KindCorrupt, fmt.Sprintf("%d/%d", rangeID, i), nil)
	}
	return e.term, nil
}

// Bounds returns the first and last index of a range.
func (g logDoor) Bounds(rangeID uint64) (first, last uint64, ok bool) {
	x := g.d.x
	x.mu.RLock()
	defer x.mu.RUnlock()
	lg := x.logs[rangeID]
	if lg == nil || len(lg.refs) == 0 {
		return 0, 0, false
	}
	return lg.first, lg.last(), true
}

// HardState returns the newest hard state of a range.
func (g logDoor) HardState(rangeID uint64) (disk.HardState, bool) {
	x := g.d.x
	x.mu.RLock()
	defer x.mu.RUnlock()
	h, ok := x.hard[rangeID]
	return h.state, ok
}

// Payload reads and verifies a payload.
func (g logDoor) Payload(ctx context.Context, id disk.PayloadID) ([]byte, error) {
	look := func() (place, bool, error) {
		if err := g.d.use("payload"); err != nil {
			return place{}, false, err
		}
		defer g.d.life.exit()
		return g.d.x.payload(g.d.db, id)
	}
	p, ok, err := look()
	if err != nil {
		return nil, ioError("payload", id.String(), err)
	}
	if !ok {
		return nil, disk.Errorf("payload", disk.KindNotFound, id.String(), nil)
	}
	r, err := g.d.read(ctx, "payload", id.String(), p, look)
	if err != nil {
		return nil, err
	}
	m, err := segment.ParsePayload(r.Meta, r.Moved())
	if err != nil || r.Kind != segment.KindPayload || m.ID != id {
		return nil, g.d.corrupt("payload", id.String(), err)
	}
	return r.Data, nil
}

// corrupt counts and reports a record that is not what the index says.
func (d *Disk) corrupt(op, what string, err error) error {
	d.stats.corrupt.Add(1)
	d.o.Logger.Error("damaged record", "disk", d.o.ID.String(), "op", op, "what", what, "err", err)
	return disk.Errorf(op, disk.KindCorrupt, what, err)
}

// lookTries bounds how often a reader asks the index again because compaction was faster.
const lookTries = 10

// read reads and verifies one record. If its segment has been used again meanwhile, again says where it lies now.
func (d *Disk) read(ctx context.Context, what, name string, p place, again func() (place, bool, error)) (r segment.Record, err error) {
	for range lookTries {
		if err := d.ok(what); err != nil {
			return r, err
		}
		if err := ctx.Err(); err != nil {
			return r, disk.Errorf(what, disk.KindIO, name, err)
		}
		if s := d.t.pin(p.at.Seq); s != nil {
			defer s.unpin()
			b := make([]byte, p.size)
			if err := d.readAt(what, s, b, p.at.Off); err != nil {
				return r, err
			}
			if r, _, err = segment.Parse(b, &s.ctx, p.at.Off); err != nil {
				return r, d.corrupt(what, name, err)
			}
			return r, nil
		}
		var ok bool
		if p, ok, err = again(); err != nil {
			return r, ioError(what, name, err)
		}
		if !ok {
			return r, disk.Errorf(what, disk.KindNotFound, name, nil)
		}
	}
	return r, d.corrupt(what, name, fmt.Errorf("segment %d is not here", p.at.Seq))
}

// readAt fills b from a pinned segment.
func (d *Disk) readAt(op string, s *seg, b []byte, off int64) error {
	if err := d.use(op); err != nil {
		return err
	}
	defer d.life.exit()
	if _, err := s.file.ReadAt(b, off); err != nil {
		return disk.Errorf(op, disk.KindIO, s.name, err)
	}
	return nil
}
