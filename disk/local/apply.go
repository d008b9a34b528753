package local

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// change is one change of the index on its way: rows in a batch, and what they do to the live bytes of segments.
// index.turn is held for its whole life.
type change struct {
	x    *index
	b    *pebble.Batch
	live map[uint64]int64
	now  []func() // what to change in memory when the rows are in
	gone []goneEntry
	base segment.Pos // the Append whose entries are coming
}

// goneEntry is an entry that another replaced; its payloads go too unless the same Append brings it again.
type goneEntry struct{ rangeID, index, term uint64 }

func (x *index) change(b *pebble.Batch) *change {
	return &change{x: x, b: b, live: map[uint64]int64{}}
}

// apply brings synced records into the index, together with the log position behind them.
func (x *index) apply(ops []op, end segment.Pos, gen uint64) error {
	if len(ops) == 0 && end == (segment.Pos{}) {
		return nil
	}
	if err := x.d.take(x.turn, 1); err != nil {
		return err
	}
	defer x.turn.give(1)
	c := x.change(x.db.NewIndexedBatch())
	defer func() { _ = c.b.Close() }()
	for i := range ops {
		if err := c.op(&ops[i]); err != nil {
			return err
		}
	}
	if err := c.dropGone(); err != nil {
		return err
	}
	if end != (segment.Pos{}) {
		if err := c.b.Set(rowKey(rowPos), posRow(end, gen), nil); err != nil {
			return err
		}
	}
	if err := c.finish(); err != nil {
		return err
	}
	if err := c.b.Commit(pebble.NoSync); err != nil {
		return err
	}
	if end != (segment.Pos{}) {
		x.mu.Lock()
		x.pos, x.gen = end, gen
		x.mu.Unlock()
	}
	return nil
}

// finish adds the rows of the live bytes that have changed, and changes them in memory.
func (c *change) finish() error {
	c.x.mu.Lock()
	c.x.count++
	c.x.mu.Unlock()
	t := c.x.d.t
	t.mu.Lock()
	defer t.mu.Unlock()
	for seq, delta := range c.live {
		s := t.segs[seq]
		if s == nil {
			continue
		}
		s.live += delta
		t.live += delta
		key := rowKey(rowLive, seq)
		if s.live == 0 {
			s.emptyAt = c.x.count
			if err := c.b.Delete(key, nil); err != nil {
				return err
			}
			continue
		}
		if err := c.b.Set(key, binary.AppendUvarint(nil, uint64(s.live)), nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) add(p place) { c.live[p.at.Seq] += p.size }
func (c *change) sub(p place) {
	if p.at.Seq != 0 {
		c.live[p.at.Seq] -= p.size
	}
}

func (c *change) op(o *op) error {
	if m, ok := o.body.(segment.Entry); len(c.gone) > 0 && (!ok || o.moved || m.Base != c.base) {
		if err := c.dropGone(); err != nil {
			return err
		}
	}
	switch m := o.body.(type) {
	case segment.Payload:
		return c.payload(o, m)
	case segment.Entry:
		return c.entry(o, m)
	case segment.HardState:
		return c.hardState(o, m)
	case *segment.Commit:
		return c.commit(o, m)
	case segment.Tombstone:
		return c.dropShard(m.ID)
	}
	return nil
}

func (c *change) payload(o *op, m segment.Payload) error {
	var old place
	ok := false
	if o.moved || !c.x.fresh(m.ID) {
		var err error
		if old, ok, err = c.x.payload(c.b, m.ID); err != nil {
			return err
		}
	}
	if o.moved && (!ok || old.at != m.Old) {
		return nil
	}
	if ok {
		c.sub(old)
	}
	p := place{at: o.pos, size: o.size}
	c.add(p)
	return c.b.Set(payloadKey(m.ID), p.append(nil), nil)
}

func (c *change) entry(o *op, m segment.Entry) error {
	ref := entryRef{term: m.Term, seq: o.pos.Seq, off: uint32(o.pos.Off), size: uint32(o.size)}
	lg := c.x.logs[m.Range]
	if o.moved {
		old := lg.at(m.Index)
		if old == nil || old.place().at != m.Old {
			return nil
		}
		c.sub(old.place())
		c.x.mu.Lock()
		*old = ref
		c.x.mu.Unlock()
	} else {
		c.base = m.Base
		if lg != nil && len(lg.refs) > 0 && m.Index <= lg.last() {
			if err := c.replace(lg, m); err != nil {
				return err
			}
		}
		c.gone = slices.DeleteFunc(c.gone, func(g goneEntry) bool {
			return g == goneEntry{m.Range, m.Index, m.Term}
		})
		c.x.mu.Lock()
		c.x.putEntry(m.Range, m.Index, ref)
		c.x.mu.Unlock()
	}
	c.add(ref.place())
	return c.b.Set(entryKey(m.Range, m.Index), ref.row(), nil)
}

// replace takes away the entries at and behind a new one, and notes them, for the payloads that came with them.
func (c *change) replace(lg *raftLog, m segment.Entry) error {
	from := max(m.Index, lg.first)
	for i := from; i <= lg.last(); i++ {
		old := *lg.at(i)
		c.sub(old.place())
		if err := c.b.Delete(entryKey(m.Range, i), nil); err != nil {
			return err
		}
		if old.seq != 0 {
			c.gone = append(c.gone, goneEntry{m.Range, i, old.term})
		}
	}
	c.x.mu.Lock()
	lg.refs = lg.refs[:from-lg.first]
	c.x.mu.Unlock()
	return nil
}

// dropGone drops the payloads of entries that were replaced and did not come again, as far as they are older than the
// Append that replaced them.
func (c *change) dropGone() error {
	for _, g := range c.gone {
		if err := c.dropPayloadsOf(g.rangeID, g.index, g.term, c.base); err != nil {
			return err
		}
	}
	c.gone = c.gone[:0]
	return nil
}

// dropPayloadsOf drops the payloads of one entry that lie before a place.
func (c *change) dropPayloadsOf(rangeID, i, term uint64, before segment.Pos) (err error) {
	lower, upper := rowSpan(rowPayload, rangeID, i, term)
	it, err := c.b.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		p, _, err := parsePlace(it.Value())
		if err != nil {
			return err
		}
		if !p.at.Less(before) {
			continue
		}
		c.sub(p)
		if err := c.b.Delete(it.Key(), nil); err != nil {
			return err
		}
	}
	return it.Error()
}

func (c *change) dropPayload(id disk.PayloadID) error {
	p, ok, err := c.x.payload(c.b, id)
	if err != nil || !ok {
		return err
	}
	c.sub(p)
	return c.b.Delete(payloadKey(id), nil)
}

func (c *change) hardState(o *op, m segment.HardState) error {
	old, ok := c.x.hard[m.State.Range]
	if o.moved && !(c.x.rebuild && !ok) && (!ok || old.place.at != m.Old) {
		return nil
	}
	if ok {
		c.sub(old.place)
	}
	h := hardRef{state: m.State, place: place{at: o.pos, size: o.size}}
	c.add(h.place)
	c.x.mu.Lock()
	c.x.hard[m.State.Range] = h
	c.x.mu.Unlock()
	return c.b.Set(rowKey(rowHard, m.State.Range), h.row(), nil)
}

func (c *change) commit(o *op, m *segment.Commit) error {
	old, ok, err := c.x.shard(c.b, m.Info.ID)
	if err != nil {
		return err
	}
	lost := c.x.rebuild && !ok // its first commit record was overwritten: the moved one speaks for itself
	if o.moved && !lost && (!ok || old.place.at != m.Old) {
		return nil
	}
	if !o.moved {
		if err := c.raiseEpoch(m.Info.ID.Group, m.Info.Epoch); err != nil {
			return err
		}
		if ok {
			if o.result != nil && (old.Digest != m.Digest || old.Info.Length != m.Info.Length) {
				*o.result = disk.Errorf("commit", disk.KindExists, m.Info.ID.String(), nil)
			}
			return nil
		}
	}
	if c.x.rebuild && !c.x.d.t.holdsAll(m.Runs) {
		return nil
	}
	if ok {
		c.subShard(old)
	}
	row := shardRow{Commit: m, place: place{at: o.pos, size: o.size}}
	c.add(row.place)
	for _, r := range row.Runs {
		c.live[r.At.Seq] += row.runBytes(r)
	}
	return c.b.Set(shardKey(m.Info.ID), row.row(), nil)
}

func (c *change) subShard(s shardRow) {
	c.sub(s.place)
	for _, r := range s.Runs {
		c.live[r.At.Seq] -= s.runBytes(r)
	}
}

// raiseEpoch remembers the highest epoch of a group that a commit has brought.
func (c *change) raiseEpoch(g disk.GroupID, e disk.Epoch) error {
	key := rowKey(rowGroup, uint64(g))
	v, ok, err := getRow(c.b, key)
	if err != nil {
		return err
	}
	if ok && disk.Epoch(binary.BigEndian.Uint64(v)) >= e {
		return nil
	}
	c.x.sawEpoch(g, e)
	return c.b.Set(key, binary.BigEndian.AppendUint64(nil, uint64(e)), nil)
}

// sawEpoch raises the epoch of a group in memory and reports whether e is not older than any seen before.
func (x *index) sawEpoch(g disk.GroupID, e disk.Epoch) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e < x.epochs[g] && !mutantEpoch {
		return false
	}
	x.epochs[g] = e
	return true
}

