package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// appendBlocks is how many blocks enter the log under one lock.
const appendBlocks = 16

// writer is one shard that is being written.
type writer struct {
	d     *Disk
	id    disk.ShardID
	epoch disk.Epoch

	length int64
	digest *xxh3.Hasher
	runs   []segment.Run
	holder *holder
	short  bool // a block that is not full has come: it was the last
	ended  bool
	done   bool // committed
}

// Create begins a shard.
func (d *Disk) Create(ctx context.Context, id disk.ShardID, epoch disk.Epoch) (disk.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, disk.Errorf("create", disk.KindIO, id.String(), err)
	}
	if err := d.ok("create"); err != nil {
		return nil, err
	}
	if d.nearlyFull() {
		return nil, disk.Errorf("create", disk.KindFull, id.String(), nil)
	}
	d.shards.Store(true)
	if d.t.readyCount() < reserveSegments {
		if err := d.t.ensure(ctx, reserveSegments); err != nil {
			return nil, full("create", err)
		}
	}
	if !d.x.sawEpoch(id.Group, epoch) {
		return nil, disk.Errorf("create", disk.KindStaleEpoch, id.String(), nil)
	}
	return &writer{d: d, id: id, epoch: epoch, digest: xxh3.New(), holder: &holder{}}, nil
}

// nearlyFull reports whether shards must stop: 95 % of the capacity is in use.
func (d *Disk) nearlyFull() bool {
	c := d.room.capacity.Load()
	d.t.mu.Lock()
	busy := int64(d.t.files-len(d.t.ready)) * d.o.SegmentBytes
	for _, s := range d.t.segs {
		if d.t.reusable(s) {
			busy -= d.o.SegmentBytes
		}
	}
	d.t.mu.Unlock()
	return busy+d.room.state.Load() >= c/100*95
}

// Append adds data.
func (w *writer) Append(ctx context.Context, p []byte) error {
	switch {
	case w.ended:
		return disk.Errorf("append", disk.KindInvalid, w.id.String(), errors.New("the writer has ended"))
	case w.short && len(p) > 0:
		return disk.Errorf("append", disk.KindInvalid, w.id.String(), errors.New("data behind a short block"))
	}
	for len(p) > 0 {
		n := min(len(p), appendBlocks*disk.BlockBytes)
		if err := w.appendBlocks(ctx, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (w *writer) appendBlocks(ctx context.Context, p []byte) error {
	first := blocks(w.length)
	recs := make([]rec, 0, appendBlocks)
	metas := make([]byte, 0, appendBlocks*segment.BlockMetaBytes)
	n := int64(len(p))
	for i := first; len(p) > 0; i++ {
		b := p[:min(len(p), disk.BlockBytes)]
		p = p[len(b):]
		at := len(metas)
		metas = segment.Block{ID: w.id, Epoch: w.epoch, Number: i}.AppendMeta(metas)
		r := rec{Record: segment.Record{Kind: segment.KindBlock, Meta: metas[at:], Data: b}, holder: w.holder}
		r.Seal()
		recs = append(recs, r)
	}
	if err := w.d.w.append(ctx, "append", recs, reserveSegments, nil); err != nil {
		return err
	}
	for i := range recs {
		var sum [8]byte
		binary.LittleEndian.PutUint64(sum[:], recs[i].DataSum)
		_, _ = w.digest.Write(sum[:])
		w.runs = addBlock(w.runs, first+uint32(i), recs[i].at)
	}
	w.length += n
	w.short = n%disk.BlockBytes != 0
	return nil
}

// addBlock puts a block behind the runs, into the last one if it lies right behind it.
func addBlock(runs []segment.Run, number uint32, at segment.Pos) []segment.Run {
	if n := len(runs); n > 0 {
		r := &runs[n-1]
		follows := segment.Pos{Seq: r.At.Seq, Off: r.At.Off + int64(r.Count)*segment.BlockStride}
		if at == follows && number == r.First+r.Count {
			r.Count++
			return runs
		}
	}
	return append(runs, segment.Run{First: number, Count: 1, At: at})
}

// Commit makes the shard visible and durable.
func (w *writer) Commit(ctx context.Context, owner []byte) error {
	if w.done {
		return nil
	}
	if w.ended {
		return disk.Errorf("commit", disk.KindInvalid, w.id.String(), errors.New("the writer has ended"))
	}
	m := &segment.Commit{
		Info:   disk.ShardInfo{ID: w.id, Epoch: w.epoch, Length: w.length, Owner: append([]byte(nil), owner...)},
		Digest: w.digest.Sum64(), Runs: w.runs,
	}
	r := newRec(segment.KindCommit, m.AppendMeta(nil, false), nil, m)
	var result error
	r.op.result, r.op.holder = &result, w.holder
	recs := []rec{r}
	if err := w.d.fits(recs); err != nil {
		return err
	}
	current := func() error {
		if !w.d.x.sawEpoch(w.id.Group, w.epoch) {
			return disk.Errorf("commit", disk.KindStaleEpoch, w.id.String(), nil)
		}
		return nil
	}
	if err := w.d.w.append(ctx, "commit", recs, reserveSegments, current); err != nil {
		return err
	}
	w.ended = true // from here on the applier lets the segments go
	if err := w.d.w.sync(ctx, "commit"); err != nil {
		return err
	}
	w.done = result == nil
	return result
}

// Abort gives the shard up.
func (w *writer) Abort() {
	if !w.ended {
		w.ended = true
		w.holder.release()
	}
}

// Delete forgets shards, durably.
func (d *Disk) Delete(ctx context.Context, ids ...disk.ShardID) error {
	if err := ctx.Err(); err != nil {
		return disk.Errorf("delete", disk.KindIO, "", err)
	}
	var recs []rec
	for _, id := range ids {
		here, err := d.mayExist(id)
		if err != nil {
			return ioError("delete", id.String(), err)
		}
		if here {
			m := segment.Tombstone{ID: id}
			recs = append(recs, newRec(segment.KindTombstone, m.AppendMeta(nil), nil, m))
		}
	}
	if len(recs) == 0 {
		return d.ok("delete")
	}
	if err := d.w.append(ctx, "delete", recs, reserveNone, nil); err != nil {
		return err
	}
	return d.w.sync(ctx, "delete")
}

// mayExist reports whether a shard is in the index or on its way there.
func (d *Disk) mayExist(id disk.ShardID) (bool, error) {
	d.w.mu.Lock()
	coming := d.w.pending[id] > 0
	d.w.mu.Unlock()
	if coming {
		return true, nil
	}
	_, ok, err := d.lookShard("delete", id)
	return ok, err
}

// lookShard reads the row of a shard.
func (d *Disk) lookShard(op string, id disk.ShardID) (shardRow, bool, error) {
	if err := d.use(op); err != nil {
		return shardRow{}, false, err
	}
	defer d.life.exit()
	s, ok, err := d.x.shard(d.db, id)
	if err != nil {
		err = ioError(op, id.String(), fmt.Errorf("index: %w", err))
	}
	return s, ok, err
}
