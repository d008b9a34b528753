package machine_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
)

// pebbleReader reads the rows of a Pebble in memory: pages cost what they cost on a real disk's state.
type pebbleReader struct{ db *pebble.DB }

func (p pebbleReader) Get(key []byte) ([]byte, bool, error) {
	v, c, err := p.db.Get(key)
	if err == pebble.ErrNotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	return append([]byte{}, v...), true, nil
}

func (p pebbleReader) Iter(lower, upper []byte) (disk.Iter, error) {
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	return pebbleIter{it}, err
}

type pebbleIter struct{ *pebble.Iterator }

func (p pebbleIter) Err() error { return p.Error() }

// pages returns a range with n keys in 50 folders, its rows in a Pebble.
func pages(b *testing.B, n int) (*rig, pebbleReader) {
	r := newRig(b)
	for base := 0; base < n; base += 1000 {
		var cs []*metapb.Command
		for i := base; i < base+1000; i++ {
			c := r.put(fmt.Sprintf("folder%02d/object%06d", i%50, i), 1000)
			c.RequestId = ""
			cs = append(cs, c)
		}
		r.apply(cs...)
	}
	db, err := pebble.Open("db", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{b}})
	r.check(err)
	b.Cleanup(func() { r.check(db.Close()) })
	batch := db.NewBatch()
	for _, row := range dump(b, r.disk) {
		r.check(batch.Set(row.Key, row.Value, nil))
	}
	r.check(batch.Commit(pebble.NoSync))
	r.check(db.Flush())
	return r, pebbleReader{db}
}

// quiet is a Pebble logger that speaks only of the end.
type quiet struct{ t failer }

func (quiet) Infof(string, ...any)                { /* nothing to tell */ }
func (quiet) Errorf(string, ...any)               { /* it comes back as an error, too */ }
func (q quiet) Fatalf(format string, args ...any) { q.t.Fatalf(format, args...) }

// BenchmarkPage: the cost of a page must not grow with the number of keys.
func BenchmarkPage(b *testing.B) {
	for _, n := range []int{3_000, 60_000} {
		r, reader := pages(b, n)
		for _, c := range []struct {
			name string
			list *metapb.ListKeys
		}{
			{"1000 keys", &metapb.ListKeys{Limit: 1000}},
			{"50 prefixes", &metapb.ListKeys{Delimiter: []byte("/"), Limit: 1000}},
		} {
			b.Run(fmt.Sprintf("%s of %d", c.name, n), func(b *testing.B) {
				q := r.query("")
				q.Op = &metapb.Query_ListKeys{ListKeys: c.list}
				b.ReportAllocs()
				for b.Loop() {
					a, err := r.m.Answer(reader, q)
					if err != nil || len(a.Items) < 50 {
						b.Fatalf("%d items: %v", len(a.Items), err)
					}
				}
			})
		}
	}
}

// BenchmarkApply: an entry of 64 commands that put small objects, and one of a single command.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d commands", n), func(b *testing.B) {
			r := newRig(b)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				var cs []*metapb.Command
				for j := range n {
					cs = append(cs, r.putInline(fmt.Sprintf("k%06d", (i*n+j)%5000), 100))
				}
				r.apply(cs...)
			}
		})
	}
}
