package disk

import (
	"errors"
	"fmt"
)

// Kind says what went wrong, as far as a caller may act on it. The list is closed; it is part of the peer protocol.
type Kind uint8

// The kinds of error that a disk answers with.
const (
	// KindIO is any failure of the device that fits no other kind. The disk may have been fenced by it.
	KindIO Kind = iota
	// KindNotFound: no such shard, payload or entry here.
	KindNotFound
	// KindCorrupt: the bytes are here and fail their checksum. Read them from elsewhere and report the damage.
	KindCorrupt
	// KindFull: no room. Deletes still work.
	KindFull
	// KindFenced: the disk has failed and takes no further part until it is replaced or the process restarts.
	KindFenced
	// KindStaleEpoch: the writer's epoch is older than the one that this disk has seen for the group.
	KindStaleEpoch
	// KindExists: a shard of that id is committed already, with other bytes or another length.
	KindExists
	// KindInvalid: the request itself makes no sense (offset past the end, block of a wrong size).
	KindInvalid
	// KindClosed: the disk is shutting down.
	KindClosed
	// KindBusy: the disk has as much work in hand as it takes, and has not begun this. Ask again, or ask another.
	KindBusy
)

var kindNames = [...]string{
	"i/o error", "not found", "corrupt", "full", "fenced", "stale epoch", "exists", "invalid", "closed", "busy",
}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is the one error type of this contract.
type Error struct {
	Op   string // what was being done, for example "get"
	Kind Kind
	What string // the shard, payload, file or disk concerned; may be empty
	Err  error  // the cause, may be nil
}

// Error prints operation, subject, kind and cause.
func (e *Error) Error() string {
	s := "disk: " + e.Op
	if e.What != "" {
		s += " " + e.What
	}
	s += ": " + e.Kind.String()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error; a nil cause is allowed.
func Errorf(op string, kind Kind, what string, cause error) error {
	return &Error{Op: op, Kind: kind, What: what, Err: cause}
}

// KindOf returns the kind of err, KindIO if it carries none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindIO
}

// Is reports whether err is a disk error of kind k.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}
