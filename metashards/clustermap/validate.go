package clustermap

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/contender/contender/disk"
)

// Validate tells what is wrong with a map, nil if nothing is: ids are set and in ascending order, and whatever names a
// node or a disk names one that is there. A map that does not pass must not be put.
func (m *Map) Validate() error {
	if m.Format != Format {
		return fmt.Errorf("cluster map: format %d, this program knows %d", m.Format, Format)
	}
	if _, err := disk.ParseClusterID(m.Cluster); err != nil {
		return fmt.Errorf("cluster map: %w", err)
	}
	if err := ascending("node", m.Nodes, func(n Node) uint64 { return uint64(n.ID) }); err != nil {
		return err
	}
	if err := ascending("disk", m.Disks, func(d Disk) uint64 { return uint64(d.ID) }); err != nil {
		return err
	}
	if err := ascending("group", m.Groups, func(g Group) uint64 { return uint64(g.ID) }); err != nil {
		return err
	}
	if len(m.Wide) > WideMost {
		return fmt.Errorf("cluster map: %d policies with groups of their own, at most %d", len(m.Wide), WideMost)
	}
	for i, p := range m.Wide {
		if p == "" || slices.Contains(m.Wide[:i], p) {
			return fmt.Errorf("cluster map: policy %q is named twice or empty", p)
		}
	}
	known := make(map[disk.ID]bool, len(m.Disks))
	for _, d := range m.Disks {
		switch {
		case m.Node(d.Node) == nil:
			return fmt.Errorf("cluster map: disk %v is of node %v, which is not there", d.ID, d.Node)
		case d.Device == "":
			return fmt.Errorf("cluster map: disk %v has no device", d.ID)
		case d.CapacityBytes < 0:
			return fmt.Errorf("cluster map: disk %v has a capacity of %d bytes", d.ID, d.CapacityBytes)
		}
		known[d.ID] = true
	}
	for i := range m.Groups {
		if err := m.Groups[i].validate(known); err != nil {
			return fmt.Errorf("cluster map: group %d: %w", m.Groups[i].ID, err)
		}
	}
	if err := m.validateCopysets(known); err != nil {
		return err
	}
	return m.validateRanges(known)
}

func (m *Map) validateCopysets(known map[disk.ID]bool) error {
	if err := ascending("copyset", m.Copysets, func(c Copyset) uint64 { return c.ID }); err != nil {
		return err
	}
	for _, c := range m.Copysets {
		if len(c.Disks) == 0 {
			return fmt.Errorf("cluster map: copyset %d has no disks", c.ID)
		}
		for i, d := range c.Disks {
			if !known[d] || i > 0 && d <= c.Disks[i-1] {
				return fmt.Errorf("cluster map: copyset %d: disk %v is not there or not in ascending order", c.ID, d)
			}
		}
	}
	return nil
}

func ascending[T any](what string, list []T, id func(T) uint64) error {
	var last uint64
	for _, x := range list {
		if id(x) <= last {
			return fmt.Errorf("cluster map: %s %016x is zero or not in ascending order", what, id(x))
		}
		last = id(x)
	}
	return nil
}

func (g *Group) validate(known map[disk.ID]bool) error {
	if g.K < 1 || g.M < 0 || g.K > 255 || g.M > 255 || len(g.Slots) != g.K+g.M || len(g.Slots) > 255 {
		return fmt.Errorf("%d slots for %d+%d", len(g.Slots), g.K, g.M)
	}
	if g.Epoch == 0 {
		return fmt.Errorf("epoch 0")
	}
	owners := make(map[disk.ID]bool, len(g.Slots))
	for _, s := range g.Slots {
		switch {
		case !known[s.Owner]:
			return fmt.Errorf("owner %v is not there", s.Owner)
		case owners[s.Owner]:
			return fmt.Errorf("disk %v owns two slots", s.Owner)
		case s.Incoming != 0 && !known[s.Incoming]:
			return fmt.Errorf("incoming disk %v is not there", s.Incoming)
		}
		owners[s.Owner] = true
	}
	return nil
}

// validateRanges checks order, disjointness and replicas. Whether the ranges leave no gap is not asked: a map in the
// making may.
func (m *Map) validateRanges(known map[disk.ID]bool) error {
	ids := map[uint64]bool{}
	for i, r := range m.Ranges {
		if r.ID == 0 || ids[r.ID] {
			return fmt.Errorf("cluster map: range %d is zero or there twice", r.ID)
		}
		ids[r.ID] = true
		if len(r.End) > 0 && bytes.Compare(r.Start, r.End) >= 0 {
			return fmt.Errorf("cluster map: range %d is empty", r.ID)
		}
		if i > 0 {
			if before := m.Ranges[i-1]; len(before.End) == 0 || bytes.Compare(before.End, r.Start) > 0 {
				return fmt.Errorf("cluster map: range %d begins before range %d ends", r.ID, before.ID)
			}
		}
		if o := r.Move; o != nil && (o.From == o.To || !known[o.From] || !known[o.To]) {
			return fmt.Errorf("cluster map: range %d: a replica is to go from disk %v to disk %v", r.ID, o.From, o.To)
		}
		disks, replicas := map[disk.ID]bool{}, map[uint64]bool{}
		for _, x := range r.Replicas {
			if x.ID == 0 || replicas[x.ID] || !known[x.Disk] || disks[x.Disk] {
				return fmt.Errorf("cluster map: range %d: replica %d on disk %v", r.ID, x.ID, x.Disk)
			}
			disks[x.Disk], replicas[x.ID] = true, true
		}
	}
	return nil
}
