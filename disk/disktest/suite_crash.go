package disktest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/contender/contender/disk"
)

func (s suite) reopen(t *testing.T) {
	if s.Reopen == nil {
		t.Skip("no restarts here")
	}
	d := s.Open(t)
	id := d.ID()
	for round := range 4 {
		data := func(i int) []byte { return pattern(uint64(i), 20_000*i) }
		ok(t, write(d, shardID(1, round), 3, data(round), []byte("owner")))
		appendSync(t, d, disk.Append{
			Payloads:   []disk.Payload{{ID: disk.PayloadID{Range: 1, Term: 1, Index: uint64(round)}, Data: data(round)}},
			Entries:    []disk.Entry{entry(1, 1, uint64(round+1), "x")},
			HardStates: []disk.HardState{{Range: 1, Commit: uint64(round)}},
		})
		commit(t, d, func(b disk.Batch) { ok(t, b.Set(fmt.Append(nil, "k", round), []byte("v"))) })
		d = s.Reopen(t, d)
		if d.ID() != id {
			t.Errorf("id %v, was %v", d.ID(), id)
		}
		for i := range round + 1 {
			holds(t, d, shardID(1, i), 3, data(i), []byte("owner"))
			b, err := d.Log().Payload(ctx(), disk.PayloadID{Range: 1, Term: 1, Index: uint64(i)})
			if err != nil || string(b) != string(data(i)) {
				t.Errorf("payload %d: %d bytes, %v", i, len(b), err)
			}
			if _, found, err := d.State().Get(fmt.Append(nil, "k", i)); err != nil || !found {
				t.Errorf("row %d: %v %v", i, found, err)
			}
		}
		if _, last, _ := d.Log().Bounds(1); last != uint64(round+1) {
			t.Errorf("last index %d", last)
		}
		if h, _ := d.Log().HardState(1); h.Commit != uint64(round) {
			t.Errorf("hard state %+v", h)
		}
		_, err := d.Create(ctx(), shardID(1, 50), 2)
		kind(t, "older epoch after a restart", err, disk.KindStaleEpoch)
	}
}

func (s suite) crashShards(t *testing.T) {
	s.crashes(t, func(t *testing.T, seed uint64) {
		d := s.Open(t)
		data := func(i int) []byte { return pattern(uint64(i), 9_000*i) }
		for i := range 8 {
			ok(t, write(d, shardID(1, i), 4, data(i), []byte("owner")))
		}
		ok(t, d.Delete(ctx(), shardID(1, 2)))
		ok(t, d.State().Flush(ctx()))
		ok(t, write(d, shardID(1, 8), 4, data(8), []byte("owner")))
		ok(t, d.Delete(ctx(), shardID(1, 5), shardID(1, 8)))
		ok(t, write(d, shardID(1, 5), 4, data(12), []byte("new")))
		open, err := d.Create(ctx(), shardID(1, 9), 4)
		ok(t, err)
		defer open.Abort()
		ok(t, open.Append(ctx(), pattern(9, 2*disk.BlockBytes)))
		for round := range 3 {
			d = s.Crash(t, d, seed+uint64(round)*1000)
			for i := range 10 {
				switch i {
				case 2, 8, 9:
					absent(t, d, shardID(1, i))
				case 5:
					holds(t, d, shardID(1, i), 4, data(12), []byte("new"))
				default:
					holds(t, d, shardID(1, i), 4, data(i), []byte("owner"))
				}
			}
			_, err := d.Create(ctx(), shardID(1, 50), 3)
			kind(t, "older epoch after a crash", err, disk.KindStaleEpoch)
		}
	})
}

func (s suite) crashLog(t *testing.T) {
	s.crashes(t, func(t *testing.T, seed uint64) {
		d := s.Open(t)
		p := func(term, index uint64) disk.PayloadID { return disk.PayloadID{Range: 1, Term: term, Index: index} }
		var a disk.Append
		for i := uint64(1); i <= 9; i++ {
			a.Entries = append(a.Entries, entry(1, 1, i, "x"))
			a.Payloads = append(a.Payloads, disk.Payload{ID: p(1, i), Data: pattern(i, 3000)})
		}
		appendSync(t, d, a)
		if seed%2 == 0 {
			ok(t, d.State().Flush(ctx()))
		}
		appendSync(t, d, disk.Append{
			Entries:    []disk.Entry{entry(1, 2, 6, "y")},
			Payloads:   []disk.Payload{{ID: p(2, 6), Data: pattern(2, 3000)}},
			HardStates: []disk.HardState{{Range: 1, Term: 2, Vote: 3}},
		})
		ok(t, d.Log().Append(ctx(), disk.Append{ // never synced
			Entries:    []disk.Entry{entry(2, 3, 1, "z")},
			HardStates: []disk.HardState{{Range: 2, Term: 3}},
		}))
		for round := range 3 {
			d = s.Crash(t, d, seed+uint64(round)*1000)
			same(t, "entries", terms(t, d, 1), "1: 1 1 1 1 1 2")
			if h, found := d.Log().HardState(1); !found || h.Term != 2 || h.Vote != 3 {
				t.Errorf("hard state %+v %v", h, found)
			}
			for i := uint64(1); i <= 9; i++ {
				b, err := d.Log().Payload(ctx(), p(1, i))
				if i > 5 {
					kind(t, "payload of a replaced entry", err, disk.KindNotFound)
				} else if err != nil || string(b) != string(pattern(i, 3000)) {
					t.Errorf("payload %d: %d bytes, %v", i, len(b), err)
				}
			}
			if b, err := d.Log().Payload(ctx(), p(2, 6)); err != nil || len(b) != 3000 {
				t.Errorf("new payload: %d bytes, %v", len(b), err)
			}
		}
	})
}

