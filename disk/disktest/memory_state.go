package disktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/contender/contender/disk"
)

// memoryState is the State of Memory.
type memoryState struct{ m *Memory }

// Get returns the value of a key.
func (s memoryState) Get(key []byte) ([]byte, bool, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if err := s.m.usable("state get", ""); err != nil {
		return nil, false, err
	}
	v, ok := s.m.now.rows.get(string(key))
	return cloneValue(v, ok), ok, nil
}

// cloneValue copies a value; one that is there is never nil.
func cloneValue(v []byte, ok bool) []byte {
	if !ok {
		return nil
	}
	return append([]byte{}, v...)
}

// Snapshot returns an unchanging view.
func (s memoryState) Snapshot() disk.Snapshot {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return &memorySnapshot{rows: s.m.now.rows}
}

// NewBatch begins a change.
func (s memoryState) NewBatch() disk.Batch { return &memoryBatch{m: s.m} }

// Flush makes everything committed durable.
func (s memoryState) Flush(ctx context.Context) error {
	if err := s.m.enter(ctx, "flush", ""); err != nil {
		return err
	}
	defer s.m.mu.Unlock()
	s.m.flush()
	return nil
}

var errRows = errors.New("rows of an ingest must ascend and lie within its spans")

// Ingest replaces spans by tables, at once and durably.
func (s memoryState) Ingest(ctx context.Context, in disk.Ingest) error {
	rows, err := ingestRows(in)
	if err != nil {
		return err
	}
	if err := s.m.enter(ctx, "ingest", ""); err != nil {
		return err
	}
	defer s.m.mu.Unlock()
	s.m.record(true, func(i *image) {
		for _, c := range in.Clear {
			i.rows = i.rows.deleteRange(string(c.Lower), string(c.Upper), c.Upper != nil)
		}
		for n := rows.seekGE(""); n != nil; n = rows.seekGE(n.key + "\x00") {
			i.rows = i.rows.set(n.key, n.value)
		}
		i.drop(in.Drop)
		for _, r := range in.ResetLog {
			i.forgetEntries(r, 0, ^uint64(0))
		}
	})
	s.m.flush()
	return nil
}

// ingestRows reads the tables of an ingest and checks what it demands of them.
func ingestRows(in disk.Ingest) (rows tree[[]byte], err error) {
	for t, next := range in.Tables {
		var last []byte
		for first := true; ; first = false {
			row, ok, err := next()
			if err != nil {
				return rows, disk.Errorf("ingest", disk.KindOf(err), fmt.Sprintf("table %d", t), err)
			}
			if !ok {
				break
			}
			_, twice := rows.get(string(row.Key))
			if twice || !within(in.Clear, row.Key) || !first && bytes.Compare(last, row.Key) >= 0 {
				return rows, disk.Errorf("ingest", disk.KindInvalid, fmt.Sprintf("table %d", t), errRows)
			}
			last = bytes.Clone(row.Key)
			rows = rows.set(string(row.Key), bytes.Clone(row.Value))
		}
	}
	return rows, nil
}

func within(spans []disk.Span, key []byte) bool {
	for _, s := range spans {
		if bytes.Compare(s.Lower, key) <= 0 && (s.Upper == nil || bytes.Compare(key, s.Upper) < 0) {
			return true
		}
	}
	return false
}

func (i *image) drop(ids []disk.PayloadID) {
	for _, id := range ids {
		i.dropPayload(payloadKey(id))
	}
}

// memorySnapshot is the Snapshot of Memory.
type memorySnapshot struct{ rows tree[[]byte] }

func (s *memorySnapshot) Get(key []byte) ([]byte, bool, error) {
	v, ok := s.rows.get(string(key))
	return cloneValue(v, ok), ok, nil
}

func (s *memorySnapshot) Iter(lower, upper []byte) (disk.Iter, error) {
	return newMemoryIter(s.rows, lower, upper), nil
}

func (s *memorySnapshot) Close() error {
	s.rows = tree[[]byte]{}
	return nil
}

// memoryBatch is the Batch of Memory: a list of changes, and the rows as they would be with them.
type memoryBatch struct {
	m       *Memory
	changes []func(*image)
	ended   bool

	base tree[[]byte] // the rows that view was made from
	view image        // base with the first viewed changes
	done int          // how many changes view holds
}

var errBatchEnded = errors.New("the batch is ended")

func (b *memoryBatch) add(change func(*image)) error {
	if b.ended {
		return disk.Errorf("batch", disk.KindInvalid, "", errBatchEnded)
	}
	b.changes = append(b.changes, change)
	return nil
}

