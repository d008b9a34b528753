package placement

import (
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// Replicas returns how many replicas a metadata range should have on a map, counted on what the map lists, not on what
// is alive: three wherever three disks exist, one or two only with so many disks in all; five from five domains on;
// seven from seven domains on if the cluster's policy has three parity shards or more.
func Replicas(m *clustermap.Map) int { return replicasOn(m, clustermap.NewPlaces(m)) }

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
	s := newSpread(clustermap.NewPlaces(m))
	load := replicaLoad(m, 0)
	for len(s.disks) < min(n, len(m.Disks)) {
		var best disk.ID
		var bestCost []int
		for _, d := range m.Disks {
			if slices.Contains(s.disks, d.ID) {
				continue
			}
			if c := append(s.cost(d.ID), load[d.ID]); bestCost == nil || slices.Compare(c, bestCost) < 0 {
				best, bestCost = d.ID, c
			}
		}
		s.take(best)
	}
	return s.disks
}

// replicaLoad counts the replicas on each disk, those of one range left out.
func replicaLoad(m *clustermap.Map, except uint64) map[disk.ID]int {
	load := make(map[disk.ID]int, len(m.Disks))
	for i := range m.Ranges {
		if m.Ranges[i].ID == except {
			continue
		}
		for _, x := range m.Ranges[i].Replicas {
			load[x.Disk]++
		}
	}
	return load
}

// spread is a set of disks that grows, and how it lies in the domains.
type spread struct {
	places *clustermap.Places
	levels []clustermap.Level // the one that counts most first
	used   [clustermap.LevelCount][]int
	disks  []disk.ID
}

func newSpread(places *clustermap.Places) *spread {
	s := &spread{places: places}
	s.levels = []clustermap.Level{
		DomainLevel(s.places), clustermap.Site, clustermap.Rack, clustermap.NodeLevel, clustermap.Device, clustermap.Folder,
	}
	for l := range s.used {
		s.used[l] = make([]int, places.Count(clustermap.Level(l)))
	}
	return s
}

// cost tells how many disks of the set share a domain with a disk, level by level: the less, the wider would the set be
// spread with it.
func (s *spread) cost(id disk.ID) []int {
	c := make([]int, 0, len(s.levels)+2)
	for _, l := range s.levels {
		at, _ := s.places.Of(l, id)
		c = append(c, s.used[l][at])
	}
	return c
}

func (s *spread) take(id disk.ID) {
	for l := range clustermap.LevelCount {
		at, _ := s.places.Of(l, id)
		s.used[l][at]++
	}
	s.disks = append(s.disks, id)
}
