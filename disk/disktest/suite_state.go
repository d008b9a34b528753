package disktest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/contender/contender/disk"
)

func (s suite) stateRows(t *testing.T) {
	d := s.Open(t)
	get := func(key, want string, there bool) {
		t.Helper()
		v, found, err := d.State().Get([]byte(key))
		if err != nil || found != there || string(v) != want {
			t.Errorf("get %q: %q %v %v, want %q %v", key, v, found, err, want, there)
		}
	}
	get("a", "", false)
	commit(t, d, func(b disk.Batch) {
		for _, k := range []string{"a", "b", "c", "d", "e", "\x00", "\xff\xff"} {
			ok(t, b.Set([]byte(k), []byte("1"+k)))
		}
		ok(t, b.Set([]byte("empty"), nil))
	})
	get("\x00", "1\x00", true)
	get("\xff\xff", "1\xff\xff", true)
	get("empty", "", true)
	get("a\x00", "", false)
	commit(t, d, func(b disk.Batch) {
		ok(t, b.Delete([]byte("a")))
		ok(t, b.Delete([]byte("nothing")))
		ok(t, b.Set([]byte("c"), []byte("2")))
		ok(t, b.DeleteRange([]byte("b"), []byte("d")))
		ok(t, b.Set([]byte("bb"), []byte("3")))
	})
	same(t, "rows", all(t, d), "\x00=1\x00 bb=3 d=1d e=1e empty= \xff\xff=1\xff\xff ")
	ok(t, d.State().Flush(ctx()))
	same(t, "rows after a flush", all(t, d), "\x00=1\x00 bb=3 d=1d e=1e empty= \xff\xff=1\xff\xff ")
}

func (s suite) stateIter(t *testing.T) {
	d := s.Open(t)
	commit(t, d, func(b disk.Batch) {
		for i := range 10 {
			ok(t, b.Set(fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i)))
		}
	})
	commit(t, d, func(b disk.Batch) { ok(t, b.Delete([]byte("k4"))) })
	snap := d.State().Snapshot()
	defer func() { ok(t, snap.Close()) }()
	same(t, "bounds", rows(t, snap, []byte("k2"), []byte("k6")), "k2=v2 k3=v3 k5=v5 ")
	same(t, "no lower", rows(t, snap, nil, []byte("k1")), "k0=v0 ")
	same(t, "no upper", rows(t, snap, []byte("k8"), nil), "k8=v8 k9=v9 ")
	same(t, "nothing", rows(t, snap, []byte("k40"), []byte("k5")), "")
	it, err := snap.Iter([]byte("k2"), []byte("k8"))
	ok(t, err)
	defer func() { ok(t, it.Close()) }()
	at := func(move string, found bool, want string) {
		t.Helper()
		got := ""
		if found {
			got = string(it.Key()) + "=" + string(it.Value())
		}
		same(t, move, got, want)
		ok(t, it.Err())
	}
	at("next at the start", it.Next(), "k2=v2")
	at("next", it.Next(), "k3=v3")
	at("over a deleted row", it.Next(), "k5=v5")
	at("seek", it.SeekGE([]byte("k4")), "k5=v5")
	at("seek to a row", it.SeekGE([]byte("k6")), "k6=v6")
	at("seek below the bounds", it.SeekGE([]byte("a")), "k2=v2")
	at("seek above the bounds", it.SeekGE([]byte("k8")), "")
	at("seek backwards", it.SeekLT([]byte("k5")), "k3=v3")
	at("next after it", it.Next(), "k5=v5")
	at("seek backwards above the bounds", it.SeekLT([]byte("z")), "k7=v7")
	at("next at the end", it.Next(), "")
	at("seek backwards to the start", it.SeekLT([]byte("k2")), "")
	at("first", it.First(), "k2=v2")
}

