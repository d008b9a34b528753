package node

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/gateway/admin"
)

// leaderOf returns the folder whose disk leads a range.
func (s *server) leaderOf(rangeID uint64) (f *folder) {
	s.t.Helper()
	await(s.t, "a leader", func() bool {
		for _, f = range s.folders {
			if f.disk == nil {
				continue
			}
			for _, r := range s.stores[f.ident.Disk].Status().Replicas {
				if r.Range == rangeID && r.Role == "leader" {
					return true
				}
			}
		}
		return false
	})
	return f
}

// shards returns the lengths of the shards that working disks hold, by blob.
func (s *server) shards() map[disk.BlobID][]int64 {
	s.t.Helper()
	out := map[disk.BlobID][]int64{}
	for id, d := range s.disks {
		if d.Err() != nil {
			continue
		}
		for _, g := range s.topology.Map().Groups {
			err := d.List(s.t.Context(), g.ID, disk.ShardID{}, func(i disk.ShardInfo) error {
				out[i.ID.Blob] = append(out[i.ID.Blob], i.Length)
				return nil
			})
			if err != nil {
				s.t.Fatalf("list the shards of %s: %v", id, err)
			}
		}
	}
	return out
}

// diskState returns what the status shows of a folder.
func (s *server) diskState(dir string) string {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range st.Nodes[0].Disks {
		if strings.HasSuffix(d.Path, dir) {
			return d.State
		}
	}
	return "not in the status"
}

// TestPebbleFailureOnOneDisk has the file system of one disk fail, the one that leads: where Pebble would end the process
// or panic, and in the log. The process lives, all that was written is read, and new writes have all their shards.
func TestPebbleFailureOnOneDisk(t *testing.T) {
	for _, c := range []struct {
		name       string
		what       disktest.Op
		part, file string
	}{
		{"table write", disktest.OpWrite, "/state/", ".sst"},
		{"table sync", disktest.OpSync, "/state/", ".sst"},
		{"manifest write", disktest.OpWrite, "/state/MANIFEST", ""},
		{"manifest sync", disktest.OpSync, "/state/MANIFEST", ""},
		{"directory sync", disktest.OpSyncDir, "/state", ""},
		{"log append", disktest.OpWrite, "/log/", ".seg"},
		{"log sync", disktest.OpSync, "/log/", ".seg"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			faults := disktest.NewFaults(vfs.Default)
			s := serve(t, testConfig(fourDirs(t.TempDir())), testEnv(faults))
			s.createBucket()
			for i := range 10 {
				s.mustPut(fmt.Sprintf("small%d", i), body(fmt.Sprintf("small%d", i), 4<<10))
				s.mustPut(fmt.Sprintf("large%d", i), body(fmt.Sprintf("large%d", i), 200<<10))
			}
			f := s.leaderOf(dataRange)
			fault := faults.Add(disktest.Rule{
				Path: func(name string) bool {
					return strings.HasPrefix(name, f.dir+c.part) && strings.HasSuffix(name, c.file)
				},
				Op: c.what, Times: disktest.Forever, Err: syscall.EIO,
			})
			defer fault.Remove()
			flush, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.part != "/log/" {
				if err := f.disk.State().Flush(flush); err == nil {
					t.Fatal("the flush went well")
				}
			}
			// Writes go on while the disk fails.
			for i := range 10 {
				s.mustPut(fmt.Sprintf("during%d", i), body(fmt.Sprintf("during%d", i), 4<<10))
			}
			<-fault.Hit()
			await(t, "fenced", func() bool { return f.disk.Err() != nil })
			s.checkOneFailed(f, stateFailed)
		})
	}
}

// checkOneFailed checks that a node serves in full without one of its disks.
func (s *server) checkOneFailed(f *folder, state string) {
	t := s.t
	t.Helper()
	s.awaitReady()
	for i := range 10 {
		s.mustGet(fmt.Sprintf("small%d", i), body(fmt.Sprintf("small%d", i), 4<<10))
		s.mustGet(fmt.Sprintf("large%d", i), body(fmt.Sprintf("large%d", i), 200<<10))
	}
	before := s.shards()
	const size = 300 << 10
	for i := range 8 {
		s.mustPut(fmt.Sprintf("after%d", i), body("after", size))
		s.mustPut(fmt.Sprintf("aftersmall%d", i), body("after", 2<<10))
	}
	written := 0
	for blob, lengths := range s.shards() {
		if _, old := before[blob]; old {
			continue
		}
		written++
		// Two data shards and one of parity, each half of the object: nothing was given up.
		if len(lengths) != 3 || lengths[0] < size/2 || lengths[0] > size/2+disk.BlockBytes {
			t.Errorf("blob %s has shards of %v bytes on the working disks, want three of %d", blob, lengths, size/2)
		}
	}
	if written != 8 {
		t.Errorf("%d new blobs, want 8", written)
	}
	for i := range 8 {
		s.mustGet(fmt.Sprintf("after%d", i), body("after", size))
		s.mustGet(fmt.Sprintf("aftersmall%d", i), body("after", 2<<10))
	}
	for _, other := range s.folders {
		want := admin.StateUp
		if other.dir == f.dir {
			want = state
		}
		if got := s.diskState(other.dir); got != want {
			t.Errorf("status shows %s as %s, want %s", other.dir, got, want)
		}
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Healthy || st.Tolerates.Folder != 0 || st.Groups.AtRisk == 0 {
		t.Errorf("status %+v %v, want one not healthy that tolerates nothing", st, err)
	}
}
