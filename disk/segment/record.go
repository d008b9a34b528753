package segment

import (
	"encoding/binary"
	"errors"

	"github.com/zeebo/xxh3"
)

// Kind names what a record is.
type Kind uint8

// The kinds of records. The list is part of the format.
const (
	KindMark      Kind = 1 // start of a group commit
	KindBlock     Kind = 2 // a block of a shard
	KindCommit    Kind = 3 // a shard is whole: its info and where its blocks lie
	KindTombstone Kind = 4 // a shard is gone
	KindEntry     Kind = 5 // a Raft entry
	KindHardState Kind = 6 // a Raft hard state
	KindPayload   Kind = 7 // bytes that ride in a Raft entry
)

// Flags of a record.
const (
	// FlagMoved: compaction copied the record; its meta ends with the place of the one it replaces.
	FlagMoved uint16 = 1
	// FlagFirst: the first mark that a boot writes.
	FlagFirst uint16 = 2
)

// RecordHeaderBytes is the length of a record's fixed part. Align is the alignment of records.
const (
	RecordHeaderBytes = 40
	Align             = 8
)

const recordMagic uint32 = 0x43455243 // "CREC"

// Errors of Parse.
var (
	// ErrBadRecord: no record verifies at this place.
	ErrBadRecord = errors.New("segment: no valid record")
	// ErrBadData: the record's header and meta verify, its data do not.
	ErrBadData = errors.New("segment: record data fail their checksum")
)

// Record is one record. Meta says what it is, Data are the bytes that it carries.
type Record struct {
	Kind    Kind
	Flags   uint16
	Gen     uint64 // boot count of the writer
	Meta    []byte
	Data    []byte
	DataSum uint64 // checksum of Data; Seal computes it
}

// Seal computes the checksum of the data, so that Append need not.
func (r *Record) Seal() { r.DataSum = xxh3.Hash(r.Data) }

// Moved reports whether compaction wrote the record.
func (r *Record) Moved() bool { return r.Flags&FlagMoved != 0 }

// Size returns the bytes that a record of such parts takes in a segment.
func Size(metaBytes, dataBytes int) int64 {
	n := int64(RecordHeaderBytes) + int64(metaBytes) + int64(dataBytes)
	return (n + Align - 1) / Align * Align
}

// Size returns the bytes that the record takes in a segment.
func (r *Record) Size() int64 { return Size(len(r.Meta), len(r.Data)) }

// Append appends the encoded record, bound to its place. The record must be sealed.
func (r *Record) Append(b []byte, c *Context, off int64) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, recordMagic)
	b = append(b, Version, byte(r.Kind))
	b = le.AppendUint16(b, r.Flags)
	b = le.AppendUint64(b, r.Gen)
	b = le.AppendUint32(b, uint32(len(r.Meta)))
	b = le.AppendUint32(b, uint32(len(r.Data)))
	b = le.AppendUint64(b, r.DataSum)
	b = append(b, r.Meta...)
	le.PutUint64(b[start:], headSum(c, off, b[start+8:]))
	b = append(b, r.Data...)
	for (len(b)-start)%Align != 0 {
		b = append(b, 0)
	}
	return b
}

// headSum is the checksum over place, header and meta.
func headSum(c *Context, off int64, head []byte) uint64 {
	var t [len(Context{}) + 16]byte
	copy(t[:], c[:])
	binary.LittleEndian.PutUint64(t[len(c):], uint64(off))
	binary.LittleEndian.PutUint64(t[len(c)+8:], xxh3.Hash(head))
	return xxh3.Hash(t[:])
}

// Parse reads the record at the front of b, which lies at offset off of the segment that c binds. The record's slices
// point into b. It returns the size of the record when the header verifies (nil error or ErrBadData).
func Parse(b []byte, c *Context, off int64) (r Record, size int64, err error) {
	le := binary.LittleEndian
	if len(b) < RecordHeaderBytes || le.Uint32(b[8:]) != recordMagic || b[12] != Version {
		return r, 0, ErrBadRecord
	}
	metaLen, dataLen := int64(le.Uint32(b[24:])), int64(le.Uint32(b[28:]))
	if RecordHeaderBytes+metaLen+dataLen > int64(len(b)) {
		return r, 0, ErrBadRecord
	}
	metaEnd := RecordHeaderBytes + metaLen
	if !mutantNoChecksum && headSum(c, off, b[8:metaEnd]) != le.Uint64(b) {
		return r, 0, ErrBadRecord
	}
	r = Record{
		Kind: Kind(b[13]), Flags: le.Uint16(b[14:]), Gen: le.Uint64(b[16:]),
		Meta: b[RecordHeaderBytes:metaEnd:metaEnd], Data: b[metaEnd : metaEnd+dataLen : metaEnd+dataLen],
		DataSum: le.Uint64(b[32:]),
	}
	size = Size(int(metaLen), int(dataLen))
	if !mutantNoChecksum && xxh3.Hash(r.Data) != r.DataSum {
		return r, size, ErrBadData
	}
	return r, size, nil
}
