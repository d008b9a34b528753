package disktest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/contender/contender/disk"
)

// memoryShard is a committed shard. Its bytes never change.
type memoryShard struct {
	info    disk.ShardInfo
	data    []byte
	corrupt map[int64]bool // numbers of rotten blocks; never changed in place
}

func shardKey(id disk.ShardID) string { return string(id.AppendKey(nil)) }

func groupKey(g disk.GroupID) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(g)))
}

// Create begins a shard.
func (m *Memory) Create(ctx context.Context, id disk.ShardID, epoch disk.Epoch) (disk.Writer, error) {
	if err := m.enter(ctx, "create", id.String()); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if epoch < m.epoch(id.Group) {
		return nil, disk.Errorf("create", disk.KindStaleEpoch, id.String(), nil)
	}
	if m.now.bytes+m.waiting >= m.capacity/100*95 {
		return nil, disk.Errorf("create", disk.KindFull, id.String(), nil)
	}
	m.seen[id.Group] = epoch
	return &memoryWriter{m: m, id: id, epoch: epoch}, nil
}

// epoch returns the newest epoch seen of a group. The mutex is held.
func (m *Memory) epoch(g disk.GroupID) disk.Epoch {
	kept, _ := m.now.epochs.get(groupKey(g))
	return max(kept, m.seen[g])
}

// shard finds a committed shard. On success the mutex is not held.
func (m *Memory) shard(ctx context.Context, op string, id disk.ShardID) (memoryShard, error) {
	if err := m.enter(ctx, op, id.String()); err != nil {
		return memoryShard{}, err
	}
	defer m.mu.Unlock()
	s, ok := m.now.shards.get(shardKey(id))
	if !ok {
		return s, disk.Errorf(op, disk.KindNotFound, id.String(), nil)
	}
	return s, nil
}

// Get reads n bytes from offset off of a committed shard.
func (m *Memory) Get(ctx context.Context, id disk.ShardID, off, n int64) (io.ReadCloser, error) {
	s, err := m.shard(ctx, "get", id)
	if err != nil {
		return nil, err
	}
	if off < 0 || n < 0 || off > s.info.Length || n > s.info.Length-off {
		return nil, disk.Errorf("get", disk.KindInvalid, id.String(), nil)
	}
	return &memoryReader{ctx: ctx, shard: s, off: off, end: off + n}, nil
}

// Info returns what is kept of a committed shard.
func (m *Memory) Info(ctx context.Context, id disk.ShardID) (disk.ShardInfo, error) {
	s, err := m.shard(ctx, "info", id)
	return s.copyInfo(), err
}

func (s memoryShard) copyInfo() disk.ShardInfo {
	i := s.info
	i.Owner = bytes.Clone(i.Owner)
	return i
}

// Delete forgets shards, durably.
func (m *Memory) Delete(ctx context.Context, ids ...disk.ShardID) error {
	if err := m.enter(ctx, "delete", ""); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, id := range ids {
		key := shardKey(id)
		if _, ok := m.now.shards.get(key); !ok {
			continue
		}
		m.record(false, func(i *image) {
			if s, ok := i.shards.get(key); ok {
				i.bytes -= s.info.Length
				i.shards = i.shards.delete(key)
			}
		})
	}
	m.sync()
	return nil
}

// List calls fn for each committed shard of a group above after, in order.
func (m *Memory) List(ctx context.Context, g disk.GroupID, after disk.ShardID, fn func(disk.ShardInfo) error) error {
	if err := m.enter(ctx, "list", ""); err != nil {
		return err
	}
	shards := m.now.shards
	m.mu.Unlock()
	from := groupKey(g)
	if after != (disk.ShardID{}) {
		from = max(from, shardKey(after)+"\x00")
	}
	for n := shards.seekGE(from); n != nil && n.value.info.ID.Group == g; n = shards.seekGE(n.key + "\x00") {
		if err := ctx.Err(); err != nil {
			return disk.Errorf("list", disk.KindIO, "", err)
		}
		if err := fn(n.value.copyInfo()); err != nil {
			return err
		}
	}
	return nil
}

// Verify reads every block of a shard.
func (m *Memory) Verify(ctx context.Context, id disk.ShardID) error {
	s, err := m.shard(ctx, "verify", id)
	if err != nil {
		return err
	}
	if len(s.corrupt) > 0 {
		return disk.Errorf("verify", disk.KindCorrupt, id.String(), nil)
	}
	return nil
}

