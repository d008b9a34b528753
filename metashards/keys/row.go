package keys

import (
	"encoding/binary"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
)

// Column is the first byte of a row's key.
type Column byte

// The columns. Numbers are never reused.
const (
	// Local holds the rows of a range itself, by range id.
	Local Column = 0x01
	// Store holds rows of a disk's store that belong to no range it keeps (see Tombstone).
	Store Column = 0x02

	// System: system records, at bucket id 0.
	System Column = 0x10
	// Current: metapb.Current, live keys only. What LIST scans.
	Current Column = 0x11
	// Versions: metapb.Version; suffix ^time (8), newest first.
	Versions Column = 0x12
	// Nulls: metapb.NullPointer.
	Nulls Column = 0x13
	// Uploads: metapb.Upload, suffix upload id (16); metapb.Part, suffix upload id and part number (4).
	Uploads Column = 0x14
	// Blobs: metapb.HomeRow, suffix blob id (16).
	Blobs Column = 0x15
	// Outbox: metapb.OutboxRow; suffix not-before time (8), n (8).
	Outbox Column = 0x16
	// Dedupe: metapb.Dedupe.
	Dedupe Column = 0x17
)

// firstColumn and lastColumn bound the columns that are ordered by position.
const (
	firstColumn = System
	lastColumn  = Dedupe
)

// Kinds of row in the column Local.
const (
	kindDescriptor = 0x01
	kindState      = 0x02
	kindFence      = 0x03
	kindUsage      = 0x04
)

// kindTombstone is the kind of a replica tombstone in the column Store.
const kindTombstone = 0x01

const (
	escape     = 0x00
	escaped    = 0xff
	terminator = 0x01
)

// Lengths of suffixes.
const (
	timeLen       = 8
	uploadLen     = 16
	partLen       = 4
	outboxLen     = 16
	blobLen       = 16
	localLen      = 1 + 8 + 1
	terminatorLen = 2
)

// appendEscaped appends a key without its terminator.
func appendEscaped(b, key []byte) []byte {
	for _, c := range key {
		b = append(b, c)
		if c == escape {
			b = append(b, escaped)
		}
	}
	return b
}

// head begins a row or a prefix: column and bucket. room is how much the caller will append.
func head(c Column, bucket uint64, room int) []byte {
	b := make([]byte, 0, 1+bucketLen+room)
	return binary.BigEndian.AppendUint64(append(b, byte(c)), bucket)
}

// KeyRow returns the row of a key in a column without suffix (System, Current, Nulls, Dedupe), which is also the prefix
// of the key's rows in any other column.
func KeyRow(c Column, bucket uint64, key []byte) []byte {
	b := head(c, bucket, len(key)+terminatorLen+uploadLen+partLen)
	return append(appendEscaped(b, key), escape, terminator)
}

// PrefixRows returns the byte prefix that the rows of exactly those keys have that begin with prefix.
func PrefixRows(c Column, bucket uint64, prefix []byte) []byte {
	return appendEscaped(head(c, bucket, len(prefix)), prefix)
}

// VersionRow returns the row of the version of a key with the given time.
func VersionRow(bucket uint64, key []byte, time uint64) []byte {
	return binary.BigEndian.AppendUint64(KeyRow(Versions, bucket, key), ^time)
}

// UploadRow returns the row of an upload, which is also the prefix of its parts' rows.
func UploadRow(bucket uint64, key, upload []byte) []byte {
	return append(KeyRow(Uploads, bucket, key), upload...)
}

// PartRow returns the row of a part.
func PartRow(bucket uint64, key, upload []byte, number uint32) []byte {
	return binary.BigEndian.AppendUint32(UploadRow(bucket, key, upload), number)
}

// BlobRow returns the home row of a blob.
func BlobRow(bucket uint64, key, blob []byte) []byte {
	return append(KeyRow(Blobs, bucket, key), blob...)
}

// OutboxRow returns the row of something to be done, not before a time; n makes it unique.
func OutboxRow(bucket uint64, key []byte, notBefore, n uint64) []byte {
	b := binary.BigEndian.AppendUint64(KeyRow(Outbox, bucket, key), notBefore)
	return binary.BigEndian.AppendUint64(b, n)
}

