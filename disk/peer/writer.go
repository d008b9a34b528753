package peer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/contender/contender/disk"
)

// writer is one shard that is being written on another node. One goroutine waits for the answer, so that a refusal is
// known before the next Append; it ends with the writer.
type writer struct {
	*attempt
	body     *feed
	answered chan struct{} // closed when the response has ended
	answer   error         // how it ended if known; read after answered
	known    bool
	lost     error // why no answer came

	short bool // a block that is not full has come: it was the last
	done  bool // committed
	err   error
}

var (
	errEnded   = errors.New("the writer has ended")
	errAborted = errors.New("aborted")
)

// open sends the request and waits until the disk has begun.
func (w *writer) open(ctx context.Context, id disk.ShardID, epoch disk.Epoch) error {
	stop := w.guard(ctx, w.s.o.StallTimeout)
	defer stop()
	fresh := func() (io.ReadCloser, error) {
		w.body = newFeed(w.s.o.AfterFunc, w.s.o.KeepAlive)
		return w.body, nil
	}
	w.refused = func() { close(w.body.ended) }
	body, _ := fresh()
	resp, err := w.do(request{verb: verbWrite, shard: id, epoch: epoch}, body, fresh, -1)
	if err != nil {
		w.cancel(nil)
		return err
	}
	w.body.begun.Store(true)
	go w.await(resp)
	return nil
}

// guard lets the end of ctx, and the end of d, break the request off. What it guards ends with stop.
func (w *writer) guard(ctx context.Context, d time.Duration) (stop func()) {
	w.caller = ctx
	timer := w.within(d)
	caller := context.AfterFunc(ctx, func() { w.cancel(ctx.Err()) })
	return func() {
		timer()
		caller()
	}
}

// answerMax is how long the answer to a write may be: three texts, escaped.
const answerMax = 3*3*textMax + 256

// await waits for the answer, and breaks the request off if it is no good one.
func (w *writer) await(resp *http.Response) {
	in := bufio.NewReaderSize(io.LimitReader(resp.Body, answerMax), answerMax)
	line, err := in.ReadString('\n')
	if text, whole := strings.CutSuffix(line, "\n"); whole {
		w.answer, w.known = parseAnswer(text, w.base)
	}
	if w.known && w.answer == nil {
		_, _ = in.ReadByte() // the end; then the connection can be used again
	}
	if w.lost = err; err == nil {
		w.lost = errAnswer
	}
	resp.Body.Close()
	w.cancel(errAborted)
	w.body.Close() // net/http would let it wait for a caller or a silence to end
	close(w.answered)
}

// verdict returns why the shard can't go on. It waits for the answer.
func (w *writer) verdict(op string) error {
	<-w.answered
	w.op = op
	switch {
	case w.known && w.answer != nil:
		w.err = w.answer
	case w.known:
		w.err = w.fail(errAnswer)
	default:
		w.err = w.fail(w.lost)
	}
	return w.err
}

