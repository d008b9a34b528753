package local

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// recover brings the index up to the end of the log and finds the place where the log goes on.
func (d *Disk) recover(known bool, live map[uint64]int64, unclear []*slot) error {
	for seq, n := range live {
		if s := d.t.segs[seq]; s != nil {
			s.live = n
			d.t.live += n
		}
	}
	if err := d.t.release(unclear, known && d.complete(live) || len(d.t.segs) == 0); err != nil {
		return err
	}
	if _, lost, err := getRow(d.db, rowKey(rowLost)); err != nil {
		return err
	} else if lost {
		d.raftLost.Store(true)
	}
	d.x.rebuild = !known && len(d.t.segs) > 0
	if d.x.rebuild {
		d.o.Logger.Error("index rebuilt from the log; the Raft replicas of this disk are lost", "disk", d.o.ID.String())
		d.raftLost.Store(true)
	}
	d.t.flushed = d.x.pos
	if err := d.replay(); err != nil {
		return err
	}
	if !known {
		if err := d.found(); err != nil {
			return err
		}
	}
	d.x.rebuild = false
	for r, lg := range d.x.logs {
		if len(lg.refs) > 0 {
			d.w.tails[r] = lg.last()
		}
	}
	return nil
}

// found writes the rows that a state must have, and flushes, so that a state without them is known to be lost.
func (d *Disk) found() error {
	b := d.db.NewBatch()
	defer func() { _ = b.Close() }()
	if err := b.Set(rowKey(rowIdentity), identityRow(&d.o), nil); err != nil {
		return err
	}
	if err := b.Set(rowKey(rowPos), posRow(d.x.pos, d.x.gen), nil); err != nil {
		return err
	}
	if d.x.rebuild {
		if err := b.Set(rowKey(rowLost), []byte{1}, nil); err != nil {
			return err
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	return d.flush()
}

// complete reports whether every segment that the index refers to is here.
func (d *Disk) complete(live map[uint64]int64) bool {
	for seq, n := range live {
		if n > 0 && d.t.segs[seq] == nil {
			return false
		}
	}
	return d.x.pos.Seq == 0 || d.t.segs[d.x.pos.Seq] != nil
}

// holdsAll reports whether the segments of all runs are here.
func (t *table) holdsAll(runs []segment.Run) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(runs, func(r segment.Run) bool { return t.segs[r.At.Seq] == nil })
}

// replay reads the log from the position of the index on. Everything that it reads is synced first: the process may
// have died while the machine lived on, and then the log holds records that were never synced.
func (d *Disk) replay() error {
	seqs := slices.DeleteFunc(slices.Sorted(maps.Keys(d.t.segs)), func(s uint64) bool { return s < d.x.pos.Seq })
	if len(seqs) == 0 {
		if d.x.pos.Seq > 0 {
			return fmt.Errorf("segment %d, from which the log is replayed, is missing", d.x.pos.Seq)
		}
		return nil
	}
	for _, seq := range seqs {
		if err := d.t.segs[seq].file.SyncData(); err != nil {
			return d.fence(fmt.Errorf("sync segment %d: %w", seq, err))
		}
	}
	buf := make([]byte, d.o.SegmentBytes)
	for i, seq := range seqs {
		s := d.t.segs[seq]
		from, gen := int64(segment.HeaderBytes), s.hdr.Boot
		if seq == d.x.pos.Seq && d.x.pos.Off > from {
			from, gen = d.x.pos.Off, d.x.gen
		}
		var next *seg
		if i+1 < len(seqs) {
			next = d.t.segs[seqs[i+1]]
		}
		if err := d.missing(seq, i, seqs); err != nil {
			return err
		}
		if _, err := s.file.ReadAt(buf[from:], from); err != nil && err != io.EOF {
			return fmt.Errorf("read segment %d: %w", seq, err)
		}
		end, gen, err := d.replaySegment(s, next, buf, from, gen)
		if err != nil {
			return err
		}
		if gen >= d.o.Boot || s.hdr.Boot >= d.o.Boot {
			return disk.Errorf("open", disk.KindInvalid, d.o.Dir,
				fmt.Errorf("boot count %d is not higher than %d in the log", d.o.Boot, max(gen, s.hdr.Boot)))
		}
		if next == nil {
			s.sealed = false
			d.w.head, d.w.off, d.w.synced = s, end, segment.Pos{Seq: seq, Off: end}
		}
	}
	return nil
}

// missing notes a gap in the sequence of segments before number i of seqs.
func (d *Disk) missing(seq uint64, i int, seqs []uint64) error {
	before := d.x.pos.Seq
	if i > 0 {
		before = seqs[i-1]
	}
	if d.x.rebuild || seq <= before+1 || before == 0 && i == 0 {
		return nil
	}
	return d.noteDamage(Damage{From: segment.Pos{Seq: before + 1}, To: segment.Pos{Seq: seq}, Unknown: true})
}

// replaySegment brings the records of one segment into the index and returns where they end. What stands before a place
// that is known to have been synced must be readable; what stands behind it is cut at the first bad record.
func (d *Disk) replaySegment(s, next *seg, b []byte, from int64, gen uint64) (int64, uint64, error) {
	w := segment.NewWalk(b, s.hdr, from, gen)
	limit := d.o.SegmentBytes
	follows := next != nil && next.hdr.PrevEnd.Seq == s.hdr.Seq
	if follows {
		limit = next.hdr.PrevEnd.Off
	}
	proof := int64(-1)
	proven := func(off int64) bool {
		if proof < 0 {
			proof = 0
			if follows {
				proof = limit
			} else if p, ok := w.LastMark(); ok && p.Seq == s.hdr.Seq {
				proof = p.Off
			}
		}
		return off < proof
	}
	var ops []op
	for w.Off() < limit {
		r, off, err := w.Next()
		switch {
		case err == nil:
		case !proven(off):
			return off, w.Gen(), d.applyReplay(ops, s.hdr.Seq, off, w.Gen())
		case err == segment.ErrBadData:
			m := Damage{From: segment.Pos{Seq: s.hdr.Seq, Off: off}, To: segment.Pos{Seq: s.hdr.Seq, Off: w.Off()}}
			describe(&m, &r)
			if err := d.noteDamage(m); err != nil {
				return 0, 0, err
			}
		default:
			to := proof
			if w.Resync() {
				to = min(to, w.Off())
			}
			m := Damage{From: segment.Pos{Seq: s.hdr.Seq, Off: off}, To: segment.Pos{Seq: s.hdr.Seq, Off: to}, Unknown: true}
			if err := d.noteDamage(m); err != nil {
				return 0, 0, err
			}
			if w.Off() == off { // nothing readable behind it
				return to, w.Gen(), d.applyReplay(ops, s.hdr.Seq, to, w.Gen())
			}
			continue
		}
		o, ok, err := decodeOp(&r, segment.Pos{Seq: s.hdr.Seq, Off: off}, w.Off()-off)
		if err != nil {
			return 0, 0, fmt.Errorf("record at %d:%d: %w", s.hdr.Seq, off, err)
		}
		if ok && d.wanted(&o) {
			ops = append(ops, o)
		}
	}
	return w.Off(), w.Gen(), d.applyReplay(ops, s.hdr.Seq, w.Off(), w.Gen())
}

// wanted reports whether a record counts: a rebuilt index takes up nothing of Raft but hard states.
func (d *Disk) wanted(o *op) bool {
	return !d.x.rebuild || o.kind != segment.KindEntry && o.kind != segment.KindPayload
}

func (d *Disk) applyReplay(ops []op, seq uint64, off int64, gen uint64) error {
	d.stats.replayed.Add(int64(len(ops)))
	return d.x.apply(ops, segment.Pos{Seq: seq, Off: off}, gen)
}

// decodeOp turns a record into the change that it makes; false if it makes none.
func decodeOp(r *segment.Record, at segment.Pos, size int64) (o op, ok bool, err error) {
	o = op{pos: at, size: size, kind: r.Kind, moved: r.Moved()}
	switch r.Kind {
	case segment.KindCommit:
		o.body, err = segment.ParseCommit(r.Meta, o.moved)
	case segment.KindTombstone:
		o.body, err = segment.ParseTombstone(r.Meta)
	case segment.KindEntry:
		o.body, err = segment.ParseEntry(r.Meta, o.moved)
	case segment.KindHardState:
		o.body, err = segment.ParseHardState(r.Meta, o.moved)
	case segment.KindPayload:
		o.body, err = segment.ParsePayload(r.Meta, o.moved)
	case segment.KindMark, segment.KindBlock:
		return o, false, nil
	default:
		return o, false, fmt.Errorf("record of kind %d, unknown to this program", r.Kind)
	}
	return o, err == nil, err
}
