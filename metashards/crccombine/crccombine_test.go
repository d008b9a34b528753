package crccombine_test

import (
	"hash/crc32"
	"testing"

	"github.com/minio/crc64nvme"
	"pgregory.net/rapid"

	"github.com/contender/contender/metashards/crccombine"
)

func TestCombineEqualsWhole(t *testing.T) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	kinds := []struct {
		name    string
		sum     func([]byte) uint64
		combine func(a, b, length uint64) uint64
	}{
		{"crc32", func(b []byte) uint64 { return uint64(crc32.ChecksumIEEE(b)) }, crccombine.CRC32},
		{"crc32c", func(b []byte) uint64 { return uint64(crc32.Checksum(b, castagnoli)) }, crccombine.CRC32C},
		{"crc64nvme", crc64nvme.Checksum, crccombine.CRC64NVME},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "a")
				b := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "b")
				want := k.sum(append(a[:len(a):len(a)], b...))
				if got := k.combine(k.sum(a), k.sum(b), uint64(len(b))); got != want {
					t.Fatalf("got %x, want %x", got, want)
				}
			})
		})
	}
}

func TestKnownValue(t *testing.T) {
	got := crccombine.CRC64NVME(crc64nvme.Checksum([]byte("12345")), crc64nvme.Checksum([]byte("6789")), 4)
	if got != 0xae8b14860a799888 {
		t.Fatalf("got %x", got)
	}
}
