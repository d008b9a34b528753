package stripe

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/contender/contender/disk"
)

// stream is an open shard, from row at on.
type stream struct {
	rc     io.ReadCloser
	at     int64
	end    int64
	cancel context.CancelFunc
}

func (s *stream) close() {
	if s == nil {
		return
	}
	s.cancel()
	if s.rc != nil {
		s.rc.Close()
	}
}

// fetch reads the rows from ≤ row < to of one shard into memory, in a goroutine of its own. Until the goroutine has
// ended everything in it belongs to the goroutine; afterwards to whoever started it, unless that one has abandoned it.
type fetch struct {
	shard    int
	from, to int64
	buf      *buffer // holds the rows from base on
	base     int64
	stream   *stream
	err      error
	over     atomic.Bool // whoever sets it second cleans up
}

// rows returns what was read of some of the fetch's rows.
func (f *fetch) rows(from, to int64) []byte { return f.buf.b[from-f.base : to-f.base] }

// covers reports whether the fetch has all these rows.
func (f *fetch) covers(from, to int64) bool { return f != nil && f.from <= from && f.to >= to }

// run carries the fetch out. ctx is that of the stream.
func (f *fetch) run(ctx context.Context, fleet disk.Fleet, owner disk.ID, id disk.ShardID, done chan<- *fetch) {
	f.err = f.read(ctx, fleet, owner, id)
	if f.over.CompareAndSwap(false, true) {
		done <- f // it has room for all
		return
	}
	f.clean()
}

func (f *fetch) read(ctx context.Context, fleet disk.Fleet, owner disk.ID, id disk.ShardID) error {
	if f.stream.rc == nil {
		store, err := fleet.Disk(owner)
		if err != nil {
			return &fleetError{err}
		}
		f.stream.rc, err = store.Get(ctx, id, f.stream.at, f.stream.end-f.stream.at)
		if err != nil {
			return err
		}
	}
	n, err := io.ReadFull(f.stream.rc, f.rows(f.from, f.to))
	f.stream.at += int64(n)
	return err
}

// abandon gives the fetch up; whatever it holds is cleaned up once its goroutine has ended.
func (f *fetch) abandon() {
	cancel := f.stream.cancel
	if !f.over.CompareAndSwap(false, true) {
		f.clean()
		return
	}
	cancel()
}

func (f *fetch) clean() {
	f.stream.close()
	f.stream = nil
	f.buf.put()
	f.buf = nil
}

// fleetError says that a disk could not be reached, which tells nothing about the shard.
type fleetError struct{ err error }

func (e *fleetError) Error() string { return e.err.Error() }
func (e *fleetError) Unwrap() error { return e.err }
