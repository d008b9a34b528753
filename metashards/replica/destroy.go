package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// Destruction takes a replica that is no member any more off its disk. While it runs nobody uses the replica. Rows, log
// and payloads go in one step, and a tombstone comes that keeps its id from coming back; a crash leaves all or nothing.
type Destruction struct {
	env        Env
	id         uint64                  // of the range
	descriptor *metapb.RangeDescriptor // nil if there is no replica
	applied    uint64
	last       uint64
	least      uint64
}

// errBehind says that entries that are known to be committed were not applied yet. Among them may be a split, and the range
// that it made may have spoken from this disk already, so its rows must come about here first.
var errBehind = errors.New("committed entries are not applied yet")

// behind reports whether the replica knows of committed entries that it has not applied.
func (r *Replica) behind() bool {
	return r.mach.State().AppliedIndex < min(r.hard.Commit, r.store.last)
}

// Unapplied reports whether entries are known to be committed, here and hence perhaps elsewhere, that this replica has not applied.
func (r *Replica) Unapplied() bool { return r.mach.State().AppliedIndex < r.hard.Commit }

// Destroy begins the destruction of a replica, which must not be used any more. least is the least replica id that may
// come to this disk again. It is an error if this replica's own is not below, or if it has to apply entries first.
func (r *Replica) Destroy(least uint64) (*Destruction, error) {
	switch {
	case r.self >= least:
		return nil, fmt.Errorf("replica %d of range %d is not below %d", r.self, r.id, least)
	case r.behind():
		return nil, fmt.Errorf("destroy range %d: %w", r.id, errBehind)
	}
	return &Destruction{
		env: r.env, id: r.id, descriptor: r.mach.Descriptor(), applied: r.mach.State().AppliedIndex, last: r.store.last,
		least: least,
	}, nil
}

// DestroyRemains begins the destruction of what a disk holds of a range without a replica in use: nothing, perhaps, or one
// that was a member no more when it was to be loaded. The tombstone comes in any case. Nil: there is nothing to do.
func DestroyRemains(env Env, rangeID, least uint64) (d *Destruction, err error) {
	s := env.State.Snapshot()
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	d = &Destruction{env: env, id: rangeID, least: least}
	m, err := machine.Load(s, rangeID)
	if errors.Is(err, machine.ErrNoRange) {
		old, err := Tombstone(s, rangeID)
		if err != nil || old >= least {
			return nil, err
		}
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	d.descriptor, d.applied = m.Descriptor(), m.State().AppliedIndex
	p := machine.ReplicaOn(d.descriptor, uint64(env.Disk))
	if p != nil && p.Id >= least {
		return nil, fmt.Errorf("replica %d of range %d is not below %d", p.Id, rangeID, least)
	}
	if _, last, ok := env.Log.Bounds(rangeID); ok {
		d.last = last
	}
	if h, _ := env.Log.HardState(rangeID); p != nil && d.applied < min(h.Commit, d.last) {
		return nil, fmt.Errorf("destroy range %d: %w", rangeID, errBehind)
	}
	return d, nil
}

// Descriptor returns what the replica last knew of its range, nil if there is none.
func (d *Destruction) Descriptor() *metapb.RangeDescriptor { return d.descriptor }

// Run carries the destruction out.
func (d *Destruction) Run(ctx context.Context) error {
	id := d.id
	drop, err := d.payloads(ctx)
	if err != nil {
		return fmt.Errorf("destroy range %d: payloads: %w", id, err)
	}
	tomb := disk.Row{Key: keys.Tombstone(id), Value: binary.BigEndian.AppendUint64(nil, d.least)}
	written := false
	in := disk.Ingest{
		Clear: []disk.Span{{Lower: tomb.Key, Upper: append(slices.Clone(tomb.Key), 0)}},
		Drop:  drop, ResetLog: []uint64{id},
		Tables: []func() (disk.Row, bool, error){func() (disk.Row, bool, error) {
			was := written
			written = true
			return tomb, !was, nil
		}},
	}
	if d.descriptor != nil {
		in.Clear = append(machine.Spans(d.descriptor), in.Clear...)
	}
	if err := d.env.State.Ingest(ctx, in); err != nil {
		return fmt.Errorf("destroy range %d: %w", id, err)
	}
	return nil
}

// payloads lists every payload that the replica's rows and its log refer to.
func (d *Destruction) payloads(ctx context.Context) (drop []disk.PayloadID, err error) {
	tail, err := tailPayloads(ctx, d.env.Log, d.id, d.applied, d.last)
	if err != nil {
		return nil, err
	}
	reader := d.env.State.Snapshot()
	defer func() {
		if e := reader.Close(); err == nil {
			err = e
		}
	}()
	rows := newPayloadRows(reader, d.descriptor)
	defer func() {
		if e := rows.close(); err == nil {
			err = e
		}
	}()
	if drop, err = rows.rest(); err != nil {
		return nil, err
	}
	for _, id := range drop {
		delete(tail, id)
	}
	for id := range tail {
		drop = append(drop, id)
	}
	slices.SortFunc(drop, comparePayloads)
	return slices.Compact(drop), nil
}

// Tombstone reads the least replica id of a range that may come to a disk, 0 if any may.
func Tombstone(r disk.Reader, rangeID uint64) (least uint64, err error) {
	v, ok, err := r.Get(keys.Tombstone(rangeID))
	if err != nil || !ok {
		return 0, err
	}
	if len(v) != 8 {
		return 0, disk.Errorf("read tombstone", disk.KindCorrupt, fmt.Sprintf("range %d", rangeID), nil)
	}
	return binary.BigEndian.Uint64(v), nil
}
