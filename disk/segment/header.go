package segment

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
)

// Version is the format version of segment headers and records that this package writes.
const Version = 1

// HeaderBytes is the room at the front of a segment that its header may use; records start behind it.
const HeaderBytes = 4096

// encodedHeaderBytes is the length of an encoded header; the rest up to HeaderBytes is left alone.
const encodedHeaderBytes = 112

const headerMagic = "CTDRSEG\x01"

// Errors of DecodeHeader.
var (
	// ErrNoHeader: the bytes are zero; the segment was prepared and never used.
	ErrNoHeader = errors.New("segment: never used")
	// ErrBadHeader: the bytes are no valid header.
	ErrBadHeader = errors.New("segment: bad header")
)

// Pos is a place in the log: the sequence number of a segment and an offset within it. Sequence numbers start at 1, so
// the zero Pos lies before every record.
type Pos struct {
	Seq uint64
	Off int64
}

// Less reports whether p lies before q.
func (p Pos) Less(q Pos) bool { return p.Seq < q.Seq || p.Seq == q.Seq && p.Off < q.Off }

// String returns sequence:offset.
func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Seq, p.Off) }

// Header stands at the front of a segment and says whose it is, and which use of the file this is.
type Header struct {
	Cluster disk.ClusterID
	Disk    disk.ID
	Seq     uint64   // sequence number of this use, from 1, never repeated on a disk
	Salt    [16]byte // random, new with every use
	Boot    uint64   // boot count of the writer of this header
	Bytes   int64    // size of the segment
	PrevEnd Pos      // where the log ended in the segment before; all of it was synced before this header was written
}

// Encode returns the encoded header.
func (h Header) Encode() []byte {
	b := make([]byte, 0, encodedHeaderBytes)
	b = append(b, headerMagic...)
	b = binary.LittleEndian.AppendUint64(b, Version)
	b = append(b, h.Cluster[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Disk))
	b = binary.LittleEndian.AppendUint64(b, h.Seq)
	b = append(b, h.Salt[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.Boot)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Bytes))
	b = binary.LittleEndian.AppendUint64(b, h.PrevEnd.Seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.PrevEnd.Off))
	b = binary.LittleEndian.AppendUint64(b, 0)
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b))
}

// DecodeHeader reads a header. ErrNoHeader means all zero, ErrBadHeader anything else that is no header.
func DecodeHeader(b []byte) (h Header, err error) {
	if len(b) < encodedHeaderBytes {
		return h, ErrBadHeader
	}
	b = b[:encodedHeaderBytes]
	if allZero(b) {
		return h, ErrNoHeader
	}
	le := binary.LittleEndian
	sum := le.Uint64(b[encodedHeaderBytes-8:])
	if string(b[:8]) != headerMagic || xxh3.Hash(b[:encodedHeaderBytes-8]) != sum {
		return h, ErrBadHeader
	}
	if v := le.Uint64(b[8:]); v != Version {
		return h, fmt.Errorf("%w: format version %d, this program knows %d", ErrBadHeader, v, Version)
	}
	copy(h.Cluster[:], b[16:])
	h.Disk = disk.ID(le.Uint64(b[32:]))
	h.Seq = le.Uint64(b[40:])
	copy(h.Salt[:], b[48:])
	h.Boot = le.Uint64(b[64:])
	h.Bytes = int64(le.Uint64(b[72:]))
	h.PrevEnd = Pos{Seq: le.Uint64(b[80:]), Off: int64(le.Uint64(b[88:]))}
	if h.Seq == 0 || h.Bytes < HeaderBytes {
		return Header{}, ErrBadHeader
	}
	return h, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Context is what binds a record to its segment; it is derived from the header and goes into every record's checksum.
type Context [48]byte

// Context returns the binding of this segment's records.
func (h Header) Context() (c Context) {
	copy(c[:], h.Cluster[:])
	binary.LittleEndian.PutUint64(c[16:], uint64(h.Disk))
	binary.LittleEndian.PutUint64(c[24:], h.Seq)
	copy(c[32:], h.Salt[:])
	return c
}
