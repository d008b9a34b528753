package segment

import (
	"encoding/binary"
	"errors"

	"github.com/contender/contender/disk"
)

// ErrBadMeta: the meta part of a record is not what its kind demands.
var ErrBadMeta = errors.New("segment: bad meta part")

// MarkMetaBytes is the length of a mark's meta part.
const MarkMetaBytes = 16

// Mark starts a group commit.
type Mark struct {
	Synced Pos // everything before this place was synced when the mark was written
}

// AppendMeta appends the encoded mark.
func (m Mark) AppendMeta(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, m.Synced.Seq)
	return binary.LittleEndian.AppendUint64(b, uint64(m.Synced.Off))
}

// ParseMark reads what AppendMeta wrote.
func ParseMark(b []byte) (m Mark, err error) {
	if len(b) != MarkMetaBytes {
		return m, ErrBadMeta
	}
	le := binary.LittleEndian
	return Mark{Synced: Pos{Seq: le.Uint64(b), Off: int64(le.Uint64(b[8:]))}}, nil
}

// BlockMetaBytes is the length of a block's meta part; it is fixed, so that full blocks that follow one another lie
// BlockStride apart.
const BlockMetaBytes = disk.ShardKeyLen + 8 + 4

// BlockStride is the size of the record of a full block.
const BlockStride = (RecordHeaderBytes + BlockMetaBytes + disk.BlockBytes + Align - 1) / Align * Align

// Block is a block of a shard.
type Block struct {
	ID     disk.ShardID
	Epoch  disk.Epoch
	Number uint32 // from 0
}

// AppendMeta appends the encoded block.
func (m Block) AppendMeta(b []byte) []byte {
	b = m.ID.AppendKey(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Epoch))
	return binary.LittleEndian.AppendUint32(b, m.Number)
}

// ParseBlock reads what AppendMeta wrote.
func ParseBlock(b []byte) (m Block, err error) {
	if len(b) != BlockMetaBytes {
		return m, ErrBadMeta
	}
	if m.ID, err = disk.ParseShardKey(b[:disk.ShardKeyLen]); err != nil {
		return m, ErrBadMeta
	}
	m.Epoch = disk.Epoch(binary.LittleEndian.Uint64(b[disk.ShardKeyLen:]))
	m.Number = binary.LittleEndian.Uint32(b[disk.ShardKeyLen+8:])
	return m, nil
}

// Run is blocks of a shard that lie one behind the other. All but the last block of a shard are full.
type Run struct {
	First uint32 // number of the first block
	Count uint32
	At    Pos // place of the first block's record
}

// Commit makes a shard whole.
type Commit struct {
	Info   disk.ShardInfo
	Digest uint64 // over the checksums of all blocks, in order: two shards of the same bytes agree in it
	Runs   []Run
	Old    Pos // of a moved record: the place of the commit record that it replaces
}

// AppendMeta appends the encoded commit; moved says whether Old is written.
func (m *Commit) AppendMeta(b []byte, moved bool) []byte {
	b = m.Info.ID.AppendKey(b)
	b = binary.AppendUvarint(b, uint64(m.Info.Epoch))
	b = binary.AppendUvarint(b, uint64(m.Info.Length))
	b = binary.LittleEndian.AppendUint64(b, m.Digest)
	b = binary.AppendUvarint(b, uint64(len(m.Info.Owner)))
	b = append(b, m.Info.Owner...)
	b = binary.AppendUvarint(b, uint64(len(m.Runs)))
	for _, r := range m.Runs {
		b = binary.AppendUvarint(b, uint64(r.First))
		b = binary.AppendUvarint(b, uint64(r.Count))
		b = AppendPos(b, r.At)
	}
	return appendOld(b, moved, m.Old)
}

// ParseCommit reads what AppendMeta wrote. The owner is a copy.
func ParseCommit(b []byte, moved bool) (*Commit, error) {
	d := decoder{b: b}
	m := &Commit{}
	m.Info.ID = d.shard()
	m.Info.Epoch = disk.Epoch(d.uvarint())
	m.Info.Length = int64(d.uvarint())
	m.Digest = d.fixed64()
	m.Info.Owner = append([]byte(nil), d.bytes(d.uvarint())...)
	n := d.uvarint()
	if d.bad || n > uint64(len(d.b)) || m.Info.Length < 0 {
		return nil, ErrBadMeta
	}
	for range n {
		m.Runs = append(m.Runs, Run{First: uint32(d.uvarint()), Count: uint32(d.uvarint()), At: d.pos()})
	}
	m.Old = d.old(moved)
	return m, d.end()
}

// Tombstone takes a shard away.
type Tombstone struct{ ID disk.ShardID }

// AppendMeta appends the encoded tombstone.
func (m Tombstone) AppendMeta(b []byte) []byte { return m.ID.AppendKey(b) }

// ParseTombstone reads what AppendMeta wrote.
func ParseTombstone(b []byte) (m Tombstone, err error) {
	if m.ID, err = disk.ParseShardKey(b); err != nil {
		err = ErrBadMeta
	}
	return m, err
}

