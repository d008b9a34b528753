package local

import (
	"math/rand/v2"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
)

func TestMain(m *testing.M) { disktest.VerifyTestMain(m) }

// harness opens disks on crashable file systems, with all that happens by itself. TestCrash does the rest by hand.
type harness struct {
	fs    map[disk.Disk]*disktest.FS
	boots map[disk.Disk]uint64
}

func newHarness() *harness {
	return &harness{fs: map[disk.Disk]*disktest.FS{}, boots: map[disk.Disk]uint64{}}
}

func (h *harness) open(t *testing.T, fs *disktest.FS, boot uint64) disk.Disk {
	t.Helper()
	o := testOptions(fs, boot)
	o.Manual = false
	d := mustOpen(t, o)
	h.fs[d], h.boots[d] = fs, boot
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func (h *harness) harness() disktest.Harness {
	return disktest.Harness{
		Open: func(t *testing.T) disk.Disk { return h.open(t, disktest.NewFS(1), 1) },
		Reopen: func(t *testing.T, d disk.Disk) disk.Disk {
			if err := d.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			return h.open(t, h.fs[d], h.boots[d]+1)
		},
		Crash: func(t *testing.T, d disk.Disk, seed uint64) disk.Disk {
			left := h.fs[d].Crash(rand.New(rand.NewPCG(seed, 2)))
			_ = d.Close()
			return h.open(t, left, h.boots[d]+1)
		},
	}
}

func TestSuite(t *testing.T) { disktest.Suite(t, newHarness().harness()) }
