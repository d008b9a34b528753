package clustermap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/contender/contender/disk"
)

// Delta is what makes one revision of a cluster map another. Applied to any other map than the one it was made from it
// is refused.
type Delta struct {
	Format int    `json:"format"` // of the map, and of the delta itself
	From   uint64 `json:"from"`   // the revision that it changes
	To     uint64 `json:"to"`     // the revision that it makes
	Sum    uint64 `json:"sum"`    // of the map that it makes, by its head and the elements of its lists

	Cluster string `json:"cluster"`
	Region  string `json:"region"`
	Policy  string `json:"policy"`

	Wide []string `json:"wide,omitempty"`

	Nodes  *Changes[Node, NodeID]        `json:"nodes,omitempty"`
	Disks  *Changes[Disk, disk.ID]       `json:"disks,omitempty"`
	Groups *Changes[Group, disk.GroupID] `json:"groups,omitempty"`
	Ranges *Changes[Range, uint64]       `json:"ranges,omitempty"`

	Copysets *Changes[Copyset, uint64] `json:"copysets,omitempty"`
}

// Changes says what changes in one list of a map.
type Changes[T, ID any] struct {
	Set  []T  `json:"set,omitempty"`  // new, or instead of what has the same id
	Gone []ID `json:"gone,omitempty"` // removed
	Null bool `json:"null,omitempty"` // the list becomes null, not one of no elements
}

// Diff returns what makes one map another. Both must be valid, and the second one newer, or else the delta will be
// refused. The delta shares its parts with the maps.
func Diff(before, after *Map) (*Delta, error) {
	d := &Delta{
		Format: after.Format, From: before.Revision, To: after.Revision,
		Cluster: after.Cluster, Region: after.Region, Policy: after.Policy, Wide: after.Wide,
		Nodes:  diff(before.Nodes, after.Nodes, nodeID, sameNode),
		Disks:  diff(before.Disks, after.Disks, diskID, func(a, b Disk) bool { return a == b }),
		Groups: diff(before.Groups, after.Groups, groupID, sameGroup),
		Ranges: diff(before.Ranges, after.Ranges, rangeID, sameRange),

		Copysets: diff(before.Copysets, after.Copysets, copysetID, sameCopyset),
	}
	_, sum, err := before.changed(d)
	d.Sum = sum
	return d, err
}

// Apply returns the map that the delta makes of m, the same that it was made from, byte for byte as encoded. It is an
// error if m is of another revision than the delta is for, or if anything else comes out. The result shares with m and
// the delta what did not change: none of them may be changed any more.
func (m *Map) Apply(d *Delta) (*Map, error) {
	if d == nil {
		return nil, errors.New("apply delta to cluster map: there is none")
	}
	if d.Format != Format || d.From != m.Revision || d.To <= d.From {
		return nil, fmt.Errorf("apply delta to cluster map: it is of format %d and makes revision %d of %d, the map has %d",
			d.Format, d.To, d.From, m.Revision)
	}
	c, sum, err := m.changed(d)
	if err != nil {
		return nil, err
	}
	if sum != d.Sum {
		return nil, fmt.Errorf("apply delta to cluster map: revision %d does not come out as it was", d.To)
	}
	return c, nil
}

// changed makes the map that a delta makes of m, and its sum.
func (m *Map) changed(d *Delta) (c *Map, sum uint64, err error) {
	parts, err := m.sumOfParts()
	c = &Map{
		Format: d.Format, Revision: d.To, Cluster: d.Cluster, Region: d.Region, Policy: d.Policy, Wide: d.Wide,
		Nodes:  apply(&parts, &err, tagNode, m.Nodes, d.Nodes, nodeID, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) }),
		Disks:  apply(&parts, &err, tagDisk, m.Disks, d.Disks, diskID, func(a, b Disk) int { return cmp.Compare(a.ID, b.ID) }),
		Groups: apply(&parts, &err, tagGroup, m.Groups, d.Groups, groupID, func(a, b Group) int { return cmp.Compare(a.ID, b.ID) }),
		Ranges: apply(&parts, &err, tagRange, m.Ranges, d.Ranges, rangeID, func(a, b Range) int { return bytes.Compare(a.Start, b.Start) }),

		Copysets: apply(&parts, &err, tagCopyset, m.Copysets, d.Copysets, copysetID, func(a, b Copyset) int { return cmp.Compare(a.ID, b.ID) }),

		kept: new(keptSum),
	}
	if err != nil {
		return nil, 0, err
	}
	c.kept.once.Do(func() { c.kept.parts = parts })
	head, err := c.sumOfHead()
	return c, parts + head, err
}

