package replica

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/metashards/metapb"
)

// cached is an entry with everything that belongs to it.
type cached struct {
	entry    *raftpb.Entry
	proposal *metapb.Proposal // nil for an empty entry
	payloads [][]byte
	bytes    int // slim and payloads
}

func newCached(e *raftpb.Entry, p *metapb.Proposal, payloads [][]byte) cached {
	c := cached{entry: e, proposal: p, payloads: payloads, bytes: 64 + 2*len(e.GetData())}
	for _, b := range payloads {
		c.bytes += len(b)
	}
	return c
}

// cache holds the last entries of the log without a gap.
type cache struct {
	first   uint64 // index of entries[0], if any
	entries []cached
	bytes   int
}

// get returns the entry at an index.
func (c *cache) get(index uint64) (cached, bool) {
	if index < c.first || index-c.first >= uint64(len(c.entries)) {
		return cached{}, false
	}
	return c.entries[index-c.first], true
}

// add puts an entry in; entries at its index and above are forgotten.
func (c *cache) add(e cached) {
	index := e.entry.GetIndex()
	if len(c.entries) > 0 && (index < c.first || index > c.first+uint64(len(c.entries))) {
		c.reset()
	}
	if len(c.entries) == 0 {
		c.first = index
	}
	for i := int(index - c.first); len(c.entries) > i; {
		last := len(c.entries) - 1
		c.bytes -= c.entries[last].bytes
		c.entries[last] = cached{}
		c.entries = c.entries[:last]
	}
	c.entries = append(c.entries, e)
	c.bytes += e.bytes
}

// trim forgets the oldest entries, up to and including index last, until at most limit bytes are held.
func (c *cache) trim(last uint64, limit int) {
	n := 0
	for n < len(c.entries) && c.bytes > limit && c.first+uint64(n) <= last {
		c.bytes -= c.entries[n].bytes
		c.entries[n] = cached{}
		n++
	}
	c.first += uint64(n)
	c.entries = c.entries[n:]
	if len(c.entries) == 0 {
		c.entries = nil
	}
}

func (c *cache) reset() { *c = cache{} }