// rows returns the committed rows with this batch's changes on top.
func (b *memoryBatch) rows() (tree[[]byte], error) {
	if b.ended {
		return tree[[]byte]{}, disk.Errorf("batch", disk.KindInvalid, "", errBatchEnded)
	}
	b.m.mu.Lock()
	err := b.m.usable("batch", "")
	now := b.m.now.rows
	b.m.mu.Unlock()
	if err != nil {
		return tree[[]byte]{}, err
	}
	if now != b.base || b.done == 0 {
		b.base, b.view, b.done = now, image{rows: now}, 0
	}
	for ; b.done < len(b.changes); b.done++ {
		b.changes[b.done](&b.view)
	}
	return b.view.rows, nil
}

func (b *memoryBatch) Get(key []byte) ([]byte, bool, error) {
	rows, err := b.rows()
	if err != nil {
		return nil, false, err
	}
	v, ok := rows.get(string(key))
	return cloneValue(v, ok), ok, nil
}

func (b *memoryBatch) Iter(lower, upper []byte) (disk.Iter, error) {
	rows, err := b.rows()
	if err != nil {
		return nil, err
	}
	return newMemoryIter(rows, lower, upper), nil
}

func (b *memoryBatch) Set(key, value []byte) error {
	k, v := string(key), bytes.Clone(value)
	return b.add(func(i *image) { i.rows = i.rows.set(k, v) })
}

func (b *memoryBatch) Delete(key []byte) error {
	k := string(key)
	return b.add(func(i *image) { i.rows = i.rows.delete(k) })
}

func (b *memoryBatch) DeleteRange(lower, upper []byte) error {
	from, to := string(lower), string(upper)
	return b.add(func(i *image) { i.rows = i.rows.deleteRange(from, to, true) })
}

func (b *memoryBatch) DropPayloads(ids ...disk.PayloadID) error {
	ids = append([]disk.PayloadID(nil), ids...)
	return b.add(func(i *image) { i.drop(ids) })
}

func (b *memoryBatch) TruncateLog(rangeID, index uint64) error {
	return b.add(func(i *image) { i.forgetEntries(rangeID, 0, index) })
}

func (b *memoryBatch) Commit() error {
	if b.ended {
		return disk.Errorf("batch commit", disk.KindInvalid, "", errBatchEnded)
	}
	if err := b.m.enter(context.Background(), "batch commit", ""); err != nil {
		return err
	}
	defer b.m.mu.Unlock()
	b.ended = true
	changes := b.changes
	if len(changes) == 0 {
		return nil
	}
	b.m.record(true, func(i *image) {
		for _, change := range changes {
			change(i)
		}
	})
	return nil
}

func (b *memoryBatch) Close() error {
	b.ended = true
	b.changes, b.base, b.view = nil, tree[[]byte]{}, image{}
	return nil
}

// memoryIter walks rows that never change.
type memoryIter struct {
	rows    tree[[]byte]
	lower   string
	upper   string
	bounded bool // there is an upper bound
	at      *treeNode[[]byte]
	end     bool // past the last row
}

func newMemoryIter(rows tree[[]byte], lower, upper []byte) *memoryIter {
	return &memoryIter{rows: rows, lower: string(lower), upper: string(upper), bounded: upper != nil}
}

// seek moves to the first row at or above key.
func (i *memoryIter) seek(key string) bool {
	i.at = i.rows.seekGE(max(key, i.lower))
	if i.at != nil && i.bounded && i.at.key >= i.upper {
		i.at = nil
	}
	i.end = i.at == nil
	return !i.end
}

func (i *memoryIter) First() bool { return i.seek(i.lower) }

func (i *memoryIter) Next() bool {
	switch {
	case i.end:
		return false
	case i.at == nil:
		return i.First()
	}
	return i.seek(i.at.key + "\x00")
}

func (i *memoryIter) SeekGE(key []byte) bool { return i.seek(string(key)) }

func (i *memoryIter) SeekLT(key []byte) bool {
	k := string(key)
	if i.bounded {
		k = min(k, i.upper)
	}
	i.end = false
	i.at = i.rows.seekLT(k)
	if i.at != nil && i.at.key < i.lower {
		i.at = nil
	}
	return i.at != nil
}

func (i *memoryIter) Key() []byte   { return []byte(i.at.key) }
func (i *memoryIter) Value() []byte { return append([]byte{}, i.at.value...) }
func (i *memoryIter) Err() error    { return nil }
func (i *memoryIter) Close() error  { return nil }
