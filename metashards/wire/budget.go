package wire

import (
	"context"
	"slices"
	"sync"
)

// budget bounds how many things, of how many bytes, are there at once. One thing alone may be larger than the bound.
// Who waits comes in turn. It is safe for concurrent use.
type budget struct {
	itemsMost, bytesMost int

	mu           sync.Mutex
	items, bytes int
	waiting      []*waiter
}

type waiter struct {
	bytes int
	ready chan struct{}
}

func newBudget(items, bytes int) *budget { return &budget{itemsMost: items, bytesMost: bytes} }

func (b *budget) fits(bytes int) bool {
	return b.items == 0 || b.items < b.itemsMost && b.bytes+bytes <= b.bytesMost
}

// try takes room for one thing if there is any.
func (b *budget) try(bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || !b.fits(bytes) {
		return false
	}
	b.items++
	b.bytes += bytes
	return true
}

// wait takes room for one thing, once there is any.
func (b *budget) wait(ctx context.Context, bytes int) error {
	if b.try(bytes) {
		return nil
	}
	w := &waiter{bytes: bytes, ready: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	b.admit()
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, w); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.admit()
		return ctx.Err()
	}
	return nil // it came at the same moment
}

// admit lets in whoever waits and fits, in turn.
func (b *budget) admit() {
	n := 0
	for n < len(b.waiting) && b.fits(b.waiting[n].bytes) {
		b.items++
		b.bytes += b.waiting[n].bytes
		close(b.waiting[n].ready)
		n++
	}
	b.waiting = slices.Delete(b.waiting, 0, n)
}

// release gives the room of some things back.
func (b *budget) release(items, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items -= items
	b.bytes -= bytes
	if len(b.waiting) > 0 {
		b.admit()
	}
}

// resize changes the bytes of a thing that has room already.
func (b *budget) resize(by int) { b.release(0, -by) }

// used returns what has room.
func (b *budget) used() (items, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.items, b.bytes
}
