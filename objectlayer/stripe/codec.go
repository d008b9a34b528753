package stripe

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/klauspost/reedsolomon"

	"github.com/contender/contender/objectlayer/placement"
)

// defaultChunkBytes is about how much data is read, coded and sent at once.
const defaultChunkBytes = 1 << 20

// codec does what one coding needs, with buffers of its sizes. It is safe for concurrent use.
type codec struct {
	placement.Coding
	unit    int64
	stripes int64               // stripes in a chunk
	enc     reedsolomon.Encoder // nil where nothing is computed: single copies and plain copies
	small   pool                // of one unit
	large   pool                // of a chunk's units
}

// codecs keeps one codec per coding and unit.
type codecs struct {
	chunk int64 // bytes of data in a chunk
	mu    sync.Mutex
	all   map[codecKey]*codec
	inUse atomic.Int64 // bytes of buffers that are handed out
}

type codecKey struct {
	placement.Coding
	unit int64
}

func (s *codecs) get(c placement.Coding, unit int64) (*codec, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := codecKey{c, unit}
	if x := s.all[key]; x != nil {
		return x, nil
	}
	x := &codec{Coding: c, unit: unit, stripes: max(1, s.chunk/(unit*int64(c.K)))}
	if c.K > 1 && c.M > 0 {
		enc, err := reedsolomon.New(c.K, c.M, reedsolomon.WithMaxGoroutines(1))
		if err != nil {
			return nil, fmt.Errorf("coding %v: %w", c, err)
		}
		x.enc = enc
	}
	x.small = pool{size: unit, inUse: &s.inUse}
	x.large = pool{size: unit * x.stripes, inUse: &s.inUse}
	if s.all == nil {
		s.all = map[codecKey]*codec{}
	}
	s.all[key] = x
	return x, nil
}

// buffer returns a buffer of at least n bytes; n is at most that of a chunk.
func (c *codec) buffer(n int64) *buffer {
	if n <= c.unit {
		return c.small.get()
	}
	return c.large.get()
}

// encode computes the parity shards. All shards have the same length.
func (c *codec) encode(shards [][]byte) error {
	if c.enc == nil {
		return nil
	}
	return c.enc.Encode(shards)
}

// reconstruct computes the wanted data shards, which are empty and have room, from K others; more may be empty.
func (c *codec) reconstruct(shards [][]byte, want []bool) error {
	return c.enc.ReconstructSome(shards, want)
}

// pool hands out buffers of one size and counts them.
type pool struct {
	size  int64
	inUse *atomic.Int64
	free  sync.Pool
}

// buffer is memory that belongs to a pool.
type buffer struct {
	b    []byte
	home *pool
}

func (p *pool) get() *buffer {
	p.inUse.Add(p.size)
	if b, ok := p.free.Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, p.size), p}
}

// put gives a buffer back. Nobody may use it afterwards.
func (b *buffer) put() {
	b.home.inUse.Add(-b.home.size)
	b.home.free.Put(b)
}
