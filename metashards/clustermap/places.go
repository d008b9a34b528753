package clustermap

import (
	"fmt"

	"github.com/contender/contender/disk"
)

// Level is a level of the topology: what fails together.
type Level uint8

// The levels, from the narrowest to the widest. Each domain of one level lies in one domain of the next.
const (
	Folder Level = iota
	Device
	NodeLevel
	Rack
	Site
	LevelCount
)

// String returns the level's name as it appears in the status.
func (l Level) String() string {
	if l < LevelCount {
		return [...]string{"folder", "device", "node", "rack", "site"}[l]
	}
	return fmt.Sprintf("level %d", uint8(l))
}

// Tolerance is how many domains of each level may be lost at once, any of them, without losing or blocking anything.
type Tolerance struct {
	Folder int `json:"folder"`
	Device int `json:"device"`
	Node   int `json:"node"`
	Rack   int `json:"rack"`
	Site   int `json:"site"`
}

// At returns the tolerance of a level.
func (t Tolerance) At(l Level) int {
	if l < LevelCount {
		return [...]int{t.Folder, t.Device, t.Node, t.Rack, t.Site}[l]
	}
	return 0
}

// Places tells in which domain of each level each disk of a map lies. Nodes without a rack or site are taken to share
// one: nothing is promised that nobody stated. It never changes and is safe for concurrent use.
type Places struct {
	of     map[disk.ID][LevelCount]int
	counts [LevelCount]int
}

// NewPlaces numbers the domains of a map, from 0 at each level, in the order of its disks.
func NewPlaces(m *Map) *Places {
	p := &Places{of: make(map[disk.ID][LevelCount]int, len(m.Disks))}
	nodes := make(map[NodeID]*Node, len(m.Nodes))
	for i := range m.Nodes {
		nodes[m.Nodes[i].ID] = &m.Nodes[i]
	}
	type key struct{ a, b string }
	var seen [LevelCount]map[key]int
	for l := range seen {
		seen[l] = map[key]int{}
	}
	for i := range m.Disks {
		d := &m.Disks[i]
		var site, rack string
		if n := nodes[d.Node]; n != nil {
			site, rack = n.Site, n.Rack
		}
		node := d.Node.String()
		keys := [LevelCount]key{{d.ID.String(), ""}, {node, d.Device}, {node, ""}, {site, rack}, {site, ""}}
		var at [LevelCount]int
		for l, k := range keys {
			n, ok := seen[l][k]
			if !ok {
				n = len(seen[l])
				seen[l][k] = n
			}
			at[l] = n
		}
		p.of[d.ID] = at
	}
	for l := range seen {
		p.counts[l] = len(seen[l])
	}
	return p
}

// Of returns the number of the domain of a disk at a level, and false if the map has no such disk.
func (p *Places) Of(l Level, id disk.ID) (int, bool) {
	at, ok := p.of[id]
	return at[l], ok
}

// Count returns the number of domains of a level.
func (p *Places) Count(l Level) int { return p.counts[l] }
