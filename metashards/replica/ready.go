package replica

import (
	"bytes"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// Applied is the outcome of one entry.
type Applied struct {
	Proposer, Sequence uint64
	Results            []*metapb.Result // of its commands, in order
}

// ReadState says that the reads of a mark may be answered once the index is applied.
type ReadState struct {
	Mark  []byte
	Index uint64
}

// HasReady reports whether there is something to Collect.
func (r *Replica) HasReady() bool { return r.failed == nil && r.node.HasReady() }

// Collect begins a round. It adds what must be written to a and returns the messages that may leave before that is
// synced. Once everything is synced Late, Apply and Advance follow, unless the replica has failed. With nothing to write
// they follow at once.
func (r *Replica) Collect(a *disk.Append) (early []*transport.Message) {
	r.guard(func() { r.ready = r.node.Ready() })
	if r.failed != nil {
		return nil
	}
	rd := &r.ready
	if !raft.IsEmptySnap(rd.Snapshot) {
		r.fail(errors.New("raft took a snapshot that was not installed"))
		return nil
	}
	r.noteRole(rd.SoftState)
	if h := rd.HardState; !raft.IsEmptyHardState(h) {
		r.hard = disk.HardState{Range: r.id, Term: h.GetTerm(), Vote: h.GetVote(), Commit: h.GetCommit()}
	}
	before := *a
	for _, e := range rd.Entries {
		c, err := r.resolve(e)
		if err != nil {
			*a = before
			r.fail(err)
			return nil
		}
		r.cache.add(c)
		a.Entries = append(a.Entries, diskEntry(r.id, e))
		for n, b := range c.payloads {
			a.Payloads = append(a.Payloads, disk.Payload{ID: payloadID(r.id, e.GetTerm(), e.GetIndex(), n), Data: b})
		}
		r.logBytes += len(e.GetData()) + 64
		r.change = min(r.change, e.GetIndex()-1) // a change that was there is overwritten
		if e.GetType() == raftpb.EntryConfChangeV2 {
			r.change = e.GetIndex()
		}
	}
	clear(r.staged)
	for _, c := range r.proposed {
		r.refused = append(r.refused, c.proposal.Sequence)
	}
	r.proposed, r.changing = r.proposed[:0], false
	// A new commit index alone is worth no record: it goes along with the next one that is.
	voted := r.hard.Term != r.synced.Term || r.hard.Vote != r.synced.Vote
	if voted || len(rd.Entries) > 0 {
		a.HardStates = append(a.HardStates, r.hard)
	}
	r.late = r.late[:0]
	for _, m := range rd.Messages {
		if !voted && mayLeaveEarly(m.GetType()) {
			early = append(early, r.envelopes(m)...)
		} else {
			r.late = append(r.late, m)
		}
	}
	return early
}

// mayLeaveEarly reports whether a message says nothing about what its sender keeps: a leader's appends may overtake its
// own sync.
func mayLeaveEarly(t raftpb.MessageType) bool {
	switch t {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgSnap, raftpb.MsgTimeoutNow:
		return true
	}
	return false
}

// resolve finds the proposal and the payloads of an entry that Raft wants written.
func (r *Replica) resolve(e *raftpb.Entry) (cached, error) {
	if c, ok := r.staged[entryID{e.GetTerm(), e.GetIndex()}]; ok {
		return newCached(e, c.proposal, c.payloads), nil
	}
	if len(e.GetData()) == 0 {
		r.refuseVoid()
		return newCached(e, nil, nil), nil
	}
	if len(r.proposed) == 0 || !bytes.Equal(r.proposed[0].entry.GetData(), e.GetData()) {
		return cached{}, fmt.Errorf("range %d: entry %d of term %d comes from nowhere", r.id, e.GetIndex(), e.GetTerm())
	}
	p := r.proposed[0]
	r.proposed = r.proposed[1:]
	c := newCached(e, p.proposal, p.payloads)
	size := 0
	for _, b := range p.payloads {
		size += len(b)
	}
	if size > 0 {
		r.uncommitted = append(r.uncommitted, entryBytes{e.GetIndex(), size})
		r.waiting += size
	}
	return c, nil
}

// Late returns the messages that had to wait for the sync. It must be called after the sync, or at once where there was
// nothing to write.
func (r *Replica) Late() []*transport.Message {
	if n := len(r.ready.Entries); n > 0 {
		r.store.last = r.ready.Entries[n-1].GetIndex()
	}
	r.synced = r.hard
	var out []*transport.Message
	for _, m := range r.late {
		out = append(out, r.envelopes(m)...)
	}
	return out
}

// Proposed returns the sequences of the proposals of this store among the entries that were just written.
func (r *Replica) Proposed() (sequences []uint64) {
	for _, e := range r.ready.Entries {
		if c, ok := r.cache.get(e.GetIndex()); ok && c.proposal != nil && c.proposal.Proposer == r.env.Proposer {
			sequences = append(sequences, c.proposal.Sequence)
		}
	}
	return sequences
}

// Apply applies the committed entries, in one batch but where replicas are to be compared in between. The log is truncated in
// the last, where that is due. The rows are visible when it returns.
func (r *Replica) Apply() (out []Applied, err error) {
	rest := r.ready.CommittedEntries
	for len(rest) > 0 && err == nil {
		var more []Applied
		n := r.toCompare(rest)
		more, err = r.applyBatch(rest[:n])
		out, rest = append(out, more...), rest[n:]
	}
	if err != nil {
		err = fmt.Errorf("range %d: apply: %w", r.id, err)
		r.fail(err)
		return nil, err
	}
	r.cache.trim(min(r.mach.State().AppliedIndex, r.store.last), r.opt.CacheBytes)
	return out, nil
}

// applyBatch applies entries in one batch. If the last of them compares replicas, it keeps a view of the rows.
func (r *Replica) applyBatch(entries []*raftpb.Entry) ([]Applied, error) {
	b := r.env.State.NewBatch()
	out, err := r.applyTo(b, entries)
	if err == nil {
		err = b.Commit()
	}
	if e := b.Close(); err == nil {
		err = e
	}
	for _, c := range r.changed {
		if err == nil {
			err = r.applyChange(c)
		}
	}
	r.changed = nil
	if err != nil {
		r.born = nil
		return nil, err
	}
	r.view()
	return out, nil
}

func (r *Replica) applyTo(b disk.Batch, entries []*raftpb.Entry) (out []Applied, err error) {
	for _, e := range entries {
		index, term := e.GetIndex(), e.GetTerm()
		for len(r.uncommitted) > 0 && r.uncommitted[0].index <= index {
			r.waiting -= r.uncommitted[0].bytes
			r.uncommitted = r.uncommitted[1:]
		}
		p, err := r.proposalOf(e)
		if err != nil {
			return nil, err
		}
		if p == nil {
			if err := r.mach.ApplyEmpty(b, term, index); err != nil {
				return nil, err
			}
			continue
		}
		results, err := r.applyProposal(b, term, index, p)
		if err != nil {
			return nil, err
		}
		if p.Proposer == r.env.Proposer {
			out = append(out, Applied{Proposer: p.Proposer, Sequence: p.Sequence, Results: results})
		}
	}
	return out, r.truncateIn(b)
}

// applyProposal applies one proposal and notes what becomes of the range by it.
func (r *Replica) applyProposal(b disk.Batch, term, index uint64, p *metapb.Proposal) ([]*metapb.Result, error) {
	before := r.mach.Descriptor()
	results, err := r.mach.Apply(b, machine.Entry{Range: r.id, Term: term, Index: index, Proposal: p})
	if err != nil {
		return nil, err
	}
	if len(results) != len(p.Commands) {
		return nil, fmt.Errorf("entry %d: %d results for %d commands", index, len(results), len(p.Commands))
	}
	if after := r.mach.Descriptor(); after != before && changeIn(p) != nil {
		r.changed = append(r.changed, changed{before, after})
	}
	if len(results) == 1 && results[0].Split != nil { // a split is the only command of its entry
		r.born = append(r.born, results[0].Split.Id)
	}
	return results, nil
}

// proposalOf returns the proposal of an entry, nil for an empty one.
func (r *Replica) proposalOf(e *raftpb.Entry) (*metapb.Proposal, error) {
	if c, ok := r.cache.get(e.GetIndex()); ok && c.entry.GetTerm() == e.GetTerm() {
		return c.proposal, nil
	}
	p, err := proposalIn(e)
	if err != nil {
		return nil, disk.Errorf("apply", disk.KindCorrupt, fmt.Sprintf("range %d entry %d", r.id, e.GetIndex()), err)
	}
	return p, nil
}

// truncateIn cuts the log where it has grown long, keeping a tail for slow followers.
func (r *Replica) truncateIn(b disk.Batch) error {
	applied := r.mach.State().AppliedIndex
	held := int(applied - r.store.truncated)
	to := min(r.truncate, applied)
	if held >= r.opt.TruncateEntries || r.logBytes >= r.opt.TruncateBytes && held > r.opt.KeepEntries {
		to = max(to, applied-uint64(min(r.opt.KeepEntries, held)))
	}
	if to <= r.store.truncated {
		return nil
	}
	term, err := r.store.Term(to)
	if err != nil {
		// The entry was applied from Raft's memory and is in the log since the sync before.
		return err
	}
	if err := r.mach.SetTruncated(b, to, term); err != nil {
		return err
	}
	if err := b.TruncateLog(r.id, to); err != nil {
		return err
	}
	r.store.truncated, r.store.truncatedTerm = to, term
	r.logBytes, r.truncate = 0, 0
	return nil
}

// ReadStates returns the reads that Raft has confirmed in this round.
func (r *Replica) ReadStates() (out []ReadState) {
	for _, s := range r.ready.ReadStates {
		out = append(out, ReadState{Mark: s.RequestCtx, Index: s.Index})
	}
	return out
}

// Advance ends a round.
func (r *Replica) Advance() {
	r.guard(func() { r.node.Advance(r.ready) })
	r.ready = raft.Ready{}
}

// Rotten returns the payloads whose damage was noticed since the last call. They should be fetched from elsewhere and
// written again.
func (r *Replica) Rotten() []disk.PayloadID {
	out := r.rotten
	r.rotten = nil
	return out
}
