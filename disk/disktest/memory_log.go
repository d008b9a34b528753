package disktest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/contender/contender/disk"
)

// memoryLog is the Log of Memory.
type memoryLog struct{ m *Memory }

// memoryPayload is a payload and whether it is rotten.
type memoryPayload struct {
	data    []byte
	corrupt bool
}

func wordKey(words ...uint64) string {
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return string(b)
}

func payloadKey(id disk.PayloadID) string {
	return wordKey(id.Range, id.Term, id.Index, uint64(id.N))
}

// recordBytes stands for the header of a record when the room is counted.
const recordBytes = 64

func appendBytes(a disk.Append) (n int64) {
	for _, p := range a.Payloads {
		n += int64(len(p.Data)) + recordBytes
	}
	for _, e := range a.Entries {
		n += int64(len(e.Data)) + recordBytes
	}
	return n + int64(len(a.HardStates))*recordBytes
}

func cloneAppend(a disk.Append) (c disk.Append) {
	for _, p := range a.Payloads {
		c.Payloads = append(c.Payloads, disk.Payload{ID: p.ID, Data: bytes.Clone(p.Data)})
	}
	for _, e := range a.Entries {
		e.Data = bytes.Clone(e.Data)
		c.Entries = append(c.Entries, e)
	}
	c.HardStates = append(c.HardStates, a.HardStates...)
	return c
}

// Append writes records; the next Sync makes them durable and readable.
func (l memoryLog) Append(ctx context.Context, a disk.Append) error {
	if err := l.m.enter(ctx, "log append", ""); err != nil {
		return err
	}
	defer l.m.mu.Unlock()
	n := appendBytes(a)
	if l.m.now.bytes+l.m.waiting+n > l.m.capacity {
		return disk.Errorf("log append", disk.KindFull, "", nil)
	}
	l.m.pending = append(l.m.pending, cloneAppend(a))
	l.m.waiting += n
	return nil
}

// Sync makes everything appended durable and readable.
func (l memoryLog) Sync(ctx context.Context) error {
	if err := l.m.enter(ctx, "sync", ""); err != nil {
		return err
	}
	defer l.m.mu.Unlock()
	l.m.sync()
	return nil
}

// sync takes in what is pending. The mutex is held.
func (m *Memory) sync() {
	if len(m.pending) == 0 {
		return
	}
	m.syncs++
	for _, a := range m.pending {
		m.record(false, func(i *image) { i.append(a) })
	}
	m.pending, m.waiting = nil, 0
}

// append takes in records, in their order. Payloads of replaced entries go, unless the same Append brings their entry
// again.
func (i *image) append(a disk.Append) {
	var replaced []disk.Entry
	again := map[[3]uint64]bool{}
	for _, e := range a.Entries {
		again[[3]uint64{e.Range, e.Term, e.Index}] = true
		replaced = append(replaced, i.forgetEntries(e.Range, e.Index, ^uint64(0))...)
		i.entries = i.entries.set(wordKey(e.Range, e.Index), e)
		i.bytes += int64(len(e.Data))
	}
	for _, e := range replaced {
		if again[[3]uint64{e.Range, e.Term, e.Index}] {
			continue
		}
		from := wordKey(e.Range, e.Term, e.Index)
		for n := i.payloads.seekGE(from); n != nil && n.key[:len(from)] == from; n = i.payloads.seekGE(from) {
			i.dropPayload(n.key)
		}
	}
	for _, p := range a.Payloads {
		key := payloadKey(p.ID)
		i.dropPayload(key)
		i.payloads = i.payloads.set(key, memoryPayload{data: p.Data})
		i.bytes += int64(len(p.Data))
	}
	for _, h := range a.HardStates {
		i.hard = i.hard.set(wordKey(h.Range), h)
	}
}

