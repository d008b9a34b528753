package local

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/contender/contender/disk"
)

// stateDoor is the part of the disk's Pebble that belongs to metadata: every key behind metaPrefix.
type stateDoor struct{ d *Disk }

func metaKey(k []byte) []byte { return append(append(make([]byte, 0, len(k)+1), metaPrefix), k...) }

// metaBounds turns the bounds of a caller into those of Pebble; nil is unbounded.
func metaBounds(lower, upper []byte) (l, u []byte) {
	l, u = metaKey(lower), []byte{metaPrefix + 1}
	if upper != nil {
		u = metaKey(upper)
	}
	return l, u
}

// Get returns the value of a key.
func (s stateDoor) Get(key []byte) ([]byte, bool, error) {
	if err := s.d.use("state get"); err != nil {
		return nil, false, err
	}
	defer s.d.life.exit()
	v, ok, err := getRow(s.d.db, metaKey(key))
	return v, ok, ioError("state get", "", err)
}

// Snapshot returns an unchanging view.
func (s stateDoor) Snapshot() disk.Snapshot {
	var p *pebble.Snapshot
	made := make(chan *pebble.Snapshot, 1)
	err := s.d.leave(context.Background(), "snapshot", func() error {
		made <- s.d.db.NewSnapshot()
		return nil
	})
	if err == nil {
		p = <-made
	}
	return &snapshot{view: view{d: s.d, r: p, err: err}, p: p}
}

// NewBatch begins a change.
func (s stateDoor) NewBatch() disk.Batch {
	if err := s.d.ok("batch"); err != nil {
		return &batchDoor{view: view{d: s.d, err: err}}
	}
	b := s.d.db.NewIndexedBatch()
	return &batchDoor{view: view{d: s.d, r: b}, b: b, own: map[string]ownRow{}}
}

// Flush makes everything committed durable.
func (s stateDoor) Flush(ctx context.Context) error { return s.d.leave(ctx, "flush", s.d.flush) }

// view is the reading side of a snapshot or a batch. A view whose making failed answers everything with that error.
type view struct {
	d   *Disk
	r   pebble.Reader
	err error
	val []byte
}

func (v *view) use(op string) error {
	if v.err != nil {
		return v.err
	}
	return v.d.use(op)
}

// Get returns the value of a key.
func (v *view) Get(key []byte) ([]byte, bool, error) {
	if err := v.use("state get"); err != nil {
		return nil, false, err
	}
	defer v.d.life.exit()
	b, c, err := v.r.Get(metaKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, ioError("state get", "", err)
	}
	v.val = append(v.val[:0], b...)
	return v.val, true, ioError("state get", "", c.Close())
}

// Iter returns an iterator.
func (v *view) Iter(lower, upper []byte) (disk.Iter, error) {
	if err := v.use("state iter"); err != nil {
		return nil, err
	}
	defer v.d.life.exit()
	l, u := metaBounds(lower, upper)
	it, err := v.r.NewIter(&pebble.IterOptions{LowerBound: l, UpperBound: u})
	if err != nil {
		return nil, ioError("state iter", "", err)
	}
	return &iter{d: v.d, it: it, lower: l, upper: u}, nil
}

type snapshot struct {
	view
	p *pebble.Snapshot
}

// Get returns the value of a key. Unlike a batch's it is the caller's, and many may ask at once.
func (s *snapshot) Get(key []byte) ([]byte, bool, error) {
	if err := s.use("state get"); err != nil {
		return nil, false, err
	}
	defer s.d.life.exit()
	v, ok, err := getRow(s.r, metaKey(key))
	return v, ok, ioError("state get", "", err)
}

// Close gives the view up.
func (s *snapshot) Close() error {
	if s.p == nil {
		return nil
	}
	p := s.p
	s.p, s.err = nil, disk.Errorf("snapshot", disk.KindInvalid, "", errors.New("closed"))
	err := s.d.leave(context.Background(), "snapshot", p.Close)
	if disk.Is(err, disk.KindFenced) || disk.Is(err, disk.KindClosed) {
		return nil // a database that is fenced or closed keeps nothing back
	}
	return ioError("snapshot", "", err)
}

// batchDoor is a change of metadata rows. What it forgets of the log becomes rows of the index when it is committed.
//
// Most rows that a batch asks for are not there (a new key). Pebble's own Get reads a block of the lowest level to find
// that out, for it never uses the filters there; an iterator may. So Get looks at the rows that the batch has written,
// then through one iterator over the database.
type batchDoor struct {
	view
	b         *pebble.Batch
	own       map[string]ownRow // rows that the batch has set or deleted; nil once it has deleted a range
	it        *pebble.Iterator  // of the database, made when it is needed
	drop      []disk.PayloadID
	truncate  map[uint64]uint64 // range to index
	committed bool
}

