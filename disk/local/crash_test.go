package local

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
)

// hookFS calls a function before each change of a file.
type hookFS struct {
	vfs.FS
	hook func()
}

type hookFile struct {
	vfs.File
	hook func()
}

func (h *hookFS) Create(n string, c vfs.DiskWriteCategory) (vfs.File, error) {
	h.hook()
	f, err := h.FS.Create(n, c)
	return &hookFile{f, h.hook}, err
}

func (h *hookFS) OpenReadWrite(n string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := h.FS.OpenReadWrite(n, c, o...)
	return &hookFile{f, h.hook}, err
}

func (f *hookFile) Write(p []byte) (int, error) { f.hook(); return f.File.Write(p) }
func (f *hookFile) WriteAt(p []byte, o int64) (int, error) {
	f.hook()
	return f.File.WriteAt(p, o)
}
func (f *hookFile) Sync() error     { f.hook(); return f.File.Sync() }
func (f *hookFile) SyncData() error { f.hook(); return f.File.SyncData() }

// driver does random things to a disk and keeps the model.
type driver struct {
	m    *model
	d    *Disk
	r    *rand.Rand
	term uint64
	next int               // number of the next shard
	top  map[uint64]uint64 // highest index that was ever truncated, per range
}

func (v *driver) data(most int) []byte { return fill(v.r.Uint64(), v.r.IntN(most)+1) }