// Corrupt lets the block of a shard that holds byte off rot: reading it gives KindCorrupt from then on. It reports
// whether there is such a byte.
func (m *Memory) Corrupt(id disk.ShardID, off int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := shardKey(id)
	s, ok := m.now.shards.get(key)
	if !ok || off < 0 || off >= s.info.Length {
		return false
	}
	m.record(false, func(i *image) {
		s, ok := i.shards.get(key)
		if !ok {
			return
		}
		rotten := map[int64]bool{off / disk.BlockBytes: true}
		for b := range s.corrupt {
			rotten[b] = true
		}
		s.corrupt = rotten
		i.shards = i.shards.set(key, s)
	})
	return true
}

// memoryReader reads a shard that may have been deleted meanwhile: its bytes are its own.
type memoryReader struct {
	ctx      context.Context
	shard    memoryShard
	off, end int64
	closed   bool
}

func (r *memoryReader) Read(p []byte) (int, error) {
	what := r.shard.info.ID.String()
	if r.closed {
		return 0, disk.Errorf("get", disk.KindClosed, what, nil)
	}
	if err := r.ctx.Err(); err != nil {
		return 0, disk.Errorf("get", disk.KindIO, what, err)
	}
	if r.off == r.end {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	block := r.off / disk.BlockBytes
	if r.shard.corrupt[block] {
		return 0, disk.Errorf("get", disk.KindCorrupt, what, nil)
	}
	n := copy(p, r.shard.data[r.off:min(r.end, (block+1)*disk.BlockBytes)])
	r.off += int64(n)
	return n, nil
}

func (r *memoryReader) Close() error {
	r.closed = true
	return nil
}

// memoryWriter is the Writer of Memory.
type memoryWriter struct {
	m         *Memory
	id        disk.ShardID
	epoch     disk.Epoch
	data      []byte
	last      bool // a short block has come
	committed bool
	aborted   bool
}

var errEnded = errors.New("the writer is ended")

func (w *memoryWriter) Append(ctx context.Context, p []byte) error {
	what := w.id.String()
	if err := w.m.enter(ctx, "append", what); err != nil {
		return err
	}
	defer w.m.mu.Unlock()
	switch {
	case w.committed || w.aborted:
		return disk.Errorf("append", disk.KindInvalid, what, errEnded)
	case w.last:
		return disk.Errorf("append", disk.KindInvalid, what, errors.New("data after a short block"))
	case w.m.now.bytes+w.m.waiting+int64(len(w.data)+len(p)) > w.m.capacity/100*95:
		return disk.Errorf("append", disk.KindFull, what, nil)
	}
	w.last = len(p)%disk.BlockBytes != 0
	w.data = append(w.data, p...)
	return nil
}

func (w *memoryWriter) Commit(ctx context.Context, owner []byte) error {
	m, what := w.m, w.id.String()
	if err := m.enter(ctx, "commit", what); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if w.committed {
		return nil
	}
	if w.aborted {
		return disk.Errorf("commit", disk.KindInvalid, what, errEnded)
	}
	if w.epoch < m.epoch(w.id.Group) {
		return disk.Errorf("commit", disk.KindStaleEpoch, what, nil)
	}
	key := shardKey(w.id)
	if old, ok := m.now.shards.get(key); ok {
		if !bytes.Equal(old.data, w.data) {
			return disk.Errorf("commit", disk.KindExists, what, nil)
		}
		w.committed = true
		return nil
	}
	s := memoryShard{
		info: disk.ShardInfo{ID: w.id, Epoch: w.epoch, Length: int64(len(w.data)), Owner: bytes.Clone(owner)},
		data: w.data,
	}
	m.sync()
	m.syncs++
	m.record(false, func(i *image) {
		i.shards = i.shards.set(key, s)
		i.bytes += s.info.Length
		if e, _ := i.epochs.get(groupKey(s.info.ID.Group)); e < s.info.Epoch {
			i.epochs = i.epochs.set(groupKey(s.info.ID.Group), s.info.Epoch)
		}
	})
	w.committed = true
	return nil
}

func (w *memoryWriter) Abort() {
	if !w.committed {
		w.aborted = true
		w.data = nil
	}
}
