package peer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/contender/contender/disk"
)

// Defaults of Limits.
const (
	DefaultStreams       = 512
	DefaultBytesInFlight = 64 << 20
	DefaultIdle          = 30 * time.Second
	DefaultTotal         = 12 * time.Hour
)

// Limits bound what other nodes may take of this one. Zero fields are defaults.
type Limits struct {
	// Streams is how many writes, and how many requests of all other kinds together, one disk has under way at once.
	// More are refused with disk.KindBusy.
	Streams int
	// BytesInFlight bounds the memory of all streams, rounded down to buffers of 256 KiB, at least one. Who needs one
	// when there is none waits up to Idle and is then refused with disk.KindBusy.
	BytesInFlight int64
	// Idle is how long one step of the other end may take: to send the next 256 KiB of a frame, the next frame, or to
	// take the next 256 KiB; and the disk's Append of them. Then the connection is closed. It must be well above the
	// KeepAlive of the clients.
	Idle time.Duration
	// Total is how long one request may take.
	Total time.Duration
}

// Sender is what a request says of the process that sent it. Both are zero if it says nothing.
type Sender struct {
	Node uint64 // id of the node
	Boot uint64 // its boot count
}

// HandlerOptions are what a Handler is made from. Disk must be set.
type HandlerOptions struct {
	// Disk finds a disk of this node; disk.KindNotFound if it is none of them. What it finds may be a disk.Inventory as
	// well.
	Disk func(disk.ID) (disk.Store, error)
	// Admit says whether a sender is heard; nil: all are. Its error is the answer to the request.
	Admit  func(Sender) error
	Limits Limits
	// Now and AfterFunc are the clock; nil: time.Now and time.AfterFunc. Now must be the clock of the deadlines of the
	// server's connections.
	Now       func() time.Time
	AfterFunc func(d time.Duration, fn func()) (stop func() bool)
	Log       *slog.Logger // nil: nothing is logged
}

// Usage is what the requests under way hold.
type Usage struct {
	Streams     int   // requests under way
	BufferBytes int64 // pooled memory in use
}

// Handler offers the disks of this node to its peers, under Prefix. It sets the deadlines of the connections that it is
// called on, and leaves the last of them in place. Who may call is the caller's to check. It is safe for concurrent use;
// no goroutine of it outlives a request.
type Handler struct {
	o    HandlerOptions
	pool sync.Pool
	room chan struct{} // a token for each buffer in use

	mu      sync.Mutex
	streams map[lane]int // without zeros
}

// lane is what is limited as one.
type lane struct {
	disk  disk.ID
	write bool
}

var _ http.Handler = (*Handler)(nil)

// NewHandler returns a Handler.
func NewHandler(o HandlerOptions) (*Handler, error) {
	if o.Disk == nil {
		return nil, errors.New("peer: options without disks")
	}
	l := &o.Limits
	l.Streams = cmp.Or(l.Streams, DefaultStreams)
	l.BytesInFlight = cmp.Or(l.BytesInFlight, DefaultBytesInFlight)
	l.Idle = cmp.Or(l.Idle, DefaultIdle)
	l.Total = cmp.Or(l.Total, DefaultTotal)
	if l.Streams < 0 || l.BytesInFlight < 0 || l.Idle < 0 || l.Total < 0 {
		return nil, errors.New("peer: a limit below zero")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.AfterFunc = orAfterFunc(o.AfterFunc)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		o: o, streams: map[lane]int{}, room: make(chan struct{}, max(1, l.BytesInFlight/bufferBytes)),
		pool: sync.Pool{New: func() any { return new([bufferBytes]byte) }},
	}, nil
}

func orAfterFunc(fn func(time.Duration, func()) func() bool) func(time.Duration, func()) func() bool {
	if fn != nil {
		return fn
	}
	return func(d time.Duration, fn func()) func() bool { return time.AfterFunc(d, fn).Stop }
}

// Usage returns what the requests under way hold.
func (h *Handler) Usage() (u Usage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.streams {
		u.Streams += n
	}
	u.BufferBytes = int64(len(h.room)) * bufferBytes
	return u
}

