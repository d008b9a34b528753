package transport_test

import (
	"context"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/transport"
)

// receiver notes what comes.
type receiver struct {
	got      []*transport.Message
	released []uint64
}

func (r *receiver) Receive(m *transport.Message) { r.got = append(r.got, m) }
func (r *receiver) ServeRows(_ context.Context, q transport.RowsRequest) (transport.Rows, error) {
	return transport.Rows{Rows: []disk.Row{{Key: []byte{byte(q.Token)}}}}, nil
}

func (r *receiver) ServePayload(context.Context, disk.PayloadID) ([]byte, error) {
	return []byte("payload"), nil
}
func (r *receiver) ServeRelease(token uint64) { r.released = append(r.released, token) }

// TestLocal: stores of the process are reached by call and by reference, all others by the remote way or not at all.
func TestLocal(t *testing.T) {
	far := new(receiver)
	remote := transport.NewLocal(nil)
	remote.Register(9, far)
	near := new(receiver)
	l := transport.NewLocal(remote)
	l.Register(1, near)

	for _, to := range []disk.ID{1, 9, 5} {
		l.Send(&transport.Message{Range: 7, From: 2, To: to, Raft: new(raftpb.Message)})
		l.Release(to, 4)
	}
	if len(near.got) != 1 || near.got[0].To != 1 || len(far.got) != 1 || far.got[0].To != 9 {
		t.Errorf("near %v, far %v", near.got, far.got)
	}
	if len(near.released) != 1 || len(far.released) != 1 {
		t.Errorf("released: near %v, far %v", near.released, far.released)
	}
	for _, from := range []disk.ID{1, 9} {
		if r, err := l.Rows(t.Context(), transport.RowsRequest{From: from, Token: 3}); err != nil || r.Rows[0].Key[0] != 3 {
			t.Errorf("rows from %v: %v %v", from, r, err)
		}
		if b, err := l.Payload(t.Context(), from, disk.PayloadID{}); err != nil || string(b) != "payload" {
			t.Errorf("payload from %v: %q %v", from, b, err)
		}
	}
	if _, err := l.Rows(t.Context(), transport.RowsRequest{From: 5}); !disk.Is(err, disk.KindClosed) {
		t.Errorf("rows from nowhere: %v", err)
	}
	l.Unregister(1)
	if _, err := l.Payload(t.Context(), 1, disk.PayloadID{}); !disk.Is(err, disk.KindClosed) {
		t.Errorf("payload from a store that left: %v", err)
	}
}

func TestBytes(t *testing.T) {
	small := &transport.Message{Raft: new(raftpb.Message)}
	large := &transport.Message{
		Raft:     &raftpb.Message{Entries: []*raftpb.Entry{{Data: make([]byte, 1000)}}},
		Payloads: [][]byte{make([]byte, 5000)},
	}
	if d := large.Bytes() - small.Bytes(); d < 6000 || d > 7000 {
		t.Errorf("%d bytes more", d)
	}
}
