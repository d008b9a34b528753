package local

import (
	"errors"
	"io"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// Options says what a disk is made of.
type Options struct {
	FS      vfs.FS         // the file system; required
	Dir     string         // the disk's folder; made if absent
	Cluster disk.ClusterID // from the identity file
	ID      disk.ID        // from the identity file, not zero
	Boot    uint64         // boot count from the identity file: at least 1, raised durably before every Open
	Rand    io.Reader      // source of segment salts; required
	Logger  *slog.Logger   // nil discards

	// SegmentBytes is the size of segments, default 64 MiB, at least 128 KiB, a multiple of 4096. It is fixed when the
	// folder is founded; files of another size are refused.
	SegmentBytes int64
	// CapacityBytes is what the disk may fill; 0 means what the file system has.
	CapacityBytes int64
	// MemTableBytes is the size of Pebble's write buffer, default 16 MiB.
	MemTableBytes uint64
	// CacheBytes is the size of Pebble's block cache, default 16 MiB.
	CacheBytes int64
	// ReplayBytes bounds how much log a restart replays: beyond it the state is flushed. Default is the lesser of eight
	// segments and 256 MiB.
	ReplayBytes int64
	// Manual switches off everything that happens by itself: flushes by ReplayBytes, compaction of the log, preparing of
	// segments ahead of need, Pebble's compactions and thinning. For deterministic tests; Compact and State().Flush still work.
	Manual bool
}

const (
	defaultSegmentBytes = 64 << 20
	minSegmentBytes     = 128 << 10
	defaultMemTable     = 16 << 20
	defaultCache        = 16 << 20
	maxReplayBytes      = 256 << 20
	replaySegments      = 8
)

func (o *Options) complete() error {
	if o.FS == nil || o.Rand == nil || o.Dir == "" {
		return errors.New("local: FS, Dir and Rand are required")
	}
	if o.ID == 0 || o.Boot == 0 {
		return errors.New("local: disk id and boot count must not be zero")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.SegmentBytes < minSegmentBytes || o.SegmentBytes%segment.HeaderBytes != 0 || o.SegmentBytes > 1<<31 {
		return errors.New("local: segment size out of bounds")
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTable
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCache
	}
	if o.ReplayBytes == 0 {
		o.ReplayBytes = min(replaySegments*o.SegmentBytes, maxReplayBytes)
	}
	return nil
}
