package replica

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// Sizes of what an installation holds in memory.
const (
	installRowBytes     = 1 << 20
	installPayloadBytes = 4 << 20
)

// Installation brings a snapshot to this disk. While it runs, the replica is thrown away; afterwards it is loaded again,
// whether the installation succeeded or not, and steps the message, which Raft then finds to be known already.
//
// A crash at any moment is harmless. Payloads come first and are synced: they are referred to by nothing yet. Then the
// hard state with the new term, its commit index unchanged, since the old log is still there. Then rows, the end of the
// old log and the payloads that fell away change in one ingest.
type Installation struct {
	Message    *transport.Message
	Descriptor *metapb.RangeDescriptor

	env     Env
	id      uint64
	token   uint64
	old     *metapb.RangeDescriptor // nil if there was no replica
	hard    disk.HardState
	applied uint64
	last    uint64
}

// Install looks at a message. If it brings a snapshot that this replica needs, it returns the installation; the replica
// must not be used any more. Otherwise the message goes to Step.
//
// A snapshot that is to replace the replica anew is needed if it has everything that the log here has: what was
// acknowledged is in it, and term and vote stay. Where it is not, it is an error, or nil for one of an old leader, and does
// not go to Step.
func (r *Replica) Install(m *transport.Message) (*Installation, error) {
	if r.failed != nil || m.Raft.GetType() != raftpb.MsgSnap || m.Raft.GetTerm() < r.hard.Term || m.Raft.GetTo() != r.self {
		return nil, nil
	}
	meta := m.Raft.GetSnapshot().GetMetadata()
	index := meta.GetIndex()
	if m.Anew {
		if index < r.mach.State().AppliedIndex || (index < r.node.BasicStatus().GetCommit() || index < r.store.last) && !mutantRemakeForgets {
			return nil, errShort
		}
		return r.installation(m)
	}
	if index <= r.node.BasicStatus().GetCommit() || index <= r.mach.State().AppliedIndex {
		return nil, nil
	}
	if index <= r.store.last {
		term, err := r.store.Term(index)
		if err != nil {
			r.fail(err)
			return nil, err
		}
		if term == meta.GetTerm() {
			return nil, nil
		}
	}
	return r.installation(m)
}

// errShort says that a snapshot lacks entries that the replica keeps and may have acknowledged.
var errShort = errors.New("the snapshot ends before the log does")

// installation begins to replace this replica by a snapshot.
func (r *Replica) installation(m *transport.Message) (*Installation, error) {
	i, err := newInstallation(r.env, m)
	if err == nil && r.behind() {
		err = fmt.Errorf("snapshot of range %d: %w", r.id, errBehind)
	}
	if err != nil {
		return nil, err
	}
	i.old, i.hard, i.applied, i.last = r.mach.Descriptor(), r.synced, r.mach.State().AppliedIndex, r.store.last
	return i, nil
}

// InstallFirst looks at a message for a replica that is not here yet. If it brings a snapshot, it returns the
// installation that makes the replica; nil otherwise. A replica that was never here has never voted.
func InstallFirst(env Env, m *transport.Message) (*Installation, error) {
	if m.Raft.GetType() != raftpb.MsgSnap {
		return nil, nil
	}
	i, err := newInstallation(env, m)
	if err != nil {
		return nil, err
	}
	i.hard = disk.HardState{Range: i.id}
	if h, ok := env.Log.HardState(i.id); ok { // of an earlier attempt, or of a replica that was removed
		i.hard = disk.HardState{Range: i.id, Term: h.Term, Vote: h.Vote}
	}
	if m.Raft.GetTerm() < i.hard.Term {
		return nil, nil
	}
	return i, nil
}

// newInstallation reads what a snapshot message announces. It must be for a replica of this disk.
func newInstallation(env Env, m *transport.Message) (*Installation, error) {
	token, d, err := decodeSnapshot(m.Raft.GetSnapshot().GetData())
	if err != nil {
		return nil, err
	}
	if d.Id != m.Range {
		return nil, fmt.Errorf("snapshot of range %d for range %d", d.Id, m.Range)
	}
	if p := machine.ReplicaOn(d, uint64(env.Disk)); p == nil || p.Id != m.Raft.GetTo() {
		return nil, fmt.Errorf("snapshot of range %d: %w", d.Id, ErrNotMember)
	}
	return &Installation{Message: m, Descriptor: d, env: env, id: d.Id, token: token}, nil
}

// Refuse gives a snapshot message's snapshot back to its sender, which keeps few of them open.
func Refuse(m *transport.Message, p transport.Puller) {
	if token, _, err := decodeSnapshot(m.Raft.GetSnapshot().GetData()); err == nil {
		p.Release(m.From, token)
	}
}

// First reports whether there was no replica before.
func (i *Installation) First() bool { return i.old == nil }