func (s suite) stateBatch(t *testing.T) {
	d := s.Open(t)
	commit(t, d, func(b disk.Batch) {
		ok(t, b.Set([]byte("a"), []byte("1")))
		ok(t, b.Set([]byte("b"), []byte("1")))
	})
	b := d.State().NewBatch()
	same(t, "empty batch", rows(t, b, nil, nil), "a=1 b=1 ")
	k, v := []byte("c"), []byte("2")
	ok(t, b.Set(k, v))
	k[0], v[0] = 'x', 'x' // the batch must not have kept them
	ok(t, b.Delete([]byte("a")))
	same(t, "own changes", rows(t, b, nil, nil), "b=1 c=2 ")
	if v, found, err := b.Get([]byte("c")); err != nil || !found || string(v) != "2" {
		t.Errorf("own row: %q %v %v", v, found, err)
	}
	if _, found, err := b.Get([]byte("a")); err != nil || found {
		t.Errorf("own deletion: %v %v", found, err)
	}
	ok(t, b.DeleteRange([]byte("b"), []byte("d")))
	ok(t, b.Set([]byte("bb"), []byte("3")))
	same(t, "own deleted range", rows(t, b, nil, nil), "bb=3 ")
	same(t, "others before the commit", all(t, d), "a=1 b=1 ")
	ok(t, b.Commit())
	same(t, "after the commit", all(t, d), "bb=3 ")
	ok(t, b.Close())
	same(t, "after the close", all(t, d), "bb=3 ")
	b = d.State().NewBatch()
	ok(t, b.Set([]byte("given up"), nil))
	ok(t, b.Close())
	same(t, "given up", all(t, d), "bb=3 ")
	if err := b.Commit(); err == nil {
		t.Error("a commit after the close succeeded")
	}
}

func (s suite) stateSnapshot(t *testing.T) {
	d := s.Open(t)
	commit(t, d, func(b disk.Batch) { ok(t, b.Set([]byte("a"), []byte("1"))) })
	snap := d.State().Snapshot()
	it, err := snap.Iter(nil, nil)
	ok(t, err)
	commit(t, d, func(b disk.Batch) {
		ok(t, b.DeleteRange([]byte("a"), []byte("b")))
		ok(t, b.Set([]byte("b"), []byte("2")))
	})
	ok(t, d.State().Flush(ctx()))
	ok(t, d.State().Ingest(ctx(), disk.Ingest{
		Clear:  []disk.Span{span("a", "z")},
		Tables: []func() (disk.Row, bool, error){table(row("c", "3"))},
	}))
	same(t, "snapshot", rows(t, snap, nil, nil), "a=1 ")
	if !it.First() || string(it.Key()) != "a" || it.Next() {
		t.Error("an iterator saw what came later")
	}
	ok(t, it.Close())
	ok(t, snap.Close())
	same(t, "now", all(t, d), "c=3 ")
}

func (s suite) stateTruncate(t *testing.T) {
	d := s.Open(t)
	p := disk.PayloadID{Range: 1, Term: 1, Index: 2}
	a := disk.Append{Payloads: []disk.Payload{{ID: p, Data: []byte("stays")}}}
	for i := uint64(1); i <= 9; i++ {
		a.Entries = append(a.Entries, entry(1, 1, i, ""), entry(2, 1, i, ""))
	}
	appendSync(t, d, a)
	b := d.State().NewBatch()
	ok(t, b.Set([]byte("k"), []byte("v")))
	ok(t, b.TruncateLog(1, 4))
	same(t, "before the commit", terms(t, d, 1), "1: 1 1 1 1 1 1 1 1 1")
	ok(t, b.Commit())
	ok(t, b.Close())
	same(t, "after it", terms(t, d, 1), "5: 1 1 1 1 1")
	same(t, "the other range", terms(t, d, 2), "1: 1 1 1 1 1 1 1 1 1")
	_, err := d.Log().Term(1, 4)
	kind(t, "term of a truncated entry", err, disk.KindNotFound)
	if b, err := d.Log().Payload(ctx(), p); err != nil || string(b) != "stays" {
		t.Errorf("payload of a truncated entry: %q %v", b, err)
	}
	commit(t, d, func(b disk.Batch) { ok(t, b.TruncateLog(1, 2)) })
	same(t, "truncated lower", terms(t, d, 1), "5: 1 1 1 1 1")
	commit(t, d, func(b disk.Batch) { ok(t, b.TruncateLog(1, 9)) })
	same(t, "truncated whole", terms(t, d, 1), "")
	appendSync(t, d, disk.Append{Entries: []disk.Entry{entry(1, 2, 10, "")}})
	same(t, "appended after it", terms(t, d, 1), "10: 2")
}

