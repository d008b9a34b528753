package stripe

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/placement"
)

// Defaults of Options.
const (
	DefaultUnitBytes    = disk.BlockBytes
	DefaultExtentBytes  = 64 << 20
	DefaultHedgeDelay   = 200 * time.Millisecond
	DefaultStallTimeout = 10 * time.Second
)

// Options are what a Store is made from. Fleet and Topology must be set.
type Options struct {
	Fleet    disk.Fleet
	Topology metashards.Topology
	// Alive says whether a disk is believed to answer; nil: all are. Readers ask others only if they must. It must not
	// block.
	Alive func(disk.ID) bool
	// Writable says whether a disk takes new shards, which a live one that is full does not; nil: as Alive says.
	Writable func(disk.ID) bool
	// UnitBytes is the most data of one shard in one stripe, a multiple of disk.BlockBytes; 0: DefaultUnitBytes.
	UnitBytes int
	// ExtentBytes is the most data of one extent, rounded down to whole stripes; 0: DefaultExtentBytes.
	ExtentBytes int64
	// HedgeDelay is how long a reader waits for a shard before it reads parity as well; 0: DefaultHedgeDelay.
	HedgeDelay time.Duration
	// StallTimeout is how long one call to a disk may take while a shard is written; then the disk counts as failed for
	// this write. 0: DefaultStallTimeout.
	StallTimeout time.Duration
	// AfterFunc calls fn after d unless it is stopped before, as time.AfterFunc does; nil: that.
	AfterFunc func(d time.Duration, fn func()) (stop func() bool)
	// Damage takes reports of shards that are missing or corrupt; nil: they are only logged.
	Damage objectlayer.DamageSink
	Log    *slog.Logger // nil: nothing is logged
}

// Request says what is written.
type Request struct {
	Blob   disk.BlobID
	Policy placement.Policy
	// Short: with too few domains left for the policy's parity, write with less of it instead of failing.
	Short bool
	// Copies: as many plain copies as the policy has parity shards, and one, instead of its data shards.
	Copies bool
	// Size of the body in bytes if it is known, else -1. It saves memory for small bodies and is no promise.
	Size int64
	// Owner is stored with every shard. Extent, blob and offset are filled in; the rest is the caller's.
	Owner *metapb.ShardOwner
	// Hashes are fed all bytes once, in order, by the goroutine that called Write, while the disks work.
	Hashes []io.Writer
	// Finish, if set, is called once when all bytes have been read and hashed, before the last extent is committed. Its
	// error ends the write and is returned as it is.
	Finish func() error
}

// Store writes, reads and drops blobs. It is safe for concurrent use; no goroutine of it outlives the call, or the
// reader, that it works for.
type Store struct {
	o      Options
	codecs codecs
}

// New returns a Store.
func New(o Options) (*Store, error) {
	o.UnitBytes = cmp.Or(o.UnitBytes, DefaultUnitBytes)
	o.ExtentBytes = cmp.Or(o.ExtentBytes, DefaultExtentBytes)
	o.StallTimeout = cmp.Or(o.StallTimeout, DefaultStallTimeout)
	o.HedgeDelay = cmp.Or(o.HedgeDelay, DefaultHedgeDelay)
	switch {
	case o.Fleet == nil || o.Topology == nil:
		return nil, errors.New("stripe: options without fleet or topology")
	case o.UnitBytes < 0 || o.UnitBytes%disk.BlockBytes != 0:
		return nil, fmt.Errorf("stripe: unit of %d bytes, want a multiple of %d", o.UnitBytes, disk.BlockBytes)
	}
	if o.Writable == nil {
		o.Writable = o.Alive
	}
	if o.AfterFunc == nil {
		o.AfterFunc = func(d time.Duration, fn func()) func() bool { return time.AfterFunc(d, fn).Stop }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{o: o, codecs: codecs{chunk: defaultChunkBytes}}, nil
}

// BufferBytes returns how much memory is handed out to writes and reads under way.
func (s *Store) BufferBytes() int64 { return s.codecs.inUse.Load() }
