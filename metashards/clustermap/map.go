// Package clustermap holds the cluster map as plain values: nodes, addresses, disks, placement groups with their slots
// and epochs, ranges with their replicas. The map lives in the system range; every node holds a copy. A Map that has
// been published is never changed: Clone it, change the clone, raise the revision, put it.
package clustermap

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/contender/contender/disk"
)

// Format is the version of the encoding that this program writes.
const Format = 1

// NodeID names a node for its whole life: random, never zero.
type NodeID uint64

// String returns the id as 16 hexadecimal digits.
func (n NodeID) String() string { return fmt.Sprintf("%016x", uint64(n)) }

// Node is one process of the cluster.
type Node struct {
	ID   NodeID `json:"id"`
	Name string `json:"name"`
	S3   string `json:"s3"`   // host:port of the S3 listener
	Peer string `json:"peer"` // host:port of the peer listener
	Site string `json:"site,omitempty"`
	Rack string `json:"rack,omitempty"`
	// Key is the node's public key (Ed25519): who asks to be admitted under this id must have it.
	Key []byte `json:"key,omitempty"`
	// Maintenance is until when somebody works on the node, in seconds since 1970: it leads nothing then where another can. Zero,
	// or past: nobody does.
	Maintenance int64 `json:"maintenance,omitempty"`
	// ReplacedBy is the node that joined under this one's name, without anything of what it had, while it was away. Zero: none.
	ReplacedBy NodeID `json:"replaced_by,omitempty"`
}

// Disk is one folder of a node.
type Disk struct {
	ID            disk.ID `json:"id"`
	Node          NodeID  `json:"node"`
	Path          string  `json:"path"`
	Device        string  `json:"device"` // names the device that the folder lies on, unique within the node
	CapacityBytes int64   `json:"capacity_bytes"`
	// Mount: the folder was a mount of its own when the disk came to be.
	Mount bool `json:"mount,omitempty"`
	// ReplacedBy is the disk that came to be in the same folder when nothing of this one was there any more. Zero: none.
	ReplacedBy disk.ID `json:"replaced_by,omitempty"`
}

// Slot is one place of a placement group.
type Slot struct {
	Owner    disk.ID `json:"owner"`
	Incoming disk.ID `json:"incoming,omitempty"` // gets a copy of all writes while it takes over; zero: none
}

// Group is a placement group: k+m slots on disks in distinct domains. Its number of slots never changes.
type Group struct {
	ID     disk.GroupID `json:"id"`
	Epoch  disk.Epoch   `json:"epoch"`
	Slots  []Slot       `json:"slots"`
	K      int          `json:"k"`
	M      int          `json:"m"`
	Closed bool         `json:"closed,omitempty"` // takes no new writes
	// For is the policy for whose buckets the group was laid, one of Map.Wide; empty: the cluster's own.
	For string `json:"for,omitempty"`
}

// Replica is one member of a range's Raft group. A learner never votes. While the group is in a joint configuration, an
// incoming replica votes in the new one only, an outgoing one in the old one only, and all other voters in both.
type Replica struct {
	ID       uint64  `json:"id"`
	Disk     disk.ID `json:"disk"`
	Learner  bool    `json:"learner,omitempty"`
	Incoming bool    `json:"incoming,omitempty"`
	Outgoing bool    `json:"outgoing,omitempty"`
}

// Range is an interval of the metadata space and the replicas that keep it: a copy of its descriptor, for routing.
type Range struct {
	ID         uint64    `json:"id"`
	Generation uint64    `json:"generation"`
	Start      []byte    `json:"start,omitempty"` // position, see metashards/keys; empty: from the beginning
	End        []byte    `json:"end,omitempty"`   // exclusive; empty: to the end
	Replicas   []Replica `json:"replicas"`
	// Leader is a hint: the disk whose replica led some time ago. Zero: none is known.
	Leader disk.ID `json:"leader,omitempty"`
	// Move is an order that one of the replicas goes to another disk. Nil: none. It is dropped once it is carried out.
	Move *Move `json:"move,omitempty"`
}

