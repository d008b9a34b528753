package clustermap

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func shown(id, generation uint64, start, end string) Range {
	return Range{ID: id, Generation: generation, Start: []byte(start), End: []byte(end)}
}

func spans(m *Map) (s string) {
	for _, r := range m.Ranges {
		s += fmt.Sprintf("%d[%s,%s) ", r.ID, r.Start, r.End)
	}
	return s
}

// TestShowRange: a newer range takes its span from older ones, an older one takes nothing.
func TestShowRange(t *testing.T) {
	for name, c := range map[string]struct {
		have    []Range
		show    Range
		want    string
		changed bool
	}{
		"the first":                     {nil, shown(1, 1, "", ""), "1[,) ", true},
		"the same":                      {[]Range{shown(1, 1, "", "")}, shown(1, 1, "", ""), "1[,) ", false},
		"the left half":                 {[]Range{shown(1, 1, "", "")}, shown(1, 2, "", "m"), "1[,m) ", true},
		"the right half alone":          {[]Range{shown(1, 1, "", "")}, shown(2, 2, "m", ""), "1[,m) 2[m,) ", true},
		"the middle":                    {[]Range{shown(1, 1, "", "")}, shown(2, 3, "d", "m"), "1[,d) 2[d,m) ", true},
		"an old whole":                  {[]Range{shown(1, 2, "", "m"), shown(2, 2, "m", "")}, shown(1, 1, "", ""), "1[,m) 2[m,) ", false},
		"an old whole, half of it gone": {[]Range{shown(2, 2, "m", "")}, shown(1, 1, "", ""), "2[m,) ", false},
		"after a cut, its own word":     {[]Range{shown(1, 1, "", "m"), shown(2, 2, "m", "")}, shown(1, 2, "", "k"), "1[,k) 2[m,) ", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Map{Ranges: c.have}
			if changed := m.ShowRange(c.show); changed != c.changed || spans(m) != c.want {
				t.Errorf("%v, %s, want %v, %s", changed, spans(m), c.changed, c.want)
			}
		})
	}
	m := &Map{Ranges: []Range{{ID: 1, Generation: 1, Leader: 7}}}
	if m.ShowRange(Range{ID: 1, Generation: 1}) || m.Ranges[0].Leader != 7 {
		t.Errorf("a range without a leader: %+v", m.Ranges)
	}
	if !m.ShowRange(Range{ID: 1, Generation: 1, Leader: 8}) || m.Ranges[0].Leader != 8 {
		t.Errorf("another leader: %+v", m.Ranges)
	}
	m.Ranges[0].Move = &Move{From: 1, To: 2}
	if !m.ShowRange(Range{ID: 1, Generation: 2}) || m.Ranges[0].Generation != 2 || !SameMove(m.Ranges[0].Move, &Move{From: 1, To: 2}) {
		t.Errorf("the order is lost: %+v", m.Ranges)
	}
}

// TestShowRangeInAnyOrder splits a range at random and shows what it came to in any order, old words among them: the map ends
// with exactly the ranges that are there.
func TestShowRangeInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := []Range{shown(1, 1, "", "")}
		words := []Range{now[0]}
		for id := uint64(2); id <= 6; id++ {
			at := []byte(rapid.StringMatching("[a-z]").Draw(t, "at"))
			for i := range now {
				r := now[i]
				if string(r.Start) < string(at) && (len(r.End) == 0 || string(at) < string(r.End)) {
					left, right := r, r
					left.Generation, left.End = r.Generation+1, at
					right.ID, right.Generation, right.Start = id, r.Generation+1, at
					now[i] = left
					now = append(now, right)
					words = append(words, left, right)
					break
				}
			}
		}
		m := &Map{}
		for _, w := range rapid.Permutation(words).Draw(t, "order") {
			m.ShowRange(w)
			if err := m.validateRanges(nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range now { // each leader says it again until the map shows it
			m.ShowRange(w)
		}
		for _, w := range now {
			if r := m.Range(w.ID); r == nil || r.Generation != w.Generation || string(r.End) != string(w.End) {
				t.Fatalf("range %d is not shown as %+v: %s", w.ID, w, spans(m))
			}
		}
	})
}