// BucketRecord returns the row of a bucket's system record.
func BucketRecord(name string) []byte {
	return KeyRow(System, 0, metapb.BucketKey(name))
}

// Record returns the row of any other system record.
func Record(name string) []byte {
	return KeyRow(System, 0, metapb.RecordKey(name))
}

// BucketCounter returns the row that counts bucket ids: 8 bytes, big-endian, the id given last.
func BucketCounter() []byte { return KeyRow(System, 0, []byte("counter/bucket")) }

// local begins a row of a range.
func local(rangeID uint64, kind byte) []byte {
	return append(head(Local, rangeID, 1+bucketLen), kind)
}

// DescriptorRow returns the row of a range's metapb.RangeDescriptor.
func DescriptorRow(rangeID uint64) []byte { return local(rangeID, kindDescriptor) }

// StateRow returns the row of a range's metapb.RangeState.
func StateRow(rangeID uint64) []byte { return local(rangeID, kindState) }

// FenceRow returns the row of a range's metapb.Fence for a bucket.
func FenceRow(rangeID, bucket uint64) []byte {
	return binary.BigEndian.AppendUint64(local(rangeID, kindFence), bucket)
}

// UsageRow returns the row of a range's metapb.Usage of a bucket.
func UsageRow(rangeID, bucket uint64) []byte {
	return binary.BigEndian.AppendUint64(local(rangeID, kindUsage), bucket)
}

// FenceSpan returns the span of a range's rows of metapb.Fence, of all its buckets.
func FenceSpan(rangeID uint64) disk.Span {
	lower := local(rangeID, kindFence)
	return disk.Span{Lower: lower, Upper: PrefixEnd(lower)}
}

// UsageSpan returns the span of a range's rows of metapb.Usage, of all its buckets.
func UsageSpan(rangeID uint64) disk.Span {
	lower := local(rangeID, kindUsage)
	return disk.Span{Lower: lower, Upper: PrefixEnd(lower)}
}

// Tombstone returns the row that keeps, for a range whose replica was removed from this disk, the least replica id that
// may come again: 8 bytes, big-endian. It lies outside of all ranges' spans.
func Tombstone(rangeID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(Store), kindTombstone}, rangeID)
}

// LocalSpan returns the span of a range's own rows.
func LocalSpan(rangeID uint64) disk.Span {
	lower := head(Local, rangeID, 0)
	return disk.Span{Lower: lower, Upper: PrefixEnd(lower)}
}

// ColumnSpan returns the physical span of start ≤ position < end in a column. An empty bound is none. The bounds must be
// positions.
func ColumnSpan(c Column, start, end []byte) (disk.Span, error) {
	s := disk.Span{Lower: []byte{byte(c)}, Upper: []byte{byte(c) + 1}}
	if len(start) > 0 {
		bucket, key, err := ParsePosition(start)
		if err != nil {
			return s, err
		}
		s.Lower = KeyRow(c, bucket, key)
	}
	if len(end) > 0 {
		bucket, key, err := ParsePosition(end)
		if err != nil {
			return s, err
		}
		s.Upper = KeyRow(c, bucket, key)
	}
	return s, nil
}

// Spans returns the physical spans of start ≤ position < end, one per column, ascending. An empty bound is none.
func Spans(start, end []byte) ([]disk.Span, error) {
	var spans []disk.Span
	for c := firstColumn; c <= lastColumn; c++ {
		s, err := ColumnSpan(c, start, end)
		if err != nil {
			return nil, err
		}
		spans = append(spans, s)
	}
	return spans, nil
}

// PrefixSpan returns the span of the rows of those keys of a bucket that begin with prefix.
func PrefixSpan(c Column, bucket uint64, prefix []byte) disk.Span {
	lower := PrefixRows(c, bucket, prefix)
	return disk.Span{Lower: lower, Upper: PrefixEnd(lower)}
}

// KeySpan returns the span of a key's rows in a column.
func KeySpan(c Column, bucket uint64, key []byte) disk.Span {
	lower := KeyRow(c, bucket, key)
	return disk.Span{Lower: lower, Upper: PrefixEnd(lower)}
}
