// Package segment is the file format of a disk's log: segment headers, checksummed records, and the walk over a segment
// that recovery, compaction and rebuilding share. It is pure: bytes in, records out; files are somebody else's affair.
//
// A segment is a file of fixed size that is written from front to back and then used again under a new header. Each
// record carries two checksums. One covers its data. The other covers its header, its meta part and the first checksum,
// and with them the place: cluster, disk, sequence number and salt of the segment, boot count of the writer, offset. So
// a record verifies only where and when it was written; bytes of an earlier use of the file, of another disk or of
// another offset never do.
//
// Every group commit starts with a mark, written when everything before the mark had been synced. A bad record with a
// mark behind it is therefore damage; a bad record without one is the torn tail of a crash, and nothing of it was
// acknowledged. docs/format.md lists every byte.
package segment
