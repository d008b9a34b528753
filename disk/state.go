package disk

import "context"

// State is the disk's ordered key-value state, as a metadata range sees it: a private part of the key space, without a
// log of its own. Batches become durable in the order in which they were committed: after a crash the state is a
// prefix of that order. It is safe for concurrent use.
type State interface {
	// Get returns the value of a key, and false if there is none. The value is the caller's.
	Get(key []byte) ([]byte, bool, error)

	// Snapshot returns an unchanging view of what is committed now. The caller closes it.
	Snapshot() Snapshot

	// NewBatch begins a change. The caller ends it by Commit or Close.
	NewBatch() Batch

	// Flush makes everything committed so far durable. It is not needed for correctness: the log brings back what a
	// crash takes away. It bounds how much must be replayed.
	Flush(ctx context.Context) error

	// Ingest replaces the given spans by the given tables, at once and durably: after a crash all of it is there or
	// nothing. Rows outside of the spans are an error.
	Ingest(ctx context.Context, in Ingest) error
}

// Reader reads rows. A Snapshot and a Batch are Readers; a Batch sees its own changes. One goroutine at a time, but for
// a Snapshot.
type Reader interface {
	// Get returns the value of a key, and false if there is none. The value is valid until the Reader changes or closes.
	Get(key []byte) ([]byte, bool, error)

	// Iter returns an iterator over lower ≤ key < upper; nil means unbounded. The caller closes it.
	Iter(lower, upper []byte) (Iter, error)
}

// Snapshot is an unchanging Reader, for any number of goroutines until it is closed. The values that Get returns are the
// caller's.
type Snapshot interface {
	Reader
	Close() error
}

// Iter walks rows in the byte order of their keys. It starts before the first row. Key and Value are valid until the
// next move. After a move that returns false, Err tells whether the end was reached or something failed.
type Iter interface {
	First() bool
	Next() bool
	SeekGE(key []byte) bool
	SeekLT(key []byte) bool
	Key() []byte
	Value() []byte
	Err() error
	Close() error
}

// Batch is a change that becomes visible all at once. One goroutine at a time.
type Batch interface {
	Reader
	Set(key, value []byte) error
	Delete(key []byte) error
	// DeleteRange deletes lower ≤ key < upper.
	DeleteRange(lower, upper []byte) error
	// DropPayloads forgets payloads, in the same change. Ids that are not here are no error.
	DropPayloads(ids ...PayloadID) error
	// TruncateLog forgets the entries of a range up to and including index, in the same change. Their payloads stay.
	TruncateLog(rangeID, index uint64) error
	// Commit makes the change visible. It does not sync.
	Commit() error
	// Close gives the change up. After Commit it does nothing.
	Close() error
}

// Span is an interval of keys: Lower ≤ key < Upper.
type Span struct{ Lower, Upper []byte }

// Row is one key and value.
type Row struct{ Key, Value []byte }

// Ingest is the arrival of a Raft snapshot at a disk. Its payloads were appended to the log and synced before.
type Ingest struct {
	// Clear lists the spans that are emptied first. They may overlap.
	Clear []Span
	// Tables yields, for each table, its rows in strictly ascending key order; the function is called until it returns
	// false. Tables do not overlap one another.
	Tables []func() (Row, bool, error)
	// Drop lists payloads that no row refers to any more.
	Drop []PayloadID
	// ResetLog lists the ranges whose entries are all forgotten.
	ResetLog []uint64
}

// Disk is one local disk with its three doors.
type Disk interface {
	Store
	Inventory
	// ID returns the disk's id.
	ID() ID
	// Log returns the disk's log.
	Log() Log
	// State returns the part of the disk's state that belongs to metadata.
	State() State
	// Usage returns the room on the disk.
	Usage() Usage
	// Err returns nil while the disk works and why it is fenced afterwards; Fenced is closed at that moment.
	Err() error
	Fenced() <-chan struct{}
	// Close flushes what can be flushed and releases the folder.
	Close() error
}
