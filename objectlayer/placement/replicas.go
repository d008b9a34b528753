package placement

import (
	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// Replicas returns how many replicas a metadata range should have on a map, counted on what the map lists and nobody has
// replaced, not on what is alive: three wherever three disks exist, one or two only with so many disks in all; five from five domains on;
// seven from seven domains on if the cluster's policy has three parity shards or more.
func Replicas(m *clustermap.Map) int {
	m = m.Standing()
	return replicasOn(m, clustermap.NewPlaces(m))
}

func replicasOn(m *clustermap.Map, places *clustermap.Places) int {
	domains := places.Count(DomainLevel(places))
	policy, err := ParsePolicy(m.Policy)
	if err != nil {
		policy = Policy{}
	}
	coding, err := policy.on(places)
	if err != nil {
		coding = Auto(domains)
	}
	switch {
	case domains >= 7 && coding.M >= 3:
		return 7
	case domains >= 5:
		return 5
	}
	return min(3, len(m.Disks))
}

// ReplicaDisks chooses n disks for the replicas of a range, fewer if the map has fewer: in distinct domains as far as
// there are enough, then spread over sites, racks, nodes and devices, then on the disks with the fewest replicas, then
// by id.
func ReplicaDisks(m *clustermap.Map, n int) []disk.ID {
	l := newLayout(m)
	load := make(map[disk.ID]int, len(m.Disks))
	for i := range m.Ranges {
		for _, x := range m.Ranges[i].Replicas {
			load[x.Disk]++
		}
	}
	return l.widestSet(n, func(d disk.ID) int { return load[d] })
}

// widestSet chooses up to n disks, spread as widely as can be, then with the least load.
func (l *layout) widestSet(n int, load func(disk.ID) int) []disk.ID {
	s := newSpread(l)
	for len(s.disks) < min(n, len(l.m.Disks)) {
		best, _ := l.widest(s, nil, nil, load, func(disk.ID) bool { return true })
		s.take(best)
	}
	return s.disks
}

// spread is a set of disks that grows, and how it lies in the domains.
type spread struct {
	*layout
	used  [clustermap.LevelCount][]int
	disks []disk.ID
}

func newSpread(l *layout) *spread {
	s := &spread{layout: l}
	for v := range s.used {
		s.used[v] = make([]int, l.places.Count(clustermap.Level(v)))
	}
	return s
}

// cost tells how many disks of the set share a domain with a disk, level by level: the less, the wider would the set be
// spread with it.
func (s *spread) cost(id disk.ID) []int {
	c := make([]int, 0, len(s.levels)+3)
	for _, v := range s.levels {
		c = append(c, s.used[v][s.at[s.index[id]][v]])
	}
	return c
}

func (s *spread) take(id disk.ID) {
	for v, at := range s.at[s.index[id]] {
		s.used[v][at]++
	}
	s.disks = append(s.disks, id)
}
