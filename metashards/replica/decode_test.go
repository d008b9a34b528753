package replica

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/contender/contender/metashards/metapb"
)

// FuzzParseProposal: no bytes may do harm, and what is accepted has one length and sum for each payload.
func FuzzParseProposal(f *testing.F) {
	p := &metapb.Proposal{
		Format: 1, Commands: []*metapb.Command{{PayloadLength: 3}}, PayloadLengths: []uint64{3}, PayloadSums: []uint64{Sum([]byte("abc"))},
	}
	data, err := p.MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseProposal(data)
		if err != nil {
			return
		}
		if len(p.PayloadLengths) != len(p.PayloadSums) {
			t.Errorf("%v", p)
		}
		_ = verifyPayloads(p, [][]byte{[]byte("abc")})
	})
}

// FuzzDecodeSnapshot: no bytes may do harm, and what is accepted comes back.
func FuzzDecodeSnapshot(f *testing.F) {
	data, err := encodeSnapshot(42, &metapb.RangeDescriptor{Id: 7})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		token, d, err := decodeSnapshot(data)
		if err != nil {
			return
		}
		again, err := encodeSnapshot(token, d)
		if err != nil {
			t.Fatal(err)
		}
		if token2, d2, err := decodeSnapshot(again); err != nil || token2 != token || !proto.Equal(d, d2) {
			t.Errorf("%d %v, then %d %v %v", token, d, token2, d2, err)
		}
	})
}

func TestCache(t *testing.T) {
	entry := func(index, term uint64) cached {
		return newCached(&raftpb.Entry{Index: new(index), Term: new(term)}, nil, [][]byte{make([]byte, 36)})
	}
	var c cache
	for i := uint64(5); i < 15; i++ {
		c.add(entry(i, 1))
	}
	if c.bytes != 1000 {
		t.Errorf("%d bytes", c.bytes)
	}
	c.add(entry(10, 2)) // replaces 10 and what follows
	if _, ok := c.get(11); ok || c.bytes != 600 {
		t.Errorf("an entry outlived its replacement; %d bytes", c.bytes)
	}
	if e, ok := c.get(10); !ok || e.entry.GetTerm() != 2 {
		t.Error("not replaced")
	}
	c.trim(7, 0) // only up to 7 may go
	if _, ok := c.get(7); ok || c.first != 8 || c.bytes != 300 {
		t.Errorf("first %d, %d bytes", c.first, c.bytes)
	}
	c.trim(100, 150)
	if _, ok := c.get(10); !ok || c.bytes != 100 {
		t.Errorf("first %d, %d bytes", c.first, c.bytes)
	}
	c.add(entry(20, 3)) // a gap: the older ones are of no use
	if _, ok := c.get(10); ok || c.first != 20 || c.bytes != 100 {
		t.Errorf("first %d, %d bytes", c.first, c.bytes)
	}
	c.add(entry(4, 3)) // before the first: a new beginning
	if c.first != 4 || len(c.entries) != 1 {
		t.Errorf("first %d", c.first)
	}
}