// Move is an order: the replica on one disk gives way to one on another.
type Move struct {
	From disk.ID `json:"from"`
	To   disk.ID `json:"to"`
}

// Copyset is a set of disks that have all replicas of some ranges. The fewer sets there are, the fewer are the combinations of
// disks whose loss takes a range along.
type Copyset struct {
	ID    uint64    `json:"id"`
	Disks []disk.ID `json:"disks"` // ascending
}

// WideMost is how many policies may have groups of their own.
const WideMost = 8

// Map is the cluster map.
type Map struct {
	Format   int    `json:"format"`
	Revision uint64 `json:"revision"` // rises with each change; equal to the system record's revision
	Cluster  string `json:"cluster"`  // disk.ClusterID in text
	Region   string `json:"region"`
	Policy   string `json:"policy"` // the cluster-wide policy: "auto", "ec:k+m", "replica:n"
	// Wide are policies of buckets that ask for more slots than the groups of the cluster's own policy have, and hence for groups of
	// their own: WideMost at most.
	Wide []string `json:"wide,omitempty"`

	Nodes  []Node  `json:"nodes"`  // ascending by id
	Disks  []Disk  `json:"disks"`  // ascending by id
	Groups []Group `json:"groups"` // ascending by id
	Ranges []Range `json:"ranges"` // ascending by start

	Copysets []Copyset `json:"copysets,omitempty"` // ascending by id; none: replicas lie as they come

	kept *keptSum // nil while the map may be changed
}

// Marshal encodes the map.
func (m *Map) Marshal() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode cluster map: %w", err)
	}
	return b, nil
}

// Unmarshal decodes a map; it refuses a newer format. The map is not to be changed: Clone it first.
func Unmarshal(b []byte) (*Map, error) {
	m := new(Map)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("decode cluster map: %w", err)
	}
	if m.Format != Format {
		return nil, fmt.Errorf("decode cluster map: format %d, this program knows %d", m.Format, Format)
	}
	m.kept = new(keptSum)
	return m, nil
}

// Clone returns a deep copy, to be changed.
func (m *Map) Clone() *Map {
	c := *m
	c.kept = nil
	c.Wide = slices.Clone(m.Wide)
	c.Nodes = slices.Clone(m.Nodes)
	c.Disks = slices.Clone(m.Disks)
	c.Groups = slices.Clone(m.Groups)
	for i := range c.Groups {
		c.Groups[i].Slots = slices.Clone(m.Groups[i].Slots)
	}
	c.Ranges = slices.Clone(m.Ranges)
	for i := range c.Ranges {
		r := &c.Ranges[i]
		r.Replicas = slices.Clone(r.Replicas)
		if r.Move != nil {
			order := *r.Move
			r.Move = &order
		}
	}
	c.Copysets = slices.Clone(m.Copysets)
	for i := range c.Copysets {
		c.Copysets[i].Disks = slices.Clone(m.Copysets[i].Disks)
	}
	return &c
}

// Disk returns a disk by id, nil if the map has none.
func (m *Map) Disk(id disk.ID) *Disk {
	if i := slices.IndexFunc(m.Disks, func(d Disk) bool { return d.ID == id }); i >= 0 {
		return &m.Disks[i]
	}
	return nil
}

// Node returns a node by id, nil if the map has none.
func (m *Map) Node(id NodeID) *Node {
	if i := slices.IndexFunc(m.Nodes, func(n Node) bool { return n.ID == id }); i >= 0 {
		return &m.Nodes[i]
	}
	return nil
}

// Group returns a placement group by id, nil if the map has none.
func (m *Map) Group(id disk.GroupID) *Group {
	i, ok := slices.BinarySearchFunc(m.Groups, id, func(g Group, id disk.GroupID) int { return int(int64(g.ID) - int64(id)) })
	if !ok {
		return nil
	}
	return &m.Groups[i]
}
