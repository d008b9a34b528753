package stripe

import (
	"fmt"

	"github.com/contender/contender/metashards/metapb"
)

// codecReedSolomon is metapb.Coding's number of the only codec so far.
const codecReedSolomon = 1

// layout says where the bytes of one extent lie in its shards. A row is an offset within a shard.
type layout struct {
	k, m   int
	unit   int64 // data of one shard in a full stripe
	length int64 // data of the extent
	full   int64 // number of full stripes
	last   int64 // data and padding of one shard in the short last stripe, 0 if there is none
}

func newLayout(k, m int, unit, length int64) layout {
	l := layout{k: k, m: m, unit: unit, length: length}
	l.full = length / l.stripe()
	l.last = (length - l.full*l.stripe() + int64(k) - 1) / int64(k)
	return l
}

// layoutOf reads the layout of an extent, and refuses what can't be one.
func layoutOf(e *metapb.Extent) (layout, error) {
	c := e.GetCoding()
	switch {
	case c.GetCodec() != codecReedSolomon:
		return layout{}, fmt.Errorf("extent %d: codec %d is not known", e.GetNumber(), c.GetCodec())
	case c.GetK() < 1 || c.GetK() > 255 || c.GetM() > 255 || int(c.GetK()+c.GetM()) != len(e.GetSlots()) || len(e.GetSlots()) > 255:
		return layout{}, fmt.Errorf("extent %d: %d slots for %d+%d", e.GetNumber(), len(e.GetSlots()), c.GetK(), c.GetM())
	case c.GetUnitBytes() < 1 || c.GetUnitBytes() > 16<<20 || e.GetLength() < 1 || e.GetLength() > 1<<56:
		return layout{}, fmt.Errorf("extent %d: %d bytes in units of %d", e.GetNumber(), e.GetLength(), c.GetUnitBytes())
	}
	return newLayout(int(c.GetK()), int(c.GetM()), int64(c.GetUnitBytes()), int64(e.GetLength())), nil
}

// stripe returns the data of a full stripe.
func (l layout) stripe() int64 { return l.unit * int64(l.k) }

// rows returns the length of each shard.
func (l layout) rows() int64 { return l.full*l.unit + l.last }

// at returns the stripe, the shard and the row of a byte.
func (l layout) at(off int64) (stripe int64, shard int, row int64) {
	stripe = min(off/l.stripe(), l.full)
	unit := l.unit
	if stripe == l.full {
		unit = l.last
	}
	in := off - stripe*l.stripe()
	return stripe, int(in / unit), stripe*l.unit + in%unit
}

// need returns which rows lo ≤ row < hi of a data shard hold bytes of a ≤ offset < b; lo = hi if none do.
func (l layout) need(shard int, a, b int64) (lo, hi int64) {
	stripe, first, row := l.at(a)
	switch {
	case shard < first:
		lo = min((stripe+1)*l.unit, l.rows())
	case shard == first:
		lo = row
	default:
		lo = stripe * l.unit
	}
	stripe, last, row := l.at(b - 1)
	switch {
	case shard < last:
		hi = min((stripe+1)*l.unit, l.rows())
	case shard == last:
		hi = row + 1
	default:
		hi = stripe * l.unit
	}
	return lo, max(lo, hi)
}

// pieces calls fn, in the order of the extent's bytes, for each stretch of a shard that holds bytes a ≤ offset < b whose
// row is at least from and less than to; both must be the beginning of a stripe or the end.
func (l layout) pieces(a, b, from, to int64, fn func(shard int, row, n int64)) {
	a = max(a, from/l.unit*l.stripe())
	if to < l.rows() {
		b = min(b, to/l.unit*l.stripe())
	}
	for a < b {
		stripe, shard, row := l.at(a)
		end := (stripe + 1) * l.unit
		if stripe == l.full {
			end = l.rows()
		}
		n := min(end-row, b-a)
		fn(shard, row, n)
		a += n
	}
}
