package disktest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/contender/contender/disk"
)

func (s suite) logEntries(t *testing.T) {
	d := s.Open(t)
	l := d.Log()
	if _, _, found := l.Bounds(1); found {
		t.Error("an empty log has bounds")
	}
	var a disk.Append
	for i := uint64(5); i <= 20; i++ {
		e := entry(1, 2, i, fmt.Sprintf("%010d", i))
		e.Type = uint8(i % 3)
		a.Entries = append(a.Entries, e, entry(1<<40, 9, i+100, ""))
	}
	appendSync(t, d, a)
	for _, e := range a.Entries {
		clear(e.Data) // the log must not have kept it
	}
	same(t, "range 1", terms(t, d, 1), "5: 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2")
	same(t, "another range", terms(t, d, 1<<40), "105: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9")
	same(t, "range 2", terms(t, d, 2), "")
	get := func(lo, hi uint64, maxBytes, want int) {
		t.Helper()
		got, err := l.Entries(ctx(), 1, lo, hi, maxBytes)
		ok(t, err)
		if len(got) != want {
			t.Errorf("entries %d to %d in %d bytes: %d, want %d", lo, hi, maxBytes, len(got), want)
		}
		for i, e := range got {
			index := lo + uint64(i)
			if e.Index != index || e.Type != uint8(index%3) || string(e.Data) != fmt.Sprintf("%010d", index) {
				t.Errorf("entry %d: %+v", index, e)
			}
		}
	}
	get(5, 21, 1<<20, 16)
	get(7, 9, 1<<20, 2)
	get(20, 21, 1<<20, 1)
	get(5, 21, 0, 1)
	if got, err := l.Entries(ctx(), 1, 5, 21, 40); err != nil || len(got) < 1 || len(got) > 4 {
		t.Errorf("entries in 40 bytes: %d, %v", len(got), err)
	}
	for _, lo := range []uint64{4, 21} {
		_, err := l.Entries(ctx(), 1, lo, lo+3, 100)
		kind(t, fmt.Sprint("entries from ", lo), err, disk.KindNotFound)
		_, err = l.Term(1, lo)
		kind(t, fmt.Sprint("term of ", lo), err, disk.KindNotFound)
	}
}

func (s suite) logUnsynced(t *testing.T) {
	d := s.Open(t)
	l := d.Log()
	p := disk.PayloadID{Range: 1, Term: 1, Index: 2, N: 0}
	appendSync(t, d, disk.Append{Entries: []disk.Entry{entry(1, 1, 1, "a")}, HardStates: []disk.HardState{{Range: 1, Term: 1}}})
	ok(t, l.Append(ctx(), disk.Append{
		Payloads:   []disk.Payload{{ID: p, Data: []byte("payload")}},
		Entries:    []disk.Entry{entry(1, 1, 2, "b")},
		HardStates: []disk.HardState{{Range: 1, Term: 2}},
	}))
	same(t, "before the sync", terms(t, d, 1), "1: 1")
	if h, _ := l.HardState(1); h.Term != 1 {
		t.Errorf("hard state before the sync: %+v", h)
	}
	_, err := l.Payload(ctx(), p)
	kind(t, "payload before the sync", err, disk.KindNotFound)
	ok(t, l.Sync(ctx()))
	same(t, "after the sync", terms(t, d, 1), "1: 1 1")
	if h, _ := l.HardState(1); h.Term != 2 {
		t.Errorf("hard state after the sync: %+v", h)
	}
	if b, err := l.Payload(ctx(), p); err != nil || string(b) != "payload" {
		t.Errorf("payload after the sync: %q, %v", b, err)
	}
}

