package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/contender/contender/gateway/wire"
)

// incoming is a request's body as it comes off the connection, watched: a client that stops sending, or sends slower
// than it may on the average, is cut off with RequestTimeout.
type incoming struct {
	body    io.ReadCloser
	control *http.ResponseController
	clock   func() time.Time
	limits  *Limits

	began, setAt time.Time
	read         int64
	done         bool
}

// Read reads from the connection.
func (b *incoming) Read(p []byte) (int, error) {
	if b.done {
		return b.body.Read(p) // ended, or given up
	}
	now := b.clock()
	if b.began.IsZero() {
		b.began = now
		// "100 Continue" is written by the first read; its time must not have run out while the request was judged.
		_ = b.control.SetWriteDeadline(now.Add(b.limits.BodyIdleTimeMax))
	}
	if b.setAt.IsZero() || now.Sub(b.setAt) > min(time.Second, b.limits.BodyIdleTimeMax/4) {
		b.setAt = now
		_ = b.control.SetReadDeadline(now.Add(b.limits.BodyIdleTimeMax)) // without connection there is no deadline
	}
	if late := now.Sub(b.began) - b.limits.BodyRateGrace; late > 0 && b.read < int64(late.Seconds()*float64(b.limits.BodyRateMin)) {
		return 0, wire.New(wire.RequestTimeout)
	}
	n, err := b.body.Read(p)
	b.read += int64(n)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, wire.New(wire.RequestTimeout)
	default:
		// From the body's end on the connection is read in the background, without a time limit.
		b.done = true
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// drainTimeMax is how long the rest of a body that nobody wants may take to arrive, so that the connection can be kept.
const drainTimeMax = 5 * time.Second

// release is called when the answer begins. net/http then reads what is left of the body, and would wait for it for
// ever.
func (b *incoming) release() {
	if b == nil || b.done {
		return
	}
	b.done = true
	_ = b.control.SetReadDeadline(b.clock().Add(min(drainTimeMax, b.limits.BodyIdleTimeMax)))
}

// Close closes the body.
func (b *incoming) Close() error { return b.body.Close() }
