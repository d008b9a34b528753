package clustermap

import (
	"bytes"
	"slices"
	"sort"
)

// ShowRange lets the map show a range as it is, and reports whether that changed the map. A range that the map knows in a
// later generation stays; one without a leader keeps the one that the map names, one without an order the order. What older ranges show of its span gives
// way: they were split, and may not have been shown since. So there may be gaps, until their owners are shown, but no
// overlap.
func (m *Map) ShowRange(r Range) bool {
	known := slices.IndexFunc(m.Ranges, func(o Range) bool { return o.ID == r.ID })
	if known >= 0 {
		o := &m.Ranges[known]
		if r.Leader == 0 {
			r.Leader = o.Leader
		}
		if r.Move == nil && !mutantOrderLost {
			r.Move = o.Move
		}
		if o.Generation > r.Generation || o.Generation == r.Generation && o.Leader == r.Leader && bytes.Equal(o.End, r.End) {
			return false
		}
	}
	from, to := m.overlapping(r.Start, r.End)
	if slices.ContainsFunc(m.Ranges[from:to], func(o Range) bool { return o.ID != r.ID && o.Generation > r.Generation }) {
		return false
	}
	shown := []Range{r}
	if from < to && m.Ranges[from].ID != r.ID && bytes.Compare(m.Ranges[from].Start, r.Start) < 0 {
		cut := m.Ranges[from]
		cut.End = r.Start
		shown = []Range{cut, r}
	}
	if known >= 0 && (known < from || known >= to) { // it lay elsewhere
		m.Ranges = slices.Delete(m.Ranges, known, known+1)
		if known < from {
			from, to = from-1, to-1
		}
	}
	m.Ranges = slices.Replace(m.Ranges, from, to, shown...)
	return true
}

// overlapping returns which of the ranges overlap a span: those from the first index to before the second. Where none does,
// both are where the span would stand.
func (m *Map) overlapping(start, end []byte) (from, to int) {
	from = sort.Search(len(m.Ranges), func(i int) bool {
		o := &m.Ranges[i]
		return len(o.End) == 0 || bytes.Compare(o.End, start) > 0
	})
	to = from + sort.Search(len(m.Ranges)-from, func(i int) bool {
		return len(end) > 0 && bytes.Compare(m.Ranges[from+i].Start, end) >= 0
	})
	return from, to
}

// Range returns a range by id, nil if the map has none.
func (m *Map) Range(id uint64) *Range {
	if i := slices.IndexFunc(m.Ranges, func(r Range) bool { return r.ID == id }); i >= 0 {
		return &m.Ranges[i]
	}
	return nil
}

// RangeOf returns the range that a position lies in, nil if the map shows none there.
func (m *Map) RangeOf(position []byte) *Range {
	i, _ := m.overlapping(position, append(slices.Clone(position), 0))
	if i == len(m.Ranges) || bytes.Compare(m.Ranges[i].Start, position) > 0 {
		return nil
	}
	return &m.Ranges[i]
}

// RangeAt returns the range that starts at a position, nil if none does.
func (m *Map) RangeAt(start []byte) *Range {
	i, ok := slices.BinarySearchFunc(m.Ranges, start, func(r Range, start []byte) int { return bytes.Compare(r.Start, start) })
	if !ok {
		return nil
	}
	return &m.Ranges[i]
}

// OnlyRangesDiffer reports whether two maps are the same but for their revisions and ranges.
func OnlyRangesDiffer(a, b *Map) bool {
	return a.Format == b.Format && a.Cluster == b.Cluster && a.Region == b.Region && a.Policy == b.Policy && slices.Equal(a.Wide, b.Wide) &&
		slices.EqualFunc(a.Nodes, b.Nodes, sameNode) && slices.Equal(a.Disks, b.Disks) &&
		slices.EqualFunc(a.Groups, b.Groups, sameGroup) && slices.EqualFunc(a.Copysets, b.Copysets, sameCopyset)
}
