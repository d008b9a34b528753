package store

import (
	"context"
	"fmt"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// Bootstrap founds the replica of a new range on a disk, durably. It is called with the same descriptor and time for each
// replica of the range, before the disk's store is opened. A replica that is there already, or another one whose span
// overlaps, is an error.
func Bootstrap(ctx context.Context, d disk.Disk, desc *metapb.RangeDescriptor, now time.Time) (err error) {
	state := d.State()
	ids, err := rangesOf(state)
	if err != nil {
		return fmt.Errorf("bootstrap range %d: %w", desc.Id, err)
	}
	b := state.NewBatch()
	defer func() {
		if e := b.Close(); err == nil {
			err = e
		}
	}()
	for _, id := range ids {
		m, err := machine.Load(b, id)
		if err != nil {
			return fmt.Errorf("bootstrap range %d: %w", desc.Id, err)
		}
		if o := m.Descriptor(); keys.Overlap(desc.Start, desc.End, o.Start, o.End) {
			return fmt.Errorf("bootstrap range %d: %w: range %d", desc.Id, errOverlap, id)
		}
	}
	if err := machine.Bootstrap(b, desc, uint64(max(0, now.UnixMicro()))); err != nil {
		return err
	}
	if err := b.Commit(); err != nil {
		return fmt.Errorf("bootstrap range %d: %w", desc.Id, err)
	}
	return state.Flush(ctx)
}
