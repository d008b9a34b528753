package stripe

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/metashards/metapb"
)

// TestLayout cuts bytes by the words of the format and looks whether the layout finds each of them.
func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, unit := rapid.IntRange(1, 8).Draw(t, "k"), rapid.IntRange(1, 5).Draw(t, "unit")
		length := rapid.IntRange(1, 100).Draw(t, "length")
		data := make([]byte, length)
		for i := range data {
			data[i] = byte(i + 1)
		}
		shards := make([][]byte, k)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), k*unit)
			u := (n + k - 1) / k
			for i := range shards {
				p := make([]byte, u)
				copy(p, rest[min(i*u, n):min((i+1)*u, n)])
				shards[i] = append(shards[i], p...)
			}
			rest = rest[n:]
		}
		l := newLayout(k, 1, int64(unit), int64(length))
		if l.rows() != int64(len(shards[0])) {
			t.Fatalf("%d rows, want %d", l.rows(), len(shards[0]))
		}
		a := rapid.Int64Range(0, int64(length)-1).Draw(t, "a")
		b := rapid.Int64Range(a+1, int64(length)).Draw(t, "b")
		var got []byte
		step := int64(unit * rapid.IntRange(1, 4).Draw(t, "step"))
		first, _, _ := l.at(a)
		for from := first * int64(unit); from < l.rows(); from += step {
			l.pieces(a, b, from, min(from+step, l.rows()), func(shard int, row, n int64) {
				if lo, hi := l.need(shard, a, b); row < lo || row+n > hi {
					t.Fatalf("shard %d rows %d to %d are needed, and the layout says %d to %d", shard, row, row+n, lo, hi)
				}
				got = append(got, shards[shard][row:row+n]...)
			})
		}
		if !bytes.Equal(got, data[a:b]) {
			t.Fatalf("bytes %d to %d: %v", a, b, got)
		}
	})
}

func FuzzLayout(f *testing.F) {
	e := &metapb.Extent{Length: 100, Coding: &metapb.Coding{Codec: 1, K: 2, M: 1, UnitBytes: 8}, Slots: []byte{0, 1, 2}}
	b, err := e.MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, int64(3), int64(90))
	f.Fuzz(func(t *testing.T, b []byte, from, to int64) {
		var e metapb.Extent
		if e.UnmarshalVT(b) != nil {
			return
		}
		l, err := layoutOf(&e)
		if err != nil || from < 0 || to <= from || to > l.length {
			return
		}
		var sum int64
		for i := range l.k {
			lo, hi := l.need(i, from, to)
			if lo < 0 || hi < lo || hi > l.rows() {
				t.Fatalf("shard %d: rows %d to %d of %d", i, lo, hi, l.rows())
			}
			sum += hi - lo
		}
		if sum < to-from {
			t.Fatalf("%d rows for %d bytes", sum, to-from)
		}
	})
}
