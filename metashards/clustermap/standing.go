package clustermap

import (
	"slices"

	"github.com/contender/contender/disk"
)

// Standing returns the map without the disks that are known to be lost for good, since others have taken their places: the map
// itself if there are none. Ranges, groups and copysets may still name them. It is for deciding where things are to be, and is
// not to be changed.
func (m *Map) Standing() *Map {
	gone := m.gone()
	if len(gone) == 0 {
		return m
	}
	s := *m
	s.kept = nil
	s.Disks = slices.DeleteFunc(slices.Clone(m.Disks), func(d Disk) bool { return gone[d.ID] })
	return &s
}

// gone lists the disks that others have replaced, by themselves or with their nodes.
func (m *Map) gone() map[disk.ID]bool {
	var gone map[disk.ID]bool
	for i := range m.Disks {
		d := &m.Disks[i]
		if d.ReplacedBy == 0 {
			if n := m.Node(d.Node); n == nil || n.ReplacedBy == 0 {
				continue
			}
		}
		if gone == nil {
			gone = map[disk.ID]bool{}
		}
		gone[d.ID] = true
	}
	return gone
}
