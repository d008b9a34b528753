package node

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk/disktest"
)

// replicas is how many replicas a range has on four folders.
const replicas = 3

// putMany puts objects of 4 KiB by a number of writers.
func putMany(t *testing.T, s *server, writers, each int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				key := fmt.Sprintf("%02d/%05d", w, i)
				if err := s.put(key, body(key, 4<<10)); err != nil {
					t.Errorf("put %s: %v", key, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestSyncsPerPut counts the syncs of the logs at the file system seam, pre-writing left out. One writer costs one sync
// per acknowledging replica; 64 writers share theirs.
func TestSyncsPerPut(t *testing.T) {
	for _, c := range []struct {
		name              string
		writers, each     int
		least, most, idle float64 // syncs per PUT over all replicas; syncs that no PUT made
	}{
		{"one writer", 1, 1000, 2, replicas, 10},
		{"64 writers", 64, pick(20, 100), 0, 0.2 * replicas, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := disktest.NewCounter(vfs.Default)
			s := serve(t, testConfig(fourDirs(t.TempDir())), testEnv(files))
			s.createBucket()
			putMany(t, s, c.writers, 3) // connections, and the first leaders
			before := files.Segments()
			putMany(t, s, c.writers, c.each)
			n := files.Segments().Sub(before)
			puts := float64(c.writers * c.each)
			t.Logf("%.0f PUTs: %d syncs of segments, %.3f per PUT, %.3f per PUT and replica; pre-writing apart: %d",
				puts, n.Syncs, float64(n.Syncs)/puts, float64(n.Syncs)/puts/replicas, n.PreSyncs)
			if got := float64(n.Syncs); got < c.least*puts || got > c.most*puts+c.idle {
				t.Errorf("%.0f syncs for %.0f PUTs, want %.1f to %.1f per PUT", got, puts, c.least, c.most)
			}
		})
	}
}

// pick returns the small size of a measure, or the full one.
func pick(small, large int) int {
	if full() {
		return large
	}
	return small
}

// TestBytesPerPut counts what 64 writers of 4 KiB objects have written to all files, flushes of the state included and
// pre-writing left out: at most 1.5 times the payload on each replica.
func TestBytesPerPut(t *testing.T) {
	files := disktest.NewCounter(vfs.Default)
	s := serve(t, testConfig(fourDirs(t.TempDir())), testEnv(files))
	s.createBucket()
	putMany(t, s, 64, 1)
	segments, others := files.Segments(), files.Others()
	const writers = 64
	each := pick(50, 500)
	putMany(t, s, writers, each)
	for id, d := range s.disks {
		if err := d.State().Flush(t.Context()); err != nil {
			t.Fatalf("flush the state of %s: %v", id, err)
		}
	}
	log, state := files.Segments().Sub(segments), files.Others().Sub(others)
	payload := float64(writers * each * 4 << 10)
	written := float64(log.Bytes + state.Bytes)
	t.Logf("%.1f MiB of payload: %.3f times per replica, of it the log %.3f, the state %.3f", payload/(1<<20),
		written/payload/replicas, float64(log.Bytes)/payload/replicas, float64(state.Bytes)/payload/replicas)
	if written > 1.5*payload*replicas {
		t.Errorf("%.2f times the payload per replica, want at most 1.5", written/payload/replicas)
	}
}