// Entry is a Raft entry; its bytes are the record's data.
type Entry struct {
	Range, Term, Index uint64
	Type               uint8
	// Base is the place of the first record that was appended together with this one. Payloads behind it belong to the
	// new entries, those before it to the entries that they replace.
	Base Pos
	Old  Pos // of a moved record: the place that it replaces
}

// PatchBase sets the base in an encoded entry.
func PatchBase(meta []byte, base Pos) {
	binary.LittleEndian.PutUint64(meta, base.Seq)
	binary.LittleEndian.PutUint64(meta[8:], uint64(base.Off))
}

// AppendMeta appends the encoded entry. The base has a fixed place in front, so that PatchBase can set it.
func (m Entry) AppendMeta(b []byte, moved bool) []byte {
	b = binary.LittleEndian.AppendUint64(b, m.Base.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Base.Off))
	b = binary.AppendUvarint(b, m.Range)
	b = binary.AppendUvarint(b, m.Term)
	b = binary.AppendUvarint(b, m.Index)
	b = append(b, m.Type)
	return appendOld(b, moved, m.Old)
}

// ParseEntry reads what AppendMeta wrote.
func ParseEntry(b []byte, moved bool) (m Entry, err error) {
	d := decoder{b: b}
	m.Base = Pos{Seq: d.fixed64(), Off: int64(d.fixed64())}
	m.Range, m.Term, m.Index = d.uvarint(), d.uvarint(), d.uvarint()
	if t := d.bytes(1); len(t) == 1 {
		m.Type = t[0]
	}
	m.Old = d.old(moved)
	return m, d.end()
}

// HardState is a Raft hard state; it has no data.
type HardState struct {
	State disk.HardState
	Old   Pos // of a moved record: the place that it replaces
}

// AppendMeta appends the encoded hard state.
func (m HardState) AppendMeta(b []byte, moved bool) []byte {
	b = binary.AppendUvarint(b, m.State.Range)
	b = binary.AppendUvarint(b, m.State.Term)
	b = binary.AppendUvarint(b, m.State.Vote)
	b = binary.AppendUvarint(b, m.State.Commit)
	return appendOld(b, moved, m.Old)
}

// ParseHardState reads what AppendMeta wrote.
func ParseHardState(b []byte, moved bool) (m HardState, err error) {
	d := decoder{b: b}
	m.State = disk.HardState{Range: d.uvarint(), Term: d.uvarint(), Vote: d.uvarint(), Commit: d.uvarint()}
	m.Old = d.old(moved)
	return m, d.end()
}

// Payload is bytes that ride in a Raft entry; they are the record's data.
type Payload struct {
	ID  disk.PayloadID
	Old Pos // of a moved record: the place that it replaces
}

// AppendMeta appends the encoded payload.
func (m Payload) AppendMeta(b []byte, moved bool) []byte {
	b = binary.AppendUvarint(b, m.ID.Range)
	b = binary.AppendUvarint(b, m.ID.Term)
	b = binary.AppendUvarint(b, m.ID.Index)
	b = binary.AppendUvarint(b, uint64(m.ID.N))
	return appendOld(b, moved, m.Old)
}

// ParsePayload reads what AppendMeta wrote.
func ParsePayload(b []byte, moved bool) (m Payload, err error) {
	d := decoder{b: b}
	m.ID = disk.PayloadID{Range: d.uvarint(), Term: d.uvarint(), Index: d.uvarint(), N: uint32(d.uvarint())}
	m.Old = d.old(moved)
	return m, d.end()
}

// AppendPos appends a place as two uvarints.
func AppendPos(b []byte, p Pos) []byte {
	b = binary.AppendUvarint(b, p.Seq)
	return binary.AppendUvarint(b, uint64(p.Off))
}

func appendOld(b []byte, moved bool, p Pos) []byte {
	if !moved {
		return b
	}
	return AppendPos(b, p)
}

// ParsePos reads what AppendPos wrote at the front of b and returns the rest.
func ParsePos(b []byte) (Pos, []byte, error) {
	d := decoder{b: b}
	p := d.pos()
	if d.bad {
		return Pos{}, nil, ErrBadMeta
	}
	return p, d.b, nil
}

// decoder reads fields one after the other and remembers whether one was missing.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) fixed64() uint64 {
	v := d.bytes(8)
	if len(v) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(v)
}

func (d *decoder) shard() disk.ShardID {
	id, err := disk.ParseShardKey(d.bytes(disk.ShardKeyLen))
	if err != nil {
		d.bad = true
	}
	return id
}

func (d *decoder) pos() Pos { return Pos{Seq: d.uvarint(), Off: int64(d.uvarint())} }

func (d *decoder) old(moved bool) Pos {
	if !moved {
		return Pos{}
	}
	return d.pos()
}

func (d *decoder) end() error {
	if d.bad || len(d.b) != 0 {
		return ErrBadMeta
	}
	return nil
}
