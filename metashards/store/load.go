package store

import (
	"bytes"
	"slices"

	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// Measures of load.
const (
	// loadTicks is over how long requests are counted.
	loadTicks = 100
	// loadSamples is how many requests are remembered at most, and half of them at least, of so many.
	loadSamples = 64
	// loadLeast is how many requests in a second are worth telling of: a range that somebody looks after rests still.
	loadLeast = 3
)

// load counts what a range is asked for, and remembers where.
type load struct {
	requests int
	stride   int      // of so many requests one is remembered
	sampled  [][]byte // positions of those
	rate     int      // requests in a second, over the last whole window, if they are worth telling of
	middle   []byte   // the position that halves them, nil if there is none
}

// count takes a request in. When too many are remembered every other one is forgotten, and fewer are from then on.
func (l *load) count(bucket uint64, key []byte) {
	l.requests++
	l.stride = max(1, l.stride)
	if l.requests%l.stride != 0 {
		return
	}
	if len(l.sampled) == loadSamples {
		for i := range loadSamples / 2 {
			l.sampled[i] = l.sampled[2*i]
		}
		l.sampled = l.sampled[:loadSamples/2]
		l.stride *= 2
	}
	l.sampled = append(l.sampled, keys.Position(bucket, key))
}

// window ends a window of so many ticks, of which a second has ten, and reports whether there was, or had been, anything to
// tell.
func (l *load) window(d *metapb.RangeDescriptor) bool {
	was := l.rate
	if l.rate = l.requests * 10 / loadTicks; l.rate < loadLeast {
		l.rate = 0
	}
	l.middle = nil
	if len(l.sampled) >= loadSamples/2 {
		l.middle = cutOf(l.sampled, d)
	}
	l.requests, l.stride, l.sampled = 0, 0, nil
	return was > 0 || l.rate > 0
}

// cutOf returns the position that best halves positions within a range, nil if on either side of each lie too few: many
// requests for few keys are not to be shared out.
func cutOf(positions [][]byte, d *metapb.RangeDescriptor) []byte {
	sorted := slices.Clone(positions)
	slices.SortFunc(sorted, bytes.Compare)
	n := len(sorted)
	least := n / 4 // that must fall on either side
	for off := range n/2 - least + 1 {
		for _, i := range []int{n/2 - off, n/2 + off} {
			at := sorted[i]
			left, _ := slices.BinarySearchFunc(sorted, at, bytes.Compare)
			bucket, key, err := keys.ParsePosition(at)
			if left < least || err != nil || bytes.Equal(at, d.GetStart()) || !keys.Contains(d.GetStart(), d.GetEnd(), bucket, key) {
				continue
			}
			return at
		}
	}
	return nil
}

// weigh ends the window of load of all ranges that are led here, once in a while. Those that sleep have none.
func (c *Core) weigh() {
	if c.ticks%loadTicks != 0 {
		return
	}
	for m := range c.loaded {
		m.countGlances()
		if m.replica != nil && m.load.window(m.replica.Machine().Descriptor()) {
			c.stir(m)
		}
		if m.load.rate == 0 && m.open == nil || c.byRange[m.rangeID] != m {
			delete(c.loaded, m)
		}
	}
}

// noteLoad takes in what a range is asked for.
func (c *Core) noteLoad(m *member, bucket uint64, key []byte) {
	m.load.count(bucket, key)
	c.loaded[m] = struct{}{}
}
