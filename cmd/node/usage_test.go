package node

import (
	"testing"
	"testing/synctest"

	"github.com/contender/contender/disk/disktest"
)

// TestBytesBelowPolicy writes an object with all folders there and one with two of four missing: the second has fewer
// data shards than the policy asks, and the status counts its bytes, no others, until it is deleted.
func TestBytesBelowPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disktest.NewFS(1)
		open := func() *server {
			p := newPipes()
			n, err := Open(t.Context(), memoryConfig(), memoryEnv(fs, p))
			if err != nil {
				t.Fatal(err)
			}
			s := newServer(t, n, p.transport())
			s.awaitReady()
			return s
		}
		below := func(s *server, want int64) {
			t.Helper()
			if st, err := s.Status(t.Context()); err != nil || st.BytesBelowPolicy != want {
				t.Errorf("%d bytes below policy (%v), want %d", st.BytesBelowPolicy, err, want)
			}
		}
		const size = 200 << 10
		s := open()
		s.createBucket()
		s.mustPut("small", body("small", 4<<10))
		s.mustPut("whole", body("whole", size))
		below(s, 0)
		var gone []string // folders without which each of the two ranges has lost one replica only
		for _, f := range s.folders {
			if len(s.stores[f.ident.Disk].Status().Replicas) == 1 {
				gone = append(gone, f.dir)
			}
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if len(gone) != 2 {
			t.Fatalf("folders with one replica: %v, want two", gone)
		}
		for _, dir := range gone {
			remove(t, fs, dir)
		}

		s = open()
		below(s, 0)
		s.mustPut("short", body("short", size))
		below(s, size)
		s.mustPut("short", body("small again", 2<<10))
		below(s, 0)
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	})
}