// Append sends data. It returns when the connection has taken it; what the disk says of it may come with a later call.
func (w *writer) Append(ctx context.Context, p []byte) error {
	switch {
	case w.err != nil:
		return w.err
	case w.done:
		return disk.Errorf("append", disk.KindInvalid, w.what, errEnded)
	case w.short && len(p) > 0:
		return disk.Errorf("append", disk.KindInvalid, w.what, errors.New("data behind a short block"))
	case ctx.Err() != nil:
		return disk.Errorf("append", disk.KindIO, w.what, ctx.Err())
	}
	w.short = len(p)%disk.BlockBytes != 0
	for len(p) > 0 {
		n := min(len(p), pieceBytes)
		if err := w.send(ctx, w.s.o.StallTimeout, "append", frameData, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// send gives a frame to the connection and waits until it does not need p any more.
func (w *writer) send(ctx context.Context, d time.Duration, op string, kind byte, p []byte) error {
	defer w.guard(ctx, d)()
	f := frame{kind: kind, data: p, sent: make(chan error, 1)}
	select {
	case <-w.answered: // too early, so it is a refusal
		return w.verdict(op)
	case <-w.body.closed:
		return w.verdict(op)
	case w.body.frames <- f:
	}
	if err := <-f.sent; err != nil {
		return w.verdict(op)
	}
	return nil
}

// Commit sends the owner and waits until the other node's disk has made the shard durable.
func (w *writer) Commit(ctx context.Context, owner []byte) error {
	switch {
	case w.done:
		return nil
	case w.err != nil:
		return w.err
	case len(owner) > OwnerBytesMax:
		return disk.Errorf("commit", disk.KindInvalid, w.what, errors.New("the owner is too long for the wire"))
	case ctx.Err() != nil:
		return disk.Errorf("commit", disk.KindIO, w.what, ctx.Err())
	}
	defer w.guard(ctx, w.s.o.CallTimeout)()
	if err := w.send(ctx, w.s.o.CallTimeout, "commit", frameCommit, owner); err != nil {
		return err
	}
	<-w.answered
	if w.known && w.answer == nil {
		w.done = true
		return nil
	}
	return w.verdict("commit")
}

// Abort breaks the request off, at which the other node's disk aborts.
func (w *writer) Abort() {
	if w.done {
		return
	}
	w.cancel(errAborted)
	<-w.answered
	if w.err == nil {
		w.err = disk.Errorf("append", disk.KindInvalid, w.what, errEnded)
	}
}

// frame is a frame on its way. sent takes one value when nobody needs data any more; it has room for it.
type frame struct {
	kind byte
	data []byte
	sent chan error
}

// feed is the body of a write: the frames that it is given, up to and including a commit, or until ended. It sends from
// the memory of whoever gives them.
type feed struct {
	frames chan frame
	ended  chan struct{} // closed when the body ends without a commit, in good order
	closed chan struct{} // closed when nobody reads any more
	once   sync.Once
	after  func(time.Duration, func()) func() bool
	alive  time.Duration
	begun  atomic.Bool // the server has answered that the disk has begun

	mu   sync.Mutex
	cur  *frame // being read by Read
	rest [2][]byte
	last bool // the commit was read
}

var _ io.WriterTo = (*feed)(nil)

func newFeed(after func(time.Duration, func()) func() bool, alive time.Duration) *feed {
	return &feed{
		frames: make(chan frame), ended: make(chan struct{}), closed: make(chan struct{}), after: after, alive: alive,
	}
}

var errClosed = errors.New("closed")

// openAlive is the longest silence before the server's answer. If the connection breaks meanwhile net/http waits until the
// body has noticed, and the body notices by writing.
const openAlive = 100 * time.Millisecond

// next waits for a frame. In a silence it makes one itself.
func (f *feed) next() (frame, error) {
	quiet := make(chan struct{})
	silence := f.alive
	if !f.begun.Load() {
		silence = min(silence, openAlive)
	}
	stop := f.after(silence, func() { close(quiet) })
	defer stop()
	select {
	case c := <-f.frames:
		return c, nil
	case <-quiet:
		return frame{kind: frameAlive, sent: make(chan error, 1)}, nil
	case <-f.ended:
		return frame{}, io.EOF
	case <-f.closed:
		return frame{}, errClosed
	}
}

// leadBytes is how much of a frame is sent together with its head, so that the head is no packet of its own.
const leadBytes = 16<<10 - frameHead

// WriteTo sends frames up to and including a commit.
func (f *feed) WriteTo(w io.Writer) (total int64, err error) {
	lead := make([]byte, frameHead, frameHead+leadBytes)
	for {
		c, err := f.next()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		putFrameHead((*[frameHead]byte)(lead), c.kind, len(c.data))
		k := min(len(c.data), leadBytes)
		n, err := w.Write(append(lead[:frameHead], c.data[:k]...))
		total += int64(n)
		if err == nil && k < len(c.data) {
			n, err = w.Write(c.data[k:])
			total += int64(n)
		}
		c.sent <- err
		if err != nil || c.kind == frameCommit {
			return total, err
		}
	}
}

// Read is for transports that do not use WriteTo.
func (f *feed) Read(p []byte) (int, error) {
	for {
		if n, err := f.take(p); n > 0 || err != nil {
			return n, err
		}
		c, err := f.next()
		if err != nil {
			return 0, err
		}
		var head [frameHead]byte
		putFrameHead(&head, c.kind, len(c.data))
		f.mu.Lock()
		f.cur, f.rest = &c, [2][]byte{head[:], c.data}
		f.mu.Unlock()
	}
}

// take copies from the frame that is being read.
func (f *feed) take(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
		f.release(errClosed)
		return 0, errClosed
	default:
	}
	if f.last {
		return 0, io.EOF
	}
	if f.cur == nil {
		return 0, nil
	}
	for i := range f.rest {
		k := copy(p[n:], f.rest[i])
		f.rest[i] = f.rest[i][k:]
		n += k
	}
	if len(f.rest[0])+len(f.rest[1]) == 0 {
		f.last = f.cur.kind == frameCommit
		f.release(nil)
	}
	return n, nil
}

// release gives the frame's memory back. The mutex is held.
func (f *feed) release(err error) {
	if f.cur != nil {
		f.cur.sent <- err
		f.cur, f.rest = nil, [2][]byte{}
	}
}

// Close ends the body in the middle.
func (f *feed) Close() error {
	f.once.Do(func() { close(f.closed) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release(errClosed)
	return nil
}