func (v *driver) step() error {
	switch p := v.r.IntN(100); {
	case p < 45:
		return v.append()
	case p < 60:
		return v.put()
	case p < 68:
		return v.delete()
	case p < 88:
		return v.batch()
	case p < 94:
		n := v.m.batches
		if err := v.d.State().Flush(context.Background()); err != nil {
			return err
		}
		v.m.mu.Lock()
		v.m.flushed = n
		v.m.mu.Unlock()
	default:
		for range 3 {
			if _, err := v.d.Compact(context.Background()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *driver) append() error {
	ctx := context.Background()
	r := uint64(v.r.IntN(3) + 1)
	w := v.m.now()
	last := max(10, v.top[r])
	for i := range w.entries[r] {
		last = max(last, i)
	}
	at := last + 1
	if v.r.IntN(5) == 0 { // a new leader replaces the tail
		v.term++
		for _, i := range slices.Sorted(maps.Keys(w.entries[r])) {
			if v.r.IntN(3) == 0 {
				at = min(at, i)
			}
		}
	}
	var a disk.Append
	var es []event
	for i := range uint64(v.r.IntN(3) + 1) {
		for n := range uint32(v.r.IntN(3)) {
			id := disk.PayloadID{Range: r, Term: v.term, Index: at + i, N: n}
			a.Payloads = append(a.Payloads, disk.Payload{ID: id, Data: v.data(6000)})
		}
		a.Entries = append(a.Entries, disk.Entry{Range: r, Term: v.term, Index: at + i, Data: v.data(300)})
	}
	if v.r.IntN(2) == 0 {
		a.HardStates = append(a.HardStates, disk.HardState{Range: r, Term: v.term, Vote: v.r.Uint64(), Commit: at})
	}
	for _, p := range a.Payloads {
		es = append(es, event{kind: "payload", pid: p.ID, data: p.Data})
	}
	for _, e := range a.Entries {
		es = append(es, event{kind: "entry", entry: e})
	}
	for _, h := range a.HardStates {
		es = append(es, event{kind: "hard", hard: h})
	}
	v.m.begin(es...)
	if err := v.d.Log().Append(ctx, a); err != nil {
		return err
	}
	if v.r.IntN(3) > 0 {
		if err := v.d.Log().Sync(ctx); err != nil {
			return err
		}
		v.m.ack()
	}
	return nil
}

func (v *driver) put() error {
	v.next++
	e := event{kind: "put", shard: v.next, data: v.data(200 << 10)}
	v.m.begin(e)
	if err := tryPut(v.d, shard(e.shard), e.data); err != nil {
		return err
	}
	v.m.ack()
	return nil
}

func (v *driver) delete() error {
	here := slices.Sorted(maps.Keys(v.m.now().shards))
	if len(here) == 0 {
		return nil
	}
	n := here[v.r.IntN(len(here))]
	v.m.begin(event{kind: "delete", shard: n})
	if err := v.d.Delete(context.Background(), shard(n)); err != nil {
		return err
	}
	v.m.ack()
	return nil
}

// batch commits a change of the state that also forgets something of the log. What it forgets must be synced.
func (v *driver) batch() error {
	if err := v.d.Log().Sync(context.Background()); err != nil {
		return err
	}
	v.m.ack()
	w := v.m.now()
	e := event{kind: "batch", batch: v.m.batches + 1, acked: false}
	b := v.d.State().NewBatch()
	if err := b.Set([]byte("batch"), fmt.Append(nil, e.batch)); err != nil {
		return err
	}
	if err := b.Set(fmt.Appendf(nil, "k%d", e.batch%10), fmt.Append(nil, e.batch)); err != nil {
		return err
	}
	r := uint64(v.r.IntN(3) + 1)
	if is := slices.Sorted(maps.Keys(w.entries[r])); len(is) > 0 && v.r.IntN(2) == 0 {
		e.truncate = &truncation{r, is[v.r.IntN(len(is))]}
		v.top[r] = max(v.top[r], e.truncate.through)
		if err := b.TruncateLog(r, e.truncate.through); err != nil {
			return err
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(w.payloads), func(a, b disk.PayloadID) int {
		return strings.Compare(a.String(), b.String())
	}) {
		if v.r.IntN(3) == 0 {
			e.drop = append(e.drop, p)
		}
	}
	if err := b.DropPayloads(e.drop...); err != nil {
		return err
	}
	v.m.mu.Lock()
	v.m.batches++
	v.m.mu.Unlock()
	v.m.begin(e)
	if err := b.Commit(); err != nil {
		return err
	}
	return nil
}

// crashRounds runs a disk through a few crashes at random moments and checks it after each.
func crashRounds(t *testing.T, seed uint64, rounds, steps int) {
	r := rand.New(rand.NewPCG(seed, 99))
	fs := disktest.NewFS(seed)
	m := &model{}
	v := &driver{term: 1}
	for round := range rounds {
		var (
			left *disktest.FS
			then *model
			n    int
			at   = r.IntN(120) + 1
			cr   = rand.New(rand.NewPCG(seed, uint64(round)))
			hm   sync.Mutex
			mm   = m
		)
		base := fs
		cut := func() {
			hm.Lock()
			defer hm.Unlock()
			if n++; n == at {
				mm.mu.Lock()
				then, left = mm.clone(), base.Crash(cr)
				mm.mu.Unlock()
			}
		}
		d, err := Open(context.Background(), testOptions(&hookFS{fs, cut}, uint64(round)+1))
		if err != nil {
			t.Fatalf("seed %d round %d: open: %v", seed, round, err)
		}
		if err := m.check(d); err != nil {
			t.Fatalf("seed %d round %d: %v", seed, round, err)
		}
		if len(d.Damage()) > 0 {
			t.Fatalf("seed %d round %d: damage %+v", seed, round, d.Damage())
		}
		v.m, v.d, v.r, v.top = m, d, r, m.truncated()
		for range steps {
			hm.Lock()
			done := left != nil
			hm.Unlock()
			if done {
				break
			}
			if err := v.step(); err != nil {
				t.Fatalf("seed %d round %d: %v", seed, round, err)
			}
		}
		hm.Lock()
		if left == nil {
			then, left = m.clone(), base.Crash(cr)
		}
		hm.Unlock()
		if err := d.Close(); err != nil {
			t.Fatalf("seed %d round %d: close: %v", seed, round, err)
		}
		fs, m = left, then
	}
	d, err := Open(context.Background(), testOptions(fs, uint64(rounds)+1))
	if err != nil {
		t.Fatalf("seed %d: open: %v", seed, err)
	}
	if err := m.check(d); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

var seeds = flag.Int("seeds", disktest.Seeds(60), "how many random histories TestCrash runs, four crashes each")

// TestCrash lets random histories crash at random writes and syncs, losing and tearing what was not synced, and compares
// what comes back with what was acknowledged. It is the test that a build without syncs, or one that lets segments go
// before the flush behind them, does not pass.
func TestCrash(t *testing.T) {
	for seed := range uint64(*seeds) {
		crashRounds(t, seed, 4, 40)
	}
}
