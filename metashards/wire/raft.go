package wire

import (
	"fmt"
	"net"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/promise"
	"github.com/contender/contender/metashards/transport"
)

// batch is what one flush writes: small pieces gathered in one buffer, large ones by reference.
type batch struct {
	// Pieces of fewer bytes than this are copied.
	reference int

	buf   []byte
	start int // of what is gathered and not in list yet
	list  net.Buffers
	bytes int // of what is in list

	envelope metapb.ReplicaMessage // scratch
	raft     []byte
}

// piece adds bytes, which must not change until they are written.
func (b *batch) piece(p []byte) {
	if len(p) < b.reference {
		b.buf = append(b.buf, p...)
		return
	}
	b.cut()
	b.list = append(b.list, p)
	b.bytes += len(p)
}

// cut moves what is gathered into the list.
func (b *batch) cut() {
	if n := len(b.buf); n > b.start {
		b.list = append(b.list, b.buf[b.start:n:n])
		b.bytes += n - b.start
		b.start = n
	}
}

// size returns how many bytes the flush has.
func (b *batch) size() int { return b.bytes + len(b.buf) - b.start }

// reset empties the batch and keeps its memory, if that is not much.
func (b *batch) reset() {
	clear(b.list)
	b.list, b.bytes, b.start = b.list[:0], 0, 0
	b.buf, b.raft = keep(b.buf), keep(b.raft)
	b.envelope = metapb.ReplicaMessage{PayloadLengths: b.envelope.PayloadLengths[:0]}
}

func keep(b []byte) []byte {
	if cap(b) > mib {
		return nil
	}
	return b[:0]
}

// message adds a Raft message. If it can't be sent, the batch stays as it was.
func (b *batch) message(m *transport.Message) error {
	e := &b.envelope
	var err error
	if b.raft, err = (proto.MarshalOptions{}).MarshalAppend(b.raft[:0], m.Raft); err != nil {
		return fmt.Errorf("wire: encode a Raft message of range %d: %w", m.Range, err)
	}
	e.Range, e.FromDisk, e.ToDisk, e.Raft = m.Range, uint64(m.From), uint64(m.To), b.raft
	e.StandBoot, e.StandStretch, e.Sleep, e.Anew, e.Begins = m.Stand.Boot, m.Stand.Stretch, m.Sleep, m.Anew, m.Begins
	e.PayloadLengths = e.PayloadLengths[:0]
	total := 0
	for _, p := range m.Payloads {
		e.PayloadLengths = append(e.PayloadLengths, uint64(len(p)))
		total += len(p)
	}
	if b.buf, err = appendFrame(b.buf, header{kind: kindRaft}, e, total); err != nil {
		return err
	}
	for _, p := range m.Payloads {
		b.piece(p)
	}
	return nil
}

// decodeRaft reads a Raft message. It keeps the frame's payload. scratch is for reuse.
func decodeRaft(f *frame, scratch *metapb.ReplicaMessage) (*transport.Message, error) {
	*scratch = metapb.ReplicaMessage{Raft: scratch.Raft[:0], PayloadLengths: scratch.PayloadLengths[:0]}
	if err := scratch.UnmarshalVT(f.body); err != nil {
		return nil, &ProtocolError{Reason: "Raft message: " + err.Error()}
	}
	m := &transport.Message{
		Range: scratch.Range, From: disk.ID(scratch.FromDisk), To: disk.ID(scratch.ToDisk),
		Stand: promise.Stand{Boot: scratch.StandBoot, Stretch: scratch.StandStretch}, Sleep: scratch.Sleep, Anew: scratch.Anew,
		Begins: scratch.Begins,
	}
	if scratch.Ask != nil || scratch.Promise != nil || scratch.Sum != nil || scratch.Remake != nil {
		return m, decodeBeat(m, scratch)
	}
	m.Raft = new(raftpb.Message)
	if err := proto.Unmarshal(scratch.Raft, m.Raft); err != nil {
		return nil, &ProtocolError{Reason: "Raft message: " + err.Error()}
	}
	if len(scratch.Payloads) > 0 {
		return nil, &ProtocolError{Reason: "Raft message with payloads inside"}
	}
	rest := f.payload
	if n := len(scratch.PayloadLengths); n > 0 {
		m.Payloads = make([][]byte, 0, n)
	}
	for _, n := range scratch.PayloadLengths {
		if n > uint64(len(rest)) {
			return nil, &ProtocolError{Reason: "Raft message whose payloads are longer than the frame"}
		}
		m.Payloads = append(m.Payloads, rest[:n:n])
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return nil, &ProtocolError{Reason: "Raft message whose payloads are shorter than the frame"}
	}
	return m, nil
}
