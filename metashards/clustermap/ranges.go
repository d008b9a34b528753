package clustermap

import (
	"bytes"
	"slices"

	"github.com/contender/contender/metashards/keys"
)

// ShowRange lets the map show a range as it is, and reports whether that changed the map. A range that the map knows in a
// later generation stays; one without a leader keeps the one that the map names, one without an order the order. What older ranges show of its span gives
// way: they were split, and may not have been shown since. So there may be gaps, until their owners are shown, but no
// overlap.
func (m *Map) ShowRange(r Range) bool {
	next := make([]Range, 0, len(m.Ranges)+1)
	for _, o := range m.Ranges {
		switch {
		case o.ID == r.ID:
			if r.Leader == 0 {
				r.Leader = o.Leader
			}
			if r.Move == nil && !mutantOrderLost {
				r.Move = o.Move
			}
			if o.Generation > r.Generation || o.Generation == r.Generation && o.Leader == r.Leader && bytes.Equal(o.End, r.End) {
				return false
			}
		case !keys.Overlap(o.Start, o.End, r.Start, r.End):
			next = append(next, o)
		case o.Generation > r.Generation:
			return false
		case bytes.Compare(o.Start, r.Start) < 0:
			o.End = r.Start
			next = append(next, o)
		}
	}
	i, _ := slices.BinarySearchFunc(next, r.Start, func(o Range, start []byte) int { return bytes.Compare(o.Start, start) })
	m.Ranges = slices.Insert(next, i, r)
	return true
}

// Range returns a range by id, nil if the map has none.
func (m *Map) Range(id uint64) *Range {
	if i := slices.IndexFunc(m.Ranges, func(r Range) bool { return r.ID == id }); i >= 0 {
		return &m.Ranges[i]
	}
	return nil
}
