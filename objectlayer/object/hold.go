package object

import (
	"context"
	"io"
	"sync"
	"time"
)

// holdTimeout bounds one attempt to hold bytes.
const holdTimeout = 10 * time.Second

// held is a body whose bytes are held as long as it is read: however slow its reader is, they are not deleted under it, although
// the object was deleted or replaced meanwhile. Who reads quickly costs nothing but a timer.
type held struct {
	body io.ReadCloser
	hold func(context.Context) error

	ctx    context.Context // of the reader, ended by Close
	cancel context.CancelFunc
	every  time.Duration

	mu      sync.Mutex // guards what follows
	closed  bool
	timer   *time.Timer
	running sync.WaitGroup
}

// newHeld holds a body's bytes every so often, for the first time after that time: what was deleted after it was opened stays
// for longer.
func newHeld(ctx context.Context, body io.ReadCloser, every time.Duration, hold func(context.Context) error) io.ReadCloser {
	h := &held{body: body, hold: hold, every: every}
	h.ctx, h.cancel = context.WithCancel(ctx)
	h.timer = time.AfterFunc(every, h.again)
	return h
}

func (h *held) again() {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.running.Add(1)
	h.mu.Unlock()
	defer h.running.Done()
	ctx, cancel := context.WithTimeout(h.ctx, holdTimeout)
	err := h.hold(ctx)
	cancel()
	next := h.every
	if err != nil {
		next /= 4
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.timer.Reset(next)
	}
}

// Read implements io.Reader.
func (h *held) Read(p []byte) (int, error) { return h.body.Read(p) }

// WriteTo implements io.WriterTo.
func (h *held) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, h.body) }

// Close ends the holding and closes the body.
func (h *held) Close() error {
	h.mu.Lock()
	h.closed = true
	h.timer.Stop()
	h.mu.Unlock()
	h.cancel()
	h.running.Wait()
	return h.body.Close()
}
