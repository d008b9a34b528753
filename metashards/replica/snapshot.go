package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// The data of a Raft snapshot is small: a format byte, the token under which the rows can be pulled (8 bytes,
// big-endian), and the range's descriptor.
const (
	snapshotFormat = 1
	snapshotHead   = 1 + 8
)

func encodeSnapshot(token uint64, d *metapb.RangeDescriptor) ([]byte, error) {
	b, err := d.MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	return append(binary.BigEndian.AppendUint64([]byte{snapshotFormat}, token), b...), nil
}

var errSnapshotData = errors.New("the data of a snapshot is damaged or of an unknown format")

func decodeSnapshot(data []byte) (token uint64, d *metapb.RangeDescriptor, err error) {
	if len(data) < snapshotHead || data[0] != snapshotFormat {
		return 0, nil, errSnapshotData
	}
	d = new(metapb.RangeDescriptor)
	if err := d.UnmarshalVT(data[snapshotHead:]); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errSnapshotData, err)
	}
	return binary.BigEndian.Uint64(data[1:]), d, nil
}

// Snapshots are the views of a disk that followers of its ranges are pulling from. It is safe for concurrent use.
type Snapshots struct {
	first uint64 // tokens count from here
	most  int

	mu   sync.Mutex
	next uint64
	open []*outgoing // by token
}

// outgoing is one snapshot. Its reader is used under mu.
type outgoing struct {
	token   uint64
	rangeID uint64
	to      uint64 // Raft's id of the follower; 0 until the message left
	spans   []disk.Span

	mu     sync.Mutex
	reader disk.Snapshot // nil once closed
	idle   int           // ticks since the last request
}

func (o *outgoing) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reader == nil {
		return nil
	}
	err := o.reader.Close()
	o.reader = nil
	return err
}

// NewSnapshots returns an empty set that holds at most so many. Its tokens start at a number that no other life of the
// process uses.
func NewSnapshots(first uint64, most int) *Snapshots {
	return &Snapshots{first: first, most: most}
}

var errTooMany = errors.New("too many snapshots are open")

// add opens a snapshot of a range.
func (s *Snapshots) add(rangeID uint64, spans []disk.Span, reader disk.Snapshot) (token uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= s.most {
		return 0, errTooMany
	}
	s.next++
	o := &outgoing{token: s.first + s.next, rangeID: rangeID, spans: spans, reader: reader}
	s.open = append(s.open, o)
	return o.token, nil
}

func (s *Snapshots) find(token uint64) *outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		if o.token == token {
			return o
		}
	}
	return nil
}

// Rows answers a follower.
func (s *Snapshots) Rows(_ context.Context, r transport.RowsRequest) (out transport.Rows, err error) {
	what := fmt.Sprintf("snapshot %x", r.Token)
	o := s.find(r.Token)
	if o == nil {
		return out, disk.Errorf("rows", disk.KindNotFound, what, nil)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idle = 0
	if o.reader == nil {
		return out, disk.Errorf("rows", disk.KindNotFound, what, nil)
	}
	if r.Span < 0 || r.Span >= len(o.spans) {
		return out, disk.Errorf("rows", disk.KindInvalid, what, fmt.Errorf("span %d of %d", r.Span, len(o.spans)))
	}
	return readRows(o.reader, o.spans[r.Span], r.After, r.Bytes)
}

// readRows reads rows of a span above after until their size reaches limit.
func readRows(r disk.Reader, span disk.Span, after []byte, limit int) (out transport.Rows, err error) {
	it, err := r.Iter(span.Lower, span.Upper)
	if err != nil {
		return out, err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	ok := false
	if after == nil {
		ok = it.First()
	} else {
		ok = it.SeekGE(append(append([]byte{}, after...), 0))
	}
	for size := 0; ok; ok = it.Next() {
		if size >= limit && len(out.Rows) > 0 {
			out.More = true
			break
		}
		row := disk.Row{Key: append([]byte{}, it.Key()...), Value: append([]byte{}, it.Value()...)}
		size += len(row.Key) + len(row.Value)
		out.Rows = append(out.Rows, row)
	}
	return out, it.Err()
}

// Release closes a snapshot. Raft is told of it some ticks later, so that the follower's own word may come first.
func (s *Snapshots) Release(token uint64) {
	if o := s.find(token); o != nil {
		_ = o.close() // a reader holds nothing that could be lost
	}
}

// sent notes to whom the snapshot of a token goes.
func (s *Snapshots) sent(token, to uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		if o.token == token {
			o.to = to
		}
	}
}

// Ended is a snapshot that is over, with or without success.
type Ended struct{ Range, To uint64 }

// lingerTicks is how long a released snapshot is remembered before Raft is told that it is over.
const lingerTicks = 5

// Tick ages the snapshots and returns those that ended: nobody asked for so many ticks, or they were released a while
// ago.
func (s *Snapshots) Tick(limit int) (ended []Ended) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.open[:0]
	for _, o := range s.open {
		o.mu.Lock()
		o.idle++
		over := o.idle >= limit || o.reader == nil && o.idle >= lingerTicks
		o.mu.Unlock()
		if !over {
			kept = append(kept, o)
			continue
		}
		_ = o.close()
		ended = append(ended, Ended{o.rangeID, o.to})
	}
	clear(s.open[len(kept):])
	s.open = kept
	return ended
}

// Close closes all snapshots.
func (s *Snapshots) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		_ = o.close()
	}
	s.open = nil
}

// openSnapshot gives Raft a snapshot for a follower that is behind the log: of what is applied now.
func (r *Replica) openSnapshot() (*raftpb.Snapshot, error) {
	d, s := r.mach.Descriptor(), r.mach.State()
	reader := r.env.State.Snapshot()
	token, err := r.env.Snapshots.add(r.id, machine.Spans(d), reader)
	if err != nil {
		if e := reader.Close(); e != nil {
			return nil, &storageError{e}
		}
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	data, err := encodeSnapshot(token, d)
	if err != nil {
		return nil, &storageError{err}
	}
	return &raftpb.Snapshot{
		Data: data,
		Metadata: &raftpb.SnapshotMetadata{
			ConfState: confState(d), Index: new(s.AppliedIndex), Term: new(s.AppliedTerm),
		},
	}, nil
}

// noteSnapshot remembers where a snapshot goes.
func (r *Replica) noteSnapshot(m *raftpb.Message) {
	if token, _, err := decodeSnapshot(m.GetSnapshot().GetData()); err == nil {
		r.env.Snapshots.sent(token, m.GetTo())
	}
}

// SnapshotEnded tells that a snapshot to a follower is over. If it did not arrive, Raft tries again.
func (r *Replica) SnapshotEnded(to uint64) {
	if _, ok := r.Leads(); ok && to != 0 {
		r.guard(func() { r.node.ReportSnapshot(to, raft.SnapshotFailure) })
	}
}
