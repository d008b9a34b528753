// Package keys is the order-preserving codec of the metadata space: it says which physical row holds what, and which
// physical spans belong to an interval of positions. It is pure; docs/format-rows.md describes the same bytes.
//
// A position is a bucket id and a key. Its rows lie in several columns, one byte each, so that a scan of one kind of row
// never passes over another:
//
//	column | bucket id (8, big-endian) | key, escaped and terminated | suffix
//
// Escaping writes 0x00 as 0x00 0xFF and ends the key with 0x00 0x01. Therefore rows sort by bucket, then bytewise by
// key, then by suffix, and the rows of one key lie together. Rows that belong to a range rather than to a position lie in
// the column Local under the range's id; they are not part of any interval.
//
// Range bounds are written in a second, simpler form (Position): bucket id and the key's raw bytes, whose byte order is
// the order of positions.
package keys
