package wire

import (
	"time"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/promise"
	"github.com/contender/contender/metashards/transport"
)

// encodeBeat makes the envelope of what is no Raft message: a beat between two stores, a sum, or a step of a remaking.
func encodeBeat(m *transport.Message) *metapb.ReplicaMessage {
	e := &metapb.ReplicaMessage{Range: m.Range, FromDisk: uint64(m.From), ToDisk: uint64(m.To)}
	if m.Sum != nil {
		e.Sum = &metapb.ReplicaSum{Index: m.Sum.Index, Sum: m.Sum.Sum}
	}
	if x := m.Remake; x != nil {
		e.Remake = &metapb.ReplicaRemake{Step: uint32(x.Step), Term: x.Term, Last: x.Last}
	}
	if r := m.Ask; r != nil {
		e.Ask = &metapb.PromiseRequest{Boot: r.Boot, Sequence: r.Sequence, Asked: int64(r.Asked), Released: encodeClaims(r.Released)}
	}
	if a := m.Promise; a != nil {
		e.Promise = &metapb.PromiseAnswer{
			Boot: a.Boot, ToBoot: a.ToBoot, Sequence: a.Sequence, Asked: int64(a.Asked), Stretch: a.Stretch, Doubts: encodeClaims(a.Doubts),
			Wall: a.Wall, Clock: a.Clock,
		}
	}
	return e
}

// decodeBeat fills in what an envelope says besides its disks.
func decodeBeat(m *transport.Message, e *metapb.ReplicaMessage) error {
	if len(e.Raft) > 0 || len(e.Payloads)+len(e.PayloadLengths) > 0 {
		return &ProtocolError{Reason: "a beat that is more than a beat"}
	}
	if x := e.Sum; x != nil {
		m.Sum = &transport.Sum{Index: x.Index, Sum: x.Sum}
	}
	if x := e.Remake; x != nil {
		m.Remake = &transport.Remake{Step: transport.RemakeStep(x.Step), Term: x.Term, Last: x.Last}
	}
	if r := e.Ask; r != nil {
		m.Ask = &promise.Request{
			From: m.From, To: m.To, Boot: r.Boot, Sequence: r.Sequence, Asked: time.Duration(r.Asked), Released: decodeClaims(r.Released),
		}
	}
	if a := e.Promise; a != nil {
		m.Promise = &promise.Answer{
			From: m.From, To: m.To, Boot: a.Boot, ToBoot: a.ToBoot, Sequence: a.Sequence, Asked: time.Duration(a.Asked),
			Stretch: a.Stretch, Doubts: decodeClaims(a.Doubts), Wall: a.Wall, Clock: a.Clock,
		}
	}
	return nil
}

func encodeClaims(list []promise.Claim) (out []*metapb.Claim) {
	for _, c := range list {
		out = append(out, &metapb.Claim{Range: c.Group, Term: c.Term})
	}
	return out
}

func decodeClaims(list []*metapb.Claim) (out []promise.Claim) {
	for _, c := range list {
		out = append(out, promise.Claim{Group: c.Range, Term: c.Term})
	}
	return out
}