func (s suite) logReplace(t *testing.T) {
	d := s.Open(t)
	payload := func(term, index uint64, n uint32) disk.Payload {
		id := disk.PayloadID{Range: 1, Term: term, Index: index, N: n}
		return disk.Payload{ID: id, Data: []byte(id.String())}
	}
	check := func(p disk.Payload, there bool) {
		t.Helper()
		b, err := d.Log().Payload(ctx(), p.ID)
		if there && (err != nil || !bytes.Equal(b, p.Data)) {
			t.Errorf("payload %v: %q, %v", p.ID, b, err)
		}
		if !there {
			kind(t, "payload "+p.ID.String(), err, disk.KindNotFound)
		}
	}
	var old []disk.Payload
	a := disk.Append{}
	for i := uint64(1); i <= 6; i++ {
		p := payload(1, i, uint32(i%2))
		old = append(old, p)
		a.Payloads = append(a.Payloads, p)
		a.Entries = append(a.Entries, entry(1, 1, i, ""), entry(2, 1, i, ""))
	}
	appendSync(t, d, a)
	fresh := []disk.Payload{payload(3, 4, 0), payload(3, 5, 7)}
	appendSync(t, d, disk.Append{Payloads: fresh, Entries: []disk.Entry{entry(1, 3, 4, ""), entry(1, 3, 5, "")}})
	same(t, "replaced", terms(t, d, 1), "1: 1 1 1 3 3")
	same(t, "the other range", terms(t, d, 2), "1: 1 1 1 1 1 1")
	for i, p := range old {
		check(p, i < 3)
	}
	for _, p := range fresh {
		check(p, true)
	}
	// In two steps before one sync, and from the first entry on.
	ok(t, d.Log().Append(ctx(), disk.Append{Entries: []disk.Entry{entry(1, 4, 6, ""), entry(1, 4, 7, "")}}))
	ok(t, d.Log().Append(ctx(), disk.Append{Entries: []disk.Entry{entry(1, 5, 1, "")}}))
	ok(t, d.Log().Sync(ctx()))
	same(t, "replaced from the first", terms(t, d, 1), "1: 5")
	for _, p := range append(old, fresh...) {
		check(p, false)
	}
	// The same entry again keeps its payload.
	p := payload(5, 2, 0)
	a = disk.Append{Payloads: []disk.Payload{p}, Entries: []disk.Entry{entry(1, 5, 2, "x")}}
	appendSync(t, d, a)
	appendSync(t, d, a)
	check(p, true)
	same(t, "again", terms(t, d, 1), "1: 5 5")
}

func (s suite) logHardState(t *testing.T) {
	d := s.Open(t)
	if _, found := d.Log().HardState(1); found {
		t.Error("a hard state out of nothing")
	}
	want := disk.HardState{Range: 1, Term: 3, Vote: 2, Commit: 9}
	appendSync(t, d, disk.Append{HardStates: []disk.HardState{{Range: 1, Term: 2}, {Range: 2, Term: 8}, want}})
	if h, found := d.Log().HardState(1); !found || h != want {
		t.Errorf("hard state %+v", h)
	}
	for i := uint64(10); i < 30; i++ {
		want.Commit = i
		appendSync(t, d, disk.Append{HardStates: []disk.HardState{want}})
	}
	if h, found := d.Log().HardState(1); !found || h != want {
		t.Errorf("hard state %+v, want %+v", h, want)
	}
}

func (s suite) logPayloads(t *testing.T) {
	d := s.Open(t)
	sizes := []int{0, 1, 16 << 10, disk.BlockBytes, disk.BlockBytes + 1, 100_000}
	id := func(i int) disk.PayloadID { return disk.PayloadID{Range: 7, Term: 1, Index: 4, N: uint32(i)} }
	for i, n := range sizes {
		data := pattern(uint64(i), n)
		ok(t, d.Log().Append(ctx(), disk.Append{Payloads: []disk.Payload{{ID: id(i), Data: data}}}))
		clear(data)
	}
	ok(t, d.Log().Sync(ctx()))
	check := func(dropped int) {
		t.Helper()
		for i, n := range sizes {
			b, err := d.Log().Payload(ctx(), id(i))
			if i == dropped {
				kind(t, "dropped payload", err, disk.KindNotFound)
			} else if err != nil || !bytes.Equal(b, pattern(uint64(i), n)) {
				t.Errorf("payload of %d bytes: %d bytes, %v", n, len(b), err)
			}
		}
	}
	check(-1)
	b := d.State().NewBatch()
	ok(t, b.DropPayloads(id(3)))
	ok(t, b.Close())
	check(-1)
	commit(t, d, func(b disk.Batch) { ok(t, b.DropPayloads(id(3), id(99))) })
	check(3)
	ok(t, d.State().Flush(ctx()))
	check(3)
	appendSync(t, d, disk.Append{Payloads: []disk.Payload{{ID: id(3), Data: pattern(3, sizes[3])}}})
	check(-1)
}

func (s suite) logConcurrent(t *testing.T) {
	d := s.Open(t)
	var wg sync.WaitGroup
	for r := uint64(1); r <= 8; r++ {
		wg.Go(func() {
			for i := uint64(1); i <= 20; i++ {
				p := disk.PayloadID{Range: r, Term: 1, Index: i}
				err := d.Log().Append(ctx(), disk.Append{
					Payloads:   []disk.Payload{{ID: p, Data: pattern(r, int(i)*50)}},
					Entries:    []disk.Entry{entry(r, 1, i, "x")},
					HardStates: []disk.HardState{{Range: r, Commit: i}},
				})
				if err == nil {
					err = d.Log().Sync(ctx())
				}
				b, lost := d.Log().Payload(ctx(), p)
				h, _ := d.Log().HardState(r)
				_, last, _ := d.Log().Bounds(r)
				if err != nil || lost != nil || len(b) != int(i)*50 || h.Commit != i || last != i {
					t.Errorf("range %d index %d: %v, %v, commit %d, last %d", r, i, err, lost, h.Commit, last)
				}
			}
		})
	}
	wg.Wait()
}
