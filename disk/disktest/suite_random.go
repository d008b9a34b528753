package disktest

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/contender/contender/disk"
)

// pair runs one random history on a disk and on its model.
type pair struct {
	t       *testing.T
	rng     *rand.Rand
	d       disk.Disk
	m       *Memory
	commits int // batches committed; the row "n" says so as well
	flushed int // of these, how many a crash must keep
	floor   [4]uint64
	ids     map[disk.PayloadID]bool // all payloads that ever were
	trace   []string                // what was done to the log, for the report of a failure
}

func (s suite) newPair(t *testing.T, seed uint64) *pair {
	return &pair{
		t: t, rng: rand.New(rand.NewPCG(seed, 42)), d: s.Open(t), m: NewMemory(1),
		ids: map[disk.PayloadID]bool{},
	}
}

func (s suite) random(t *testing.T) {
	for seed := range uint64(4) {
		p := s.newPair(t, seed)
		for step := range 300 {
			p.step()
			if step%20 == 19 {
				p.compare("live")
			}
			if s.Reopen != nil && step%100 == 99 {
				p.sync()
				p.d = s.Reopen(t, p.d)
				p.compare("reopened")
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// crashRandom crashes in the middle of random histories. The row "n" tells which prefix the disk kept; all else must be
// what the model says of that prefix.
func (s suite) crashRandom(t *testing.T) {
	s.crashes(t, func(t *testing.T, seed uint64) {
		p := s.newPair(t, seed)
		for round := range 4 {
			for range 20 + p.rng.IntN(60) {
				p.step()
			}
			p.sync()
			// What was not synced may be there or not, so it must not be compared: a range of its own.
			ok(t, p.d.Log().Append(ctx(), disk.Append{Entries: []disk.Entry{entry(99, uint64(round), 1, "lost")}}))
			p.d = s.Crash(t, p.d, seed*7+uint64(round))
			p.crashed()
			p.compare(fmt.Sprintf("crash %d", round))
			if t.Failed() {
				return
			}
		}
	})
}

// crashed gives the model the crash that the disk had.
func (p *pair) crashed() {
	p.t.Helper()
	v, _, err := p.d.State().Get([]byte("n"))
	ok(p.t, err)
	n := 0
	if len(v) > 0 {
		_, err = fmt.Sscan(string(v), &n)
		ok(p.t, err)
	}
	if n < p.flushed || n > p.commits {
		p.t.Fatalf("%d commits left of %d, %d were flushed", n, p.commits, p.flushed)
	}
	p.note("crash: %d of %d commits left", n, p.commits)
	p.m = p.m.crash(n - p.flushed)
	p.commits = n
}

// both does the same to disk and model.
func (p *pair) both(what string, fn func(d disk.Disk) error) {
	p.t.Helper()
	got, want := fn(p.d), fn(p.m)
	if (got == nil) != (want == nil) || got != nil && disk.KindOf(got) != disk.KindOf(want) {
		p.t.Fatalf("%s: %v, the model says %v", what, got, want)
	}
}

func (p *pair) note(format string, args ...any) {
	p.trace = append(p.trace, fmt.Sprintf(format, args...))
}

func (p *pair) sync() {
	p.both("sync", func(d disk.Disk) error { return d.Log().Sync(ctx()) })
}

// step does one random thing.
func (p *pair) step() {
	switch p.rng.IntN(12) {
	case 0, 1, 2:
		p.append()
	case 3, 4, 5, 6:
		p.batch()
	case 7, 8:
		id, data := shardID(disk.GroupID(p.rng.IntN(2)), p.rng.IntN(30)), pattern(uint64(p.rng.IntN(2)), p.rng.IntN(100_000))
		p.both("write", func(d disk.Disk) error { return write(d, id, 1, data, data[:min(len(data), 5)]) })
	case 9:
		ids := []disk.ShardID{shardID(0, p.rng.IntN(30)), shardID(1, p.rng.IntN(30))}
		p.both("delete", func(d disk.Disk) error { return d.Delete(ctx(), ids...) })
	case 10:
		p.note("flush")
		p.both("flush", func(d disk.Disk) error { return d.State().Flush(ctx()) })
		p.flushed = p.commits
	case 11:
		p.ingest()
	}
}

// append appends to a range as Raft would: somewhere above what was truncated, without a gap.
func (p *pair) append() {
	r := uint64(1 + p.rng.IntN(3))
	next := p.floor[r] + 1
	if _, last, found := p.m.Log().Bounds(r); found {
		next = max(next, last+1)
	}
	first := next - min(uint64(p.rng.IntN(4)), next-p.floor[r]-1)
	h, _ := p.m.Log().HardState(r)
	h.Range, h.Commit = r, h.Commit+1
	if first < next {
		h.Term++
	}
	a := disk.Append{HardStates: []disk.HardState{h}}
	for i := range uint64(1 + p.rng.IntN(3)) {
		e := entry(r, h.Term, first+i, string(pattern(uint64(p.commits), p.rng.IntN(50))))
		a.Entries = append(a.Entries, e)
		for n := range p.rng.IntN(3) {
			id := disk.PayloadID{Range: r, Term: h.Term, Index: e.Index, N: uint32(n)}
			a.Payloads = append(a.Payloads, disk.Payload{ID: id, Data: pattern(uint64(p.commits), p.rng.IntN(5000))})
			p.ids[id] = true
		}
	}
	p.note("append to %d: entries %d to %d of term %d", r, first, a.Entries[len(a.Entries)-1].Index, h.Term)
	p.both("append", func(d disk.Disk) error { return d.Log().Append(ctx(), a) })
	p.sync()
}

func (p *pair) key() []byte { return fmt.Appendf(nil, "%c%02d", 'a'+p.rng.IntN(4), p.rng.IntN(20)) }

// batch commits a few random changes.
func (p *pair) batch() {
	p.commits++
	p.note("batch %d", p.commits)
	var changes []func(b disk.Batch) error
	add := func(fn func(b disk.Batch) error) { changes = append(changes, fn) }
	add(func(b disk.Batch) error { return b.Set([]byte("n"), fmt.Append(nil, p.commits)) })
	for range p.rng.IntN(6) {
		k, to, v := p.key(), p.key(), pattern(uint64(p.commits), p.rng.IntN(300))
		switch p.rng.IntN(8) {
		case 0, 1, 2, 3:
			add(func(b disk.Batch) error { return b.Set(k, v) })
		case 4:
			add(func(b disk.Batch) error { return b.Delete(k) })
		case 5:
			if string(k) > string(to) {
				k, to = to, k
			}
			add(func(b disk.Batch) error { return b.DeleteRange(k, to) })
		case 6:
			id := p.payload()
			p.note("drop %v", id)
			add(func(b disk.Batch) error { return b.DropPayloads(id) })
		case 7:
			r := uint64(1 + p.rng.IntN(3))
			if first, last, found := p.m.Log().Bounds(r); found {
				index := first + p.rng.Uint64N(last-first+1)
				p.floor[r] = max(p.floor[r], index)
				p.note("truncate %d to %d", r, index)
				add(func(b disk.Batch) error { return b.TruncateLog(r, index) })
			}
		}
	}
	p.both("batch", func(d disk.Disk) error {
		b := d.State().NewBatch()
		for _, change := range changes {
			if err := change(b); err != nil {
				return err
			}
		}
		if err := b.Commit(); err != nil {
			return err
		}
		return b.Close()
	})
}

// payload returns the id of some payload. It does not draw from a map, so that a seed always does the same.
func (p *pair) payload() disk.PayloadID {
	r := uint64(1 + p.rng.IntN(3))
	h, _ := p.m.Log().HardState(r)
	return disk.PayloadID{Range: r, Term: p.rng.Uint64N(h.Term + 1), Index: p.rng.Uint64N(p.floor[r] + 6), N: uint32(p.rng.IntN(2))}
}

func (p *pair) ingest() {
	c := 'a' + p.rng.IntN(4)
	var list []disk.Row
	for i := range p.rng.IntN(5) {
		list = append(list, row(fmt.Sprintf("%c%02d", c, i*3), fmt.Sprint("ingested ", p.commits)))
	}
	in := disk.Ingest{
		Clear: []disk.Span{span(fmt.Sprintf("%c", c), fmt.Sprintf("%c", c+1))},
		Drop:  []disk.PayloadID{p.payload()},
	}
	if r := uint64(1 + p.rng.IntN(3)); p.rng.IntN(3) == 0 {
		in.ResetLog = []uint64{r}
		p.note("reset %d", r)
		if _, last, found := p.m.Log().Bounds(r); found {
			p.floor[r] = max(p.floor[r], last+p.rng.Uint64N(5))
		}
	}
	p.note("ingest, drop %v", in.Drop)
	p.both("ingest", func(d disk.Disk) error {
		each := in
		each.Tables = []func() (disk.Row, bool, error){table(list...)}
		return d.State().Ingest(ctx(), each)
	})
	p.flushed = p.commits
}

// compare ends the test at the first difference, and tells only of it.
func (p *pair) compare(when string) {
	p.t.Helper()
	got, want := p.describe(p.d), p.describe(p.m)
	for i := range want {
		if got[i] == want[i] {
			continue
		}
		g, w := strings.Fields(got[i]), strings.Fields(want[i])
		only := func(a, b []string) (list []string) {
			for _, x := range a {
				if !slices.Contains(b, x) {
					list = append(list, x)
				}
			}
			return list
		}
		for _, line := range p.trace[max(0, len(p.trace)-60):] {
			p.t.Log(line)
		}
		p.t.Fatalf("%s, after %d commits, %s: too much: %v; missing: %v", when, p.commits, w[0], only(g, w), only(w, g))
	}
}

// describe lists everything that a disk holds.
func (p *pair) describe(d disk.Disk) (out []string) {
	p.t.Helper()
	sum := func(b []byte) string { return fmt.Sprintf("%d/%08x", len(b), crc32.ChecksumIEEE(b)) }
	var state strings.Builder
	snap := d.State().Snapshot()
	it, err := snap.Iter(nil, nil)
	ok(p.t, err)
	for more := it.First(); more; more = it.Next() {
		fmt.Fprintf(&state, "%s=%s ", it.Key(), sum(it.Value()))
	}
	ok(p.t, it.Err())
	ok(p.t, it.Close())
	ok(p.t, snap.Close())
	out = append(out, "rows: "+state.String())
	for r := uint64(1); r <= 3; r++ {
		h, found := d.Log().HardState(r)
		text := fmt.Sprintf("range %d: %+v %v: ", r, h, found)
		if first, last, found := d.Log().Bounds(r); found {
			entries, err := d.Log().Entries(ctx(), r, first, last+1, 1<<30)
			ok(p.t, err)
			for _, e := range entries {
				text += fmt.Sprintf("%d/%d=%s ", e.Term, e.Index, sum(e.Data))
			}
		}
		out = append(out, text)
	}
	return append(append(out, p.describePayloads(d, sum)), p.describeShards(d, sum)...)
}

func (p *pair) describePayloads(d disk.Disk, sum func([]byte) string) string {
	var list tree[string]
	for id := range p.ids {
		if b, err := d.Log().Payload(ctx(), id); err == nil {
			list = list.set(id.String(), sum(b))
		} else {
			kind(p.t, "payload "+id.String(), err, disk.KindNotFound)
		}
	}
	text := "payloads: "
	for n := list.seekGE(""); n != nil; n = list.seekGE(n.key + "\x00") {
		text += n.key + "=" + n.value + " "
	}
	return text
}

func (p *pair) describeShards(d disk.Disk, sum func([]byte) string) (out []string) {
	for g := range disk.GroupID(2) {
		text := fmt.Sprintf("group %d: ", g)
		ok(p.t, d.List(ctx(), g, disk.ShardID{}, func(i disk.ShardInfo) error {
			b, err := read(d, i.ID, 0, i.Length)
			text += fmt.Sprintf("%v=%s/%x/%d ", i.ID, sum(b), i.Owner, i.Epoch)
			return err
		}))
		out = append(out, text)
	}
	return out
}
