package stripe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
)

const (
	// dropBatch is how many shards one disk is asked to delete at once.
	dropBatch = 1000
	// discardTimeout bounds the cleaning up after a write that failed.
	discardTimeout = 5 * time.Second
)

// AbsentError names disks that did not delete what they were asked to.
type AbsentError struct {
	Disks []disk.ID // ascending
	Err   error     // what one of them said
}

// Error names the disks.
func (e *AbsentError) Error() string {
	names := make([]string, len(e.Disks))
	for i, d := range e.Disks {
		names[i] = d.String()
	}
	return fmt.Sprintf("not deleted on %s: %v", strings.Join(names, ", "), e.Err)
}

// Unwrap returns what one of the disks said.
func (e *AbsentError) Unwrap() error { return e.Err }

// Drop deletes all shards of blobs, with few calls per disk. A shard on a disk that the cluster map no longer lists
// counts as deleted. If some disks did not take it the error is an *objectlayer.Error of KindUnavailable that wraps an
// *AbsentError naming them; the rest is deleted nevertheless. A blob that makes no sense, or whose group this node's
// map does not have, is KindDamaged or KindUnavailable, and nothing is deleted. Drop may be repeated.
func (s *Store) Drop(ctx context.Context, blobs ...*metapb.Blob) error {
	m := s.o.Topology.Map()
	listed := make(map[disk.ID]bool, len(m.Disks))
	for _, d := range m.Disks {
		listed[d.ID] = true
	}
	shards := map[disk.ID][]disk.ShardID{}
	for _, b := range blobs {
		id, err := blobID(b)
		if err != nil {
			return err
		}
		for _, e := range b.GetExtents() {
			g := m.Group(disk.GroupID(e.GetGroup()))
			if g == nil {
				return dropError(objectlayer.KindUnavailable, fmt.Errorf("group %d is not in the map", e.GetGroup()))
			}
			for _, slot := range e.GetSlots() {
				if int(slot) >= len(g.Slots) {
					return dropError(objectlayer.KindDamaged, fmt.Errorf("group %d has no slot %d", g.ID, slot))
				}
				shard := disk.ShardID{Group: g.ID, Blob: id, Extent: e.GetNumber(), Slot: slot}
				for _, d := range []disk.ID{g.Slots[slot].Owner, g.Slots[slot].Incoming} {
					if d != 0 && listed[d] {
						shards[d] = append(shards[d], shard)
					}
				}
			}
		}
	}
	if absent := s.delete(ctx, shards); absent != nil {
		return dropError(objectlayer.KindUnavailable, absent)
	}
	return nil
}

func dropError(kind objectlayer.Kind, err error) error {
	return &objectlayer.Error{Op: "delete shards", Kind: kind, Err: err}
}

// delete deletes shards, all disks at once. It returns nil if all took it.
func (s *Store) delete(ctx context.Context, shards map[disk.ID][]disk.ShardID) *AbsentError {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var absent AbsentError
	for _, id := range slices.Sorted(maps.Keys(shards)) {
		wg.Go(func() {
			if err := s.deleteOn(ctx, id, shards[id]); err != nil {
				mu.Lock()
				defer mu.Unlock()
				absent.Disks = append(absent.Disks, id)
				absent.Err = err
			}
		})
	}
	wg.Wait()
	if len(absent.Disks) == 0 {
		return nil
	}
	slices.Sort(absent.Disks)
	return &absent
}

func (s *Store) deleteOn(ctx context.Context, id disk.ID, shards []disk.ShardID) error {
	store, err := s.o.Fleet.Disk(id)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(shards, dropBatch) {
		if err := store.Delete(ctx, batch...); err != nil {
			return err
		}
	}
	return nil
}

// discard deletes, as well as it can, what extents that belong to no blob have left on disks. It works even if ctx has
// ended, for a bounded time.
func (s *Store) discard(ctx context.Context, extents ...*extent) {
	shards := map[disk.ID][]disk.ShardID{}
	for _, e := range extents {
		for i, m := range e.members {
			if m.started {
				shards[e.choice.Disks[i]] = append(shards[e.choice.Disks[i]], e.shard(i))
			}
		}
	}
	if len(shards) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	if absent := s.delete(ctx, shards); absent != nil {
		s.o.Log.Warn("shards of a write that failed were left behind", "err", absent)
	}
}

func blobID(b *metapb.Blob) (id disk.BlobID, err error) {
	if len(b.GetId()) != len(id) {
		return id, &objectlayer.Error{Op: "shards", Kind: objectlayer.KindDamaged, Err: fmt.Errorf("blob id of %d bytes", len(b.GetId()))}
	}
	return disk.BlobID(b.GetId()), nil
}
