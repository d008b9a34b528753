package wire

import (
	"errors"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

func millis(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }

// answer is what a request gets: a message, bytes after it, or an error.
type answer struct {
	kind    kind
	message message
	tail    []byte
	err     error
}

// serve answers one request.
func (s *session) serve(j *job) {
	a := s.do(j)
	if j.frame.kind == kindOfferMap {
		j.cancel()
		s.load.release(1, j.cost)
		return
	}
	p := s.encode(j, a)
	s.mu.Lock()
	delete(s.calls, j.frame.id)
	s.mu.Unlock()
	j.cancel()
	s.peers.counters.callsServed.Add(1)
	// The room is given back when the answer is written.
	p.cost = len(p.bytes) + len(p.tail)
	s.learn(j.frame.kind, p.cost)
	s.load.resize(p.cost - j.cost)
	s.out.put(p)
}

// encode makes the frame of an answer.
func (s *session) encode(j *job, a answer) *packet {
	id := j.frame.id
	if a.err == nil {
		b, err := appendFrame(nil, header{kind: a.kind, id: id}, a.message, len(a.tail))
		if err == nil {
			return &packet{bytes: b, tail: a.tail}
		}
		a.err = err
		if j.frame.kind == kindPropose {
			// The command was carried out.
			a.err = &store.Refusal{Reason: store.Indeterminate, Err: err}
		}
	}
	b, err := appendFrame(nil, header{kind: kindFailure, id: id}, encodeFailure(a.err), 0)
	if err != nil { // can't be: its texts are bounded
		b, _ = appendFrame(nil, header{kind: kindFailure, id: id}, nil, 0)
	}
	return &packet{bytes: b}
}

// do carries a request out.
func (s *session) do(j *job) answer {
	switch j.frame.kind {
	case kindPropose:
		return s.propose(j)
	case kindQuery:
		return s.query(j)
	case kindRows:
		return s.rows(j)
	case kindPayload:
		return s.payload(j)
	case kindFetchMap:
		return s.fetchMap(j)
	case kindOfferMap:
		s.takeMap(j)
	}
	return answer{}
}

var (
	errNoStore = errors.New("the disk has no store on this node now")
	errNoMaps  = errors.New("this node gives out no maps")
)

func (s *session) propose(j *job) answer {
	var r metapb.ProposeRequest
	if err := r.UnmarshalVT(j.frame.body); err != nil {
		return answer{err: &store.Refusal{Reason: store.Invalid, Err: err}}
	}
	if r.Command == nil {
		r.Command = new(metapb.Command)
	}
	t, ok := s.peers.opt.Store(disk.ID(r.Disk))
	if !ok {
		return answer{err: &store.Refusal{Reason: store.Unavailable, Range: r.Range, Err: errNoStore}}
	}
	result, err := t.Propose(j.ctx, r.Range, r.Command, j.frame.payload)
	return answer{kind: kindResult, message: result, err: err}
}

func (s *session) query(j *job) answer {
	var r metapb.QueryRequest
	if err := r.UnmarshalVT(j.frame.body); err != nil {
		return answer{err: &store.Refusal{Reason: store.Invalid, Err: err}}
	}
	if r.Query == nil {
		r.Query = new(metapb.Query)
	}
	t, ok := s.peers.opt.Store(disk.ID(r.Disk))
	if !ok {
		return answer{err: &store.Refusal{Reason: store.Unavailable, Range: r.Range, Err: errNoStore}}
	}
	a, err := t.Query(j.ctx, r.Range, r.Query)
	return answer{kind: kindAnswer, message: a, err: err}
}

func (s *session) rows(j *job) answer {
	var r metapb.RowsRequest
	if err := r.UnmarshalVT(j.frame.body); err != nil {
		return answer{err: disk.Errorf("pull rows", disk.KindInvalid, "", err)}
	}
	from := disk.ID(r.Disk)
	t, ok := s.peers.opt.Store(from)
	if !ok {
		return answer{err: disk.Errorf("pull rows", disk.KindClosed, from.String(), errNoStore)}
	}
	page, err := t.ServeRows(j.ctx, transport.RowsRequest{
		From: from, Token: r.Token, Span: int(r.Span), After: r.After, Bytes: int(min(r.Bytes, pullAnswerBytes)),
	})
	if err != nil {
		return answer{err: err}
	}
	out := &metapb.RowsAnswer{More: page.More, Rows: make([]*metapb.RowPair, len(page.Rows))}
	pairs := make([]metapb.RowPair, len(page.Rows))
	for i, row := range page.Rows {
		pairs[i].Key, pairs[i].Value = row.Key, row.Value
		out.Rows[i] = &pairs[i]
	}
	return answer{kind: kindRowsAnswer, message: out}
}

func (s *session) payload(j *job) answer {
	var r metapb.PayloadRequest
	if err := r.UnmarshalVT(j.frame.body); err != nil {
		return answer{err: disk.Errorf("pull payload", disk.KindInvalid, "", err)}
	}
	from := disk.ID(r.Disk)
	t, ok := s.peers.opt.Store(from)
	if !ok {
		return answer{err: disk.Errorf("pull payload", disk.KindClosed, from.String(), errNoStore)}
	}
	b, err := t.ServePayload(j.ctx, disk.PayloadID{Range: r.Range, Term: r.Term, Index: r.Index, N: r.N})
	return answer{kind: kindPayloadAnswer, tail: b, err: err}
}