func (c *change) dropShard(id disk.ShardID) error {
	old, ok, err := c.x.shard(c.b, id)
	if err != nil || !ok {
		return err
	}
	c.subShard(old)
	return c.b.Delete(shardKey(id), nil)
}

// dropLog forgets the entries of a range up to and including an index. It changes memory when the rows are in; so it may
// come once for a range in one change.
func (c *change) dropLog(rangeID, through uint64) error {
	lg := c.x.logs[rangeID]
	if lg == nil || len(lg.refs) == 0 || through < lg.first {
		return nil
	}
	n := min(through, lg.last()) - lg.first + 1
	for _, e := range lg.refs[:n] {
		c.sub(e.place())
	}
	if n >= pointDeletes {
		err := c.b.DeleteRange(entryKey(rangeID, 0), entryKey(rangeID, lg.first+n), nil)
		if err != nil {
			return err
		}
	} else {
		for i := range n {
			if err := c.b.Delete(entryKey(rangeID, lg.first+i), nil); err != nil {
				return err
			}
		}
	}
	c.now = append(c.now, func() { c.x.forget(rangeID, lg, n) })
	return nil
}

// pointDeletes is how many rows are rather deleted by one range deletion.
const pointDeletes = 10000

// forget takes the first n entries of a range out of memory.
func (x *index) forget(rangeID uint64, lg *raftLog, n uint64) {
	x.mu.Lock()
	through := lg.first + n - 1
	lg.first += n
	lg.refs = lg.refs[n:]
	empty := len(lg.refs) == 0
	if empty {
		delete(x.logs, rangeID)
	}
	x.mu.Unlock()
	if !empty {
		return
	}
	l := x.d.w
	l.mu.Lock()
	if l.tails[rangeID] <= through {
		delete(l.tails, rangeID)
	}
	l.mu.Unlock()
}
