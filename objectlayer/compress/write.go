package compress

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/stripe"
)

// Sizes of blocks: small ones make small ranges cheap, and large ones keep the list of frames short.
const (
	blockBytesMin     = 128 << 10
	blockBytesMax     = 4 << 20
	blockBytesUnknown = 1 << 20 // where the size of the body is not known
	framesWanted      = 1024    // of a large body, about
)

// Store writes and reads blobs that may be compressed. It is safe for concurrent use.
type Store struct {
	*stripe.Store
	coder *coder
	bufs  sync.Pool // *buffers
}

// buffers is the memory of one write or read.
type buffers struct{ block, frame []byte }

// New returns a Store that keeps its blobs in another one.
func New(s *stripe.Store) (*Store, error) {
	c, err := newCoder()
	if err != nil {
		return nil, err
	}
	return &Store{Store: s, coder: c, bufs: sync.Pool{New: func() any { return new(buffers) }}}, nil
}

// grow makes room in both buffers for a block.
func (b *buffers) grow(block int) {
	if cap(b.block) < block {
		b.block = make([]byte, block)
	}
	if n := frameMax(block); cap(b.frame) < n {
		b.frame = make([]byte, 0, n)
	}
}

// blockBytes returns the size of the blocks of a body, -1: of unknown size.
func blockBytes(size int64) int {
	if size < 0 {
		return blockBytesUnknown
	}
	n := blockBytesMin
	for n < blockBytesMax && size > int64(n)*framesWanted {
		n *= 2
	}
	return n
}

// WriteAs is Write, compressed in a way that Check knows. Size, Hashes and Finish of the request are of the body as it comes.
func (s *Store) WriteAs(ctx context.Context, how string, q stripe.Request, r io.Reader) (*metapb.Blob, error) {
	c := codecOf(how)
	if c == codecRaw {
		return s.Write(ctx, q, r)
	}
	b := s.bufs.Get().(*buffers)
	defer s.bufs.Put(b)
	body := &packer{coder: s.coder, how: c, src: r, hashes: q.Hashes, bufs: b, size: blockBytes(q.Size)}
	b.grow(body.size)
	q.Size, q.Hashes = -1, nil
	q.Owner = q.Owner.CloneVT()
	q.Owner.Compressed = true
	blob, err := s.Write(ctx, q, body)
	if err != nil {
		return nil, err
	}
	blob.Compression = &metapb.Compression{Codec: uint32(c), BlockBytes: uint32(body.size), Length: uint64(body.read), Frames: body.frames}
	return blob, nil
}

// packer reads a body as a row of frames.
type packer struct {
	coder  *coder
	how    codec
	src    io.Reader
	hashes []io.Writer
	bufs   *buffers
	size   int // of a block

	left   []byte // of the frame
	frames []uint32
	read   int64 // of the body
	err    error // what comes after the frame
}

// Read implements io.Reader. An error of the body comes as it is, after the whole blocks before it.
func (p *packer) Read(b []byte) (int, error) {
	for len(p.left) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

// next makes the next frame.
func (p *packer) next() error {
	n, err := io.ReadFull(p.src, p.bufs.block[:p.size])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
		return nil
	}
	p.err = err
	block := p.bufs.block[:n]
	if n == 0 {
		return nil
	}
	for _, h := range p.hashes {
		if _, err := h.Write(block); err != nil {
			return err
		}
	}
	p.read += int64(n)
	p.left = p.coder.frame(p.bufs.frame[:0], block, p.how)
	p.frames = append(p.frames, uint32(len(p.left)))
	return nil
}
