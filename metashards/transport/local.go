package transport

import (
	"context"
	"sync"

	"github.com/contender/contender/disk"
)

// Local joins the stores of one process by call. What it can't deliver, it hands to the remote way, if there is one. It
// is safe for concurrent use and starts no goroutine.
type Local struct {
	remote Remote

	mu     sync.RWMutex
	stores map[disk.ID]Receiver
}

// Remote is the way to stores of other processes.
type Remote interface {
	Sender
	Puller
}

var _ Remote = (*Local)(nil)

// NewLocal returns a Local without stores. A nil remote means that there are no other processes.
func NewLocal(remote Remote) *Local {
	return &Local{remote: remote, stores: map[disk.ID]Receiver{}}
}

// Register makes a store reachable, Unregister ends that.
func (l *Local) Register(id disk.ID, r Receiver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stores[id] = r
}

// Unregister makes a store unreachable.
func (l *Local) Unregister(id disk.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.stores, id)
}

func (l *Local) store(id disk.ID) (Receiver, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	r, ok := l.stores[id]
	return r, ok
}

// Send implements Sender.
func (l *Local) Send(m *Message) {
	if r, ok := l.store(m.To); ok {
		r.Receive(m)
	} else if l.remote != nil {
		l.remote.Send(m)
	}
}

// Rows implements Puller.
func (l *Local) Rows(ctx context.Context, r RowsRequest) (Rows, error) {
	if s, ok := l.store(r.From); ok {
		return s.ServeRows(ctx, r)
	}
	if l.remote != nil {
		return l.remote.Rows(ctx, r)
	}
	return Rows{}, disk.Errorf("pull rows", disk.KindClosed, r.From.String(), nil)
}

// Payload implements Puller.
func (l *Local) Payload(ctx context.Context, from disk.ID, id disk.PayloadID) ([]byte, error) {
	if s, ok := l.store(from); ok {
		return s.ServePayload(ctx, id)
	}
	if l.remote != nil {
		return l.remote.Payload(ctx, from, id)
	}
	return nil, disk.Errorf("pull payload", disk.KindClosed, from.String(), nil)
}

// Release implements Puller.
func (l *Local) Release(from disk.ID, token uint64) {
	if s, ok := l.store(from); ok {
		s.ServeRelease(token)
	} else if l.remote != nil {
		l.remote.Release(from, token)
	}
}
