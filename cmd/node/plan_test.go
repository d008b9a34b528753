package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/objectlayer/placement"
)

// spreadMap is a map of so many nodes of one disk each.
func spreadMap(nodes int) *clustermap.Map {
	m := &clustermap.Map{Format: clustermap.Format, Cluster: disk.ClusterID{1}.String(), Policy: "replica:1"}
	for i := range nodes {
		m.Nodes = append(m.Nodes, clustermap.Node{ID: clustermap.NodeID(i + 1)})
		m.Disks = append(m.Disks, clustermap.Disk{ID: disk.ID(i + 1), Node: clustermap.NodeID(i + 1), Device: "d", CapacityBytes: 1})
	}
	return m
}

// addRanges adds ranges that each lie on some disks.
func addRanges(m *clustermap.Map, count int, disks func(i int) []disk.ID) {
	for i := range count {
		r := clustermap.Range{ID: uint64(len(m.Ranges) + 1), Generation: 1, Start: fmt.Appendf(nil, "%06d", len(m.Ranges)), End: fmt.Appendf(nil, "%06d", len(m.Ranges)+1)}
		for n, d := range disks(i) {
			r.Replicas = append(r.Replicas, clustermap.Replica{ID: uint64(n + 1), Disk: d})
		}
		m.Ranges = append(m.Ranges, r)
	}
}

func ids(ranges []*clustermap.Range) (out []uint64) {
	for _, r := range ranges {
		out = append(out, r.ID)
	}
	return out
}

func everywhere(disk.ID) bool { return true }

// TestFewRangesMoveAtOnce: of many ranges that have to move only some begin, and no disk takes more than two.
func TestFewRangesMoveAtOnce(t *testing.T) {
	m := spreadMap(30)
	addRanges(m, 200, func(int) []disk.ID { return []disk.ID{1, 2, 3} })
	l := newLook(m, everywhere)
	if quiet := l.choose(); quiet || len(l.steps) == 0 || len(l.steps) > changesMax {
		t.Errorf("quiet %v, %d ranges", quiet, len(l.steps))
	}
	arriving := map[disk.ID]int{}
	for _, r := range l.steps {
		for _, d := range placement.NewPlanner(m, nil, nil).Arrivals(r) {
			arriving[d]++
		}
	}
	for d, n := range l.arriving {
		if n > arrivalsMax {
			t.Errorf("%d new replicas for disk %v", n, d)
		}
	}
	if len(arriving) == 0 {
		t.Error("nothing arrives anywhere")
	}
}

// TestWhoMovesFirst: what is under way goes on, then come orders, then the rest; what waits for a disk that is away holds up
// nobody.
func TestWhoMovesFirst(t *testing.T) {
	m := spreadMap(9)
	addRanges(m, 40, func(i int) []disk.ID { return []disk.ID{1, 2, 3, 4, 5} })
	for i := 20; i < 24; i++ {
		m.Ranges[i].Replicas = append(m.Ranges[i].Replicas, clustermap.Replica{ID: 9, Disk: 9, Learner: true})
	}
	m.Ranges[30].Move = &clustermap.Move{From: 1, To: 7}
	l := newLook(m, everywhere)
	if l.choose(); len(l.steps) < 6 || !slices.Equal(ids(l.steps[:5]), []uint64{21, 22, 23, 24, 31}) {
		t.Errorf("%v", ids(l.steps))
	}
	if l.changing > changesMax {
		t.Errorf("%d ranges at once", l.changing)
	}
	for i := range 20 {
		m.Ranges[i].Replicas = append(m.Ranges[i].Replicas, clustermap.Replica{ID: 9, Disk: 9, Learner: true})
	}
	away := newLook(m, func(id disk.ID) bool { return id != 9 })
	if away.choose(); !slices.Contains(ids(away.steps), 31) {
		t.Errorf("24 ranges wait for a disk that is away, and the order waits: %v", ids(away.steps))
	}
}

// TestRestIsQuiet: where all ranges rest no step is chosen, so the planner need not look again.
func TestRestIsQuiet(t *testing.T) {
	m := spreadMap(5)
	addRanges(m, 30, func(i int) []disk.ID { return []disk.ID{1, 2, 3, 4, 5} })
	l := newLook(m, func(id disk.ID) bool { return id != 2 })
	if quiet := l.choose(); !quiet || len(l.steps) != 0 {
		t.Errorf("quiet %v, %v", quiet, ids(l.steps))
	}
}

// BenchmarkLook looks at ten thousand ranges that rest.
func BenchmarkLook(b *testing.B) {
	for _, nodes := range []int{3, 100, 1000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			m := spreadMap(nodes)
			m.Copysets, _ = placement.GrowCopysets(m)
			addRanges(m, 10_000, func(i int) []disk.ID {
				if len(m.Copysets) == 0 {
					return []disk.ID{1, 2, 3}
				}
				return m.Copysets[i%len(m.Copysets)].Disks
			})
			for b.Loop() {
				if !newLook(m, everywhere).choose() {
					b.Fatal("not at rest")
				}
			}
		})
	}
}

// BenchmarkGrowCopysets judges the copysets of many disks, and lays them anew for one that joins.
func BenchmarkGrowCopysets(b *testing.B) {
	for _, nodes := range []int{100, 1000} {
		m := spreadMap(nodes)
		m.Copysets, _ = placement.GrowCopysets(m)
		b.Run(fmt.Sprint("judge/", nodes), func(b *testing.B) {
			for b.Loop() {
				if _, others := placement.GrowCopysets(m); others {
					b.Fatal("other sets")
				}
			}
		})
		more := spreadMap(nodes + 1)
		more.Copysets = m.Copysets
		b.Run(fmt.Sprint("join/", nodes), func(b *testing.B) {
			for b.Loop() {
				if _, others := placement.GrowCopysets(more); !others {
					b.Fatal("the same sets")
				}
			}
		})
	}
}
