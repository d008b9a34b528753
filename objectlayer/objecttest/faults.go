package objecttest

import (
	"context"
	"testing"
	"time"

	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// silenceTimeout bounds requests to a silent range whose context has no deadline, as the real space does.
const silenceTimeout = 10 * time.Second

// Silence has the range that owns a position answer nothing, as one without a quorum does, until end is called. Commands
// that it does not answer are not applied, but that is not what it says.
func (s *Store) Silence(t testing.TB, bucket uint64, key string) (end func()) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	id, gate := s.rangeAt(t, bucket, key), make(chan struct{})
	s.silent[id] = gate
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.silent, id)
		close(gate)
	}
}

// Slow has the range that owns a position take a time to answer.
func (s *Store) Slow(t testing.TB, bucket uint64, key string, d time.Duration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow[s.rangeAt(t, bucket, key)] = d
}

func (s *Store) rangeAt(t testing.TB, bucket uint64, key string) uint64 {
	t.Helper()
	m, err := s.find(bucket, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return m.Descriptor().Id
}

// reach waits until the range of a position answers, or gives up.
func (s *Store) reach(ctx context.Context, bucket uint64, key []byte) error {
	s.mu.Lock()
	m, err := s.find(bucket, key)
	if err != nil {
		s.mu.Unlock()
		return nil // whoever asks learns it from the answer
	}
	id := m.Descriptor().Id
	gate, slow := s.silent[id], s.slow[id]
	s.mu.Unlock()
	if gate != nil {
		ctx, cancel := context.WithTimeout(ctx, silenceTimeout)
		defer cancel()
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if slow > 0 {
		t := time.NewTimer(slow)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Split cuts the range that owns a position in two there, and reports whether it could: a position where a range begins
// is no cut.
func (s *Store) Split(t testing.TB, bucket uint64, key string) bool {
	t.Helper()
	s.mu.Lock()
	m, err := s.find(bucket, []byte(key))
	if err != nil {
		s.mu.Unlock()
		t.Fatal(err)
	}
	next := uint64(len(s.ranges) + 1)
	c := &metapb.Command{
		Format: machine.Format, Bucket: bucket, Key: []byte(key), Op: &metapb.Command_Split{Split: &metapb.SplitRange{
			IfGeneration: m.Descriptor().Generation, At: keys.Position(bucket, []byte(key)), NewRange: next,
		}},
	}
	s.mu.Unlock()
	res, err := s.apply(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status == metapb.Status_OK
}

// adopt takes in the range that a split made. The store is locked.
func (s *Store) adopt(split *metapb.RangeDescriptor) error {
	snap := s.disk.State().Snapshot()
	defer snap.Close() //nolint:errcheck // only read
	m, err := machine.Load(snap, split.Id)
	if err != nil {
		return err
	}
	s.ranges = append(s.ranges, m)
	return nil
}
