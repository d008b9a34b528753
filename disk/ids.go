package disk

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// ID names a disk for its whole life. It is drawn at random when the disk is founded, never zero, and never reused: a
// disk that was wiped or rolled back comes back under a new one.
type ID uint64

// String returns the id as 16 hexadecimal digits.
func (i ID) String() string { return fmt.Sprintf("%016x", uint64(i)) }

// ParseID reads what ID.String wrote.
func ParseID(s string) (ID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, fmt.Errorf("disk id %q: want 16 hexadecimal digits", s)
	}
	return ID(binary.BigEndian.Uint64(b)), nil
}

// ClusterID names a cluster for its whole life: 16 random bytes drawn at founding.
type ClusterID [16]byte

// String returns the id as 32 hexadecimal digits.
func (c ClusterID) String() string { return hex.EncodeToString(c[:]) }

// ParseClusterID reads what ClusterID.String wrote.
func ParseClusterID(s string) (c ClusterID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(c) {
		return c, fmt.Errorf("cluster id %q: want 32 hexadecimal digits", s)
	}
	copy(c[:], b)
	return c, nil
}

// BlobID names immutable bytes: 6 bytes of start time (range time, Unix milliseconds, big-endian) followed by 10 random
// bytes. Because the time leads, ids sort by the time at which their write began; write floors and inventories rely on it.
type BlobID [16]byte

// NewBlobID makes an id from a start time in Unix milliseconds and 10 random bytes.
func NewBlobID(startMillis uint64, random [10]byte) (b BlobID) {
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], startMillis)
	copy(b[:6], t[2:])
	copy(b[6:], random[:])
	return b
}

// StartMillis returns the start time, in Unix milliseconds of range time.
func (b BlobID) StartMillis() uint64 {
	var t [8]byte
	copy(t[2:], b[:6])
	return binary.BigEndian.Uint64(t[:])
}

// Start returns the start time.
func (b BlobID) Start() time.Time { return time.UnixMilli(int64(b.StartMillis())) }

// String returns the id as 32 hexadecimal digits.
func (b BlobID) String() string { return hex.EncodeToString(b[:]) }

// GroupID names a placement group. Zero names none. The upper 16 bits are the layout that the group belongs to: the
// groups that were laid at one time. The lower 16 bits number the groups of a layout, from 1.
type GroupID uint32

// LayoutGroupsMax is how many groups a layout can have.
const LayoutGroupsMax = 1<<16 - 1

// FirstGroup returns the id of the first group of a layout.
func FirstGroup(layout uint16) GroupID { return GroupID(layout)<<16 | 1 }

// Layout returns the layout that the group belongs to.
func (g GroupID) Layout() uint16 { return uint16(g >> 16) }

// Next returns the id behind g, the first of the next layout where g is the last of its own; false if g is the last of
// all.
func (g GroupID) Next() (GroupID, bool) {
	next := g + 1
	if uint16(next) == 0 {
		next++
	}
	return next, next > g
}

// Epoch counts the changes of membership of a placement group. Writers carry it; older ones are refused.
type Epoch uint64

// ShardID names one shard: the piece of one extent of a blob that belongs to one slot of a placement group.
type ShardID struct {
	Group  GroupID
	Blob   BlobID
	Extent uint32 // number of the extent within its blob, from 0
	Slot   uint8  // number of the slot within its group
}

// ShardKeyLen is the length of an encoded ShardID.
const ShardKeyLen = 4 + 16 + 4 + 1

// AppendKey appends the order-preserving encoding of the id: by group, then start time, blob, extent, slot.
func (s ShardID) AppendKey(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(s.Group))
	b = append(b, s.Blob[:]...)
	b = binary.BigEndian.AppendUint32(b, s.Extent)
	return append(b, s.Slot)
}

// ParseShardKey reads what AppendKey wrote.
func ParseShardKey(b []byte) (s ShardID, err error) {
	if len(b) != ShardKeyLen {
		return s, fmt.Errorf("shard key of %d bytes, want %d", len(b), ShardKeyLen)
	}
	s.Group = GroupID(binary.BigEndian.Uint32(b))
	copy(s.Blob[:], b[4:])
	s.Extent = binary.BigEndian.Uint32(b[20:])
	s.Slot = b[24]
	return s, nil
}

// String returns group/blob/extent/slot.
func (s ShardID) String() string {
	return fmt.Sprintf("%d/%s/%d/%d", s.Group, s.Blob, s.Extent, s.Slot)
}

// PayloadID names bytes that rode in a Raft entry: the range that proposed it, the entry's term and index, and the
// number of the payload within the entry. It never changes; where the bytes lie is each disk's own affair.
type PayloadID struct {
	Range, Term, Index uint64
	N                  uint32
}

// String returns range/term/index/number.
func (p PayloadID) String() string { return fmt.Sprintf("%d/%d/%d/%d", p.Range, p.Term, p.Index, p.N) }
