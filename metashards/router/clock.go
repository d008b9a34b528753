package router

import (
	"context"
	"time"
)

// Clock is the time of a Router.
type Clock interface {
	// WithTimeout is like context.WithTimeout.
	WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	// Sleep waits for d, or until ctx ends or changed is closed.
	Sleep(ctx context.Context, d time.Duration, changed <-chan struct{})
}

// Wall is the clock of the machine.
type Wall struct{}

// WithTimeout implements Clock.
func (Wall) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// Sleep implements Clock.
func (Wall) Sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-changed:
	}
}