// ownRow is a row as a batch has left it.
type ownRow struct {
	value []byte
	there bool
}

// Get returns the value of a key: what the batch has made of it, else what was committed when the batch first looked.
func (b *batchDoor) Get(key []byte) ([]byte, bool, error) {
	if b.own == nil {
		return b.view.Get(key)
	}
	if row, ok := b.own[string(key)]; ok && b.err == nil {
		return row.value, row.there, nil
	}
	if err := b.use("state get"); err != nil {
		return nil, false, err
	}
	defer b.d.life.exit()
	if b.it == nil {
		it, err := b.d.db.NewIter(&pebble.IterOptions{
			LowerBound: []byte{metaPrefix}, UpperBound: []byte{metaPrefix + 1}, UseL6Filters: true,
		})
		if err != nil {
			return nil, false, ioError("state get", "", err)
		}
		b.it = it
	}
	b.val = append(append(b.val[:0], metaPrefix), key...)
	if !b.it.SeekPrefixGE(b.val) {
		return nil, false, ioError("state get", "", b.it.Error())
	}
	b.val = append(b.val[:0], b.it.Value()...)
	return b.val, true, nil
}

// closeIter gives up the iterator of Get.
func (b *batchDoor) closeIter() error {
	it := b.it
	if b.it = nil; it == nil {
		return nil
	}
	return it.Close()
}

// change runs one change of the batch.
func (b *batchDoor) change(fn func() error) error {
	if b.err != nil {
		return b.err
	}
	return ioError("state set", "", fn())
}

func (b *batchDoor) Set(key, value []byte) error {
	return b.change(func() error {
		if b.own != nil {
			b.own[string(key)] = ownRow{value: bytes.Clone(value), there: true}
		}
		return b.b.Set(metaKey(key), value, nil)
	})
}

func (b *batchDoor) Delete(key []byte) error {
	return b.change(func() error {
		if b.own != nil {
			b.own[string(key)] = ownRow{}
		}
		return b.b.Delete(metaKey(key), nil)
	})
}

func (b *batchDoor) DeleteRange(lower, upper []byte) error {
	l, u := metaBounds(lower, upper)
	return b.change(func() error {
		b.own = nil // Pebble's index of the batch knows
		return b.b.DeleteRange(l, u, nil)
	})
}

func (b *batchDoor) DropPayloads(ids ...disk.PayloadID) error {
	return b.change(func() error {
		b.drop = append(b.drop, ids...)
		return nil
	})
}

func (b *batchDoor) TruncateLog(rangeID, index uint64) error {
	return b.change(func() error {
		if b.truncate == nil {
			b.truncate = map[uint64]uint64{}
		}
		b.truncate[rangeID] = max(b.truncate[rangeID], index)
		return nil
	})
}

var errBatchEnded = errors.New("the batch has ended")

// Commit makes the change visible. If the disk is fenced meanwhile, it comes back and the change may or may not be.
func (b *batchDoor) Commit() error {
	if b.err != nil {
		return b.err
	}
	b.err = disk.Errorf("state commit", disk.KindInvalid, "", errBatchEnded)
	b.committed = true
	err := b.d.leave(context.Background(), "state commit", func() error {
		defer func() { _ = b.b.Close() }()
		if err := b.closeIter(); err != nil {
			return err
		}
		if len(b.drop) == 0 && len(b.truncate) == 0 {
			if err := b.d.take(b.d.commits, 1); err != nil {
				return err
			}
			defer b.d.commits.give(1)
			return b.b.Commit(pebble.NoSync)
		}
		return b.d.x.commit(b.b, b.drop, b.truncate)
	})
	return ioError("state commit", "", err)
}

// Close gives the change up.
func (b *batchDoor) Close() error {
	if b.committed || b.b == nil {
		return nil
	}
	b.committed = true
	b.err = disk.Errorf("state commit", disk.KindInvalid, "", errBatchEnded)
	return ioError("state batch", "", errors.Join(b.closeIter(), b.b.Close()))
}

// commit commits a batch of metadata together with what it forgets of the log.
func (x *index) commit(b *pebble.Batch, drop []disk.PayloadID, truncate map[uint64]uint64) error {
	if err := x.d.take(x.turn, 1); err != nil {
		return err
	}
	defer x.turn.give(1)
	c := x.change(b)
	for _, id := range drop {
		if err := c.dropPayload(id); err != nil {
			return err
		}
	}
	for _, r := range slices.Sorted(maps.Keys(truncate)) {
		if err := c.dropLog(r, truncate[r]); err != nil {
			return err
		}
	}
	if err := c.finish(); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	for _, fn := range c.now {
		fn()
	}
	x.d.wake()
	return nil
}
