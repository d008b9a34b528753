package simtest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/disk/local"
	"github.com/contender/contender/metashards/simtest"
)

// realDisk is the real disk over a file system in memory that crashes.
type realDisk struct {
	*local.Disk
	fs   *disktest.FS
	boot uint64
}

// salts draws what a disk calls random from a seed.
type salts struct{ r *rand.Rand }

func (s salts) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.r.Uint32())
	}
	return len(p), nil
}

func openReal(fs *disktest.FS, id disk.ID, boot uint64) (*realDisk, error) {
	d, err := local.Open(context.Background(), local.Options{
		FS: fs, Dir: "d", Cluster: disk.ClusterID{1}, ID: id, Boot: boot,
		Rand: salts{rand.New(rand.NewPCG(uint64(id), boot))}, SegmentBytes: 128 << 10, MemTableBytes: 256 << 10,
		CacheBytes: 1 << 20, Manual: true,
	})
	if err != nil {
		return nil, fmt.Errorf("disk %v, boot %d: %w", id, boot, err)
	}
	return &realDisk{d, fs, boot}, nil
}

// real is a faulty run on real disks: crashes drop and tear what was not synced.
func real(seed uint64) simtest.Options {
	o := faulty(seed)
	o.NewDisk = func(id disk.ID) (disk.Disk, error) {
		fs := disktest.NewFS(seed*100 + uint64(id))
		fs.SetPartial(func(string) bool { return true })
		return openReal(fs, id, 1)
	}
	o.Crash = func(d disk.Disk, r *rand.Rand) (disk.Disk, error) {
		old := d.(*realDisk)
		fs := old.fs.Crash(r)
		_ = old.Close() // the old life ends beside the new one's file system
		return openReal(fs, old.ID(), old.boot+1)
	}
	return o
}

// TestWrongReplicasOnRealDisks is TestWrongReplicas on disk/local.
func TestWrongReplicasOnRealDisks(t *testing.T) {
	sum := histories(t, seeds(t, 3), func(seed uint64) simtest.Options {
		o, w := real(seed), wrong(seed)
		o.Wrong, o.Operations, o.Crashes, o.Cuts = w.Wrong, w.Operations, w.Crashes, w.Cuts
		return o
	})
	if sum.Wrong == 0 {
		t.Errorf("%+v", sum)
	}
}

// TestHistoriesOnRealDisks is TestHistories on disk/local, with real segments and a real Pebble.
func TestHistoriesOnRealDisks(t *testing.T) {
	sum := histories(t, seeds(t, 10), real)
	if sum.Crashes == 0 || sum.Snapshots == 0 {
		t.Errorf("faults did not happen: %+v", sum)
	}
}
