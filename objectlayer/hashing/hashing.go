// Package hashing computes what S3 wants to know of a body in one pass while it streams by: its size, its MD5 (the
// ETag) and one checksum, and compares them with what the client claimed.
package hashing

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // S3's ETag is MD5
	"crypto/sha1" //nolint:gosec // one of S3's checksums
	"fmt"
	"hash"
	"hash/crc32"
	"slices"

	"github.com/contender/contender/objectlayer"
	"github.com/minio/crc64nvme"
	"github.com/minio/sha256-simd"
)

// The algorithms of S3's checksums as they are named in objectlayer.Checksum.
const (
	CRC32     = "crc32"
	CRC32C    = "crc32c"
	CRC64NVME = "crc64nvme"
	SHA1      = "sha1"
	SHA256    = "sha256"
)

// Default is the algorithm of a body whose client asked for none.
const Default = CRC64NVME

// New returns the hash of an algorithm, whose Sum is the checksum's value as S3 writes it (big-endian, before base64);
// the empty name means Default. The error is *objectlayer.Error of KindInvalidArgument for an unknown name.
func New(algorithm string) (hash.Hash, error) {
	switch algorithm {
	case CRC32:
		return crc32.NewIEEE(), nil
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli)), nil
	case CRC64NVME, "":
		return crc64nvme.New(), nil
	case SHA1:
		return sha1.New(), nil //nolint:gosec // as above
	case SHA256:
		return sha256.New(), nil
	}
	return nil, &objectlayer.Error{
		Op: "checksum", Kind: objectlayer.KindInvalidArgument,
		Detail: fmt.Sprintf("unknown checksum algorithm %q", algorithm),
	}
}

// Composite reports whether an algorithm may make composite checksums of multipart uploads, and whether it may make
// checksums of the full object from those of the parts.
func Composite(algorithm string) (composite, full bool) {
	switch algorithm {
	case CRC32, CRC32C:
		return true, true
	case CRC64NVME, "":
		return false, true
	case SHA1, SHA256:
		return true, false
	}
	return false, false
}

// Sums computes the size, the MD5 and one checksum or more of what is written to it, in one pass. It is used by one goroutine at a time.
type Sums struct {
	md5  hash.Hash
	sums []hash.Hash // at least one
	algs []string
	size int64
}

// NewSums returns Sums with the checksum of an algorithm (empty: Default), which a client's claim is compared with, and
// those of others beside it; one that is named twice is computed once.
func NewSums(algorithm string, others ...string) (*Sums, error) {
	s := &Sums{md5: md5.New()} //nolint:gosec // as above
	for _, a := range append([]string{algorithm}, others...) {
		if a == "" {
			a = Default
		}
		if slices.Contains(s.algs, a) {
			continue
		}
		sum, err := New(a)
		if err != nil {
			return nil, err
		}
		s.sums, s.algs = append(s.sums, sum), append(s.algs, a)
	}
	return s, nil
}

// Write hashes p. It never fails.
func (s *Sums) Write(p []byte) (int, error) {
	s.md5.Write(p)
	for _, sum := range s.sums {
		sum.Write(p)
	}
	s.size += int64(len(p))
	return len(p), nil
}

// Size returns how many bytes were written.
func (s *Sums) Size() int64 { return s.size }

// MD5 returns the MD5 of what was written.
func (s *Sums) MD5() (sum [16]byte) {
	s.md5.Sum(sum[:0])
	return sum
}

// Checksums returns the checksums of what was written, the one asked for first.
func (s *Sums) Checksums() []objectlayer.Checksum {
	out := make([]objectlayer.Checksum, len(s.sums))
	for i, sum := range s.sums {
		out[i] = objectlayer.Checksum{Algorithm: s.algs[i], Value: sum.Sum(nil)}
	}
	return out
}

// Verify compares what was written with what the client claims. It calls e.Value, so it belongs after the body's end.
// A mismatch is *objectlayer.Error of KindBadDigest; an error of e.Value that is none is wrapped in one of
// KindIncompleteBody.
func (s *Sums) Verify(e objectlayer.Expect) error {
	if sum := s.MD5(); e.MD5 != nil && !bytes.Equal(e.MD5, sum[:]) {
		return badDigest("The Content-MD5 you specified did not match what we received.")
	}
	if e.Value == nil {
		return nil
	}
	claimed, err := e.Value()
	if err != nil {
		return bodyError(err)
	}
	if claimed != nil && !bytes.Equal(claimed, s.sums[0].Sum(nil)) {
		return badDigest("The " + s.algs[0] + " checksum you specified did not match the calculated checksum.")
	}
	return nil
}

func badDigest(detail string) error {
	return &objectlayer.Error{Op: "verify body", Kind: objectlayer.KindBadDigest, Detail: detail}
}