func (s suite) stateIngest(t *testing.T) {
	d := s.Open(t)
	commit(t, d, func(b disk.Batch) {
		for _, k := range []string{"a", "b1", "b2", "c", "d1", "d9", "e"} {
			ok(t, b.Set([]byte(k), []byte("old")))
		}
	})
	id := func(n uint32) disk.PayloadID { return disk.PayloadID{Range: 1, Term: 1, Index: 1, N: n} }
	appendSync(t, d, disk.Append{
		Payloads:   []disk.Payload{{ID: id(0), Data: []byte("0")}, {ID: id(1), Data: []byte("1")}},
		Entries:    []disk.Entry{entry(1, 1, 1, ""), entry(1, 1, 2, ""), entry(2, 1, 1, "")},
		HardStates: []disk.HardState{{Range: 1, Term: 6}},
	})
	ok(t, d.State().Ingest(ctx(), disk.Ingest{
		Clear: []disk.Span{span("b", "c"), span("d", "e"), span("x", "y")},
		Tables: []func() (disk.Row, bool, error){
			table(row("b2", "new"), row("b3", "new")), table(), table(row("d0", "new"), row("d9", "new")),
		},
		Drop:     []disk.PayloadID{id(0), id(9)},
		ResetLog: []uint64{1, 3},
	}))
	same(t, "rows", all(t, d), "a=old b2=new b3=new c=old d0=new d9=new e=old ")
	same(t, "reset log", terms(t, d, 1), "")
	same(t, "another log", terms(t, d, 2), "1: 1")
	if h, found := d.Log().HardState(1); !found || h.Term != 6 {
		t.Errorf("hard state %+v %v", h, found)
	}
	_, err := d.Log().Payload(ctx(), id(0))
	kind(t, "dropped payload", err, disk.KindNotFound)
	if b, err := d.Log().Payload(ctx(), id(1)); err != nil || string(b) != "1" {
		t.Errorf("payload %q %v", b, err)
	}
	appendSync(t, d, disk.Append{Entries: []disk.Entry{entry(1, 7, 50, "")}})
	same(t, "log after the reset", terms(t, d, 1), "50: 7")
	ok(t, d.State().Ingest(ctx(), disk.Ingest{Clear: []disk.Span{span("a", "d")}}))
	same(t, "cleared", all(t, d), "d0=new d9=new e=old ")
	commit(t, d, func(b disk.Batch) { ok(t, b.Set([]byte("b2"), []byte("later"))) })
	same(t, "written after it", all(t, d), "b2=later d0=new d9=new e=old ")
	// A range that was split since a replica fell behind: what it had, and what it has.
	ok(t, d.State().Ingest(ctx(), disk.Ingest{
		Clear:  []disk.Span{span("d", "d5"), span("b", "c"), span("a", "e"), span("d", "d1")},
		Tables: []func() (disk.Row, bool, error){table(row("b1", "less")), table(row("d0", "less"), row("d3", "less"))},
	}))
	same(t, "spans that overlap", all(t, d), "b1=less d0=less d3=less e=old ")
}

func (s suite) stateIngestRefused(t *testing.T) {
	d := s.Open(t)
	commit(t, d, func(b disk.Batch) { ok(t, b.Set([]byte("b"), []byte("old"))) })
	broken := errors.New("broken")
	for name, tables := range map[string][]func() (disk.Row, bool, error){
		"below the span": {table(row("a", ""))},
		"at its end":     {table(row("b", ""), row("c", ""))},
		"descending":     {table(row("b2", ""), row("b1", ""))},
		"twice":          {table(row("b2", ""), row("b2", ""))},
		"no more rows": {func() (disk.Row, bool, error) {
			return disk.Row{}, false, broken
		}},
	} {
		err := d.State().Ingest(ctx(), disk.Ingest{Clear: []disk.Span{span("b", "c")}, Tables: tables})
		if err == nil || name == "no more rows" && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		same(t, name, all(t, d), "b=old ")
	}
}

func (s suite) stateConcurrent(t *testing.T) {
	d := s.Open(t)
	const writers, commits = 4, 50
	var wg, done sync.WaitGroup
	stop := make(chan struct{})
	done.Go(func() { // each commit is seen whole or not at all
		for {
			snap := d.State().Snapshot()
			for w := range writers {
				a, _, err := snap.Get(fmt.Appendf(nil, "%d/a", w))
				x := string(a)
				b, _, err2 := snap.Get(fmt.Appendf(nil, "%d/b", w))
				if err != nil || err2 != nil || x != string(b) {
					t.Errorf("writer %d: %q and %q, %v %v", w, x, b, err, err2)
				}
			}
			if err := snap.Close(); err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for w := range writers {
		wg.Go(func() {
			for i := range commits {
				b := d.State().NewBatch()
				err := errors.Join(
					b.Set(fmt.Appendf(nil, "%d/a", w), fmt.Append(nil, i)),
					b.Set(fmt.Appendf(nil, "%d/b", w), fmt.Append(nil, i)), b.Commit(), b.Close())
				if err != nil {
					t.Error(err)
				}
				if i%20 == 0 {
					if err := d.State().Flush(ctx()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	done.Wait()
	for w := range writers {
		if v, found, err := d.State().Get(fmt.Appendf(nil, "%d/b", w)); err != nil || !found || string(v) != fmt.Sprint(commits-1) {
			t.Errorf("writer %d: %q %v %v", w, v, found, err)
		}
	}
}
