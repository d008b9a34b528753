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
	// loadStride is of how many requests one is remembered, and loadSamples how many are.
	loadStride  = 16
	loadSamples = 64
	// loadShare is the least share of the requests, of four, that must fall on either side of a cut.
	loadShare = 1
)

// load counts what a range is asked for, and remembers where.
type load struct {
	requests int
	sampled  [][]byte // positions, of the last requests of which one in so many is remembered
	next     int
	rate     int    // requests in a second, over the last whole window
	middle   []byte // the position that halves them, nil if there is none
}

// count takes a request in.
func (l *load) count(bucket uint64, key []byte) {
	l.requests++
	if l.requests%loadStride != 0 {
		return
	}
	p := keys.Position(bucket, key)
	if len(l.sampled) < loadSamples {
		l.sampled = append(l.sampled, p)
		return
	}
	l.sampled[l.next] = p
	l.next = (l.next + 1) % loadSamples
}

// window ends a window of so many ticks, of which a second has ten, and reports whether there was, or had been, anything to
// tell.
func (l *load) window(d *metapb.RangeDescriptor) bool {
	was := l.rate
	l.rate = l.requests * 10 / loadTicks
	l.middle = nil
	if len(l.sampled) == loadSamples {
		l.middle = cutOf(l.sampled, d)
	}
	l.requests, l.sampled, l.next = 0, nil, 0
	return was > 0 || l.rate > 0
}

// cutOf returns the position that best halves positions within a range, nil if on either side of each lie too few: many
// requests for few keys are not to be shared out.
func cutOf(positions [][]byte, d *metapb.RangeDescriptor) []byte {
	sorted := slices.Clone(positions)
	slices.SortFunc(sorted, bytes.Compare)
	n := len(sorted)
	for off := range n/2 - n*loadShare/4 + 1 {
		for _, i := range []int{n/2 - off, n/2 + off} {
			at := sorted[i]
			left, _ := slices.BinarySearchFunc(sorted, at, bytes.Compare)
			bucket, key, err := keys.ParsePosition(at)
			if left < n*loadShare/4 || err != nil || bytes.Equal(at, d.GetStart()) || !keys.Contains(d.GetStart(), d.GetEnd(), bucket, key) {
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
	for _, m := range c.members {
		if m.replica == nil || m.load.requests == 0 && m.load.rate == 0 {
			continue
		}
		if m.load.window(m.replica.Machine().Descriptor()) {
			c.stir(m)
		}
	}
}
