package local

import (
	"encoding/binary"
	"errors"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// The key space of the one Pebble: everything of the index is below indexPrefix, everything of the metadata ranges
// below metaPrefix.
const (
	indexPrefix = 'i'
	metaPrefix  = 'm'
)

// Kinds of index rows: the second byte of their keys.
const (
	rowDamage   = 'd' // seq, offset -> Damage
	rowEntry    = 'e' // range, index -> term, place, size
	rowGroup    = 'g' // group -> epoch
	rowHard     = 'h' // range -> hard state, place, size
	rowIdentity = 'i' // -> format version, cluster, disk
	rowLive     = 'l' // seq -> live bytes
	rowPos      = 'p' // -> place up to which the index holds the log, boot count there
	rowLost     = 'r' // -> present while the Raft replicas of this disk are lost
	rowShard    = 's' // shard id -> commit
	rowPayload  = 'y' // range, index, term, number -> place, size
)

var errBadRow = errors.New("local: bad index row")

func rowKey(kind byte, parts ...uint64) []byte {
	k := make([]byte, 2, 2+8*len(parts))
	k[0], k[1] = indexPrefix, kind
	for _, p := range parts {
		k = binary.BigEndian.AppendUint64(k, p)
	}
	return k
}

// rowSpan returns the bounds of all rows of a kind whose key starts with parts.
func rowSpan(kind byte, parts ...uint64) (lower, upper []byte) {
	lower = rowKey(kind, parts...)
	return lower, prefixEnd(lower)
}

// prefixEnd returns the first key behind all that start with p; p holds a byte below 255.
func prefixEnd(p []byte) []byte {
	e := append([]byte(nil), p...)
	for i := len(e) - 1; i >= 0; i-- {
		if e[i]++; e[i] != 0 {
			return e[:i+1]
		}
	}
	return nil
}

func entryKey(rangeID, index uint64) []byte { return rowKey(rowEntry, rangeID, index) }

func payloadKey(id disk.PayloadID) []byte {
	return binary.BigEndian.AppendUint32(rowKey(rowPayload, id.Range, id.Index, id.Term), id.N)
}

func parsePayloadKey(k []byte) (id disk.PayloadID, err error) {
	if len(k) != 2+3*8+4 || k[0] != indexPrefix || k[1] != rowPayload {
		return id, errBadRow
	}
	be := binary.BigEndian
	return disk.PayloadID{Range: be.Uint64(k[2:]), Index: be.Uint64(k[10:]), Term: be.Uint64(k[18:]), N: be.Uint32(k[26:])}, nil
}

func shardKey(id disk.ShardID) []byte { return id.AppendKey([]byte{indexPrefix, rowShard}) }

// place is where a record lies, and its size.
type place struct {
	at   segment.Pos
	size int64
}

func (p place) append(b []byte) []byte {
	return binary.AppendUvarint(segment.AppendPos(b, p.at), uint64(p.size))
}

func parsePlace(b []byte) (p place, rest []byte, err error) {
	at, rest, err := segment.ParsePos(b)
	if err != nil {
		return p, nil, errBadRow
	}
	n, w := binary.Uvarint(rest)
	if w <= 0 {
		return p, nil, errBadRow
	}
	return place{at: at, size: int64(n)}, rest[w:], nil
}

// entryRef is one Raft entry as the index holds it in memory. A zero seq marks an entry that was lost to damage.
type entryRef struct {
	term, seq uint64
	off, size uint32
}

func (e entryRef) place() place {
	return place{at: segment.Pos{Seq: e.seq, Off: int64(e.off)}, size: int64(e.size)}
}

func (e entryRef) row() []byte {
	return e.place().append(binary.AppendUvarint(nil, e.term))
}

func parseEntryRow(b []byte) (e entryRef, err error) {
	term, w := binary.Uvarint(b)
	if w <= 0 {
		return e, errBadRow
	}
	p, _, err := parsePlace(b[w:])
	return entryRef{term: term, seq: p.at.Seq, off: uint32(p.at.Off), size: uint32(p.size)}, err
}

// hardRef is the newest hard state of a range and its place.
type hardRef struct {
	state disk.HardState
	place place
}

func (h hardRef) row() []byte {
	b := binary.AppendUvarint(nil, h.state.Term)
	b = binary.AppendUvarint(b, h.state.Vote)
	b = binary.AppendUvarint(b, h.state.Commit)
	return h.place.append(b)
}

func parseHardRow(rangeID uint64, b []byte) (h hardRef, err error) {
	h.state.Range = rangeID
	for _, f := range []*uint64{&h.state.Term, &h.state.Vote, &h.state.Commit} {
		v, w := binary.Uvarint(b)
		if w <= 0 {
			return h, errBadRow
		}
		*f, b = v, b[w:]
	}
	h.place, _, err = parsePlace(b)
	return h, err
}

// shardRow is a committed shard and the place of its commit record.
type shardRow struct {
	*segment.Commit
	place place
}

func (s shardRow) row() []byte { return s.AppendMeta(s.place.append(nil), false) }

func parseShardRow(b []byte) (s shardRow, err error) {
	p, rest, err := parsePlace(b)
	if err != nil {
		return s, err
	}
	c, err := segment.ParseCommit(rest, false)
	return shardRow{Commit: c, place: p}, err
}

// blocks returns how many blocks a shard of n bytes has.
func blocks(n int64) uint32 { return uint32((n + disk.BlockBytes - 1) / disk.BlockBytes) }

// blockLen returns how much data block number i of a shard of n bytes holds.
func blockLen(n int64, i uint32) int { return int(min(disk.BlockBytes, n-int64(i)*disk.BlockBytes)) }

// runBytes returns what the records of a run take in its segment.
func (s shardRow) runBytes(r segment.Run) int64 {
	n := int64(r.Count) * segment.BlockStride
	if last := r.First + r.Count - 1; last+1 == blocks(s.Info.Length) {
		n += segment.Size(segment.BlockMetaBytes, blockLen(s.Info.Length, last)) - segment.BlockStride
	}
	return n
}

// posRow is up to where the index holds the log, and the boot count in force there.
func posRow(p segment.Pos, gen uint64) []byte {
	return binary.AppendUvarint(segment.AppendPos(nil, p), gen)
}

func parsePosRow(b []byte) (p segment.Pos, gen uint64, err error) {
	p, rest, err := segment.ParsePos(b)
	if err != nil {
		return p, 0, errBadRow
	}
	gen, w := binary.Uvarint(rest)
	if w <= 0 {
		return p, 0, errBadRow
	}
	return p, gen, nil
}

const stateVersion = 1

func identityRow(o *Options) []byte {
	b := append([]byte{stateVersion}, o.Cluster[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(o.ID))
}
