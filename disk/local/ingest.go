package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
)

// ingestTableBytes is about how large a table becomes before the next is begun.
const ingestTableBytes = 64 << 20

// Ingest replaces spans by tables. Everything committed before is flushed first, so that the tables, which are durable
// at once, do not overtake it.
func (s stateDoor) Ingest(ctx context.Context, in disk.Ingest) error {
	return ioError("ingest", "", s.d.leave(ctx, "ingest", func() error { return s.d.ingest(ctx, in) }))
}

func (d *Disk) ingest(ctx context.Context, in disk.Ingest) (err error) {
	if err := d.take(d.ingests, 1); err != nil {
		return err
	}
	defer d.ingests.give(1)
	w := &tableWriter{d: d, ctx: ctx}
	defer func() { err = errors.Join(err, w.remove()) }()
	if err := w.rows(in); err != nil {
		return err
	}
	if err := d.take(d.commits, commitsWidth); err != nil {
		return err
	}
	defer d.commits.give(commitsWidth)
	if err := d.take(d.x.turn, 1); err != nil {
		return err
	}
	defer d.x.turn.give(1)
	if err := d.db.Flush(); err != nil {
		return err
	}
	c := d.x.change(d.db.NewIndexedBatch())
	defer func() { _ = c.b.Close() }()
	if err := w.forget(c, in); err != nil {
		return err
	}
	if len(w.paths) == 0 {
		return nil
	}
	if err := d.db.Ingest(context.WithoutCancel(ctx), w.paths); err != nil {
		return d.fence(fmt.Errorf("ingest: %w", err)) // memory has gone ahead of the rows
	}
	for _, fn := range c.now {
		fn()
	}
	d.flushedTo(d.x.pos, d.x.count)
	d.wake()
	return nil
}

// tableWriter writes the tables of one ingest.
type tableWriter struct {
	d     *Disk
	ctx   context.Context
	paths []string
	w     *sstable.Writer
	size  int
}

func (t *tableWriter) open() error {
	name := t.d.o.FS.PathJoin(t.d.stateDir(), fmt.Sprintf("ingest-%d.sst", len(t.paths)))
	f, err := t.d.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	t.paths = append(t.paths, name)
	o := t.d.pebbleOptions()
	o.EnsureDefaults()
	t.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), o.MakeWriterOptions(0, t.d.db.TableFormat()))
	t.size = 0
	return nil
}

func (t *tableWriter) close() error {
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w = nil
	return w.Close()
}

// remove takes away what Pebble has not taken.
func (t *tableWriter) remove() error {
	err := t.close()
	for _, p := range t.paths {
		if _, serr := t.d.o.FS.Stat(p); serr == nil {
			err = errors.Join(err, t.d.fs.Remove(p))
		}
	}
	return err
}

// source is one table that a caller hands in, at its next row.
type source struct {
	next func() (disk.Row, bool, error)
	row  disk.Row
}

// rows writes the tables of the caller: for each span, or each part of a large one, a table that first deletes the part.
func (t *tableWriter) rows(in disk.Ingest) error {
	spans, err := union(in.Clear)
	if err != nil {
		return err
	}
	var sources []source
	for _, next := range in.Tables {
		row, ok, err := next()
		if err != nil {
			return err
		}
		if ok {
			sources = append(sources, source{next: next, row: cloneRow(row)})
		}
	}
	sort.Slice(sources, func(i, j int) bool { return bytes.Compare(sources[i].row.Key, sources[j].row.Key) < 0 })
	m := &merged{sources: sources}
	for _, s := range spans {
		if err := t.span(s, m); err != nil {
			return err
		}
	}
	if len(m.sources) > 0 {
		return disk.Errorf("ingest", disk.KindInvalid, "", errors.New("a row lies outside of the spans"))
	}
	return nil
}

// union returns spans in order, those that overlap joined: tables may not overlap.
func union(list []disk.Span) (out []disk.Span, err error) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b disk.Span) int { return bytes.Compare(a.Lower, b.Lower) })
	for _, s := range list {
		if s.Upper != nil && bytes.Compare(s.Lower, s.Upper) >= 0 {
			return nil, disk.Errorf("ingest", disk.KindInvalid, "", errors.New("an empty span"))
		}
		if len(out) == 0 || out[len(out)-1].Upper != nil && bytes.Compare(out[len(out)-1].Upper, s.Lower) <= 0 {
			out = append(out, s)
			continue
		}
		last := &out[len(out)-1]
		if last.Upper != nil && (s.Upper == nil || bytes.Compare(s.Upper, last.Upper) > 0) {
			last.Upper = s.Upper
		}
	}
	return out, nil
}

