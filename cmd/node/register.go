package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
)

// register sees to it that the cluster map shows this node as it is now: its addresses, and its disks.
func (n *Node) register(ctx context.Context) error {
	var disks []clustermap.Disk
	for _, f := range n.folders {
		if f.disk == nil || f.disk.Err() != nil {
			continue
		}
		d, err := n.describe(f, n.self())
		if err != nil {
			return err
		}
		disks = append(disks, d)
	}
	return n.changeMap(ctx, func(m *clustermap.Map) (bool, error) {
		old := m.Node(n.self())
		if old == nil {
			return false, fmt.Errorf("the cluster map does not know node %s", n.self())
		}
		x := *old
		n.setAddresses(&x)
		x.Name, x.Site, x.Rack = n.cfg.Name, n.cfg.Site, n.cfg.Rack
		x.Key, x.ReplacedBy = n.publicKey(), 0
		changed, err := putNode(m, x, func(clustermap.NodeID) bool { return false })
		if err != nil {
			return false, err
		}
		for _, d := range disks {
			c, err := putDisk(m, d)
			if err != nil {
				return false, err
			}
			changed = replace(m, d) || changed || c
		}
		return changed, nil
	})
}

// replace notes that a disk has taken the place of those that were in its folder before, and reports whether that is new.
func replace(m *clustermap.Map, by clustermap.Disk) (changed bool) {
	for i := range m.Disks {
		if d := &m.Disks[i]; d.ID != by.ID && d.Node == by.Node && d.Path == by.Path && d.ReplacedBy != by.ID {
			d.ReplacedBy, changed = by.ID, true
		}
	}
	return changed
}

var errDiskMoved = errors.New("the cluster map gives the disk to another node")

// putDisk adds a disk to a map, or brings what is known of it up to date. Small changes of its capacity, which follow
// what else the file system holds, are none.
func putDisk(m *clustermap.Map, x clustermap.Disk) (changed bool, err error) {
	i, found := slices.BinarySearchFunc(m.Disks, x.ID, func(d clustermap.Disk, id disk.ID) int { return cmp.Compare(d.ID, id) })
	if !found {
		m.Disks = slices.Insert(m.Disks, i, x)
		return true, nil
	}
	d := &m.Disks[i]
	if d.Node != x.Node {
		return false, fmt.Errorf("disk %s: %w", x.ID, errDiskMoved)
	}
	if diff := x.CapacityBytes - d.CapacityBytes; max(diff, -diff) <= d.CapacityBytes/10 {
		x.CapacityBytes = d.CapacityBytes
	}
	changed = *d != x
	*d = x
	return changed, nil
}

// registered reports whether all disks of this node that work are in its copy of the map.
func (n *Node) registered() bool {
	m := n.topology.Map()
	for id, d := range n.disks {
		if d.Err() == nil && m.Disk(id) == nil {
			return false
		}
	}
	return true
}
