package objecttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// metaDisk is the id of the disk in memory that keeps the rows and payloads of a Store.
const metaDisk disk.ID = 0x6d657461

// term is the Raft term of all entries of a Store: there are no elections.
const term = machine.FirstTerm

// Store is a metashards.Store with one replica of each range and no Raft: the real machine over a disk in memory, one
// command an entry. It is safe for concurrent use.
type Store struct {
	disk  *disktest.Memory
	clock func() time.Time

	mu     sync.Mutex
	ranges []*machine.Machine // their spans don't overlap
	before func(ctx context.Context, c *metapb.Command) error
	after  func(ctx context.Context, c *metapb.Command) error
	delay  time.Duration
	silent map[uint64]chan struct{} // by range id; closed when it answers again
	slow   map[uint64]time.Duration // by range id
}

var _ metashards.Store = (*Store)(nil)

// NewStore returns an empty metadata space on a clock: a range of system records, one or more of data, cut at the given
// positions (see keys.Position), which ascend.
func NewStore(t testing.TB, clock func() time.Time, cuts ...[]byte) *Store {
	t.Helper()
	s := &Store{
		disk: disktest.NewMemory(metaDisk), clock: clock,
		silent: map[uint64]chan struct{}{}, slow: map[uint64]time.Duration{},
	}
	bounds := append([][]byte{nil, keys.Position(1, nil)}, cuts...)
	bounds = append(bounds, nil)
	b := s.disk.State().NewBatch()
	for i := range bounds[1:] {
		d := &metapb.RangeDescriptor{Format: machine.Format, Id: uint64(i + 1), Start: bounds[i], End: bounds[i+1]}
		if err := machine.Bootstrap(b, d, uint64(clock().UnixMicro())); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	snap := s.disk.State().Snapshot()
	defer snap.Close() //nolint:errcheck // only read
	for i := range bounds[1:] {
		m, err := machine.Load(snap, uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		s.ranges = append(s.ranges, m)
	}
	return s
}

// SetDeleteDelay sets how long bytes of replaced and removed versions stay; 0 is the default of the machine.
func (s *Store) SetDeleteDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Before has fn called before each command is applied; an error that it returns is Apply's, and nothing was changed. A
// nil fn ends it.
func (s *Store) Before(fn func(ctx context.Context, c *metapb.Command) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = fn
}

// After has fn called after each command was applied; an error that it returns is Apply's although the change is made. A
// nil fn ends it.
func (s *Store) After(fn func(ctx context.Context, c *metapb.Command) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = fn
}

func (s *Store) hooks() (before, after func(ctx context.Context, c *metapb.Command) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.before, s.after
}

// Apply carries out a command.
func (s *Store) Apply(ctx context.Context, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	before, after := s.hooks()
	if before != nil {
		if err := before(ctx, c); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, &metashards.Error{Op: "apply", Kind: metashards.KindUnavailable, Err: err}
	}
	if err := s.reach(ctx, c.Bucket, c.Key); err != nil {
		return nil, failure("apply", metashards.KindIndeterminate, err)
	}
	res, err := s.apply(ctx, c.CloneVT(), payload)
	if err != nil {
		return nil, err
	}
	if after != nil {
		if err := after(ctx, c); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// find returns the machine of the range that owns a position.
func (s *Store) find(bucket uint64, key []byte) (*machine.Machine, error) {
	for _, m := range s.ranges {
		if d := m.Descriptor(); keys.Contains(d.Start, d.End, bucket, key) {
			return m, nil
		}
	}
	return nil, &metashards.Error{Op: "find range", Kind: metashards.KindInvalid, What: fmt.Sprintf("%d/%q", bucket, key)}
}

// apply writes payloads to the log, syncs, and applies the command's entry. What was appended by an attempt that fails
// is never named by a row.
func (s *Store) apply(ctx context.Context, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	ctx = context.WithoutCancel(ctx) // from here on it happens as a whole
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(c.Bucket, c.Key)
	if err != nil {
		return nil, err
	}
	d, state := m.Descriptor(), m.State()
	p := &metapb.Proposal{
		Format: machine.Format, Commands: []*metapb.Command{c}, Time: uint64(s.clock().UnixMicro()),
		DeleteDelay: uint64(s.delay.Microseconds()),
	}
	var in disk.Append
	for _, n := range payloadLengths(nil, c) {
		if n > uint64(len(payload)) {
			return nil, failure("apply", metashards.KindInvalid, errors.New("the payload is too short"))
		}
		id := disk.PayloadID{Range: d.Id, Term: term, Index: state.AppliedIndex + 1, N: uint32(len(in.Payloads))}
		in.Payloads = append(in.Payloads, disk.Payload{ID: id, Data: payload[:n]})
		p.PayloadLengths, p.PayloadSums = append(p.PayloadLengths, n), append(p.PayloadSums, 0)
		payload = payload[n:]
	}
	if len(in.Payloads) > 0 {
		if err := s.disk.Log().Append(ctx, in); err != nil {
			return nil, failure("apply", metashards.KindUnavailable, err)
		}
		if err := s.disk.Log().Sync(ctx); err != nil {
			return nil, failure("apply", metashards.KindUnavailable, err)
		}
	}
	b := s.disk.State().NewBatch()
	defer b.Close() //nolint:errcheck // after Commit it does nothing
	results, err := m.Apply(b, machine.Entry{Range: d.Id, Term: term, Index: state.AppliedIndex + 1, Proposal: p})
	if err == nil {
		err = b.Commit()
	}
	if err == nil && results[0].Split != nil {
		err = s.adopt(results[0].Split)
	}
	if err != nil {
		return nil, failure("apply", metashards.KindDamaged, err)
	}
	return results[0], nil
}

func payloadLengths(lengths []uint64, c *metapb.Command) []uint64 {
	if c.PayloadLength > 0 {
		lengths = append(lengths, c.PayloadLength)
	}
	for _, sub := range c.GetBatch().GetCommands() {
		lengths = payloadLengths(lengths, sub)
	}
	return lengths
}

func failure(op string, kind metashards.Kind, err error) error {
	return &metashards.Error{Op: op, Kind: kind, Err: err}
}

// Query answers a query.
func (s *Store) Query(ctx context.Context, q *metapb.Query) (*metapb.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, failure("query", metashards.KindUnavailable, err)
	}
	if err := s.reach(ctx, q.Bucket, q.Key); err != nil {
		return nil, failure("query", metashards.KindUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(q.Bucket, q.Key)
	if err != nil {
		return nil, err
	}
	snap := s.disk.State().Snapshot()
	defer snap.Close() //nolint:errcheck // only read
	a, err := m.Answer(snap, q)
	if err != nil {
		return nil, failure("query", metashards.KindDamaged, err)
	}
	if in := a.GetVersion().GetInline(); in != nil && q.GetGet().GetPayload() {
		a.Payload, err = s.disk.Log().Payload(ctx, disk.PayloadID{Range: in.Range, Term: in.Term, Index: in.Index, N: in.N})
		if err != nil {
			return nil, failure("query", metashards.KindDamaged, err)
		}
	}
	return a, nil
}
