package local

import (
	"context"
	"errors"
	"io"
	"sort"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// readBlocks is the most blocks that one read of a segment brings.
const readBlocks = 8

// buffers are the pooled memory of readers, for one block and for several.
type buffers struct{ one, many sync.Pool }

func (b *buffers) get(n int64) *[]byte {
	p, size := &b.many, readBlocks*segment.BlockStride
	if n <= segment.BlockStride {
		p, size = &b.one, segment.BlockStride
	}
	if v, ok := p.Get().(*[]byte); ok {
		return v
	}
	v := make([]byte, size)
	return &v
}

func (b *buffers) put(v *[]byte) {
	if len(*v) <= segment.BlockStride {
		b.one.Put(v)
		return
	}
	b.many.Put(v)
}

// reader reads a part of a shard. It is used by one goroutine at a time.
type reader struct {
	d     *Disk
	ctx   context.Context
	row   shardRow
	segs  map[uint64]*seg // pinned
	off   int64           // next byte to hand out
	end   int64
	buf   *[]byte
	have  []byte // verified bytes in buf that are still to be handed out
	queue []byte // raw records in buf behind have
	next  uint32 // number of the first block in queue
	at    segment.Pos
	err   error
}

// Get reads n bytes from offset off of a shard.
func (d *Disk) Get(ctx context.Context, id disk.ShardID, off, n int64) (io.ReadCloser, error) {
	r, err := d.openShard(ctx, "get", id)
	if err != nil {
		return nil, err
	}
	if length := r.row.Info.Length; off < 0 || n < 0 || off > length || n > length-off {
		_ = r.Close()
		return nil, disk.Errorf("get", disk.KindInvalid, id.String(), errors.New("outside of the shard"))
	}
	r.off, r.end = off, off+n
	return r, nil
}

// openShard looks a shard up and pins its segments.
func (d *Disk) openShard(ctx context.Context, op string, id disk.ShardID) (*reader, error) {
	for range lookTries {
		if err := ctx.Err(); err != nil {
			return nil, disk.Errorf(op, disk.KindIO, id.String(), err)
		}
		row, ok, err := d.lookShard(op, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, disk.Errorf(op, disk.KindNotFound, id.String(), nil)
		}
		r := &reader{d: d, ctx: ctx, row: row, segs: map[uint64]*seg{}}
		if r.pin() {
			return r, nil
		}
		_ = r.Close()
		if err := d.ok(op); err != nil {
			return nil, err
		}
	}
	return nil, d.corrupt(op, id.String(), errors.New("segments of the shard are not here"))
}

// pin takes hold of all segments of the shard, or reports that one is gone.
func (r *reader) pin() bool {
	for _, run := range r.row.Runs {
		if r.segs[run.At.Seq] != nil {
			continue
		}
		s := r.d.t.pin(run.At.Seq)
		if s == nil {
			return false
		}
		r.segs[run.At.Seq] = s
	}
	return true
}

// Read hands out verified bytes.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.off == r.end {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.have) == 0 {
		if r.err = r.fill(); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.have[:min(int64(len(r.have)), r.end-r.off)])
	r.have = r.have[n:]
	r.off += int64(n)
	return n, nil
}

// fill makes the block that holds off readable.
func (r *reader) fill() error {
	if err := r.ctx.Err(); err != nil {
		return disk.Errorf("get", disk.KindIO, r.row.Info.ID.String(), err)
	}
	if err := r.d.ok("get"); err != nil {
		return err
	}
	number := uint32(r.off / disk.BlockBytes)
	if len(r.queue) == 0 || r.next != number {
		if err := r.load(number); err != nil {
			return err
		}
	}
	what := r.row.Info.ID.String()
	s := r.segs[r.at.Seq]
	rec, size, err := segment.Parse(r.queue, &s.ctx, r.at.Off)
	if err != nil {
		return r.d.corrupt("get", what, err)
	}
	m, err := segment.ParseBlock(rec.Meta)
	if err != nil || rec.Kind != segment.KindBlock || m.ID != r.row.Info.ID || m.Number != number ||
		len(rec.Data) != blockLen(r.row.Info.Length, number) {
		return r.d.corrupt("get", what, errors.New("another record stands in its place"))
	}
	r.have = rec.Data[r.off-int64(number)*disk.BlockBytes:]
	r.queue, r.next, r.at.Off = r.queue[min(size, int64(len(r.queue))):], number+1, r.at.Off+size
	return nil
}

