package stripe

import (
	"io"
	"sync"
)

// source is the stream that is being written: first what has to be written again, then the body.
type source struct {
	r     io.Reader
	again []byte
	off   int64 // bytes given out and not taken back
	ended bool  // r has no more
}

// eof reports whether everything has been given out.
func (s *source) eof() bool { return s.ended && len(s.again) == 0 }

// fill reads until p is full or the stream ends.
func (s *source) fill(p []byte) (int, error) {
	n := copy(p, s.again)
	s.again = s.again[n:]
	for empty := 0; n < len(p) && !s.ended; {
		k, err := s.r.Read(p[n:])
		n += k
		if err == io.EOF {
			s.ended = true
			break
		}
		if k > 0 {
			empty = 0
		} else if empty++; err == nil && empty > 100 {
			err = io.ErrNoProgress
		}
		if err != nil {
			return n, err // an unexpected end among them: it must never pass for the end
		}
	}
	s.off += int64(n)
	return n, nil
}

// peek looks whether the stream ends here, when it is expected to.
func (s *source) peek() error {
	if len(s.again) > 0 || s.ended {
		return nil
	}
	var b [1]byte
	n, err := s.fill(b[:])
	s.off -= int64(n)
	s.again = append(s.again, b[:n]...)
	return err
}

// back takes bytes back that were the last given out.
func (s *source) back(p []byte) {
	s.off -= int64(len(p))
	s.again = append(p[:len(p):len(p)], s.again...)
}

// chunk is some whole stripes, the last of which may be short, on their way to the disks.
type chunk struct {
	codec   *codec
	bufs    []*buffer // of the shards that have memory of their own
	stripes int64     // that it has room for
	shards  [][]byte  // what each member gets
	data    int64     // bytes of the stream in it
	off     int64     // of the first of them in the blob
	sending sync.WaitGroup
}

func newChunk(c *codec, stripes int64) *chunk {
	own := c.K
	if c.enc != nil {
		own += c.M
	}
	k := &chunk{codec: c, stripes: stripes, shards: make([][]byte, c.K+c.M), bufs: make([]*buffer, own)}
	for i := range k.bufs {
		k.bufs[i] = c.buffer(stripes * c.unit)
	}
	return k
}

func (c *chunk) release() {
	for _, b := range c.bufs {
		b.put()
	}
	c.bufs = nil
}

// read takes up to so many stripes from the stream and codes them. It reads less only at the stream's end.
func (c *chunk) read(s *source, stripes int64) error {
	c.off, c.data = s.off, 0
	k, unit := int64(c.codec.K), c.codec.unit
	want := min(stripes, c.stripes) * k * unit
	for c.data < want && !s.eof() {
		i, row := c.data/unit%k, c.data/(unit*k)*unit
		n, err := s.fill(c.bufs[i].b[row : row+unit])
		c.data += int64(n)
		if err != nil {
			return err
		}
	}
	l := newLayout(c.codec.K, c.codec.M, unit, max(c.data, 1))
	if l.last > 0 && c.data > 0 {
		c.compact(l)
	}
	for i := range c.shards {
		c.shards[i] = c.bufs[min(i, len(c.bufs)-1)].b[:l.rows()]
	}
	if c.data == 0 {
		return nil
	}
	return c.codec.encode(c.shards)
}

// compact turns the last stripe, read as if it were full, into one of short units. It works from the last shard down,
// because a byte never moves to an earlier shard.
func (c *chunk) compact(l layout) {
	base := l.full * l.unit
	rest := c.data - l.full*l.stripe()
	for j := int64(l.k) - 1; j >= 0; j-- {
		to := c.bufs[j].b[base : base+l.last]
		from, end := min(j*l.last, rest), min((j+1)*l.last, rest) // what of the stripe belongs here
		for at := end; at > from; {
			i := (at - 1) / l.unit // where it was read to
			start := max(i*l.unit, from)
			copy(to[start-from:], c.bufs[i].b[base+start-i*l.unit:base+at-i*l.unit])
			at = start
		}
		clear(to[end-from:])
	}
}

// each calls fn with the chunk's bytes of the stream in order, from offset off of the blob on.
func (c *chunk) each(off int64, fn func([]byte) error) (err error) {
	if off >= c.off+c.data {
		return nil
	}
	l := newLayout(c.codec.K, c.codec.M, c.codec.unit, c.data)
	l.pieces(max(0, off-c.off), c.data, 0, l.rows(), func(shard int, row, n int64) {
		if err == nil {
			err = fn(c.shards[shard][row : row+n])
		}
	})
	return err
}
