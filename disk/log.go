package disk

import "context"

// Entry is one Raft entry as it lies in the log: slim, its payloads are records of their own.
type Entry struct {
	Range, Term, Index uint64
	Type               uint8 // raftpb.EntryType
	Data               []byte
}

// HardState is what Raft must not forget of a group. Records of it supersede one another.
type HardState struct {
	Range, Term, Vote, Commit uint64
}

// Payload is bytes that ride in an entry, and their name.
type Payload struct {
	ID   PayloadID
	Data []byte
}

// Append is a set of records that enter the log together: first the payloads, then the entries, then the hard states.
// An entry at an index that the log holds already replaces it and everything after it in that range, as Raft demands;
// the payloads of the replaced entries go with them.
type Append struct {
	Payloads   []Payload
	Entries    []Entry
	HardStates []HardState
}

// Log is the disk's one log as Raft sees it. All methods are safe for concurrent use; the order of Appends of one range
// is the caller's to keep. Errors are *Error.
type Log interface {
	// Append writes records. They are neither durable nor readable before a Sync that began after it has returned nil.
	// It does not keep a. KindFull means that nothing was written.
	Append(ctx context.Context, a Append) error

	// Sync makes everything appended before it durable, in one sync that all waiting callers share, and then readable.
	// An error fences the disk: what was appended may or may not be durable.
	Sync(ctx context.Context) error

	// Entries returns the entries lo ≤ index < hi of a range, in order; as many as fit in maxBytes, at least one.
	// KindNotFound if lo is not in the log; KindCorrupt if its record is damaged.
	Entries(ctx context.Context, rangeID, lo, hi uint64, maxBytes int) ([]Entry, error)

	// Term returns the term of the entry at an index, KindNotFound if it is not in the log.
	Term(rangeID, index uint64) (uint64, error)

	// Bounds returns the first and the last index of the entries of a range, and false if there is none.
	Bounds(rangeID uint64) (first, last uint64, ok bool)

	// HardState returns the newest hard state of a range, and false if there is none.
	HardState(rangeID uint64) (HardState, bool)

	// Payload reads and verifies a payload. KindNotFound if it was dropped or never came, KindCorrupt if it is damaged.
	Payload(ctx context.Context, id PayloadID) ([]byte, error)
}
