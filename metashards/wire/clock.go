package wire

import (
	"context"
	"time"
)

// Clock is the time of Peers. The deadlines of connections are in its time, too.
type Clock interface {
	Now() time.Time
	// WithTimeout is like context.WithTimeout.
	WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	// Sleep waits for d, or until ctx ends or something comes from woken.
	Sleep(ctx context.Context, d time.Duration, woken <-chan struct{})
}

// Wall is the clock of the machine.
type Wall struct{}

// Now implements Clock.
func (Wall) Now() time.Time { return time.Now() }

// WithTimeout implements Clock.
func (Wall) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// Sleep implements Clock.
func (Wall) Sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-woken:
	}
}
