package stripe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
)

// Open reads n bytes of a blob from offset off; both must lie within it, else KindInvalidRange. The first bytes are read
// before it returns, so that an error appears here rather than in the middle. Errors are *objectlayer.Error:
// KindDamaged if too many shards are corrupt or missing, KindUnavailable if too many disks do not answer. The reader is
// used by one goroutine at a time, implements io.WriterTo, and must be closed; bytes are never wrong, an error ends
// them early. ctx must last as long as the reader.
func (s *Store) Open(ctx context.Context, b *metapb.Blob, off, n int64) (io.ReadCloser, error) {
	return s.OpenParts(ctx, []*metapb.Blob{b}, off, n)
}

// OpenParts is Open over the concatenation of blobs. Only what is needed is read, one extent after another, with about
// one MiB read ahead.
func (s *Store) OpenParts(ctx context.Context, parts []*metapb.Blob, off, n int64) (io.ReadCloser, error) {
	var size int64
	for _, p := range parts {
		size += int64(p.GetLength())
	}
	if off < 0 || n < 0 || off > size || n > size-off {
		return nil, &objectlayer.Error{
			Op: "read shards", Kind: objectlayer.KindInvalidRange, Size: size,
			Err: fmt.Errorf("bytes %d to %d of %d", off, off+n, size),
		}
	}
	r := &reader{store: s, left: n}
	r.spans = func() (*extentReader, error) {
		for len(parts) > 0 {
			if skip := int64(parts[0].GetLength()); off >= skip {
				off -= skip
				parts = parts[1:]
				continue
			}
			x, err := s.span(&r.running, parts[0], off, n)
			if err == nil {
				n -= x.b - x.a
				off += x.b - x.a
			}
			return x, err
		}
		return nil, readError(objectlayer.KindDamaged, errors.New("the blob is shorter than it says"))
	}
	return r.start(ctx)
}

// span prepares reading of the extent that holds byte off of a blob, up to n bytes.
func (s *Store) span(running *sync.WaitGroup, b *metapb.Blob, off, n int64) (*extentReader, error) {
	id, err := blobID(b)
	if err != nil {
		return nil, err
	}
	for _, e := range b.GetExtents() {
		if length := int64(e.GetLength()); off >= length {
			off -= length
			continue
		}
		disks, err := s.owners(e)
		if err != nil {
			return nil, err
		}
		return s.newExtentReader(running, id, e, disks, off, min(off+n, int64(e.GetLength())))
	}
	return nil, readError(objectlayer.KindDamaged, fmt.Errorf("blob %v: the extents are shorter than the blob", id))
}

// owners returns the disks that own the shards of an extent now.
func (s *Store) owners(e *metapb.Extent) ([]disk.ID, error) {
	g := s.o.Topology.Map().Group(disk.GroupID(e.GetGroup()))
	if g == nil {
		return nil, readError(objectlayer.KindUnavailable, fmt.Errorf("group %d is not in the map", e.GetGroup()))
	}
	disks := make([]disk.ID, len(e.GetSlots()))
	for i, slot := range e.GetSlots() {
		if int(slot) >= len(g.Slots) {
			return nil, readError(objectlayer.KindDamaged, fmt.Errorf("group %d has no slot %d", g.ID, slot))
		}
		disks[i] = g.Slots[slot].Owner
	}
	return disks, nil
}

// openExtent reads an extent that was just written, from the members that did not fail.
func (s *Store) openExtent(ctx context.Context, e *extent) (io.ReadCloser, error) {
	disks := make([]disk.ID, len(e.members))
	for i, m := range e.members {
		if m.err == nil {
			disks[i] = e.choice.Disks[i]
		}
	}
	r := &reader{store: s, left: e.length}
	r.spans = func() (*extentReader, error) {
		return s.newExtentReader(&r.running, e.blob, e.record(), disks, 0, e.length)
	}
	return r.start(ctx)
}

// reader is what Open returns. Windows are filled by the caller of start at first and then, if there are more, by one
// goroutine that is a window ahead.
type reader struct {
	store   *Store
	spans   func() (*extentReader, error) // the next extent
	left    int64                         // bytes that are in no window yet
	extent  *extentReader
	now     *window
	ahead   chan *window // nil: everything has been read
	cancel  context.CancelFunc
	running sync.WaitGroup
	err     error
}

// start fills the first window.
func (r *reader) start(ctx context.Context) (io.ReadCloser, error) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.now = &window{}
	if r.left == 0 {
		return r, nil
	}
	w, err := r.fill(ctx)
	if err != nil {
		r.stop()
		r.Close()
		return nil, err
	}
	r.now = w
	if r.left == 0 {
		r.stop()
		return r, nil
	}
	ahead := make(chan *window)
	r.ahead = ahead
	r.running.Go(func() {
		defer close(ahead)
		defer r.stop()
		for r.left > 0 {
			w, err := r.fill(ctx)
			if err != nil {
				w = &window{err: err}
			}
			select {
			case ahead <- w:
			case <-ctx.Done():
				w.release()
				return
			}
			if err != nil {
				return
			}
		}
	})
	return r, nil
}

// fill reads the next window.
func (r *reader) fill(ctx context.Context) (*window, error) {
	if r.extent != nil && !r.extent.more() {
		r.stop()
	}
	if r.extent == nil {
		x, err := r.spans()
		if err != nil {
			return nil, err
		}
		r.extent = x
	}
	w, err := r.extent.fill(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range w.pieces {
		r.left -= int64(len(p))
	}
	return w, nil
}

// stop ends the open extent.
func (r *reader) stop() {
	if r.extent != nil {
		r.extent.close()
		r.extent = nil
	}
}

// advance makes sure that there is a piece to give out.
func (r *reader) advance() error {
	for len(r.now.pieces) == 0 {
		if r.err != nil {
			return r.err
		}
		r.now.release()
		r.err = io.EOF
		if r.ahead != nil {
			w, ok := <-r.ahead
			switch {
			case !ok && r.left > 0:
				r.err = readError(objectlayer.KindUnavailable, context.Canceled)
			case !ok:
			case w.err != nil:
				r.err = w.err
			default:
				r.now, r.err = w, nil
			}
		}
	}
	return nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.advance(); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) && len(r.now.pieces) > 0 {
		k := copy(p[n:], r.now.pieces[0])
		n += k
		if k == len(r.now.pieces[0]) {
			r.now.pieces = r.now.pieces[1:]
		} else {
			r.now.pieces[0] = r.now.pieces[0][k:]
		}
	}
	return n, nil
}

// WriteTo implements io.WriterTo: it writes straight from the memory that the disks read into.
func (r *reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		switch err := r.advance(); {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
		n, err := w.Write(r.now.pieces[0])
		total += int64(n)
		if err != nil {
			return total, err
		}
		r.now.pieces = r.now.pieces[1:]
	}
}

// errClosed is what a closed reader answers with.
var errClosed = readError(objectlayer.KindInternal, errors.New("the reader is closed"))

// Close ends all reading for this reader and gives its memory back.
func (r *reader) Close() error {
	r.cancel()
	if r.ahead != nil {
		for w := range r.ahead {
			w.release()
		}
	}
	if r.extent != nil && r.ahead == nil {
		r.stop()
	}
	r.running.Wait()
	r.now.release()
	r.ahead, r.err = nil, errClosed
	return nil
}