// Run carries the installation out. It may take long and runs beside everything else.
func (i *Installation) Run(ctx context.Context, p transport.Puller) error {
	defer p.Release(i.Message.From, i.token)
	drop, err := i.pullPayloads(ctx, p)
	if err != nil {
		return fmt.Errorf("install range %d: payloads: %w", i.id, err)
	}
	if err := i.writeHardState(ctx); err != nil {
		return fmt.Errorf("install range %d: hard state: %w", i.id, err)
	}
	spans := machine.Spans(i.Descriptor)
	in := disk.Ingest{Clear: spans, Drop: drop, ResetLog: []uint64{i.id}}
	for n := range spans {
		in.Tables = append(in.Tables, i.table(ctx, p, n))
	}
	if i.old != nil && (!bytes.Equal(i.old.Start, i.Descriptor.Start) || !bytes.Equal(i.old.End, i.Descriptor.End)) {
		in.Clear = append(in.Clear, machine.Spans(i.old)...)
	}
	if err := i.env.State.Ingest(ctx, in); err != nil {
		return fmt.Errorf("install range %d: ingest: %w", i.id, err)
	}
	return nil
}

// writeHardState makes the new term durable. A vote given in an older term counts no more.
func (i *Installation) writeHardState(ctx context.Context) error {
	h := i.hard
	if term := i.Message.Raft.GetTerm(); term > h.Term {
		h.Term, h.Vote = term, 0
	}
	if err := i.env.Log.Append(ctx, disk.Append{HardStates: []disk.HardState{h}}); err != nil {
		return err
	}
	return i.env.Log.Sync(ctx)
}

// rows returns an iterator over a span of the snapshot at its sender.
func (i *Installation) rows(ctx context.Context, p transport.Puller, span int) func() (disk.Row, bool, error) {
	var page transport.Rows
	var after []byte
	at, more := 0, true
	return func() (disk.Row, bool, error) {
		for at == len(page.Rows) {
			if !more {
				return disk.Row{}, false, nil
			}
			var err error
			page, err = p.Rows(ctx, transport.RowsRequest{
				From: i.Message.From, Token: i.token, Span: span, After: after, Bytes: installRowBytes,
			})
			if err != nil {
				return disk.Row{}, false, err
			}
			at, more = 0, page.More
			if n := len(page.Rows); n > 0 {
				after = page.Rows[n-1].Key
			}
		}
		at++
		return page.Rows[at-1], true, nil
	}
}

// table is rows, with the range's state set right: here the log is empty up to the snapshot.
func (i *Installation) table(ctx context.Context, p transport.Puller, span int) func() (disk.Row, bool, error) {
	next := i.rows(ctx, p, span)
	state := keys.StateRow(i.id)
	return func() (disk.Row, bool, error) {
		row, ok, err := next()
		if err != nil || !ok || !bytes.Equal(row.Key, state) {
			return row, ok, err
		}
		s := new(metapb.RangeState)
		if err := s.UnmarshalVT(row.Value); err != nil {
			return row, false, fmt.Errorf("state of range %d: %w", i.id, err)
		}
		meta := i.Message.Raft.GetSnapshot().GetMetadata()
		if s.AppliedIndex != meta.GetIndex() || s.AppliedTerm != meta.GetTerm() {
			return row, false, fmt.Errorf("snapshot of range %d is at %d, announced at %d", i.id, s.AppliedIndex, meta.GetIndex())
		}
		s.TruncatedIndex, s.TruncatedTerm = s.AppliedIndex, s.AppliedTerm
		v, err := s.MarshalVT()
		return disk.Row{Key: row.Key, Value: v}, err == nil, err
	}
}

// pullPayloads brings every payload that the snapshot's rows refer to into the log, synced, and returns those that only
// what goes away refers to.
func (i *Installation) pullPayloads(ctx context.Context, p transport.Puller) (drop []disk.PayloadID, err error) {
	l := payloadPull{i: i, p: p}
	if l.tail, err = i.tailPayloads(ctx); err != nil {
		return nil, err
	}
	reader := i.env.State.Snapshot()
	defer func() {
		if e := reader.Close(); err == nil {
			err = e
		}
	}()
	l.old = newPayloadRows(reader, i.old)
	defer func() {
		if e := l.old.close(); err == nil {
			err = e
		}
	}()
	for n := range machine.Spans(i.Descriptor) {
		next := i.rows(ctx, p, n)
		for {
			row, ok, err := next()
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			if err := l.row(ctx, row); err != nil {
				return nil, err
			}
		}
	}
	return l.end(ctx)
}

// payloadPull is the walk of pullPayloads.
type payloadPull struct {
	i    *Installation
	p    transport.Puller
	tail map[disk.PayloadID]bool // payloads of entries never applied here that no row was seen to refer to
	old  *payloadRows

	drop  []disk.PayloadID
	batch disk.Append
	size  int
}

// row takes a row of the snapshot in.
func (l *payloadPull) row(ctx context.Context, row disk.Row) error {
	id, _, ok, err := machine.PayloadOf(row)
	if err != nil || !ok {
		return err
	}
	delete(l.tail, id)
	gone, err := l.old.upTo(row.Key, id)
	if err != nil {
		return err
	}
	l.drop = append(l.drop, gone...)
	b, err := l.i.fetch(ctx, l.p, id)
	if err != nil || b == nil {
		return err
	}
	l.batch.Payloads = append(l.batch.Payloads, disk.Payload{ID: id, Data: b})
	if l.size += len(b); l.size < installPayloadBytes {
		return nil
	}
	batch := l.batch
	l.batch, l.size = disk.Append{}, 0
	return l.i.env.Log.Append(ctx, batch)
}

