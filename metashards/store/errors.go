package store

import (
	"fmt"

	"github.com/contender/contender/disk"
)

// Reason says why a store did not answer.
type Reason uint8

// The reasons. Only Indeterminate leaves open whether a command takes effect.
const (
	// NotLeader: another replica leads; Leader says which, as far as known here.
	NotLeader Reason = iota
	// Unavailable: no leader is known, too much is under way, or this replica takes no part at the moment.
	Unavailable
	// Full: the disk has no room.
	Full
	// Indeterminate: the command was proposed and its outcome is not known here. It may take effect later.
	Indeterminate
	// Invalid: the request makes no sense.
	Invalid
	// NoReplica: this disk holds no replica of the range.
	NoReplica
	// Closed: the store is closed or its disk is fenced, and nothing was proposed.
	Closed
)

var reasonNames = [...]string{"not the leader", "unavailable", "full", "outcome unknown", "invalid", "no replica here", "closed"}

// String returns the reason in words.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Refusal is the one error type of a store's proposals and reads.
type Refusal struct {
	Reason Reason
	Range  uint64
	Leader disk.ID // zero if not known
	Err    error   // the cause, may be nil
}

// Error prints range, reason and cause.
func (r *Refusal) Error() string {
	s := fmt.Sprintf("range %d: %s", r.Range, r.Reason)
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }
