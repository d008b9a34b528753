package replica

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// storageError is an error of the disk that Raft can't live with. Raft panics with it; the replica fails with it.
type storageError struct{ err error }

func (e *storageError) Error() string { return e.err.Error() }
func (e *storageError) Unwrap() error { return e.err }

// storage is what Raft sees of the disk. It answers for synced entries only.
type storage struct {
	ctx     context.Context
	log     disk.Log
	rangeID uint64
	hard    *raftpb.HardState
	conf    *raftpb.ConfState
	cache   *cache

	truncated     uint64 // the index before the first entry
	truncatedTerm uint64
	last          uint64 // the last synced entry, or truncated

	snapshot func() (*raftpb.Snapshot, error)
}

var _ raft.Storage = (*storage)(nil)

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return s.hard, s.conf, nil
}

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return s.truncated + 1, nil }

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return s.last, nil }

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) {
	switch {
	case i < s.truncated:
		return 0, raft.ErrCompacted
	case i == s.truncated:
		return s.truncatedTerm, nil
	case i > s.last:
		return 0, raft.ErrUnavailable
	}
	if c, ok := s.cache.get(i); ok {
		return c.entry.GetTerm(), nil
	}
	t, err := s.log.Term(s.rangeID, i)
	if err != nil {
		return 0, &storageError{err}
	}
	return t, nil
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= s.truncated {
		return nil, raft.ErrCompacted
	}
	if hi > s.last+1 {
		return nil, raft.ErrUnavailable
	}
	if _, ok := s.cache.get(lo); ok {
		return s.cachedEntries(lo, hi, maxSize), nil
	}
	// Only up to where the cache begins: what Raft asks for next is there.
	if s.cache.first > lo {
		hi = min(hi, s.cache.first)
	}
	stored, err := s.log.Entries(s.ctx, s.rangeID, lo, hi, int(min(maxSize, 1<<30)))
	if err != nil {
		return nil, &storageError{err}
	}
	out := make([]*raftpb.Entry, 0, len(stored))
	for i, e := range stored {
		if e.Index != lo+uint64(i) {
			err := fmt.Errorf("entry %d where %d is due", e.Index, lo+uint64(i))
			return nil, &storageError{disk.Errorf("entries", disk.KindCorrupt, "", err)}
		}
		out = append(out, raftEntry(e))
	}
	return out, nil
}

func (s *storage) cachedEntries(lo, hi, maxSize uint64) (out []*raftpb.Entry) {
	size := uint64(0)
	for i := lo; i < hi; i++ {
		c, ok := s.cache.get(i)
		if !ok {
			break
		}
		size += uint64(len(c.entry.GetData())) + 24
		if len(out) > 0 && size > maxSize {
			break
		}
		out = append(out, c.entry)
	}
	return out
}

// Snapshot implements raft.Storage.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) { return s.snapshot() }

func raftEntry(e disk.Entry) *raftpb.Entry {
	t := raftpb.EntryType(e.Type)
	return &raftpb.Entry{Term: new(e.Term), Index: new(e.Index), Type: &t, Data: e.Data}
}

func diskEntry(rangeID uint64, e *raftpb.Entry) disk.Entry {
	return disk.Entry{Range: rangeID, Term: e.GetTerm(), Index: e.GetIndex(), Type: uint8(e.GetType()), Data: e.GetData()}
}

// confState returns the configuration that a descriptor describes.
func confState(d *metapb.RangeDescriptor) *raftpb.ConfState {
	c := new(raftpb.ConfState)
	joint := machine.Joint(d)
	for _, r := range d.Replicas {
		switch {
		case r.Learner && !mutantLearnerVotes:
			c.Learners = append(c.Learners, r.Id)
		case r.Outgoing:
			c.VotersOutgoing = append(c.VotersOutgoing, r.Id)
			c.LearnersNext = append(c.LearnersNext, r.Id)
		default:
			c.Voters = append(c.Voters, r.Id)
			if joint && !r.Incoming {
				c.VotersOutgoing = append(c.VotersOutgoing, r.Id)
			}
		}
	}
	return c
}

var errLogShort = errors.New("the log ends before what was applied, or begins after it")

// bounds finds what the log holds of the range and checks it against what the rows say was applied and truncated.
func (s *storage) bounds(applied uint64) error {
	s.last = s.truncated
	first, last, ok := s.log.Bounds(s.rangeID)
	if ok && last > s.truncated {
		if first > s.truncated+1 {
			return disk.Errorf("load", disk.KindCorrupt, "", errLogShort)
		}
		s.last = last
	}
	if s.last < applied {
		return disk.Errorf("load", disk.KindCorrupt, "", errLogShort)
	}
	return nil
}