// enter counts a request, or refuses it.
func (h *Handler) enter(l lane) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[l] >= h.o.Limits.Streams {
		return false
	}
	h.streams[l]++
	return true
}

func (h *Handler) leave(l lane) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[l]--; h.streams[l] == 0 {
		delete(h.streams, l)
	}
}

var errNoRoom = errors.New("too many bytes in flight")

// buffer takes a buffer; it is given back by put.
func (h *Handler) buffer(ctx context.Context, op, what string) (*[bufferBytes]byte, error) {
	select {
	case h.room <- struct{}{}:
		return h.pool.Get().(*[bufferBytes]byte), nil
	default:
	}
	late := make(chan struct{})
	stop := h.o.AfterFunc(h.o.Limits.Idle, func() { close(late) })
	defer stop()
	select {
	case h.room <- struct{}{}:
		return h.pool.Get().(*[bufferBytes]byte), nil
	case <-late:
		return nil, disk.Errorf(op, disk.KindBusy, what, errNoRoom)
	case <-ctx.Done():
		return nil, disk.Errorf(op, disk.KindIO, what, context.Cause(ctx))
	}
}

func (h *Handler) put(b *[bufferBytes]byte) {
	h.pool.Put(b)
	<-h.room
}

// call is one request.
type call struct {
	h       *Handler
	q       request
	w       http.ResponseWriter
	rc      *http.ResponseController
	body    io.Reader
	ctx     context.Context
	last    time.Time // when Total is over
	opened  bool      // 200 has gone out; the answer comes behind it
	duplex  bool      // answers go out before the body has come to its end
	resumed bool      // a read goes on that broke off
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{h: h, w: w, rc: http.NewResponseController(w), body: r.Body, last: h.o.Now().Add(h.o.Limits.Total)}
	c.resumed = r.Header.Get(headerShard) != ""
	if r.Method == http.MethodPut && r.ProtoMajor == 1 {
		// Without it the server would not answer before it has read the body to its end.
		if err := c.rc.EnableFullDuplex(); err != nil {
			c.end(aboutRequest, disk.Errorf("serve", disk.KindIO, "", err))
			return
		}
		c.duplex = true
		defer c.drain()
	}
	err := c.writing()
	if r.Body != http.NoBody {
		err = errors.Join(err, c.reading())
	}
	if err != nil {
		c.end(aboutRequest, disk.Errorf("serve", disk.KindIO, "", err))
		return
	}
	q, err := parseRequest(r.Method, r.URL.Path, r.URL.RawQuery)
	if err != nil {
		h.o.Log.Debug("a request that is not understood", "remote", r.RemoteAddr, "err", err)
		c.end(aboutRequest, disk.Errorf("serve", disk.KindInvalid, "", err))
		return
	}
	c.q = q
	if h.o.Admit != nil {
		s, err := sender(r.Header)
		if err == nil {
			err = h.o.Admit(s)
		}
		if err != nil {
			c.end(aboutRequest, err)
			return
		}
	}
	store, err := h.o.Disk(q.disk)
	if err != nil {
		c.end(aboutDisk, err)
		return
	}
	l := lane{q.disk, q.verb == verbWrite}
	if !h.enter(l) {
		c.end(aboutDisk, disk.Errorf("serve", disk.KindBusy, q.disk.String(), errors.New("too many requests at once")))
		return
	}
	defer h.leave(l)
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := h.o.AfterFunc(h.o.Limits.Total, func() { cancel(errTotal) })
	defer func() {
		stop()
		cancel(nil)
	}()
	c.ctx = ctx
	c.serve(store)
}

var errTotal = errors.New("the request takes too long")

func sender(h http.Header) (s Sender, err error) {
	if h.Get(headerNode) == "" {
		return s, nil
	}
	if s.Node, err = strconv.ParseUint(h.Get(headerNode), 16, 64); err == nil {
		s.Boot, err = strconv.ParseUint(h.Get(headerBoot), 10, 64)
	}
	if err != nil {
		return s, disk.Errorf("serve", disk.KindInvalid, "", errors.New("sender"))
	}
	return s, nil
}

