package machine

import (
	"bytes"
	"math"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// firstRefusal is the least status that is a refusal rather than a final answer.
const firstRefusal = metapb.Status_STALE_GENERATION

// sweepRows is how many dedupe rows an entry looks at per command while a sweep goes on. A command adds one at most.
const sweepRows = 8

// remembers reports whether the answer to a command is remembered at its key.
func remembers(c *metapb.Command) bool {
	if mutantDedupe || c.GetRequestId() == "" {
		return false
	}
	switch op := c.GetOp().(type) {
	case *metapb.Command_Delete:
		id := op.Delete.GetVersionId()
		return id == "" || id == metapb.NullVersionID || op.Delete.Condition != nil
	case *metapb.Command_Put, *metapb.Command_CreateUpload, *metapb.Command_Complete, *metapb.Command_Abort,
		*metapb.Command_CreateBucket, *metapb.Command_UpdateBucket, *metapb.Command_RemoveBucket,
		*metapb.Command_PutSystem:
		return true
	}
	return false
}

// recall reads what is remembered at a command's key and returns its answer if it was given before.
func (a *applier) recall(k *call) (*metapb.Result, error) {
	d := new(metapb.Dedupe)
	ok, err := get(a.b, keys.KeyRow(keys.Dedupe, k.Bucket, k.key), d)
	if err != nil || !ok {
		return nil, err
	}
	k.dedupe = d
	if d.RequestId == k.RequestId {
		return d.Result, nil
	}
	return nil, nil
}

// forgotten reports whether a command is a retry of an attempt that may have been applied and is no longer remembered.
func (a *applier) forgotten(k *call) bool {
	return k.Retry && (a.state.Time > after(k.Time, DedupeWindow) || k.dedupe != nil && k.dedupe.Mark >= k.Time)
}

// remember writes the answer to a command if it is final. A refusal is none: its retry may come with what was missing.
func (a *applier) remember(k *call, r *metapb.Result) error {
	if r.Status >= firstRefusal && !mutantRefusalKept {
		return nil
	}
	old := k.dedupe
	if old != nil && old.Changed && !k.changed && !a.outdated(old) {
		return nil
	}
	r.Time = a.state.Time
	d := &metapb.Dedupe{
		RequestId: k.RequestId, Time: a.state.Time, Result: r, Mark: old.GetMark(), Changed: k.changed,
	}
	if k.changed {
		d.Mark = max(d.Mark, k.Time)
	}
	return set(a.b, keys.KeyRow(keys.Dedupe, k.Bucket, k.key), d)
}

// outdated reports whether no retry can need the row: one of that age is answered UNKNOWN_OUTCOME anyway.
func (a *applier) outdated(d *metapb.Dedupe) bool {
	return a.state.Time > after(max(d.Mark, d.Time), DedupeWindow)
}

// sweep takes some steps in removing outdated dedupe rows. A pass goes through all rows of the range, a few with each
// entry, and then rests until the window is over: so nothing is walked over and over, and all replicas do the same.
func (a *applier) sweep() error {
	s := a.state
	if a.commands == 0 || len(s.SweepNext) == 0 && s.Time < after(s.SweepBegun, DedupeWindow) {
		return nil
	}
	span, err := keys.ColumnSpan(keys.Dedupe, a.m.descriptor.Start, a.m.descriptor.End)
	if err != nil {
		return err
	}
	if len(s.SweepNext) == 0 {
		s.SweepBegun = s.Time
	} else if bytes.Compare(s.SweepNext, span.Lower) > 0 {
		span.Lower = s.SweepNext
	}
	s.SweepNext = nil
	if span.Upper != nil && bytes.Compare(span.Lower, span.Upper) >= 0 {
		return nil
	}
	var old [][]byte
	left := sweepRows * a.commands
	err = scan(a.b, span, func(row disk.Row) error {
		if left == 0 {
			s.SweepNext = bytes.Clone(row.Key)
			return errStop
		}
		left--
		d := new(metapb.Dedupe)
		if err := decode(row.Key, row.Value, d); err != nil {
			return err
		}
		if a.outdated(d) {
			old = append(old, bytes.Clone(row.Key))
		}
		return nil
	})
	if err != nil && err != errStop {
		return err
	}
	for _, row := range old {
		if err := a.b.Delete(row); err != nil {
			return err
		}
	}
	return nil
}

// after adds two times, up to the end of time.
func after(t, d uint64) uint64 {
	if t > math.MaxUint64-d {
		return math.MaxUint64
	}
	return t + d
}
