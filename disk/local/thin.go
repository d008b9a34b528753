package local

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Rows that are gone stay in Pebble, each with what deleted it, until a compaction meets both. Pebble compacts tables
// that are dense with deletions, but it knows nothing of its write buffer, nor of a dense stretch in a large table. So
// the reads tell: an iterator that steps over far more than it returns notes the stretch. What the reads waste there is
// added up, and once that comes to what thinning costs, the stretch is thinned. So the work is in proportion to the
// reads that it speeds up, and these to what was deleted; where nobody reads, nothing is done.

// stretch is an interval of Pebble's keys that reads were slow in. It includes both ends.
type stretch struct {
	lower, upper []byte
	wasted       uint64 // steps of reads that came to no row
	price        uint64 // how many are to be wasted before it is looked at; 0: the disk's least
}

func (s *stretch) overlaps(o stretch) bool {
	return bytes.Compare(s.lower, o.upper) <= 0 && bytes.Compare(o.lower, s.upper) <= 0
}

// stretches is how many a disk keeps account of. Beyond it the one that wasted the least is forgotten.
const stretches = 32

// flushPrice is how many bytes of the write buffer's size one wasted step stands for: a flush before its time costs more
// the larger the buffer might have become.
const flushPrice = 256

// dense keeps account of the slow stretches of a disk. It is safe for concurrent use.
type dense struct {
	price uint64        // the least price
	due   chan struct{} // told when a stretch is due

	mu   sync.Mutex
	slow []stretch // no two of them overlap
}

func newDense(price uint64) *dense { return &dense{price: price, due: make(chan struct{}, 1)} }

// note adds what reads have wasted in a stretch. Those that overlap become one.
func (d *dense) note(n stretch) {
	if mutantDense {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n.lower, n.upper = bytes.Clone(n.lower), bytes.Clone(n.upper)
	kept, least := d.slow[:0], 0
	for _, s := range d.slow {
		if !s.overlaps(n) {
			kept = append(kept, s)
			continue
		}
		if bytes.Compare(s.lower, n.lower) < 0 {
			n.lower = s.lower
		}
		if bytes.Compare(s.upper, n.upper) > 0 {
			n.upper = s.upper
		}
		n.wasted, n.price = n.wasted+s.wasted, max(n.price, s.price)
	}
	for i, s := range kept {
		if s.wasted < kept[least].wasted {
			least = i
		}
	}
	if len(kept) < stretches {
		kept = append(kept, n)
	} else {
		kept[least] = n
	}
	d.slow = kept
	if n.wasted >= max(n.price, d.price) {
		select {
		case d.due <- struct{}{}:
		default:
		}
	}
}

// take takes out a stretch that is due.
func (d *dense) take() (s stretch, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, s := range d.slow {
		if s.wasted >= max(s.price, d.price) {
			d.slow = append(d.slow[:i], d.slow[i+1:]...)
			return s, true
		}
	}
	return stretch{}, false
}

// thinning thins stretches that are due, one at a time, until the disk closes or fails.
func (d *Disk) thinning(ctx context.Context) {
	for {
		select {
		case <-d.dense.due:
		case <-d.closing:
			return
		case <-d.fenced:
			return
		}
		for did := true; did && ctx.Err() == nil; {
			var err error
			if did, err = d.thin(ctx); err != nil && ctx.Err() == nil {
				d.o.Logger.Warn("thinning the state", "disk", d.o.ID.String(), "err", err)
			}
		}
	}
}

// thin looks at a stretch that is due, if there is one, and thins it if that is worth it.
func (d *Disk) thin(ctx context.Context) (did bool, err error) {
	s, ok := d.dense.take()
	if !ok {
		return false, nil
	}
	return true, d.leave(ctx, "thin", func() error { return d.thinOut(ctx, s) })
}

// thinOut goes through a stretch, no further than the reads have. If it is still slow, and a good part of that lies in
// the write buffer, it flushes, for Pebble compacts by itself what comes out dense. Else it rewrites the tables, if the
// reads have wasted as much as that will take.
func (d *Disk) thinOut(ctx context.Context, s stretch) error {
	all, end, err := d.pass(ctx, &pebble.IterOptions{LowerBound: s.lower, UpperBound: after(s.upper)}, s.wasted)
	if err != nil || all.wasted() == 0 {
		return err
	}
	tables, _, err := d.pass(ctx, &pebble.IterOptions{
		LowerBound: s.lower, UpperBound: after(end), OnlyReadGuaranteedDurable: true,
	}, s.wasted)
	if err != nil {
		return err
	}
	if buffered := all.steps - min(all.steps, tables.steps); buffered >= all.wasted()/4 {
		if err := d.flush(); err != nil {
			return err
		}
		d.stats.thinFlushes.Add(1)
		return nil
	}
	price, parts, err := d.rewriting(s)
	if err != nil {
		return err
	}
	if s.wasted < price {
		s.price = price
		d.dense.note(s)
		return nil
	}
	for _, p := range parts {
		if err := errors.Join(ctx.Err(), d.db.Compact(ctx, p.lower, p.upper, false)); err != nil {
			return err
		}
	}
	d.stats.thinned.Add(1)
	d.refreshRoom()
	return nil
}

// after returns the least key above k.
func after(k []byte) []byte { return append(bytes.Clone(k), 0) }

// pass goes through the rows within bounds, until it has made so many steps, and says what came of it and how far it came.
func (d *Disk) pass(ctx context.Context, o *pebble.IterOptions, most uint64) (p passage, end []byte, err error) {
	it, err := d.db.NewIter(o)
	if err != nil {
		return p, nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		p.rows++
		if p.rows%walkRows == 0 && ctx.Err() != nil {
			return p, nil, ctx.Err()
		}
		if p.steps = steps(it); p.steps >= most {
			return p, bytes.Clone(it.Key()), nil
		}
	}
	p.steps = steps(it)
	return p, o.UpperBound, it.Error()
}