// forgetEntries drops the entries first ≤ index ≤ last of a range and returns them.
func (i *image) forgetEntries(rangeID, first, last uint64) (gone []disk.Entry) {
	from, to := wordKey(rangeID, first), wordKey(rangeID, last)
	for n := i.entries.seekGE(from); n != nil && n.key <= to; n = i.entries.seekGE(n.key + "\x00") {
		gone = append(gone, n.value)
		i.bytes -= int64(len(n.value.Data))
	}
	if len(gone) > 0 {
		i.entries = i.entries.deleteRange(from, to+"\x00", true)
	}
	return gone
}

func (i *image) dropPayload(key string) {
	if p, ok := i.payloads.get(key); ok {
		i.bytes -= int64(len(p.data))
		i.payloads = i.payloads.delete(key)
	}
}

// Entries returns the entries lo ≤ index < hi of a range.
func (l memoryLog) Entries(ctx context.Context, rangeID, lo, hi uint64, maxBytes int) ([]disk.Entry, error) {
	what := wordsString(rangeID, lo)
	if err := l.m.enter(ctx, "entries", what); err != nil {
		return nil, err
	}
	entries := l.m.now.entries
	l.m.mu.Unlock()
	if lo >= hi {
		return nil, nil
	}
	var out []disk.Entry
	size := 0
	for index := lo; index < hi; index++ {
		e, ok := entries.get(wordKey(rangeID, index))
		if !ok {
			break
		}
		size += len(e.Data)
		if len(out) > 0 && size > maxBytes {
			break
		}
		e.Data = bytes.Clone(e.Data)
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, disk.Errorf("entries", disk.KindNotFound, what, nil)
	}
	return out, nil
}

// Term returns the term of an entry.
func (l memoryLog) Term(rangeID, index uint64) (uint64, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	what := wordsString(rangeID, index)
	if err := l.m.usable("term", what); err != nil {
		return 0, err
	}
	e, ok := l.m.now.entries.get(wordKey(rangeID, index))
	if !ok {
		return 0, disk.Errorf("term", disk.KindNotFound, what, nil)
	}
	return e.Term, nil
}

// Bounds returns the first and the last index of a range.
func (l memoryLog) Bounds(rangeID uint64) (first, last uint64, ok bool) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	n := l.m.now.entries.seekGE(wordKey(rangeID, 0))
	if n == nil || n.value.Range != rangeID {
		return 0, 0, false
	}
	return n.value.Index, l.m.now.entries.seekLT(wordKey(rangeID, ^uint64(0)) + "\x00").value.Index, true
}

// HardState returns the newest hard state of a range.
func (l memoryLog) HardState(rangeID uint64) (disk.HardState, bool) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.m.now.hard.get(wordKey(rangeID))
}

// Payload reads a payload.
func (l memoryLog) Payload(ctx context.Context, id disk.PayloadID) ([]byte, error) {
	if err := l.m.enter(ctx, "payload", id.String()); err != nil {
		return nil, err
	}
	defer l.m.mu.Unlock()
	p, ok := l.m.now.payloads.get(payloadKey(id))
	switch {
	case !ok:
		return nil, disk.Errorf("payload", disk.KindNotFound, id.String(), nil)
	case p.corrupt:
		return nil, disk.Errorf("payload", disk.KindCorrupt, id.String(), nil)
	}
	return append([]byte{}, p.data...), nil
}

// CorruptPayload lets a payload rot: reading it gives KindCorrupt until it is appended again. It reports whether the
// payload is here.
func (m *Memory) CorruptPayload(id disk.PayloadID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := payloadKey(id)
	if _, ok := m.now.payloads.get(key); !ok {
		return false
	}
	m.record(false, func(i *image) {
		if p, ok := i.payloads.get(key); ok {
			p.corrupt = true
			i.payloads = i.payloads.set(key, p)
		}
	})
	return true
}

func wordsString(rangeID, index uint64) string {
	return fmt.Sprintf("range %d index %d", rangeID, index)
}
