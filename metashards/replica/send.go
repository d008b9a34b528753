package replica

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// inflight counts the payload bytes sent to one follower and not acknowledged.
type inflight struct {
	sent  []entryBytes // in order of index
	bytes int
	met   bool // it has acknowledged something to this leader
}

func (f *inflight) reset() { f.sent, f.bytes = nil, 0 }

// settle takes what is acknowledged off.
func (f *inflight) settle(index uint64) {
	n := 0
	for n < len(f.sent) && f.sent[n].index <= index {
		f.bytes -= f.sent[n].bytes
		n++
	}
	f.sent = f.sent[n:]
}

// settleInflight takes acknowledgements into the account of payloads under way.
func (r *Replica) settleInflight(m *raftpb.Message) {
	if m.GetType() != raftpb.MsgAppResp {
		return
	}
	f := r.inflight[m.GetFrom()]
	if f == nil {
		f = new(inflight)
		r.inflight[m.GetFrom()] = f
	}
	if m.GetReject() {
		f.reset()
	} else {
		f.settle(m.GetIndex())
		f.met = true
	}
}

// begins returns where the range begins if the follower that an append goes to has acknowledged nothing yet: what tells it
// whether it need not wait for a snapshot, but for a split.
func (r *Replica) begins(m *raftpb.Message) []byte {
	if f := r.inflight[m.GetTo()]; m.GetType() != raftpb.MsgApp || f != nil && f.met {
		return nil
	}
	return r.mach.Descriptor().Start
}

// envelopes makes the messages that leave for one of Raft's: none if it can't be sent now, several if its payloads are
// too large for one.
func (r *Replica) envelopes(m *raftpb.Message) []*transport.Message {
	to := r.diskOf(m.GetTo())
	if to == 0 {
		return nil
	}
	if m.GetType() == raftpb.MsgApp && len(m.GetEntries()) > 0 {
		if m.GetTerm() < r.hard.Term {
			return nil // deposed in the same round: its entries may have been replaced before they were kept
		}
		return r.appends(m, to)
	}
	if m.GetType() == raftpb.MsgSnap {
		r.noteSnapshot(m)
	}
	return []*transport.Message{{Range: r.id, From: r.env.Disk, To: to, Raft: m, Begins: r.begins(m)}}
}

// appends attaches payloads to an append and cuts it where they are too large. What doesn't fit into the follower's
// inflight limit, or whose payloads are gone, is not sent; Raft is told, and goes on from the last acknowledged entry.
func (r *Replica) appends(m *raftpb.Message, to disk.ID) (out []*transport.Message) {
	f := r.inflight[m.GetTo()]
	if f == nil {
		f = new(inflight)
		r.inflight[m.GetTo()] = f
	}
	entries := m.GetEntries()
	// What is sent again was lost.
	if n := len(f.sent); n > 0 && entries[0].GetIndex() <= f.sent[n-1].index {
		f.reset()
	}
	piece := appendPiece(m, m.GetIndex(), m.GetLogTerm())
	var payloads [][]byte
	size, cut := 0, false
	flush := func(last *raftpb.Entry) {
		if len(piece.Entries) > 0 {
			out = append(out, &transport.Message{Range: r.id, From: r.env.Disk, To: to, Raft: piece, Payloads: payloads, Begins: r.begins(m)})
		}
		piece, payloads, size = appendPiece(m, last.GetIndex(), last.GetTerm()), nil, 0
	}
	for i, e := range entries {
		p, n, err := r.payloadsOf(e)
		if err != nil || f.bytes > 0 && n > 0 && f.bytes+n > r.opt.InflightBytes {
			cut = true
			break
		}
		if size > 0 && size+n > r.opt.MessagePayloadBytes {
			flush(entries[i-1])
		}
		piece.Entries = append(piece.Entries, e)
		payloads = append(payloads, p...)
		size += n
		if n > 0 {
			f.sent = append(f.sent, entryBytes{e.GetIndex(), n})
			f.bytes += n
		}
	}
	if len(piece.Entries) > 0 {
		flush(piece.Entries[len(piece.Entries)-1])
	}
	if cut && r.failed == nil {
		r.guard(func() { r.node.ReportUnreachable(m.GetTo()) })
	}
	return out
}

// appendPiece returns an append like m, without entries, that follows the given entry.
func appendPiece(m *raftpb.Message, index, term uint64) *raftpb.Message {
	return &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), To: m.To, From: m.From, Term: m.Term, Commit: m.Commit,
		Index: new(index), LogTerm: new(term),
	}
}

// payloadsOf returns the payloads of an entry, and their size. An error means that they can't be had now.
func (r *Replica) payloadsOf(e *raftpb.Entry) (payloads [][]byte, size int, err error) {
	if len(e.GetData()) == 0 {
		return nil, 0, nil
	}
	if c, ok := r.cache.get(e.GetIndex()); ok && c.entry.GetTerm() == e.GetTerm() {
		payloads = c.payloads
	} else {
		p, err := proposalIn(e)
		if err != nil {
			err = disk.Errorf("send", disk.KindCorrupt, fmt.Sprintf("range %d entry %d", r.id, e.GetIndex()), err)
			r.fail(err)
			return nil, 0, err
		}
		if p == nil {
			return nil, 0, nil
		}
		if payloads, err = r.storedPayloads(p, e); err != nil {
			return nil, 0, err
		}
	}
	for _, b := range payloads {
		size += len(b)
	}
	return payloads, size, nil
}

// storedPayloads reads the payloads of an entry from the log.
func (r *Replica) storedPayloads(p *metapb.Proposal, e *raftpb.Entry) (payloads [][]byte, err error) {
	for n := range p.PayloadLengths {
		id := payloadID(r.id, e.GetTerm(), e.GetIndex(), n)
		b, err := r.env.Log.Payload(r.env.Context, id)
		switch {
		case err == nil:
			payloads = append(payloads, b)
			continue
		case disk.Is(err, disk.KindNotFound):
			if e.GetIndex() > r.mach.State().AppliedIndex {
				r.fail(err)
				return nil, err
			}
			// A later command did away with it: it was applied, so the entry is needed by nobody who takes a snapshot.
			r.truncate = max(r.truncate, e.GetIndex())
			r.env.Logger.Info("a dropped payload is asked for: the follower needs a snapshot", "range", r.id, "payload", id)
			if err := r.truncateNow(); err != nil {
				r.fail(err)
			}
		case disk.Is(err, disk.KindCorrupt):
			if !slices.Contains(r.rotten, id) {
				r.rotten = append(r.rotten, id)
			}
		default:
			r.fail(err)
		}
		return nil, err
	}
	return payloads, verifyPayloads(p, payloads)
}

// truncateNow cuts the log up to where it is of no use any more.
func (r *Replica) truncateNow() error {
	b := r.env.State.NewBatch()
	err := r.truncateIn(b)
	if err == nil {
		err = b.Commit()
	}
	if e := b.Close(); err == nil {
		err = e
	}
	return err
}
