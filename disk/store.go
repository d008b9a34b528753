package disk

import (
	"context"
	"io"
)

// BlockBytes is the most data that one checksummed block of a shard holds. A read verifies whole blocks.
const BlockBytes = 64 << 10

// ShardInfo is what a disk keeps of a committed shard beside its bytes.
type ShardInfo struct {
	ID     ShardID
	Epoch  Epoch
	Length int64  // bytes of data
	Owner  []byte // opaque to the disk; enough to salvage the object from its shards alone
}

// Store keeps shards. All methods are safe for concurrent use; errors are *Error.
type Store interface {
	// Create begins a shard. epoch must not be older than any that this disk has seen for the group, else
	// KindStaleEpoch. A disk that is nearly full answers KindFull here. The Writer must be ended by Commit or Abort.
	Create(ctx context.Context, id ShardID, epoch Epoch) (Writer, error)

	// Get reads n bytes from offset off of a committed shard. Both must lie within it, else KindInvalid. Every block is
	// verified against its identity before its bytes are handed out; damage appears as KindCorrupt from Read. The
	// caller closes the reader. A shard that is deleted while it is read goes on to its end or ends in an error; it
	// never yields other bytes.
	Get(ctx context.Context, id ShardID, off, n int64) (io.ReadCloser, error)

	// Info returns what is kept of a committed shard, KindNotFound if there is none.
	Info(ctx context.Context, id ShardID) (ShardInfo, error)

	// Delete forgets shards, durably: when it returns nil none of them comes back after a crash. Ids that are not here
	// are no error.
	Delete(ctx context.Context, ids ...ShardID) error
}

// Writer receives one shard. It is used by one goroutine at a time.
type Writer interface {
	// Append adds data. Every call but the last brings a multiple of BlockBytes; the disk splits it into blocks. It does
	// not keep p. Nothing appended is visible, or survives a crash, before Commit.
	Append(ctx context.Context, p []byte) error

	// Commit makes the shard visible and durable, together with owner. It shares its sync with everything that is
	// appended to this disk at that time. On an error the shard may or may not exist. A commit of the same bytes twice
	// is no error.
	Commit(ctx context.Context, owner []byte) error

	// Abort gives the shard up. It may be called after Commit, and then does nothing.
	Abort()
}

// Inventory is what healing needs besides Store.
type Inventory interface {
	// List calls fn for each committed shard of group g with an id above after, in order, until fn returns an error,
	// which List returns. A zero after starts at the beginning.
	List(ctx context.Context, g GroupID, after ShardID, fn func(ShardInfo) error) error

	// Verify reads every block of a shard. KindCorrupt tells of damage.
	Verify(ctx context.Context, id ShardID) error
}

// Usage is the room on a disk, in bytes.
type Usage struct {
	CapacityBytes int64 // what this disk may fill
	UsedBytes     int64 // what its segments and state occupy
	LiveBytes     int64 // what of the segments is still referenced
}

// Fleet finds the stores of the cluster. A caller cannot tell a local disk from a peer's. It is safe for concurrent use.
type Fleet interface {
	// Disk returns the store of a disk, KindNotFound if it is unknown, KindFenced if it is known to be unusable now.
	Disk(ID) (Store, error)
}
