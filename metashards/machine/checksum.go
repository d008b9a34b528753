package machine

import (
	"crypto/sha1" //nolint:gosec // one of S3's checksums
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"

	"github.com/minio/crc64nvme"

	"github.com/contender/contender/metashards/crccombine"
	"github.com/contender/contender/metashards/metapb"
)

// The names of checksum algorithms as they stand in records.
const (
	crc32Name     = "crc32"
	crc32cName    = "crc32c"
	crc64nvmeName = "crc64nvme"
	sha1Name      = "sha1"
	sha256Name    = "sha256"
)

// checksumOf returns the checksum of an algorithm, nil if there is none.
func checksumOf(sums []*metapb.Checksum, algorithm string) *metapb.Checksum {
	for _, s := range sums {
		if s.GetAlgorithm() == algorithm {
			return s
		}
	}
	return nil
}

// wholeChecksum returns the checksum of a completed upload: composite (of the parts' checksums) or of the full object, as
// the upload says; CRC64NVME of the full object if it says nothing. It is nil where a part lacks the algorithm or where
// it can't be had from the parts' checksums.
func wholeChecksum(u *metapb.Upload, parts []*metapb.Part) *metapb.Checksum {
	algorithm := u.ChecksumAlgorithm
	if algorithm == "" {
		algorithm = crc64nvmeName
	}
	sums := make([][]byte, 0, len(parts))
	for _, p := range parts {
		s := checksumOf(p.Checksums, algorithm)
		if s == nil {
			return nil
		}
		sums = append(sums, s.Value)
	}
	if u.ChecksumComposite {
		h := newHash(algorithm)
		if h == nil {
			return nil
		}
		for _, s := range sums {
			h.Write(s)
		}
		return &metapb.Checksum{Algorithm: algorithm, Value: h.Sum(nil), Parts: uint32(len(parts))}
	}
	if v := combine(algorithm, parts, sums); v != nil {
		return &metapb.Checksum{Algorithm: algorithm, Value: v}
	}
	return nil
}

func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case crc32Name:
		return crc32.NewIEEE()
	case crc32cName:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case crc64nvmeName:
		return crc64nvme.New()
	case sha1Name:
		return sha1.New() //nolint:gosec // one of S3's checksums
	case sha256Name:
		return sha256.New()
	}
	return nil
}

// combine returns the CRC of the parts' bytes one after another, nil if the algorithm is no CRC or a value is damaged.
func combine(algorithm string, parts []*metapb.Part, sums [][]byte) []byte {
	var whole func(a, b, length uint64) uint64
	width := 4
	switch algorithm {
	case crc32Name:
		whole = crccombine.CRC32
	case crc32cName:
		whole = crccombine.CRC32C
	case crc64nvmeName:
		whole, width = crccombine.CRC64NVME, 8
	default:
		return nil
	}
	var crc uint64
	var b [8]byte
	for i, s := range sums {
		if len(s) != width {
			return nil
		}
		copy(b[8-width:], s)
		crc = whole(crc, binary.BigEndian.Uint64(b[:]), parts[i].Size)
	}
	binary.BigEndian.PutUint64(b[:], crc)
	return b[8-width:]
}
