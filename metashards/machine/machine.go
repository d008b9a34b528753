package machine

import (
	"errors"
	"fmt"
	"maps"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// Format is the version of the records and commands that this program writes and knows.
const Format = 1

// Default times, in microseconds of range time.
const (
	// DedupeWindow is how long the answer of a request is remembered at least.
	DedupeWindow = 60_000_000
	// DeleteDelayDefault is how long the bytes of replaced and removed versions stay where the proposal says nothing.
	DeleteDelayDefault = 15 * 60_000_000
)

// ErrNoRange says that a reader holds no replica of the range.
var ErrNoRange = errors.New("no replica of this range here")

// Entry is a committed Raft entry that carries a proposal.
type Entry struct {
	Range, Term, Index uint64
	Proposal           *metapb.Proposal
}

// Machine is the applied state of one replica of a range. It is in step with the batch that was given to it last: after
// an error, or when a batch is not committed, it must be thrown away and loaded again. It is not safe for concurrent
// use, but for Answer, which touches only its reader.
type Machine struct {
	rangeID    uint64
	descriptor *metapb.RangeDescriptor // replaced, never changed
	state      *metapb.RangeState      // replaced, never changed
	fences     fences                  // replaced, never changed
	halved     map[uint64]bool         // buckets whose usage is halved; the applier's alone
}

// fences are the fences of a range's buckets, as their rows say. It is looked into and never walked.
type fences map[uint64]*metapb.Fence

// of returns the fence of a bucket; without a row it is generation 1, open, never versioned.
func (f fences) of(bucket uint64) *metapb.Fence {
	if known, ok := f[bucket]; ok {
		return known
	}
	return &metapb.Fence{Generation: 1}
}

// setFence writes a fence, in memory and in the batch.
func (m *Machine) setFence(b disk.Batch, bucket uint64, f *metapb.Fence) error {
	changed := maps.Clone(m.fences)
	if changed == nil {
		changed = fences{}
	}
	changed[bucket] = f
	if err := set(b, keys.FenceRow(m.rangeID, bucket), f); err != nil {
		return err
	}
	m.fences = changed
	return nil
}

// A new range begins as if its first entries were applied and truncated already, on every replica alike.
const (
	FirstIndex = 10
	FirstTerm  = 5
)

// Bootstrap writes the first rows of a replica of a new range that holds nothing yet. now is the first range time, in
// microseconds. It is an error if the range is there already.
func Bootstrap(b disk.Batch, d *metapb.RangeDescriptor, now uint64) error {
	if d.GetId() == 0 {
		return errors.New("bootstrap a range without id")
	}
	_, ok, err := b.Get(keys.StateRow(d.Id))
	if err != nil {
		return fmt.Errorf("bootstrap range %d: %w", d.Id, err)
	}
	if ok {
		return fmt.Errorf("bootstrap range %d: it is there already", d.Id)
	}
	return begin(b, d, &metapb.RangeState{Time: now})
}

// begin writes the descriptor and the state of a new range. What the state says of the log is filled in here.
func begin(b disk.Batch, d *metapb.RangeDescriptor, s *metapb.RangeState) error {
	m := &Machine{rangeID: d.Id}
	if err := m.SetDescriptor(b, d); err != nil {
		return err
	}
	s.Format = Format
	s.AppliedIndex, s.AppliedTerm, s.TruncatedIndex, s.TruncatedTerm = FirstIndex, FirstTerm, FirstIndex, FirstTerm
	return m.setState(b, s)
}

// Load reads the machine of a range. The error is ErrNoRange if there is no replica of it.
func Load(r disk.Reader, rangeID uint64) (*Machine, error) {
	m := &Machine{rangeID: rangeID, fences: fences{}}
	if err := scan(r, keys.LocalSpan(rangeID), m.loadRow); err != nil {
		return nil, fmt.Errorf("rows of range %d: %w", rangeID, err)
	}
	if m.descriptor == nil || m.state == nil {
		return nil, fmt.Errorf("descriptor and state of range %d: %w", rangeID, ErrNoRange)
	}
	return m, nil
}

// loadRow takes in one of the range's own rows.
func (m *Machine) loadRow(row disk.Row) error {
	at, err := keys.ParseLocal(row.Key)
	if err != nil {
		return err
	}
	switch {
	case at.Descriptor:
		m.descriptor = new(metapb.RangeDescriptor)
		if err = decode(row.Key, row.Value, m.descriptor); err == nil {
			err = knownFormat(m.descriptor.Format)
		}
	case at.State:
		m.state = new(metapb.RangeState)
		if err = decode(row.Key, row.Value, m.state); err == nil {
			err = knownFormat(m.state.Format)
		}
	case at.Fence:
		f := new(metapb.Fence)
		m.fences[at.Bucket] = f
		err = decode(row.Key, row.Value, f)
	case at.Usage:
		u := new(metapb.Usage)
		err = decode(row.Key, row.Value, u)
		m.noteHalved(at.Bucket, u.Halved != 0)
	}
	return err
}

// Halved reports whether the usage of a bucket is that of a whole that was split, and is to be counted: see Corrections.
func (m *Machine) Halved() bool { return len(m.halved) > 0 }

// noteHalved notes whether the usage of a bucket is halved.
func (m *Machine) noteHalved(bucket uint64, halved bool) {
	switch {
	case !halved:
		delete(m.halved, bucket)
	case m.halved == nil:
		m.halved = map[uint64]bool{bucket: true}
	default:
		m.halved[bucket] = true
	}
}

// Descriptor returns the range's descriptor. It is shared and never changes: read only.
func (m *Machine) Descriptor() *metapb.RangeDescriptor { return m.descriptor }

// State returns the range's state after what was applied last. It is shared and never changes: read only.
func (m *Machine) State() *metapb.RangeState { return m.state }

// SetDescriptor replaces the range's descriptor, in memory and in the batch.
func (m *Machine) SetDescriptor(b disk.Batch, d *metapb.RangeDescriptor) error {
	if d.GetId() != m.rangeID {
		return fmt.Errorf("descriptor of range %d for range %d", d.GetId(), m.rangeID)
	}
	d = d.CloneVT()
	d.Format = Format
	if _, err := keys.Spans(d.Start, d.End); err != nil {
		return fmt.Errorf("descriptor of range %d: %w", d.Id, err)
	}
	if err := set(b, keys.DescriptorRow(d.Id), d); err != nil {
		return err
	}
	m.descriptor = d
	return nil
}

// SetTruncated records up to where the range's log was truncated. The caller truncates it in the same batch.
func (m *Machine) SetTruncated(b disk.Batch, index, term uint64) error {
	s := m.state.CloneVT()
	s.TruncatedIndex, s.TruncatedTerm = index, term
	return m.setState(b, s)
}

// ApplyEmpty moves the applied position over an entry that changes no row: an empty one or a change of configuration.
func (m *Machine) ApplyEmpty(b disk.Batch, term, index uint64) error {
	s, err := m.advance(term, index)
	if err != nil {
		return err
	}
	return m.setState(b, s)
}

// advance returns a copy of the state, applied up to the next entry.
func (m *Machine) advance(term, index uint64) (*metapb.RangeState, error) {
	if index != m.state.AppliedIndex+1 || term < m.state.AppliedTerm {
		return nil, fmt.Errorf("range %d: entry %d of term %d after entry %d of term %d",
			m.rangeID, index, term, m.state.AppliedIndex, m.state.AppliedTerm)
	}
	s := m.state.CloneVT()
	s.AppliedIndex, s.AppliedTerm = index, term
	return s, nil
}

func (m *Machine) setState(b disk.Batch, s *metapb.RangeState) error {
	if err := set(b, keys.StateRow(m.rangeID), s); err != nil {
		return err
	}
	m.state = s
	return nil
}

func readDescriptor(r disk.Reader, rangeID uint64) (*metapb.RangeDescriptor, error) {
	d := new(metapb.RangeDescriptor)
	ok, err := get(r, keys.DescriptorRow(rangeID), d)
	if err == nil && !ok {
		err = ErrNoRange
	}
	if err == nil {
		err = knownFormat(d.Format)
	}
	if err != nil {
		return nil, fmt.Errorf("descriptor of range %d: %w", rangeID, err)
	}
	return d, nil
}

func readState(r disk.Reader, rangeID uint64) (*metapb.RangeState, error) {
	s := new(metapb.RangeState)
	ok, err := get(r, keys.StateRow(rangeID), s)
	if err == nil && !ok {
		err = ErrNoRange
	}
	if err == nil {
		err = knownFormat(s.Format)
	}
	if err != nil {
		return nil, fmt.Errorf("state of range %d: %w", rangeID, err)
	}
	return s, nil
}

// Spans returns the spans of all rows of a range, its own rows among them, ascending.
func Spans(d *metapb.RangeDescriptor) []disk.Span {
	spans, err := keys.Spans(d.GetStart(), d.GetEnd())
	if err != nil {
		// SetDescriptor refuses such bounds: what is damaged owns nothing but itself.
		spans = nil
	}
	return append([]disk.Span{keys.LocalSpan(d.GetId())}, spans...)
}
