package node

import (
	"slices"
	"testing"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/replica"
)

// chosen lists the ranges that a sizing chooses next.
func chosen(s *sizing, now time.Time) (ids []uint64) {
	for _, r := range s.next(now) {
		ids = append(ids, r.Range)
	}
	return ids
}

// TestSizing: every range that is new or has changed is looked at once, those that grew by much before the others and many at a time,
// and none again before it has changed and rested.
func TestSizing(t *testing.T) {
	s, now := newSizing(), time.Unix(100, 0)
	const many = 50
	for id := range uint64(many) {
		s.note(&replica.Status{Range: id, Applied: 1000})
	}
	for id := range uint64(20) {
		s.note(&replica.Status{Range: id, Applied: 1000 + sizeEntries + id})
	}
	got, want := chosen(s, now), []uint64{19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4}
	if len(got) < len(want) || len(got) > len(want)+1 || !slices.Equal(got[:len(want)], want) {
		t.Errorf("chose %v, want %v and perhaps one other", got, want)
	}
	seen := map[uint64]bool{}
	for _, id := range got {
		seen[id] = true
	}
	for range 3 * many {
		now = now.Add(othersPause)
		for _, id := range chosen(s, now) {
			if seen[id] {
				t.Errorf("range %d twice", id)
			}
			seen[id] = true
		}
	}
	if len(seen) != many {
		t.Errorf("%d ranges were looked at, want %d", len(seen), many)
	}
	s.note(&replica.Status{Range: 49, Applied: 1000}) // nothing new
	s.note(&replica.Status{Range: 48, Applied: 1001})
	if got := chosen(s, now); !slices.Equal(got, []uint64{48}) {
		t.Errorf("chose %v", got)
	}
	s.note(&replica.Status{Range: 48, Applied: 1002})
	now = now.Add(othersPause)
	if got := chosen(s, now); got != nil {
		t.Errorf("chose %v too early", got)
	}
	s.note(&replica.Status{Range: 47, Applied: 1002})
	s.note(&replica.Status{Range: 46, Applied: 2000})
	s.forget(47)
	now = now.Add(sizePause)
	if got := chosen(s, now); !slices.Equal(got, []uint64{46, 48}) {
		t.Errorf("chose %v", got)
	}
	if got := chosen(s, now.Add(time.Hour)); got != nil {
		t.Errorf("chose %v again", got)
	}
}

// TestSizingUnderLoad: ranges that grow by much all the time do not keep the others from being looked at, and what is remembered
// stays small.
func TestSizingUnderLoad(t *testing.T) {
	s, now := newSizing(), time.Unix(100, 0)
	for id := range uint64(10) {
		s.note(&replica.Status{Range: 1000 + id, Applied: 5})
	}
	left := 10
	for step := range uint64(100) {
		for id := range uint64(40) {
			s.note(&replica.Status{Range: id, Applied: 100 * step})
		}
		now = now.Add(500 * time.Millisecond)
		for _, id := range chosen(s, now) {
			if id >= 1000 {
				left--
			}
		}
		if len(s.queue) > 50 {
			t.Fatalf("%d wait", len(s.queue))
		}
	}
	if left != 0 {
		t.Errorf("%d were never looked at", left)
	}
}

// TestCompareGlances: what stands otherwise is found in two lists, however they differ, and all where all is asked for.
func TestCompareGlances(t *testing.T) {
	of := func(ids ...uint64) (list []*replica.Status) {
		for _, id := range ids {
			list = append(list, &replica.Status{Range: id, Disk: disk.ID(1)})
		}
		return list
	}
	before := of(1, 2, 4, 5, 9)
	now := slices.Concat(before[:1], of(2, 3), before[3:4], of(10))
	name := func(list []change) (names []string) {
		for _, c := range list {
			switch {
			case c.before == nil:
				names = append(names, "came")
			case c.now == nil:
				names = append(names, "went")
			case c.before.Range != c.now.Range:
				names = append(names, "wrong")
			case c.before == c.now:
				names = append(names, "same")
			default:
				names = append(names, "changed")
			}
		}
		return names
	}
	for _, x := range []struct {
		what        string
		before, now []*replica.Status
		all         bool
		want        []string
	}{
		{"some", before, now, false, []string{"changed", "came", "went", "went", "came"}},
		{"all", before, now, true, []string{"same", "changed", "came", "went", "same", "went", "came"}},
		{"nothing", before, before, false, nil},
		{"nothing, but all", before, before, true, []string{"same", "same", "same", "same", "same"}},
		{"first", nil, before[:2], false, []string{"came", "came"}},
		{"last", before[:2], nil, false, []string{"went", "went"}},
		{"none", nil, nil, true, nil},
	} {
		if got := name(compare(nil, x.before, x.now, x.all)); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", x.what, got, x.want)
		}
	}
}
