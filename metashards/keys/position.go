package keys

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// bucketLen is the length of a bucket id in a position or a row.
const bucketLen = 8

// Position encodes a bound of a range: the bucket id (8 bytes, big-endian) and the key's bytes as they are. Byte order is
// the order of positions. As a bound, an empty slice means no bound.
func Position(bucket uint64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, bucketLen+len(key)), bucket), key...)
}

// ParsePosition is the inverse of Position. The key is a part of p.
func ParsePosition(p []byte) (bucket uint64, key []byte, err error) {
	if len(p) < bucketLen {
		return 0, nil, fmt.Errorf("position of %d bytes, want at least %d", len(p), bucketLen)
	}
	return binary.BigEndian.Uint64(p), p[bucketLen:], nil
}

// ComparePosition compares (bucket, key) to a position that is not empty, as bytes.Compare does.
func ComparePosition(bucket uint64, key, position []byte) int {
	var b [bucketLen]byte
	binary.BigEndian.PutUint64(b[:], bucket)
	n := min(len(position), bucketLen)
	if c := bytes.Compare(b[:], position[:n]); c != 0 {
		return c
	}
	return bytes.Compare(key, position[n:])
}

// Contains reports whether start ≤ (bucket, key) < end. An empty bound is none.
func Contains(start, end []byte, bucket uint64, key []byte) bool {
	return (len(start) == 0 || ComparePosition(bucket, key, start) >= 0) &&
		(len(end) == 0 || ComparePosition(bucket, key, end) < 0)
}

// Overlap reports whether two intervals of positions share a position. An empty bound is none.
func Overlap(startA, endA, startB, endB []byte) bool {
	return (len(endA) == 0 || bytes.Compare(startB, endA) < 0) && (len(endB) == 0 || bytes.Compare(startA, endB) < 0)
}

// PrefixEnd returns the least byte string above all that have the given prefix, and nil if there is none (the prefix is
// empty or all 0xFF).
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}
