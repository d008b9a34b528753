// Package pace keeps healing from being in the way of what clients ask for.
package pace

import (
	"context"
	"time"
)

// Wait reports whether so much time has passed before ctx ended.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