func sameNode(a, b Node) bool { return reflect.DeepEqual(a, b) }

func diff[T any, ID comparable](before, after []T, id func(T) ID, same func(a, b T) bool) *Changes[T, ID] {
	old := make(map[ID]T, len(before))
	for _, x := range before {
		old[id(x)] = x
	}
	c := &Changes[T, ID]{Null: after == nil}
	for _, x := range after {
		if o, ok := old[id(x)]; !ok || !same(o, x) {
			c.Set = append(c.Set, x)
		}
		delete(old, id(x))
	}
	for _, x := range before {
		if _, ok := old[id(x)]; ok {
			c.Gone = append(c.Gone, id(x))
		}
	}
	if len(c.Set) == 0 && len(c.Gone) == 0 && (before == nil) == (after == nil) {
		return nil
	}
	return c
}

// apply makes of a list what it is after changes, and of the sum of the parts what that is then.
func apply[T any, ID comparable](sum *uint64, failed *error, tag byte, list []T, c *Changes[T, ID], id func(T) ID, compare func(a, b T) int) []T {
	if c == nil {
		return list
	}
	goes := make(map[ID]bool, len(c.Set)+len(c.Gone))
	for _, x := range c.Set {
		goes[id(x)] = true
	}
	for _, x := range c.Gone {
		goes[x] = true
	}
	out := make([]T, 0, len(list)+len(c.Set))
	var gone []T
	set := slices.SortedStableFunc(slices.Values(c.Set), compare)
	for _, x := range list {
		if goes[id(x)] {
			gone = append(gone, x)
			continue
		}
		for len(set) > 0 && compare(set[0], x) < 0 {
			out, set = append(out, set[0]), set[1:]
		}
		out = append(out, x)
	}
	out = append(out, set...)
	less, err := sumOf(tag, gone)
	more, errMore := sumOf(tag, c.Set)
	*sum += more - less
	*failed = errors.Join(*failed, err, errMore)
	if len(out) == 0 && c.Null {
		return nil
	}
	return out
}

func nodeID(n Node) NodeID         { return n.ID }
func diskID(d Disk) disk.ID        { return d.ID }
func groupID(g Group) disk.GroupID { return g.ID }
func rangeID(r Range) uint64       { return r.ID }
func copysetID(c Copyset) uint64   { return c.ID }

func sameGroup(a, b Group) bool {
	return a.ID == b.ID && a.Epoch == b.Epoch && a.K == b.K && a.M == b.M && a.Closed == b.Closed && a.For == b.For && sameList(a.Slots, b.Slots)
}

func sameRange(a, b Range) bool {
	return a.ID == b.ID && a.Generation == b.Generation && bytes.Equal(a.Start, b.Start) && bytes.Equal(a.End, b.End) &&
		sameList(a.Replicas, b.Replicas) && a.Leader == b.Leader && SameMove(a.Move, b.Move)
}

func sameCopyset(a, b Copyset) bool { return a.ID == b.ID && sameList(a.Disks, b.Disks) }

// SameMove reports whether two orders are the same, or both none.
func SameMove(a, b *Move) bool { return a == b || a != nil && b != nil && *a == *b }

// sameList tells null from no elements, as the encoding does.
func sameList[T comparable](a, b []T) bool {
	return (a == nil) == (b == nil) && slices.Equal(a, b)
}