func (c *call) serve(store disk.Store) {
	switch c.q.verb {
	case verbWrite:
		c.write(store)
	case verbGet:
		c.get(store)
	case verbInfo:
		c.info(store)
	case verbDelete:
		c.delete(store)
	default:
		inventory, ok := store.(disk.Inventory)
		switch {
		case !ok:
			c.end(aboutRequest, disk.Errorf("serve", disk.KindInvalid, c.q.disk.String(), errors.New("no inventory")))
		case c.q.verb == verbVerify:
			c.end(aboutWork, inventory.Verify(c.ctx, c.q.shard))
		default:
			c.list(inventory)
		}
	}
}

// deadline returns when the next step must have ended.
func (c *call) deadline() time.Time {
	d := c.h.o.Now().Add(c.h.o.Limits.Idle)
	if d.After(c.last) {
		d = c.last
	}
	return d
}

// reading gives the next read from the connection its time, writing the next write.
func (c *call) reading() error { return c.rc.SetReadDeadline(c.deadline()) }
func (c *call) writing() error { return c.rc.SetWriteDeadline(c.deadline()) }

// read fills p from the body.
func (c *call) read(p []byte) error {
	if err := c.reading(); err != nil {
		return err
	}
	_, err := io.ReadFull(c.body, p)
	return err
}

// readUpTo reads what the body has, as long as p takes it.
func (c *call) readUpTo(p []byte) (int, error) {
	if err := c.reading(); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(c.body, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// open says that the disk has begun. How it ended follows.
func (c *call) open() {
	c.opened = true
	if c.q.verb == verbGet {
		c.w.Header().Set("Trailer", headerAnswer)
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.WriteHeader(http.StatusOK)
}

// end answers with nothing but how it went.
func (c *call) end(about scope, err error) { c.reply(about, err, nil) }

// reply answers.
func (c *call) reply(about scope, err error, body []byte) {
	answer := formatAnswer(err, about)
	if !c.opened || c.q.verb == verbGet {
		c.w.Header().Set(headerAnswer, answer)
	}
	werr := c.writing()
	switch {
	case werr != nil || c.opened && c.q.verb == verbGet:
		return
	case c.opened:
		body = []byte(answer + "\n")
	default:
		if err != nil {
			// It must not be empty: then a client would not see the answer to a PUT before its own body has ended.
			body = []byte(answer + "\n")
		}
		c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		c.w.Header().Set("Content-Type", "application/octet-stream")
		c.w.WriteHeader(status(err))
	}
	if _, err := c.w.Write(body); err != nil {
		c.h.o.Log.Debug("an answer did not go out", "disk", c.q.disk.String(), "err", err)
	}
}

// drain ends a request that was answered before its body had come to its end. It sends the answer and waits a little for
// that end: a client whose write is refused ends its body, one whose write fails closes the connection. net/http must not
// do it, since with full duplex it would watch the connection beyond the end of the request, and would take what is left
// of a body that breaks off for the next request. So a connection without that end is closed.
func (c *call) drain() {
	if err := c.rc.Flush(); err != nil {
		panic(http.ErrAbortHandler)
	}
	if err := c.rc.SetReadDeadline(c.h.o.Now().Add(min(c.h.o.Limits.Idle, drainWait))); err != nil {
		panic(http.ErrAbortHandler)
	}
	if _, err := io.CopyN(io.Discard, c.body, drainBytes); err != io.EOF {
		panic(http.ErrAbortHandler)
	}
}

// Only drainWait is short. A client that is busy sending may read its answer some 10 ms late, since the scheduler looks at
// the network that seldom when there is other work; a connection that were closed before would take the answer with it.
const (
	drainWait  = time.Second
	drainBytes = 1 << 30
)

// status is what fits an answer. Clients go by the answer itself.
func status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	switch disk.KindOf(err) {
	case disk.KindNotFound:
		return http.StatusNotFound
	case disk.KindFull:
		return http.StatusInsufficientStorage
	case disk.KindStaleEpoch:
		return http.StatusPreconditionFailed
	case disk.KindExists:
		return http.StatusConflict
	case disk.KindInvalid:
		return http.StatusBadRequest
	case disk.KindFenced, disk.KindClosed, disk.KindBusy:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
