package local

import (
	"encoding/binary"
	"testing"

	"github.com/contender/contender/disk/disktest"
)

// TestRowsStayInMemory reads flushed rows twice. The second time nothing is read from files: Pebble takes the write
// buffers off its block cache, and something must be left.
func TestRowsStayInMemory(t *testing.T) {
	o := testOptions(disktest.NewFS(1), 1)
	o.MemTableBytes, o.CacheBytes = 4<<20, 1<<20
	d := mustOpen(t, o)
	defer mustClose(t, d)
	key := func(n int) []byte { return binary.BigEndian.AppendUint32([]byte("row"), uint32(n)) }
	const rows = 1000
	b := d.State().NewBatch()
	for n := range rows {
		if err := b.Set(key(n), make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := d.State().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func() int64 {
		before := d.db.Metrics().BlockCache.Misses
		for n := range rows {
			if _, ok, err := d.State().Get(key(n)); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		return d.db.Metrics().BlockCache.Misses - before
	}
	first := read()
	if again := read(); first == 0 || again != 0 {
		t.Errorf("%d blocks read at first, %d the second time, want none", first, again)
	}
}
