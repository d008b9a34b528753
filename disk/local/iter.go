package local

import "github.com/cockroachdb/pebble/v2"

// iter walks rows of metadata, and notes where it had to step over many that are gone.
type iter struct {
	d            *Disk
	it           *pebble.Iterator
	lower, upper []byte // its bounds
	placed       bool   // it has been moved
	rows         uint64 // that it came to
	seek         []byte // the key that it was last sent to
	walk         walk
	err          error
}

// walk is what an iterator goes through between two jumps.
type walk struct {
	on    bool
	from  []byte // where the jump went to
	rows  uint64 // rows that the iterator had come to before it
	steps uint64 // steps that the iterator had made before it
}

// walkRows is how many rows a walk has at the most: a longer one counts as several, so that what is slow in it is found.
const walkRows = 4096

func (i *iter) move(fn func() bool) bool {
	if i.err = i.d.use("state iter"); i.err != nil {
		return false
	}
	defer i.d.life.exit()
	i.placed = true
	ok := fn()
	if ok {
		i.rows++
	}
	return ok
}

func (i *iter) First() bool {
	i.jump(i.lower)
	return i.move(i.it.First)
}

func (i *iter) Next() bool {
	if !i.placed {
		return i.First()
	}
	if i.rows-i.walk.rows >= walkRows && i.walk.on && i.it.Valid() {
		i.jump(i.it.Key())
	}
	return i.move(i.it.Next)
}

func (i *iter) SeekGE(key []byte) bool {
	i.seek = append(append(i.seek[:0], metaPrefix), key...)
	i.jump(i.seek)
	return i.move(func() bool { return i.it.SeekGE(i.seek) })
}

func (i *iter) SeekLT(key []byte) bool {
	i.endWalk()
	return i.move(func() bool { return i.it.SeekLT(metaKey(key)) })
}

func (i *iter) Key() []byte   { return i.it.Key()[1:] }
func (i *iter) Value() []byte { return i.it.Value() }

func (i *iter) Err() error {
	if i.err != nil {
		return i.err
	}
	return ioError("state iter", "", i.it.Error())
}

func (i *iter) Close() error {
	i.d.stats.stepsRead.Add(int64(i.endWalk()))
	i.d.stats.rowsRead.Add(int64(i.rows))
	return ioError("state iter", "", i.it.Close())
}

// jump ends a walk and begins another.
func (i *iter) jump(to []byte) {
	n := i.endWalk()
	i.walk = walk{on: true, from: append(i.walk.from[:0], to...), rows: i.rows, steps: n}
}

// endWalk notes a walk that was slow, and returns how many steps the iterator has made. The walk goes up to where the
// iterator stands.
func (i *iter) endWalk() (n uint64) {
	n = steps(i.it)
	w := &i.walk
	wasted := passage{rows: i.rows - w.rows, steps: n - w.steps}.wasted()
	on := w.on
	if w.on = false; !on || wasted == 0 {
		return n
	}
	upper := i.upper
	if i.it.Valid() {
		upper = i.it.Key()
	}
	i.d.dense.note(stretch{lower: w.from, upper: upper, wasted: wasted})
	return n
}

// steps returns how many keys an iterator has looked at so far: rows, rows that are gone, and what deleted them.
func steps(it *pebble.Iterator) uint64 {
	s := it.Stats()
	return s.InternalStats.PointCount
}

// passage is what came of going through a stretch of keys.
type passage struct{ rows, steps uint64 }

// A passage is slow when it has wasted as many steps, and so many for each row.
const (
	leastWasted  = 64
	wastedPerRow = 2
)

// wasted returns how many steps of a slow passage came to no row. One that was fast has wasted none.
func (p passage) wasted() uint64 {
	n := p.steps - min(p.steps, p.rows)
	if n < leastWasted || n < wastedPerRow*p.rows {
		return 0
	}
	return n
}
