package placement

import (
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// layout is the disks of a map and the domains that they lie in, looked up once.
type layout struct {
	m      *clustermap.Map
	places *clustermap.Places
	levels []clustermap.Level // the one that counts most first
	index  map[disk.ID]int    // of each disk in the map
	at     [][clustermap.LevelCount]int
	width  int // how many replicas a range should have
}

func newLayout(m *clustermap.Map) *layout {
	l := &layout{m: m, places: clustermap.NewPlaces(m), index: make(map[disk.ID]int, len(m.Disks))}
	l.levels = levelsOf(l.places)
	l.at = make([][clustermap.LevelCount]int, len(m.Disks))
	for i, d := range m.Disks {
		l.index[d.ID] = i
		for v := range clustermap.LevelCount {
			l.at[i][v], _ = l.places.Of(v, d.ID)
		}
	}
	l.width = replicasOn(m, l.places)
	return l
}

func (l *layout) knows(d disk.ID) bool {
	_, ok := l.index[d]
	return ok
}

func levelsOf(places *clustermap.Places) []clustermap.Level {
	return []clustermap.Level{
		DomainLevel(places), clustermap.Site, clustermap.Rack, clustermap.NodeLevel, clustermap.Device, clustermap.Folder,
	}
}

// narrowness tells how narrowly disks are spread: how many pairs share a domain, the level that counts most first.
type narrowness [clustermap.LevelCount + 1]int

// wider reports whether disks with one narrowness are spread more widely than with another.
func (a narrowness) wider(b narrowness) bool { return slices.Compare(a[:], b[:]) < 0 }

// narrow tells how narrowly disks of the map are spread.
func (l *layout) narrow(disks []disk.ID) (sum narrowness) {
	for i := range disks {
		l.share(disks[i], disks[:i], &sum)
	}
	return sum
}

// narrowWith tells how narrowly disks would be spread with y instead of x.
func (l *layout) narrowWith(disks []disk.ID, x, y disk.ID) (sum narrowness) {
	for i, d := range disks {
		if d == x {
			d = y
		}
		for _, e := range disks[:i] {
			if e == x {
				e = y
			}
			l.share(d, []disk.ID{e}, &sum)
		}
	}
	return sum
}

// share adds how many domains a disk shares with each of some others.
func (l *layout) share(d disk.ID, others []disk.ID, sum *narrowness) {
	at := &l.at[l.index[d]]
	for _, e := range others {
		other := &l.at[l.index[e]]
		for i, v := range l.levels {
			if at[v] == other[v] {
				sum[i]++
			}
		}
	}
}
