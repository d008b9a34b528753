package node

import (
	"testing"

	"github.com/contender/contender/metashards/clustermap"
)

// TestReadinessAsksSome: of few ranges each is asked, of many the first and others in turn, until all were.
func TestReadinessAsksSome(t *testing.T) {
	m, n := new(clustermap.Map), new(Node)
	for id := range uint64(readyMost) {
		m.Ranges = append(m.Ranges, clustermap.Range{ID: id + 1})
	}
	if some := n.someRanges(m); len(some) != readyMost {
		t.Errorf("%d of %d ranges are asked", len(some), readyMost)
	}
	for id := uint64(readyMost); id < 10*readyMost; id++ {
		m.Ranges = append(m.Ranges, clustermap.Range{ID: id + 1})
	}
	asked := map[uint64]bool{}
	for range 11 {
		some := n.someRanges(m)
		if len(some) != readyMost || some[0].ID != 1 {
			t.Fatalf("%d ranges are asked, the first is %d", len(some), some[0].ID)
		}
		for _, r := range some {
			asked[r.ID] = true
		}
	}
	if len(asked) != len(m.Ranges) {
		t.Errorf("%d of %d ranges were asked", len(asked), len(m.Ranges))
	}
}
