package objectlayer

import (
	"errors"
	"fmt"
)

// Kind says what went wrong. The list is closed; the gateway maps each kind to one S3 error.
type Kind uint8

// The kinds of error of the object layer.
const (
	// KindInternal: something failed that the caller cannot mend. The outcome of a write is unknown.
	KindInternal Kind = iota
	KindNoSuchBucket
	KindNoSuchKey
	KindNoSuchVersion
	KindNoSuchUpload
	KindBucketExists
	KindBucketNotEmpty
	KindPreconditionFailed
	// KindConflict: a write lost a race that its condition forbids to lose.
	KindConflict
	KindNotModified
	KindBadDigest
	KindInvalidPart
	KindInvalidPartOrder
	KindEntityTooSmall
	KindEntityTooLarge
	KindInvalidRange
	// KindInvalidPartNumber: partNumber of a GET that the object does not have.
	KindInvalidPartNumber
	// KindIncompleteBody: the body ended before its announced size, or could not be read.
	KindIncompleteBody
	KindInvalidRequest
	KindInvalidArgument
	// KindMethodNotAllowed: the version is a delete marker.
	KindMethodNotAllowed
	// KindUnavailable: not enough replicas or disks answer now; nothing was changed. Try again.
	KindUnavailable
	// KindFull: no room.
	KindFull
	// KindDamaged: the bytes cannot be read back as they were written.
	KindDamaged
	kindCount
)

// KindCount is the number of kinds; tests walk all of them.
const KindCount = int(kindCount)

var kindNames = [...]string{
	"internal", "no such bucket", "no such key", "no such version", "no such upload", "bucket exists",
	"bucket not empty", "precondition failed", "conflict", "not modified", "bad digest", "invalid part",
	"invalid part order", "entity too small", "entity too large", "invalid range", "invalid part number",
	"incomplete body", "invalid request", "invalid argument", "method not allowed", "unavailable", "full", "damaged",
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
	Op          string
	Kind        Kind
	Bucket, Key string
	Detail      string // for people; may reach the client
	// Of KindNoSuchKey, KindMethodNotAllowed and KindNotModified: the version that stood in the way, if any (a delete
	// marker, or the version that has not changed).
	Version *Version
	Size    int64 // of KindInvalidRange: the size of the version
	Err     error // the cause, never shown to the client
}

// Error prints operation, subject, kind and cause.
func (e *Error) Error() string {
	s := e.Op + ": " + e.Kind.String()
	if e.Bucket != "" {
		s += fmt.Sprintf(" %q/%q", e.Bucket, e.Key)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err, KindInternal if it carries none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
