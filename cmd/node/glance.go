package node

import (
	"iter"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/heal/audit"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/objectlayer/outbox"
)

// glance is how the map and the stores of a node stood at a look.
type glance struct {
	revision uint64                        // of the map
	seen     map[disk.ID][]*replica.Status // what the stores told
}

// change is how a replica stood at the last glance, and how it stands now: nil where there was or is none.
type change struct {
	before, now *replica.Status
}

// changes returns which replicas on this node's disks stand otherwise than at the last glance, and all of them if the map is
// another, for that may be of consequence to any. Many replicas that rest cost next to nothing: what a store tells of each
// stays the same.
func (n *Node) changes(g *glance) (list []change) {
	revision := n.topology.Map().Revision
	all := g.seen == nil || revision != g.revision
	seen := make(map[disk.ID][]*replica.Status, len(n.stores))
	for id, s := range n.stores {
		seen[id] = s.Status().Replicas
		list = compare(list, g.seen[id], seen[id], all)
	}
	*g = glance{revision, seen}
	return list
}

// compare appends the replicas of a disk that stand otherwise than before, or all. Both lists are ascending by range.
func compare(list []change, before, now []*replica.Status, all bool) []change {
	if !all && len(before) > 0 && len(before) == len(now) && &before[0] == &now[0] {
		return list // told once
	}
	for len(before) > 0 || len(now) > 0 {
		if !all && len(before) > 0 && len(now) > 0 && before[0] == now[0] {
			before, now = before[1:], now[1:] // looked at no closer
			continue
		}
		var c change
		if len(now) == 0 || len(before) > 0 && before[0].Range <= now[0].Range {
			c.before = before[0]
		}
		if len(before) == 0 || len(now) > 0 && now[0].Range <= before[0].Range {
			c.now = now[0]
		}
		if c.before != nil {
			before = before[1:]
		}
		if c.now != nil {
			now = now[1:]
		}
		if all || c.before != c.now {
			list = append(list, c)
		}
	}
	return list
}

// leads reports whether a replica leads its range.
func leads(r *replica.Status) bool { return r != nil && r.Role == roleLeader && r.Descriptor != nil }

// ledData walks over the ranges of data that this node leads, with the positions where they start.
func (n *Node) ledData() iter.Seq2[*replica.Status, audit.Position] {
	return func(yield func(*replica.Status, audit.Position) bool) {
		for _, r := range n.led() {
			bucket, key, err := keys.ParsePosition(r.Descriptor.Start) // the first range has none
			if err == nil && bucket != metashards.SystemBucket && !yield(r, audit.Position{Bucket: bucket, Key: key}) {
				return
			}
		}
	}
}

// newOutboxes returns a function that lists the start of each range of data that this node leads and whose outbox was ever given a
// row. Where nothing has changed it is the list of before. It is for one goroutine.
func (n *Node) newOutboxes() func() []outbox.Position {
	var g glance
	var list []outbox.Position
	return func() []outbox.Position {
		if len(n.changes(&g)) == 0 {
			return list
		}
		list = nil
		for r, at := range n.ledData() {
			if r.Sequence != 0 {
				list = append(list, outbox.Position{Bucket: at.Bucket, Key: at.Key, Range: r.Range, Sequence: r.Sequence})
			}
		}
		return list
	}
}
