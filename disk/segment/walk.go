package segment

import "encoding/binary"

// Walk goes over the records of a segment that lies in memory, from an offset on. It follows the rule that the boot
// count may only grow, and only at a mark. It is used by one goroutine.
type Walk struct {
	b   []byte
	ctx Context
	off int64
	gen uint64
}

// NewWalk begins at offset off. b is the whole segment. gen is the boot count in force there; 0 takes that of the first
// record that verifies.
func NewWalk(b []byte, h Header, off int64, gen uint64) *Walk {
	return &Walk{b: b, ctx: h.Context(), off: off, gen: gen}
}

// Off returns the offset of the next record.
func (w *Walk) Off() int64 { return w.off }

// Gen returns the boot count in force.
func (w *Walk) Gen() uint64 { return w.gen }

// Next returns the next record and its offset, and steps over it. ErrBadData comes with a record whose header and meta
// are right, and steps over it too. ErrBadRecord means that nothing valid stands here; Next does not step then.
func (w *Walk) Next() (r Record, off int64, err error) {
	off = w.off
	r, size, err := w.at(off)
	if err == ErrBadRecord || !w.allowed(&r) {
		return Record{}, off, ErrBadRecord
	}
	w.gen = r.Gen
	w.off += size
	return r, off, err
}

func (w *Walk) at(off int64) (Record, int64, error) {
	if off < HeaderBytes || off+RecordHeaderBytes > int64(len(w.b)) {
		return Record{}, 0, ErrBadRecord
	}
	return Parse(w.b[off:], &w.ctx, off)
}

func (w *Walk) allowed(r *Record) bool {
	return w.gen == 0 || r.Gen == w.gen || r.Gen > w.gen && r.Kind == KindMark
}

// LastMark returns the synced place that the last valid mark behind the next record names, and false if there is no
// mark. If that place lies behind Off, then what stands at Off was synced once.
func (w *Walk) LastMark() (synced Pos, ok bool) {
	w.candidates(func(r *Record, _ int64) bool {
		if r.Kind != KindMark || r.Gen < w.gen {
			return true
		}
		if m, err := ParseMark(r.Meta); err == nil && (!ok || synced.Less(m.Synced)) {
			synced, ok = m.Synced, true
		}
		return true
	})
	return synced, ok
}

// Resync moves on to the next place from which records can be read again after a bad one, and reports whether there is
// one. If a later boot wrote behind it, that is a mark; else any valid record of the boot in force.
func (w *Walk) Resync() bool {
	first, mark := int64(-1), int64(-1)
	newer := false
	w.candidates(func(r *Record, off int64) bool {
		if r.Gen < w.gen {
			return true
		}
		if first < 0 && (r.Gen == w.gen || w.gen == 0) {
			first = off
		}
		if r.Kind == KindMark {
			if mark < 0 {
				mark = off
			}
			newer = newer || r.Gen > w.gen
		}
		return true
	})
	to := first
	if newer || to < 0 {
		to = mark
	}
	if to < 0 {
		return false
	}
	w.off = to
	return true
}

// candidates calls fn for each valid record behind the next one, wherever it stands, until fn returns false.
func (w *Walk) candidates(fn func(r *Record, off int64) bool) {
	for off := w.off + Align; off+RecordHeaderBytes <= int64(len(w.b)); off += Align {
		if binary.LittleEndian.Uint32(w.b[off+8:]) != recordMagic {
			continue
		}
		r, _, err := w.at(off)
		if err == ErrBadRecord {
			continue
		}
		if !fn(&r, off) {
			return
		}
	}
}
