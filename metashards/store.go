package metashards

import (
	"context"
	"errors"
	"fmt"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
)

// SystemBucket is the bucket id of system records.
const SystemBucket = 0

// Names of system records.
const (
	// RecordMap holds the cluster map (clustermap.Map, encoded by its own Marshal) as it was some changes ago.
	RecordMap = "map"
	// RecordMapTail holds what has changed since (clustermap.Tail). Its revision is the map's.
	RecordMapTail = "map-tail"
	// RecordRootKey holds the root access key and secret.
	RecordRootKey = "root-key"
	// RecordAuthority holds the cluster's certificate authority with its key.
	RecordAuthority = "authority"
	// RecordRangeIDs counts the ids of ranges: 8 bytes, big-endian, the one given last; absent until the first split.
	RecordRangeIDs = "range-ids"
	// RecordToken begins the names of the records of join tokens; the token's id follows.
	RecordToken = "token/"
)

// Store is the metadata space as seen from above. It is safe for concurrent use. Errors are *Error; an answer that the
// space gave (no such key, a failed condition) is no error but the Status of the result.
type Store interface {
	// Apply carries out a command on the range that owns its position and returns the result once a majority of the
	// range's replicas keep it durably. payload is what rides beside the command (payload_length bytes), concatenated in
	// order for a batch; nil if there is none. It is not kept after Apply returned nor changed. Apply retries over
	// changes of leader and of ranges with the command's request id, until ctx ends. An error of kind Indeterminate
	// means that the command may still take effect. The commands of a batch may lie in several ranges and are answered
	// in their order; an error is of kind Indeterminate if any of them took effect or may still.
	Apply(ctx context.Context, c *metapb.Command, payload []byte) (*metapb.Result, error)

	// Query reads the range that owns its position. The answer reflects every command acknowledged before Query was
	// called, through whichever node.
	Query(ctx context.Context, q *metapb.Query) (*metapb.Answer, error)
}

// Topology gives the cluster map as this node knows it. It is safe for concurrent use.
type Topology interface {
	// Map returns the newest map known here, never nil. It is shared: read only.
	Map() *clustermap.Map
	// Changed is closed when a newer map than the one last returned by Map may be there.
	Changed() <-chan struct{}
}

// Kind says what went wrong, as far as a caller may act on it.
type Kind uint8

// The kinds of error of a Store.
const (
	// KindUnavailable: the range has no leader or no majority, or did not answer in time; nothing was changed.
	KindUnavailable Kind = iota
	// KindIndeterminate: a change was proposed and its outcome is not known. It may take effect later.
	KindIndeterminate
	// KindFull: the range's disks have no room for more.
	KindFull
	// KindDamaged: a record is there and cannot be read.
	KindDamaged
	// KindInvalid: the command or query makes no sense.
	KindInvalid
	// KindClosed: this node is shutting down.
	KindClosed
)

var kindNames = [...]string{"unavailable", "outcome unknown", "full", "damaged", "invalid", "closed"}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is the one error type of this contract.
type Error struct {
	Op   string // for example "apply"
	Kind Kind
	What string // the range, disk or position concerned; may be empty
	Err  error  // the cause, may be nil
}

// Error prints operation, subject, kind and cause.
func (e *Error) Error() string {
	s := "metadata: " + e.Op
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

// Is reports whether err is a metadata error of kind k.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}
