package wire

import (
	"reflect"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/promise"
	"github.com/contender/contender/metashards/transport"
)

// TestBeats: what is no Raft message comes through as it was, whole.
func TestBeats(t *testing.T) {
	for _, m := range []*transport.Message{
		{Range: 7, From: 1, To: 2, Sum: &transport.Sum{Index: 3, Sum: 4}},
		{Range: 7, From: 1, To: 2, Remake: &transport.Remake{Step: transport.RemakeReady, Term: 5, Last: 6}},
		{From: 1, To: 2, Ask: &promise.Request{From: 1, To: 2, Boot: 3, Sequence: 4, Asked: time.Hour, Released: []promise.Claim{{Group: 5, Term: 6}}}},
		{From: 1, To: 2, Promise: &promise.Answer{
			From: 1, To: 2, Boot: 3, ToBoot: 4, Sequence: 5, Asked: time.Hour, Stretch: 6, Wall: -7, Clock: 1 << 63, Doubts: []promise.Claim{{Group: 8, Term: 9}},
		}},
	} {
		body, err := encodeBeat(m).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeRaft(&frame{body: body}, new(metapb.ReplicaMessage))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v has become %+v (%v)", m, got, err)
		}
	}
}

// TestSnapshotAnew: a snapshot that is to replace a replica says so at the other end, and the next message does not.
func TestSnapshotAnew(t *testing.T) {
	b, scratch := batch{reference: mib}, new(metapb.ReplicaMessage)
	for _, anew := range []bool{true, false} {
		b.reset()
		m := &transport.Message{Range: 7, From: 1, To: 2, Anew: anew, Raft: &raftpb.Message{Type: raftpb.MsgSnap.Enum(), From: new(uint64(1)), To: new(uint64(2))}}
		if err := b.message(m); err != nil {
			t.Fatal(err)
		}
		e := new(metapb.ReplicaMessage)
		*e = metapb.ReplicaMessage{Range: 7, FromDisk: 1, ToDisk: 2, Raft: b.raft, Anew: b.envelope.Anew}
		body, err := e.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeRaft(&frame{body: body}, scratch)
		if err != nil || got.Anew != anew {
			t.Errorf("%v has become %+v (%v)", anew, got, err)
		}
	}
}