// end syncs what came and returns what is to be dropped, in order.
func (l *payloadPull) end(ctx context.Context) ([]disk.PayloadID, error) {
	gone, err := l.old.rest()
	if err != nil {
		return nil, err
	}
	l.drop = append(l.drop, gone...)
	for id := range l.tail {
		l.drop = append(l.drop, id)
	}
	slices.SortFunc(l.drop, comparePayloads)
	if err := l.i.env.Log.Append(ctx, l.batch); err != nil {
		return nil, err
	}
	return l.drop, l.i.env.Log.Sync(ctx)
}

func comparePayloads(a, b disk.PayloadID) int {
	return cmp.Or(cmp.Compare(a.Range, b.Range), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Term, b.Term), cmp.Compare(a.N, b.N))
}

// tailPayloads names the payloads of the entries that were never applied here.
func (i *Installation) tailPayloads(ctx context.Context) (map[disk.PayloadID]bool, error) {
	return tailPayloads(ctx, i.env.Log, i.id, i.applied, i.last)
}

func tailPayloads(ctx context.Context, log disk.Log, rangeID, applied, last uint64) (map[disk.PayloadID]bool, error) {
	tail := map[disk.PayloadID]bool{}
	for lo := applied + 1; lo <= last; {
		entries, err := log.Entries(ctx, rangeID, lo, last+1, installRowBytes)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			lo = e.Index + 1
			p, err := proposalIn(raftEntry(e))
			if err != nil {
				return nil, disk.Errorf("install", disk.KindCorrupt, "", err)
			}
			for n := range p.GetPayloadLengths() {
				tail[payloadID(rangeID, e.Term, e.Index, n)] = true
			}
		}
	}
	return tail, nil
}

// fetch returns a payload that is not here yet, nil for one that is, or that a command after the snapshot has done away
// with at its sender: then its row goes, too, before anyone can read it here.
func (i *Installation) fetch(ctx context.Context, p transport.Puller, id disk.PayloadID) ([]byte, error) {
	_, err := i.env.Log.Payload(ctx, id)
	if err == nil {
		return nil, nil
	}
	if !disk.Is(err, disk.KindNotFound) && !disk.Is(err, disk.KindCorrupt) {
		return nil, err
	}
	b, err := p.Payload(ctx, i.Message.From, id)
	if err == nil || disk.Is(err, disk.KindNotFound) {
		return b, nil
	}
	return FetchPayload(ctx, p, i.Descriptor, i.env.Disk, id)
}

// FetchPayload asks the replicas of a range, this disk's aside, for a payload, until one has it whole.
func FetchPayload(ctx context.Context, p transport.Puller, d *metapb.RangeDescriptor, self disk.ID, id disk.PayloadID) ([]byte, error) {
	errs := []error{fmt.Errorf("payload %s", id)}
	for _, r := range d.Replicas {
		if disk.ID(r.Disk) == self || r.Learner {
			continue
		}
		b, err := p.Payload(ctx, disk.ID(r.Disk), id)
		if err == nil {
			return b, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// payloadRows walks the rows of versions that are here, to find the payloads that go away with them.
type payloadRows struct {
	it  disk.Iter
	ok  bool
	err error
}

func newPayloadRows(r disk.Reader, d *metapb.RangeDescriptor) *payloadRows {
	p := new(payloadRows)
	if d == nil {
		return p
	}
	span, err := keys.ColumnSpan(keys.Versions, d.GetStart(), d.GetEnd())
	if err == nil {
		p.it, err = r.Iter(span.Lower, span.Upper)
	}
	if p.err = err; err == nil {
		p.ok = p.it.First()
	}
	return p
}

func (p *payloadRows) close() error {
	if p.it == nil {
		return nil
	}
	return p.it.Close()
}

// next returns the payload of the row at hand and moves on. A row that can't be read names none: it must not keep the
// replica that it damages from being replaced.
func (p *payloadRows) next() (id disk.PayloadID, ok bool) {
	id, _, ok, err := machine.PayloadOf(disk.Row{Key: p.it.Key(), Value: p.it.Value()})
	p.ok = p.it.Next()
	p.err = p.it.Err()
	return id, ok && err == nil
}

// upTo returns the payloads of the rows up to and including key, but for the one that is kept there.
func (p *payloadRows) upTo(key []byte, kept disk.PayloadID) (gone []disk.PayloadID, err error) {
	for p.err == nil && p.ok && bytes.Compare(p.it.Key(), key) <= 0 {
		if id, ok := p.next(); ok && id != kept {
			gone = append(gone, id)
		}
	}
	return gone, p.err
}

// rest returns the payloads of all further rows.
func (p *payloadRows) rest() (gone []disk.PayloadID, err error) {
	for p.err == nil && p.ok {
		if id, ok := p.next(); ok {
			gone = append(gone, id)
		}
	}
	return gone, p.err
}