// load reads the records of block number and of as many that follow it as are wanted and lie behind it.
func (r *reader) load(number uint32) error {
	runs := r.row.Runs
	i := sort.Search(len(runs), func(i int) bool { return runs[i].First+runs[i].Count > number })
	if i == len(runs) || runs[i].First > number {
		return r.d.corrupt("get", r.row.Info.ID.String(), errors.New("a block is missing in the index"))
	}
	skip := number - runs[i].First
	last := uint32((r.end - 1) / disk.BlockBytes)
	part := segment.Run{
		First: number, Count: min(runs[i].Count-skip, last-number+1, readBlocks),
		At: segment.Pos{Seq: runs[i].At.Seq, Off: runs[i].At.Off + int64(skip)*segment.BlockStride},
	}
	n := r.row.runBytes(part)
	if r.buf != nil && int64(len(*r.buf)) < n {
		r.d.buffers.put(r.buf)
		r.buf = nil
	}
	if r.buf == nil {
		r.buf = r.d.buffers.get(n)
	}
	b := (*r.buf)[:n]
	if err := r.d.readAt("get", r.segs[part.At.Seq], b, part.At.Off); err != nil {
		return err
	}
	r.queue, r.next, r.at = b, number, part.At
	return nil
}

// Close lets the segments and the memory go.
func (r *reader) Close() error {
	for _, s := range r.segs {
		s.unpin()
	}
	r.segs = nil
	if r.buf != nil {
		r.d.buffers.put(r.buf)
		r.buf = nil
	}
	r.have, r.queue = nil, nil
	if r.err == nil {
		r.err = disk.Errorf("get", disk.KindInvalid, r.row.Info.ID.String(), errors.New("the reader is closed"))
	}
	return nil
}

// Info returns what is kept of a shard.
func (d *Disk) Info(ctx context.Context, id disk.ShardID) (disk.ShardInfo, error) {
	if err := ctx.Err(); err != nil {
		return disk.ShardInfo{}, disk.Errorf("info", disk.KindIO, id.String(), err)
	}
	row, ok, err := d.lookShard("info", id)
	if err != nil {
		return disk.ShardInfo{}, err
	}
	if !ok {
		return disk.ShardInfo{}, disk.Errorf("info", disk.KindNotFound, id.String(), nil)
	}
	return row.Info, nil
}

// Verify reads every block of a shard.
func (d *Disk) Verify(ctx context.Context, id disk.ShardID) error {
	r, err := d.openShard(ctx, "verify", id)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	r.end = r.row.Info.Length
	for r.off < r.end {
		if err := r.fill(); err != nil {
			return err
		}
		r.off += int64(len(r.have))
	}
	return nil
}

// List calls fn for the shards of a group above after, in order. It goes over the index in steps, so that fn may take
// its time.
func (d *Disk) List(ctx context.Context, g disk.GroupID, after disk.ShardID, fn func(disk.ShardInfo) error) error {
	group := shardKey(disk.ShardID{Group: g})[:2+4]
	lower, upper := group, prefixEnd(group)
	if after != (disk.ShardID{}) {
		if k := append(shardKey(after), 0); string(k) > string(lower) {
			lower = k
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return disk.Errorf("list", disk.KindIO, "", err)
		}
		infos, err := d.listStep(lower, upper)
		if err != nil {
			return ioError("list", "", err)
		}
		for _, i := range infos {
			if err := fn(i); err != nil {
				return err
			}
		}
		if len(infos) < listStep {
			return nil
		}
		lower = append(shardKey(infos[len(infos)-1].ID), 0)
	}
}

// listStep is how many rows one step of List takes.
const listStep = 256

func (d *Disk) listStep(lower, upper []byte) (infos []disk.ShardInfo, err error) {
	if err := d.use("list"); err != nil {
		return nil, err
	}
	defer d.life.exit()
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid() && len(infos) < listStep; it.Next() {
		row, err := parseShardRow(it.Value())
		if err != nil {
			return nil, err
		}
		infos = append(infos, row.Info)
	}
	return infos, it.Error()
}
