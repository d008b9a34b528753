package wire

import (
	"errors"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// textMost bounds the text of an error that travels.
const textMost = 4 * kib

func clip(s string) string { return s[:min(len(s), textMost)] }

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return clip(err.Error())
}

// encodeFailure makes what carries an error of a store.
func encodeFailure(err error) *metapb.Failure {
	if r := (*store.Refusal)(nil); errors.As(err, &r) {
		return &metapb.Failure{
			Source: metapb.Failure_STORE, Kind: uint32(r.Reason), Range: r.Range, Leader: uint64(r.Leader), Text: textOf(r.Err),
		}
	}
	if d := (*disk.Error)(nil); errors.As(err, &d) {
		return &metapb.Failure{
			Source: metapb.Failure_DISK, Kind: uint32(d.Kind), Op: clip(d.Op), What: clip(d.What), Text: textOf(d.Err),
		}
	}
	return &metapb.Failure{Text: textOf(err)}
}

// RemoteError is an error of another node of which only the text came over.
type RemoteError struct {
	Node clustermap.NodeID
	Text string
}

// Error prints node and text.
func (e *RemoteError) Error() string { return fmt.Sprintf("node %s: %s", e.Node, e.Text) }

// decodeFailure makes the error that a failure carries: *store.Refusal, *disk.Error or *RemoteError.
func decodeFailure(node clustermap.NodeID, f *metapb.Failure) error {
	var cause error
	if f.Text != "" {
		cause = &RemoteError{Node: node, Text: f.Text}
	}
	switch f.Source {
	case metapb.Failure_STORE:
		r := store.Reason(f.Kind)
		if f.Kind > uint32(store.Closed) {
			// A reason that this program does not know may leave open whether a command takes effect.
			r = store.Indeterminate
		}
		return &store.Refusal{Reason: r, Range: f.Range, Leader: disk.ID(f.Leader), Err: cause}
	case metapb.Failure_DISK:
		k := disk.Kind(f.Kind)
		if f.Kind > uint32(disk.KindClosed) {
			k = disk.KindIO
		}
		return disk.Errorf(f.Op, k, f.What, cause)
	}
	return &RemoteError{Node: node, Text: f.Text}
}

// lostError says that a request was not answered.
type lostError struct {
	node clustermap.NodeID
	sent bool // it may have been carried out
	err  error
}

func (e *lostError) Error() string { return fmt.Sprintf("node %s: %s", e.node, e.err) }
func (e *lostError) Unwrap() error { return e.err }

// proposeError makes what the caller of Propose gets: always a refusal.
func proposeError(err error, rangeID uint64) error {
	var r *store.Refusal
	var l *lostError
	var t *tooLargeError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &t):
		return &store.Refusal{Reason: store.Invalid, Range: rangeID, Err: err}
	case errors.As(err, &l) && !l.sent:
		return &store.Refusal{Reason: store.Unavailable, Range: rangeID, Err: err}
	}
	// Nobody knows what became of it.
	return &store.Refusal{Reason: store.Indeterminate, Range: rangeID, Err: err}
}

// queryError makes what the caller of Query gets.
func queryError(err error, rangeID uint64) error {
	var l *lostError
	var t *tooLargeError
	switch {
	case errors.As(err, &t):
		return &store.Refusal{Reason: store.Invalid, Range: rangeID, Err: err}
	case errors.As(err, &l):
		return &store.Refusal{Reason: store.Unavailable, Range: rangeID, Err: err}
	}
	return err
}

// asDiskError makes what a puller gets for an error of a call.
func asDiskError(err error, op string, what string) error {
	var d *disk.Error
	if errors.As(err, &d) {
		return d
	}
	return disk.Errorf(op, disk.KindClosed, what, err)
}
