package transport

import (
	"context"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/promise"
)

// Message is a Raft message between two replicas of one range, or a beat between two stores. After it was handed to a Sender
// nobody changes it or anything that it points to: a store of the same process receives the same memory.
type Message struct {
	Range    uint64
	From, To disk.ID
	Raft     *raftpb.Message // nil: it is a beat, a sum, or a step of a remaking
	// Payloads are those of the entries of Raft, in order of entry and number.
	Payloads [][]byte
	// Stand is the promise that comes with an acknowledgement of a leader's term.
	Stand promise.Stand
	// Sleep says that the leader goes to sleep when this heartbeat has left.
	Sleep bool
	// Begins is where the range begins, for a replica that has acknowledged nothing to its leader: it may be about to come about
	// by a split. Nil: it is not told, or the range is the first.
	Begins []byte
	// Anew says that this snapshot is to replace the rows of a replica that asked for it, whatever it has applied.
	Anew bool

	// Of a beat one is there: it asks for a promise, or gives it.
	Ask     *promise.Request
	Promise *promise.Answer
	// Sum is there alone, too: it tells the leader of the range what the sender's replica sums up to.
	Sum *Sum
	// Remake is there alone, too.
	Remake *Remake
}

// Sum is a hash over the rows of a replica as they are after an entry.
type Sum struct{ Index, Sum uint64 }

// Remake is a step in the remaking of a replica whose rows differ from those of most others.
type Remake struct {
	Step RemakeStep
	Term uint64 // the leader's
	Last uint64 // of RemakeReady: the last entry that the replica keeps
}

// RemakeStep is what is said.
type RemakeStep uint32

// The steps of a remaking. Each may be lost.
const (
	// RemakeOrder, of the leader: the replica differs.
	RemakeOrder RemakeStep = iota + 1
	// RemakeReady, of the replica: it takes no more entries until a snapshot comes that has all of its own.
	RemakeReady
	// RemakeCompare, of a replica that differs, or did: the leader is to compare.
	RemakeCompare
	// RemakeSound, of the leader: the replica, which asked by RemakeCompare, holds what most hold.
	RemakeSound
)

// Bytes returns about how much memory the message holds.
func (m *Message) Bytes() int {
	n := 128
	for _, e := range m.Raft.GetEntries() {
		n += 64 + len(e.GetData())
	}
	for _, p := range m.Payloads {
		n += len(p)
	}
	return n
}

// Sender sends Raft messages. It is safe for concurrent use.
type Sender interface {
	// Send passes a message on. It never waits and may lose the message.
	Send(m *Message)
}

// RowsRequest asks for rows of a snapshot that a Raft message announced.
type RowsRequest struct {
	From  disk.ID // the disk that holds the snapshot
	Token uint64  // names the snapshot there
	Span  int     // number of the span, in the order of the range's spans
	After []byte  // only rows above this key; nil: from the beginning of the span
	Bytes int     // stop once this many bytes are gathered; at least one row is returned
}

// Rows is a piece of a span of a snapshot.
type Rows struct {
	Rows []disk.Row
	More bool // the span has further rows
}

// Puller fetches what Raft messages don't carry. Its errors are *disk.Error. It is safe for concurrent use.
type Puller interface {
	// Rows returns a piece of a snapshot. KindNotFound: the snapshot is closed; ask Raft for another.
	Rows(ctx context.Context, r RowsRequest) (Rows, error)

	// Payload returns a payload as the log of the disk from holds it, verified there. KindNotFound: no row refers to it
	// any more at that replica.
	Payload(ctx context.Context, from disk.ID, id disk.PayloadID) ([]byte, error)

	// Release closes a snapshot that is no longer needed. It may be forgotten: snapshots close by themselves after a
	// while without requests.
	Release(from disk.ID, token uint64)
}

// Receiver is a store as its peers see it. It is safe for concurrent use.
type Receiver interface {
	// Receive takes a Raft message in. It never waits and may drop the message.
	Receive(m *Message)
	// ServeRows, ServePayload and ServeRelease answer a Puller.
	ServeRows(ctx context.Context, r RowsRequest) (Rows, error)
	ServePayload(ctx context.Context, id disk.PayloadID) ([]byte, error)
	ServeRelease(token uint64)
}
