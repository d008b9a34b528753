package local

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// index says where each record lies. Its rows are in Pebble; what Raft asks for all the time is in memory as well.
type index struct {
	d  *Disk
	db *pebble.DB

	turn    turn // held by whoever changes index rows
	rebuild bool // the index is being rebuilt: a superset is wanted

	mu     sync.RWMutex // guards what follows; the holder of turn alone changes it
	pos    segment.Pos  // the index holds the log up to here
	gen    uint64       // boot count in force there
	count  uint64       // number of changes so far
	logs   map[uint64]*raftLog
	hard   map[uint64]hardRef
	epochs map[disk.GroupID]disk.Epoch

	// newest is the highest id of a payload that each range ever had a row for, in the order of the rows: a higher one
	// has none, and need not be looked for. The holder of turn alone uses it.
	newest map[uint64]disk.PayloadID
}

// raftLog is the entries of one range: refs[i] is the entry at index first+i.
type raftLog struct {
	first uint64
	refs  []entryRef
}

func (r *raftLog) last() uint64 { return r.first + uint64(len(r.refs)) - 1 }

// at returns the entry at an index, nil if it is not here.
func (r *raftLog) at(i uint64) *entryRef {
	if r == nil || len(r.refs) == 0 || i < r.first || i > r.last() {
		return nil
	}
	return &r.refs[i-r.first]
}

func newIndex(d *Disk, db *pebble.DB) *index {
	return &index{
		d: d, db: db, turn: make(turn, 1), logs: map[uint64]*raftLog{}, hard: map[uint64]hardRef{}, epochs: map[disk.GroupID]disk.Epoch{},
		newest: map[uint64]disk.PayloadID{},
	}
}

// load reads what is kept in memory. known is false if the state has never been founded or was lost.
func (x *index) load() (known bool, live map[uint64]int64, err error) {
	v, ok, err := getRow(x.db, rowKey(rowIdentity))
	if err != nil || !ok {
		return false, nil, err
	}
	if string(v) != string(identityRow(&x.d.o)) {
		return false, nil, disk.Errorf("open", disk.KindInvalid, "state", errors.New("state of another disk or format"))
	}
	if v, ok, err = getRow(x.db, rowKey(rowPos)); err != nil || !ok {
		return false, nil, err
	}
	if x.pos, x.gen, err = parsePosRow(v); err != nil {
		return false, nil, err
	}
	live = map[uint64]int64{}
	be := binary.BigEndian
	err = errors.Join(
		x.each(rowLive, func(k, v []byte) error {
			n, w := binary.Uvarint(v)
			if w <= 0 {
				return errBadRow
			}
			live[be.Uint64(k)] = int64(n)
			return nil
		}),
		x.each(rowEntry, func(k, v []byte) error {
			e, err := parseEntryRow(v)
			x.putEntry(be.Uint64(k), be.Uint64(k[8:]), e)
			return err
		}),
		x.each(rowHard, func(k, v []byte) error {
			h, err := parseHardRow(be.Uint64(k), v)
			x.hard[h.state.Range] = h
			return err
		}),
		x.each(rowGroup, func(k, v []byte) error {
			x.epochs[disk.GroupID(be.Uint64(k))] = disk.Epoch(be.Uint64(v))
			return nil
		}),
		x.each(rowDamage, func(_, v []byte) error {
			m, err := parseDamage(v)
			x.d.damage = append(x.d.damage, m)
			return err
		}),
	)
	return true, live, errors.Join(err, x.loadNewest())
}

// loadNewest finds the highest payload of each range.
func (x *index) loadNewest() (err error) {
	lower, upper := rowSpan(rowPayload)
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.Last(); ok; {
		id, err := parsePayloadKey(it.Key())
		if err != nil {
			return err
		}
		x.newest[id.Range] = id
		ok = it.SeekLT(rowKey(rowPayload, id.Range))
	}
	return it.Error()
}

// fresh reports whether a payload is surely new to its range, and notes it.
func (x *index) fresh(id disk.PayloadID) bool {
	old, ok := x.newest[id.Range]
	if ok && comparePayloads(id, old) <= 0 {
		return false
	}
	x.newest[id.Range] = id
	return true
}

// comparePayloads orders payloads of one range as their rows are.
func comparePayloads(a, b disk.PayloadID) int {
	return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Term, b.Term), cmp.Compare(a.N, b.N))
}

// each calls fn for the rows of a kind; keys come without their first two bytes.
func (x *index) each(kind byte, fn func(k, v []byte) error) (err error) {
	lower, upper := rowSpan(kind)
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		if err := fn(it.Key()[2:], it.Value()); err != nil {
			return fmt.Errorf("index row %x: %w", it.Key(), err)
		}
	}
	return it.Error()
}

// putEntry sets an entry in memory at or right behind the end; a gap is filled with lost entries.
func (x *index) putEntry(rangeID, i uint64, e entryRef) {
	lg := x.logs[rangeID]
	if lg == nil {
		lg = &raftLog{}
		x.logs[rangeID] = lg
	}
	if len(lg.refs) == 0 {
		lg.first = i
	}
	for lg.first+uint64(len(lg.refs)) < i {
		lg.refs = append(lg.refs, entryRef{})
	}
	lg.refs = append(lg.refs, e)
}

// getter is what reads rows: the database, a batch or a snapshot.
type getter = pebble.Reader

// getRow reads a row; the value is the caller's.
func getRow(r getter, key []byte) ([]byte, bool, error) {
	v, c, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	v = append([]byte(nil), v...)
	return v, true, c.Close()
}

// shard reads the row of a shard.
func (x *index) shard(r getter, id disk.ShardID) (s shardRow, ok bool, err error) {
	v, ok, err := getRow(r, shardKey(id))
	if err != nil || !ok {
		return s, false, err
	}
	s, err = parseShardRow(v)
	return s, err == nil, err
}

// payload reads the row of a payload.
func (x *index) payload(r getter, id disk.PayloadID) (p place, ok bool, err error) {
	v, c, err := r.Get(payloadKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	p, _, err = parsePlace(v)
	return p, err == nil, errors.Join(err, c.Close())
}
