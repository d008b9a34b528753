package wire

import (
	"sync/atomic"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
)

// Directory says where disks and nodes are. It is asked for each message and answers at once. It is safe for concurrent
// use.
type Directory interface {
	// NodeOf returns the node that has a disk, false if no such disk is known.
	NodeOf(disk.ID) (clustermap.NodeID, bool)
	// Address returns where a node's peer listener is, false if no such node is known.
	Address(clustermap.NodeID) (string, bool)
}

// MapDirectory is the Directory that a cluster map is. It follows the topology. It is safe for concurrent use.
type MapDirectory struct {
	topology metashards.Topology
	index    atomic.Pointer[mapIndex]
}

type mapIndex struct {
	of    *clustermap.Map
	disks map[disk.ID]clustermap.NodeID
	nodes map[clustermap.NodeID]string
}

var _ Directory = (*MapDirectory)(nil)

// NewMapDirectory returns the directory of a topology.
func NewMapDirectory(t metashards.Topology) *MapDirectory { return &MapDirectory{topology: t} }

// current returns the index of the newest map. It makes it anew when the map is another one.
func (d *MapDirectory) current() *mapIndex {
	m := d.topology.Map()
	if i := d.index.Load(); i != nil && i.of == m {
		return i
	}
	i := &mapIndex{
		of: m, disks: make(map[disk.ID]clustermap.NodeID, len(m.Disks)), nodes: make(map[clustermap.NodeID]string, len(m.Nodes)),
	}
	for _, x := range m.Disks {
		i.disks[x.ID] = x.Node
	}
	for _, n := range m.Nodes {
		i.nodes[n.ID] = n.Peer
	}
	d.index.Store(i)
	return i
}

// NodeOf implements Directory.
func (d *MapDirectory) NodeOf(id disk.ID) (clustermap.NodeID, bool) {
	n, ok := d.current().disks[id]
	return n, ok
}

// Address implements Directory.
func (d *MapDirectory) Address(id clustermap.NodeID) (string, bool) {
	a, ok := d.current().nodes[id]
	return a, ok && a != ""
}
