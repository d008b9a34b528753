package compress

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
)

// Length returns how many bytes the body of a blob has.
func Length(b *metapb.Blob) int64 {
	if c := b.GetCompression(); c != nil {
		return int64(c.Length)
	}
	return int64(b.GetLength())
}

// OpenParts reads n bytes from offset off of the concatenation of the bodies of blobs. It is OpenParts of package stripe but for
// what is compressed.
func (s *Store) OpenParts(ctx context.Context, parts []*metapb.Blob, off, n int64) (io.ReadCloser, error) {
	compressed, size := false, int64(0)
	for _, p := range parts {
		compressed = compressed || p.GetCompression() != nil
		size += Length(p)
	}
	if !compressed {
		return s.Store.OpenParts(ctx, parts, off, n)
	}
	if off < 0 || n < 0 || off > size || n > size-off {
		return nil, &objectlayer.Error{
			Op: "read shards", Kind: objectlayer.KindInvalidRange, Size: size, Err: fmt.Errorf("bytes %d to %d of %d", off, off+n, size),
		}
	}
	r := &reader{store: s, ctx: ctx, parts: parts, off: off, n: n, bufs: s.bufs.Get().(*buffers)}
	if err := r.fill(); err != nil && !errors.Is(err, io.EOF) {
		r.Close() //nolint:errcheck // it is the first error that counts
		return nil, err
	}
	return r, nil
}

// reader reads bodies one after the other. One goroutine at a time.
type reader struct {
	store *Store
	ctx   context.Context
	parts []*metapb.Blob
	off   int64 // in the first of them
	n     int64 // bytes that are not opened yet
	bufs  *buffers

	body   io.ReadCloser // open
	plain  int64         // bytes of it that are still to come, if it is not compressed
	frames []uint32      // of it that are still to come
	block  int           // the size of its blocks
	left   int64         // bytes of the body from the next frame on
	skip   int           // bytes of the next block before the first that is wanted
	want   int64         // bytes that are wanted of the next blocks
	ready  []byte        // read, and not handed out
	closed bool
}

// fill makes sure that something is ready; io.EOF at the end.
func (r *reader) fill() error {
	for len(r.ready) == 0 {
		switch {
		case r.body != nil && r.want > 0:
			if err := r.unpack(); err != nil {
				return err
			}
		case r.body != nil && r.plain > 0:
			return nil // read from the body itself
		case r.n > 0:
			if err := r.open(); err != nil {
				return err
			}
		default:
			return io.EOF
		}
	}
	return nil
}

// open opens the next body that anything is wanted of.
func (r *reader) open() error {
	r.shut()
	for len(r.parts) > 0 && r.off >= Length(r.parts[0]) {
		r.off -= Length(r.parts[0])
		r.parts = r.parts[1:]
	}
	if len(r.parts) == 0 {
		return damaged(errors.New("the blobs are shorter than they say"))
	}
	b := r.parts[0]
	n := min(r.n, Length(b)-r.off)
	if b.GetCompression() == nil {
		body, err := r.store.Store.Open(r.ctx, b, r.off, n)
		if err != nil {
			return err
		}
		r.body, r.plain = body, n
	} else if err := r.openFrames(b, n); err != nil {
		return err
	}
	r.off += n
	r.n -= n
	return nil
}

// openFrames opens the frames of a blob that hold n bytes from r.off on.
func (r *reader) openFrames(b *metapb.Blob, n int64) error {
	c := b.Compression
	size := int64(c.BlockBytes)
	if size < 1 || size > blockBytesMax || int64(len(c.Frames)) != (int64(c.Length)+size-1)/size {
		return damaged(fmt.Errorf("%d frames of blocks of %d bytes, %d bytes in all", len(c.Frames), size, c.Length))
	}
	first, end := r.off/size, (r.off+n+size-1)/size
	var from, length int64
	for i, f := range c.Frames[:end] {
		if int(f) > frameMax(int(size)) {
			return damaged(fmt.Errorf("a frame of %d bytes", f))
		}
		if int64(i) < first {
			from += int64(f)
		} else {
			length += int64(f)
		}
	}
	body, err := r.store.Store.Open(r.ctx, b, from, length)
	if err != nil {
		return err
	}
	r.bufs.grow(int(size))
	r.body, r.frames, r.block = body, c.Frames[first:end], int(size)
	r.left, r.skip, r.want = int64(c.Length)-first*size, int(r.off-first*size), n
	return nil
}

// unpack reads the next frame.
func (r *reader) unpack() error {
	frame := r.bufs.frame[:r.frames[0]]
	if _, err := io.ReadFull(r.body, frame); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = damaged(io.ErrUnexpectedEOF)
		}
		return err
	}
	block, err := r.store.coder.block(r.bufs.block[:0], frame, int(min(r.left, int64(r.block))))
	if err != nil {
		return damaged(err)
	}
	r.frames = r.frames[1:]
	r.left -= int64(len(block))
	block = block[r.skip:]
	r.skip = 0
	r.ready = block[:min(int64(len(block)), r.want)]
	r.want -= int64(len(r.ready))
	return nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.closed {
		return 0, errClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	if len(r.ready) > 0 {
		n := copy(p, r.ready)
		r.ready = r.ready[n:]
		return n, nil
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.plain)])
	r.plain -= int64(n)
	if errors.Is(err, io.EOF) {
		if err = nil; r.plain > 0 {
			err = damaged(io.ErrUnexpectedEOF)
		}
	}
	return n, err
}

// WriteTo implements io.WriterTo: it writes straight from where blocks were unpacked.
func (r *reader) WriteTo(w io.Writer) (total int64, err error) {
	if r.closed {
		return 0, errClosed
	}
	for {
		switch err := r.fill(); {
		case errors.Is(err, io.EOF):
			return total, nil
		case err != nil:
			return total, err
		case len(r.ready) > 0:
			n, err := w.Write(r.ready)
			total += int64(n)
			if err != nil {
				return total, err
			}
			r.ready = nil
		default:
			n, err := io.Copy(w, r.body)
			total += n
			r.plain -= n
			if err == nil && r.plain > 0 {
				err = damaged(io.ErrUnexpectedEOF)
			}
			if err != nil {
				return total, err
			}
		}
	}
}

func (r *reader) shut() {
	if r.body != nil {
		r.body.Close() //nolint:errcheck // it was only read
		r.body = nil
	}
}

// Close ends all reading and gives the memory back.
func (r *reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed, r.ready = true, nil
	r.shut()
	r.store.bufs.Put(r.bufs)
	r.bufs = nil
	return nil
}

var errClosed = &objectlayer.Error{Op: "read shards", Kind: objectlayer.KindInternal, Err: errors.New("the reader is closed")}

func damaged(err error) error {
	return &objectlayer.Error{Op: "read shards", Kind: objectlayer.KindDamaged, Err: err}
}