func (s suite) crashPrefix(t *testing.T) {
	s.crashes(t, func(t *testing.T, seed uint64) {
		d := s.Open(t)
		const commits = 30
		flushed := int(seed) % commits
		for i := range commits {
			commit(t, d, func(b disk.Batch) {
				ok(t, b.Set(fmt.Appendf(nil, "k%02d", i), pattern(uint64(i), 2000)))
				ok(t, b.Set([]byte("n"), fmt.Append(nil, i+1)))
			})
			if i+1 == flushed {
				ok(t, d.State().Flush(ctx()))
			}
		}
		d = s.Crash(t, d, seed)
		v, _, err := d.State().Get([]byte("n"))
		ok(t, err)
		n := 0
		if len(v) > 0 {
			_, err = fmt.Sscan(string(v), &n)
			ok(t, err)
		}
		if n < flushed {
			t.Fatalf("%d commits left, %d were flushed", n, flushed)
		}
		for i := range commits {
			v, found, err := d.State().Get(fmt.Appendf(nil, "k%02d", i))
			if err != nil || found != (i < n) || found && string(v) != string(pattern(uint64(i), 2000)) {
				t.Errorf("row %d of %d: %v %v", i, n, found, err)
			}
		}
	})
}

func (s suite) crashIngest(t *testing.T) {
	s.crashes(t, func(t *testing.T, seed uint64) {
		d := s.Open(t)
		commit(t, d, func(b disk.Batch) {
			ok(t, b.Set([]byte("a"), []byte("before")))
			ok(t, b.Set([]byte("b"), []byte("before")))
		})
		p := disk.PayloadID{Range: 1, Term: 1, Index: 1}
		appendSync(t, d, disk.Append{
			Payloads: []disk.Payload{{ID: p, Data: []byte("x")}},
			Entries:  []disk.Entry{entry(1, 1, 1, ""), entry(1, 1, 2, "")},
		})
		ok(t, d.State().Ingest(ctx(), disk.Ingest{
			Clear:    []disk.Span{span("b", "c"), span("m", "n")},
			Tables:   []func() (disk.Row, bool, error){table(row("b1", "new")), table(row("m1", "new"))},
			Drop:     []disk.PayloadID{p},
			ResetLog: []uint64{1},
		}))
		appendSync(t, d, disk.Append{Entries: []disk.Entry{entry(1, 4, 30, "")}})
		d = s.Crash(t, d, seed)
		same(t, "rows", all(t, d), "a=before b1=new m1=new ")
		same(t, "log", terms(t, d, 1), "30: 4")
		_, err := d.Log().Payload(ctx(), p)
		kind(t, "dropped payload", err, disk.KindNotFound)
	})
}

// crashChurn writes and forgets much more than stays, so that room is used again, and crashes: what stays must be there,
// whole, whether or not the state that forgot the rest was kept.
func (s suite) crashChurn(t *testing.T) {
	s.crashes(t, func(t *testing.T, seed uint64) {
		const each = 40_000
		d, rng := s.Open(t), rand.New(rand.NewPCG(seed, 5))
		lives := map[int]bool{}
		payload := func(i int) disk.PayloadID { return disk.PayloadID{Range: 1, Term: 1, Index: uint64(i)} }
		dropped := 0 // payloads up to here may be gone
		for i := 1; i <= 60; i++ {
			ok(t, write(d, shardID(1, i), 1, pattern(uint64(i), each), nil))
			appendSync(t, d, disk.Append{
				Payloads: []disk.Payload{{ID: payload(i), Data: pattern(uint64(i), each)}},
				Entries:  []disk.Entry{entry(1, 1, uint64(i), "x")},
			})
			if lives[i] = i%10 == 0; !lives[i] {
				ok(t, d.Delete(ctx(), shardID(1, i)))
			}
			if i%5 == 0 {
				commit(t, d, func(b disk.Batch) {
					for ; dropped < i-2; dropped++ {
						ok(t, b.DropPayloads(payload(dropped+1)))
					}
					ok(t, b.TruncateLog(1, uint64(dropped)))
				})
			}
			if rng.IntN(8) == 0 {
				ok(t, d.State().Flush(ctx()))
			}
		}
		for round := range 2 {
			d = s.Crash(t, d, seed+uint64(round)*1000)
			for i := 1; i <= 60; i++ {
				if lives[i] {
					holds(t, d, shardID(1, i), 1, pattern(uint64(i), each), nil)
				} else {
					absent(t, d, shardID(1, i))
				}
				b, err := d.Log().Payload(ctx(), payload(i))
				if err == nil && string(b) != string(pattern(uint64(i), each)) || err != nil && i > dropped {
					t.Errorf("payload %d: %d bytes, %v", i, len(b), err)
				}
				if err != nil {
					kind(t, "dropped payload", err, disk.KindNotFound)
				}
			}
			first, last, found := d.Log().Bounds(1)
			if !found || first > uint64(dropped+1) || last != 60 {
				t.Errorf("log from %d to %d, truncated to %d", first, last, dropped)
			}
			terms(t, d, 1)
		}
	})
}
