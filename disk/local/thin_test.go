package local

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
)

func stateRow(i int) []byte { return fmt.Appendf(nil, "bucket/%08d", i) }

// changeRows changes n rows of the state, many a batch.
func changeRows(t testing.TB, d *Disk, n int, change func(b disk.Batch, i int) error) {
	t.Helper()
	const each = 1000
	for from := 0; from < n; from += each {
		b := d.State().NewBatch()
		for i := from; i < min(n, from+each); i++ {
			if err := change(b, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

func setRow(b disk.Batch, i int) error { return b.Set(stateRow(i), []byte("some value of a row")) }

// survivor says which rows are left: each 200th.
func survivor(i int) bool { return i%200 == 0 }

// readPage reads up to so many rows and returns how many steps each of them took.
func readPage(t testing.TB, d *Disk, rows int) (perRow float64) {
	t.Helper()
	before := d.Stats()
	s := d.State().Snapshot()
	it, err := s.Iter([]byte("bucket/"), []byte("bucket0"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ok := it.First(); ok && n < rows; ok = it.Next() {
		if !survivor(n*200) || string(it.Key()) != string(stateRow(n*200)) {
			t.Fatalf("row %d is %s", n, it.Key())
		}
		n++
	}
	if err := it.Err(); err != nil || n != rows {
		t.Fatalf("%d rows, %v", n, err)
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := d.Stats()
	return float64(after.StateSteps-before.StateSteps) / float64(after.StateRows-before.StateRows)
}

const (
	thinRows   = 20_000
	thinPage   = 99
	thinAtMost = 3 // steps a row
)

// thinOptions are those of a disk that has room for all changes of dig in its write buffer.
func thinOptions(fs vfs.FS) Options {
	o := testOptions(fs, 1)
	o.MemTableBytes = 4 << 20
	return o
}

// dig writes rows, flushes them, and deletes all but the survivors.
func dig(t testing.TB, d *Disk) {
	t.Helper()
	changeRows(t, d, thinRows, setRow)
	if err := d.State().Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	changeRows(t, d, thinRows, func(b disk.Batch, i int) error {
		if survivor(i) {
			return nil
		}
		return b.Delete(stateRow(i))
	})
}

// TestThin: after most of many rows are deleted, a page of those that are left costs at most three times what it would
// without them, once a few pages were slow. First what is deleted only in memory is flushed; Pebble's own compactions
// are switched off here, so it is for the thinning to rewrite the tables, too.
func TestThin(t *testing.T) {
	ctx := context.Background()
	d := mustOpen(t, thinOptions(disktest.NewFS(1)))
	dig(t, d)
	if did, err := d.thin(ctx); did || err != nil {
		t.Errorf("thinned where nobody read: %v, %v", did, err)
	}
	first := readPage(t, d, thinPage)
	if first < 100 {
		t.Fatalf("a page takes %.1f steps a row: there is nothing to thin", first)
	}
	var costs []float64
	for range 10 {
		if _, err := d.thin(ctx); err != nil {
			t.Fatal(err)
		}
		costs = append(costs, readPage(t, d, thinPage))
	}
	s := d.Stats()
	if last := costs[len(costs)-1]; last > thinAtMost {
		t.Errorf("after pages of %.1f steps a row and then %.1f, want at most %d: %+v", first, costs, thinAtMost, s)
	}
	if s.ThinFlushes != 1 || s.Thinned != 1 {
		t.Errorf("%d flushes and %d rewrites, want one of each", s.ThinFlushes, s.Thinned)
	}
	if did, err := d.thin(ctx); did || err != nil {
		t.Errorf("thinned what is thin: %v, %v", did, err)
	}
	mustClose(t, d)
}

// TestThinPays: tables are rewritten only once the reads have wasted as much as that takes.
func TestThinPays(t *testing.T) {
	ctx := context.Background()
	d := mustOpen(t, thinOptions(disktest.NewFS(1)))
	dig(t, d)
	if err := d.State().Flush(ctx); err != nil {
		t.Fatal(err)
	}
	price, _, err := d.rewriting(stretch{lower: metaKey(stateRow(0)), upper: metaKey(stateRow(thinRows))})
	if err != nil {
		t.Fatal(err)
	}
	price = max(price, d.dense.price)
	for wasted := uint64(0); ; {
		before := d.Stats()
		readPage(t, d, 5)
		s := d.Stats()
		once := uint64(s.StateSteps - before.StateSteps - s.StateRows + before.StateRows)
		wasted += once
		if _, err := d.thin(ctx); err != nil {
			t.Fatal(err)
		}
		if did := d.Stats().Thinned > 0; did != (wasted >= price) {
			t.Fatalf("rewritten: %v, after %d wasted steps, want %d", did, wasted, price)
		} else if did {
			break
		}
		if 10*once > price {
			t.Fatalf("one read wastes %d steps of %d: the test shows little", once, price)
		}
	}
	if n := readPage(t, d, 20); n > thinAtMost {
		t.Errorf("%.1f steps a row when it was thinned", n)
	}
	mustClose(t, d)
}

// TestThinByItself: a running disk thins what is read slowly, without being asked.
func TestThinByItself(t *testing.T) {
	o := thinOptions(disktest.NewFS(1))
	o.Manual = false
	d := mustOpen(t, o)
	dig(t, d)
	const patience = 20_000
	for reads := 1; readPage(t, d, thinPage) > thinAtMost; reads++ {
		if reads == patience {
			t.Fatalf("still slow after %d reads: %+v", reads, d.Stats())
		}
	}
	mustClose(t, d)
}

// TestFastReadsAreNotNoted: reads that find what they look for leave no stretch behind.
func TestFastReadsAreNotNoted(t *testing.T) {
	d := mustOpen(t, testOptions(disktest.NewFS(1), 1))
	changeRows(t, d, thinRows, setRow)
	changeRows(t, d, thinRows, func(b disk.Batch, i int) error {
		if i%2 == 0 {
			return nil
		}
		return b.Delete(stateRow(i))
	})
	s := d.State().Snapshot()
	it, err := s.Iter(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < thinRows; i += 2 * 100 {
		if !it.SeekGE(stateRow(i)) {
			t.Fatalf("row %d: %v", i, it.Err())
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(d.dense.slow); n != 0 {
		t.Errorf("%d stretches are noted: %+v", n, d.dense.slow)
	}
	mustClose(t, d)
}

// TestNote: stretches that overlap become one, and of many those stay that waste the most.
func TestNote(t *testing.T) {
	d := newDense(100)
	key := func(i int) []byte { return fmt.Appendf(nil, "%06d", i) }
	for i := range 10 * stretches {
		d.note(stretch{lower: key(10 * i), upper: key(10*i + 1), wasted: uint64(i)%50 + 1})
	}
	if len(d.slow) != stretches {
		t.Fatalf("%d stretches are kept", len(d.slow))
	}
	if s, ok := d.take(); ok {
		t.Fatalf("%+v is due", s)
	}
	d.note(stretch{lower: key(0), upper: key(100 * stretches), wasted: 1})
	s, ok := d.take()
	if !ok || string(s.lower) != string(key(0)) || string(s.upper) != string(key(100*stretches)) || len(d.slow) != 0 {
		t.Fatalf("%+v, %v, and %d are left", s, ok, len(d.slow))
	}
	d.note(stretch{lower: s.lower, upper: s.upper, wasted: s.wasted, price: 2 * s.wasted})
	if s, ok := d.take(); ok {
		t.Fatalf("%+v is due before its price is paid", s)
	}
}

// thinAgainst has a disk thin by itself while a rule strikes the tables that it writes.
func thinAgainst(t *testing.T, r disktest.Rule, prepare func(d *Disk)) (*Disk, *disktest.Fault) {
	t.Helper()
	faults := disktest.NewFaults(disktest.NewFS(1))
	d := mustOpen(t, thinOptions(faults))
	dig(t, d)
	prepare(d)
	r.Path = disktest.Suffix(".sst")
	f := faults.Add(r)
	d.background(context.Background(), d.thinning)
	for struck := false; !struck; {
		select {
		case <-f.Hit():
			struck = true
		default:
			readPage(t, d, thinPage)
		}
	}
	return d, f
}

// prepared are the states in which thinning begins with a flush, and with a compaction.
var prepared = map[string]func(d *Disk){
	"flush":   func(*Disk) { /* as it is */ },
	"rewrite": func(d *Disk) { _ = d.State().Flush(context.Background()) },
}

// TestCloseWhileThinning: closing waits for what Pebble has under way, and is clean.
func TestCloseWhileThinning(t *testing.T) {
	for name, prepare := range prepared {
		t.Run(name, func(t *testing.T) {
			d, f := thinAgainst(t, disktest.Rule{Op: disktest.OpWrite, Hang: true}, prepare)
			closed := make(chan error, 1)
			go func() { closed <- d.Close() }()
			<-d.closing
			f.Release()
			if err := <-closed; err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestThinFenced: a device that fails while a stretch is thinned fences the disk, and nobody waits.
func TestThinFenced(t *testing.T) {
	for name, prepare := range prepared {
		t.Run(name, func(t *testing.T) {
			d, f := thinAgainst(t, disktest.Rule{Op: disktest.OpWrite, Err: syscall.EIO, Hang: true}, prepare)
			f.Release()
			<-d.Fenced()
			if _, err := d.thin(context.Background()); err != nil && !disk.Is(err, disk.KindFenced) {
				t.Errorf("thin: %v", err)
			}
			if err := everyCall(d, disk.KindFenced); err != nil {
				t.Error(err)
			}
			if err := d.Close(); !disk.Is(err, disk.KindFenced) {
				t.Errorf("close: %v", err)
			}
		})
	}
}
