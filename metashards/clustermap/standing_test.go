package clustermap

import (
	"testing"

	"github.com/contender/contender/disk"
)

// TestStanding: what others have replaced is left out, the rest is shared, and the map itself stays as it is.
func TestStanding(t *testing.T) {
	m := &Map{
		Nodes: []Node{{ID: 1}, {ID: 2, ReplacedBy: 3}, {ID: 3}},
		Disks: []Disk{{ID: 10, Node: 1}, {ID: 11, Node: 1, ReplacedBy: 12}, {ID: 12, Node: 1}, {ID: 20, Node: 2}, {ID: 30, Node: 3}},
	}
	s := m.Standing()
	var ids []disk.ID
	for _, d := range s.Disks {
		ids = append(ids, d.ID)
	}
	if len(ids) != 3 || ids[0] != 10 || ids[1] != 12 || ids[2] != 30 || len(m.Disks) != 5 || len(s.Nodes) != 3 {
		t.Errorf("standing are %v of %d disks", ids, len(m.Disks))
	}
	m.Disks[1].ReplacedBy, m.Nodes[1].ReplacedBy = 0, 0
	if m.Standing() != m {
		t.Error("a map of which all stands is another")
	}
}
