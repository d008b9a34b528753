package wire

import (
	"context"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

var _ transport.Remote = (*Peers)(nil)

// find returns the node that has a disk.
func (p *Peers) find(id disk.ID) (clustermap.NodeID, error) {
	node, ok := p.opt.Directory.NodeOf(id)
	switch {
	case !ok:
		return 0, &lostError{err: errUnknownDisk}
	case node == p.opt.Node:
		return 0, &lostError{node: node, err: errThisNode}
	}
	return node, nil
}

// Send implements transport.Sender.
func (p *Peers) Send(m *transport.Message) {
	node, err := p.find(m.To)
	if err != nil {
		p.counters.raftDown.Add(1)
		return
	}
	_, l, err := p.reach(node)
	switch {
	case err != nil:
		p.counters.raftDown.Add(1)
	case m.Raft == nil:
		// A beat is small, and leaderships depend on its being in time.
		if b, err := appendFrame(nil, header{kind: kindRaft}, encodeBeat(m), 0); err != nil || !l.out.putControl(b) {
			p.counters.raftFull.Add(1)
		}
	case !l.out.putMessage(m):
		p.counters.raftFull.Add(1)
	}
}

// Target is a store of another node as a router asks it. It is safe for concurrent use.
type Target struct {
	peers *Peers
	disk  disk.ID
	node  clustermap.NodeID
}

// Target returns the store of a disk of another node, false if the disk is not known or its node can't be reached now.
func (p *Peers) Target(id disk.ID) (*Target, bool) {
	node, err := p.find(id)
	if err != nil {
		return nil, false
	}
	if _, _, err := p.reach(node); err != nil {
		return nil, false
	}
	return &Target{peers: p, disk: id, node: node}, true
}

// bounded gives ctx a deadline if it has none.
func (p *Peers) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return p.opt.Clock.WithTimeout(ctx, p.opt.CallTimeout)
}

// Propose has the store carry a command out on a range that it leads. The error is a *store.Refusal: the store's own;
// Unavailable if the request surely did not leave this node; Indeterminate if it may have, and no answer came. Neither
// the command nor the payload is kept.
func (t *Target) Propose(ctx context.Context, rangeID uint64, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	ctx, cancel := t.peers.bounded(ctx)
	defer cancel()
	r := &metapb.ProposeRequest{Disk: uint64(t.disk), Range: rangeID, Command: c}
	f, err := t.peers.call(ctx, t.node, kindPropose, r, payload)
	result := new(metapb.Result)
	if err == nil {
		err = decodeAnswer(t.node, &f, kindResult, result)
	}
	if err != nil {
		return nil, proposeError(err, rangeID)
	}
	return result, nil
}

// Query has the store answer a query on a range that it leads. The error is a *store.Refusal (Unavailable if no answer
// came), or, where the store could not read its rows, a *disk.Error or a *RemoteError.
func (t *Target) Query(ctx context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error) {
	ctx, cancel := t.peers.bounded(ctx)
	defer cancel()
	r := &metapb.QueryRequest{Disk: uint64(t.disk), Range: rangeID, Query: q}
	f, err := t.peers.call(ctx, t.node, kindQuery, r, nil)
	a := new(metapb.Answer)
	if err == nil {
		err = decodeAnswer(t.node, &f, kindAnswer, a)
	}
	if err != nil {
		return nil, queryError(err, rangeID)
	}
	return a, nil
}

// decodeAnswer reads an answer, or the error that came in its place. An answer that makes no sense is a *lostError.
func decodeAnswer(node clustermap.NodeID, f *frame, want kind, m message) error {
	var err error
	switch f.kind {
	case want:
		if m == nil {
			return nil
		}
		if err = m.UnmarshalVT(f.body); err == nil {
			return nil
		}
	case kindFailure:
		failure := new(metapb.Failure)
		if err = failure.UnmarshalVT(f.body); err == nil {
			return decodeFailure(node, failure)
		}
	default:
		err = fmt.Errorf("frame of kind %d, want %d", f.kind, want)
	}
	return &lostError{node: node, sent: true, err: &ProtocolError{Reason: "answer: " + err.Error()}}
}

// pull asks the node of a disk for something that a replica needs.
func (p *Peers) pull(ctx context.Context, from disk.ID, k, want kind, request, into message) (frame, error) {
	node, err := p.find(from)
	if err != nil {
		return frame{}, err
	}
	ctx, cancel := p.opt.Clock.WithTimeout(ctx, p.opt.PullTimeout)
	defer cancel()
	f, err := p.call(ctx, node, k, request, nil)
	if err != nil {
		return frame{}, err
	}
	return f, decodeAnswer(node, &f, want, into)
}

// Rows implements transport.Puller.
func (p *Peers) Rows(ctx context.Context, r transport.RowsRequest) (transport.Rows, error) {
	request := &metapb.RowsRequest{
		Disk: uint64(r.From), Token: r.Token, Span: uint32(r.Span), After: r.After, Bytes: uint64(max(r.Bytes, 0)),
	}
	var a metapb.RowsAnswer
	if _, err := p.pull(ctx, r.From, kindRows, kindRowsAnswer, request, &a); err != nil {
		return transport.Rows{}, asDiskError(err, "pull rows", r.From.String())
	}
	out := transport.Rows{More: a.More, Rows: make([]disk.Row, len(a.Rows))}
	for i, row := range a.Rows {
		out.Rows[i] = disk.Row{Key: row.Key, Value: row.Value}
	}
	return out, nil
}

// Payload implements transport.Puller.
func (p *Peers) Payload(ctx context.Context, from disk.ID, id disk.PayloadID) ([]byte, error) {
	request := &metapb.PayloadRequest{Disk: uint64(from), Range: id.Range, Term: id.Term, Index: id.Index, N: id.N}
	f, err := p.pull(ctx, from, kindPayload, kindPayloadAnswer, request, nil)
	if err != nil {
		return nil, asDiskError(err, "pull payload", from.String())
	}
	if f.payload == nil {
		f.payload = []byte{}
	}
	return f.payload, nil
}

// Release implements transport.Puller.
func (p *Peers) Release(from disk.ID, token uint64) {
	node, err := p.find(from)
	if err != nil {
		return
	}
	_, l, err := p.reach(node)
	if err != nil {
		return
	}
	b, err := appendFrame(nil, header{kind: kindRelease}, &metapb.ReleaseRequest{Disk: uint64(from), Token: token}, 0)
	if err == nil {
		l.out.putControl(b)
	}
}