// span writes one span with the rows that lie in it.
func (t *tableWriter) span(s disk.Span, m *merged) error {
	lower, upper := metaBounds(s.Lower, s.Upper)
	if err := t.open(); err != nil {
		return err
	}
	for len(m.sources) > 0 {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		row := m.sources[0].row
		key := metaKey(row.Key)
		if bytes.Compare(key, upper) >= 0 {
			break
		}
		if bytes.Compare(key, lower) < 0 {
			return disk.Errorf("ingest", disk.KindInvalid, "", errors.New("a row lies outside of the spans"))
		}
		if t.size > ingestTableBytes {
			if err := t.clear(lower, key); err != nil {
				return err
			}
			if err := t.open(); err != nil {
				return err
			}
			lower = key
		}
		if err := t.w.Set(key, row.Value); err != nil {
			return err
		}
		t.size += len(key) + len(row.Value)
		if err := m.step(); err != nil {
			return err
		}
	}
	return t.clear(lower, upper)
}

// clear deletes a span in the table, under its rows, and ends the table.
func (t *tableWriter) clear(lower, upper []byte) error {
	if err := t.w.DeleteRange(lower, upper); err != nil {
		return err
	}
	return t.close()
}

// merged is the rows of all sources in order; they do not overlap, so one source ends before the next begins.
type merged struct{ sources []source }

func (m *merged) step() error {
	s := &m.sources[0]
	row, ok, err := s.next()
	if err != nil {
		return err
	}
	last := s.row.Key
	if !ok {
		m.sources = m.sources[1:]
		if len(m.sources) == 0 {
			return nil
		}
		row = m.sources[0].row
	}
	if bytes.Compare(last, row.Key) >= 0 {
		return disk.Errorf("ingest", disk.KindInvalid, "", errors.New("rows are not in order"))
	}
	if ok {
		s.row = cloneRow(row)
	}
	return nil
}

func cloneRow(r disk.Row) disk.Row {
	return disk.Row{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
}

// forget writes the index rows that an ingest changes as a table of its own: payloads dropped, logs reset.
func (t *tableWriter) forget(c *change, in disk.Ingest) error {
	for _, id := range in.Drop {
		if err := c.dropPayload(id); err != nil {
			return err
		}
	}
	for _, r := range slices.Compact(slices.Sorted(slices.Values(in.ResetLog))) {
		if err := c.dropLog(r, ^uint64(0)); err != nil {
			return err
		}
	}
	if err := c.finish(); err != nil {
		return err
	}
	if c.b.Empty() {
		return nil
	}
	if err := t.open(); err != nil {
		return err
	}
	if err := t.copyBatch(c.b); err != nil {
		return err
	}
	return t.close()
}

// copyBatch writes what a batch of index rows comes to, in key order: its last word on each key, and a deletion over the
// log of each range that it forgets as a whole.
func (t *tableWriter) copyBatch(b *pebble.Batch) error {
	type change struct {
		value []byte
		set   bool
	}
	last := map[string]change{}
	var ranges [][2][]byte
	for r := b.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		switch kind {
		case pebble.InternalKeyKindSet:
			last[string(key)] = change{value: value, set: true}
		case pebble.InternalKeyKindDelete:
			last[string(key)] = change{}
		case pebble.InternalKeyKindRangeDelete:
			ranges = append(ranges, [2][]byte{key, value})
		default:
			return fmt.Errorf("local: change of kind %d in an ingest", kind)
		}
	}
	keys := make([]string, 0, len(last))
	for k := range last {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		ch := last[k]
		var err error
		if ch.set {
			err = t.w.Set([]byte(k), ch.value)
		} else {
			err = t.w.Delete([]byte(k))
		}
		if err != nil {
			return err
		}
	}
	sort.Slice(ranges, func(i, j int) bool { return bytes.Compare(ranges[i][0], ranges[j][0]) < 0 })
	for _, r := range ranges {
		if err := t.w.DeleteRange(r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}
