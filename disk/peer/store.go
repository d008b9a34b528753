package peer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"time"

	"github.com/contender/contender/disk"
)

// Defaults of StoreOptions.
const (
	DefaultStallTimeout = 10 * time.Second
	DefaultCallTimeout  = time.Minute
	DefaultKeepAlive    = 5 * time.Second
)

// StoreOptions are what a Store is made from. Client, Base and Disk must be set.
type StoreOptions struct {
	// Client carries the requests. Its Timeout must be zero, since a shard may take as long as its caller does; its
	// transport should keep as many idle connections for each peer as there are requests at once, not compress, and
	// have a write buffer of 64 KiB or so.
	Client *http.Client
	// Base returns scheme and address of the node that has the disk now, for example https://10.0.0.7:9002, and ""
	// while none is known. It must not block.
	Base func() string
	// Disk is the disk's id.
	Disk disk.ID
	// Sender is told with every request unless its Node is zero.
	Sender Sender
	// StallTimeout is how long one step may take: to connect and get an answer to Create or Get, to send 1 MiB of an
	// Append, to receive 256 KiB. 0: DefaultStallTimeout.
	StallTimeout time.Duration
	// CallTimeout is how long a Commit, a page of List, and one call of any other kind may take. 0: DefaultCallTimeout.
	CallTimeout time.Duration
	// KeepAlive is how long a Writer whose caller is silent lets pass before it tells the server that it lives. It must
	// be well below the server's Limits.Idle. 0: DefaultKeepAlive.
	KeepAlive time.Duration
	// AfterFunc is the clock; nil: time.AfterFunc.
	AfterFunc func(d time.Duration, fn func()) (stop func() bool)
}

// ErrStalled is in the error of what the other node did not do in time.
var ErrStalled = errors.New("the peer has not answered in time")

// Store is a disk of another node. It is safe for concurrent use; no goroutine of it outlives a call, a Writer that is
// not ended or a reader that is not closed, apart from those of the http.Client.
type Store struct {
	o StoreOptions
}

var (
	_ disk.Store     = (*Store)(nil)
	_ disk.Inventory = (*Store)(nil)
)

// NewStore returns a Store. It does not connect.
func NewStore(o StoreOptions) (*Store, error) {
	if o.Client == nil || o.Base == nil || o.Disk == 0 {
		return nil, errors.New("peer: options without client, address or disk")
	}
	if o.Client.Timeout != 0 {
		return nil, errors.New("peer: a client with a timeout of its own")
	}
	o.StallTimeout = cmp.Or(o.StallTimeout, DefaultStallTimeout)
	o.CallTimeout = cmp.Or(o.CallTimeout, DefaultCallTimeout)
	o.KeepAlive = cmp.Or(o.KeepAlive, DefaultKeepAlive)
	o.AfterFunc = orAfterFunc(o.AfterFunc)
	return &Store{o: o}, nil
}

// attempt is one request under way.
type attempt struct {
	s      *Store
	op     string
	what   string
	base   string
	shard  string          // fingerprint that is expected, "" if any
	caller context.Context // whose end ends the request
	ctx    context.Context
	cancel context.CancelCauseFunc
	// refused is called when the answer is an error, before the connection is made ready for other requests.
	refused func()
}

// attempt begins a request. Its context is ctx, or if detached is set has only the values of ctx. The attempt is ended
// by its cancel.
func (s *Store) attempt(ctx context.Context, op, what string, detached bool) *attempt {
	a := &attempt{s: s, op: op, what: what, base: s.o.Base(), caller: ctx}
	if detached {
		ctx = context.WithoutCancel(ctx)
	}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	return a
}

// within ends the request if the step that follows takes longer than d. The step ends with stop.
func (a *attempt) within(d time.Duration) (stop func() bool) {
	return a.s.o.AfterFunc(d, func() { a.cancel(ErrStalled) })
}

// fail makes the error of a request that did not get through. It never looks like the end of a shard.
func (a *attempt) fail(err error) error {
	switch {
	case a.caller.Err() != nil:
		err = a.caller.Err()
	case context.Cause(a.ctx) == ErrStalled:
		err = ErrStalled
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errBroken
	}
	return disk.Errorf(a.op, disk.KindIO, a.what, fmt.Errorf("peer %s: %w", a.base, err))
}

var (
	errBroken  = errors.New("the connection broke")
	errAddress = errors.New("no address of the peer is known")
	errAnswer  = errors.New("an answer that makes no sense")
)

// do sends a request and returns the response if its status is 200.
func (a *attempt) do(q request, body io.ReadCloser, again func() (io.ReadCloser, error), length int64) (*http.Response, error) {
	if a.base == "" {
		return nil, a.fail(errAddress)
	}
	q.disk = a.s.o.Disk
	r, err := http.NewRequestWithContext(a.ctx, q.method(), a.base+q.target(), body)
	if err != nil {
		return nil, a.fail(err)
	}
	r.GetBody, r.ContentLength = again, length
	// All requests may be sent twice, so that a connection that the server has closed meanwhile is replaced.
	r.Header["Idempotency-Key"] = nil
	if s := a.s.o.Sender; s.Node != 0 {
		r.Header.Set(headerNode, strconv.FormatUint(s.Node, 16))
		r.Header.Set(headerBoot, strconv.FormatUint(s.Boot, 10))
	}
	if a.shard != "" {
		r.Header.Set(headerShard, a.shard)
	}
	resp, err := a.send(r)
	if err != nil {
		return nil, a.fail(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	err, known := parseAnswer(resp.Header.Get(headerAnswer), a.base)
	if err == nil || !known {
		return nil, a.fail(fmt.Errorf("%w: status %s", errAnswer, resp.Status))
	}
	if a.refused != nil {
		a.refused()
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 8<<10) // so that the connection can be used again
	return nil, err
}

// sendMost bounds how often a request is sent because the connection that was kept for it had ended.
const sendMost = 3

// send sends a request. net/http sends it again by itself if nothing of it was written to a kept connection that turns out
// to have ended; this does it if something was.
func (a *attempt) send(r *http.Request) (*http.Response, error) {
	for n := 1; ; n++ {
		reused := false
		ctx := httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		resp, err := a.s.o.Client.Do(r.WithContext(ctx))
		if err == nil || !reused || n == sendMost || a.ctx.Err() != nil {
			return resp, err
		}
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// call makes a request whose answer is at most limit bytes.
func (s *Store) call(ctx context.Context, op, what string, q request, body []byte, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, disk.Errorf(op, disk.KindIO, what, err)
	}
	a := s.attempt(ctx, op, what, false)
	defer a.cancel(nil)
	defer a.within(s.o.CallTimeout)()
	var rc io.ReadCloser = http.NoBody
	var again func() (io.ReadCloser, error)
	if len(body) > 0 {
		again = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		rc, _ = again()
	}
	resp, err := a.do(q, rc, again, int64(len(body)))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if answer, known := parseAnswer(resp.Header.Get(headerAnswer), a.base); answer != nil || !known {
		return nil, a.fail(errAnswer)
	}
	out, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, a.fail(err)
	}
	if int64(len(out)) > limit {
		return nil, a.fail(errAnswer)
	}
	return out, nil
}

// Info returns what is kept of a committed shard.
func (s *Store) Info(ctx context.Context, id disk.ShardID) (disk.ShardInfo, error) {
	b, err := s.call(ctx, "info", id.String(), request{verb: verbInfo, shard: id}, nil, pageMax)
	if err != nil {
		return disk.ShardInfo{}, err
	}
	i, rest, err := parseInfo(b)
	if err != nil || len(rest) > 0 || i.ID != id {
		return disk.ShardInfo{}, disk.Errorf("info", disk.KindIO, id.String(), errAnswer)
	}
	return i, nil
}

// Delete forgets shards, durably. If it fails some of them may be forgotten.
func (s *Store) Delete(ctx context.Context, ids ...disk.ShardID) error {
	if len(ids) == 0 { // the disk may still have something to say
		_, err := s.call(ctx, "delete", "", request{verb: verbDelete}, nil, 0)
		return err
	}
	for batch := range slices.Chunk(ids, deleteMax) {
		body := make([]byte, 0, len(batch)*disk.ShardKeyLen)
		for _, id := range batch {
			body = id.AppendKey(body)
		}
		if _, err := s.call(ctx, "delete", "", request{verb: verbDelete}, body, 0); err != nil {
			return err
		}
	}
	return nil
}

// Verify reads every block of a shard, on the other node.
func (s *Store) Verify(ctx context.Context, id disk.ShardID) error {
	_, err := s.call(ctx, "verify", id.String(), request{verb: verbVerify, shard: id}, nil, 0)
	return err
}

// List calls fn for each committed shard of a group above after, in order. It asks page by page and holds no connection
// while fn runs.
func (s *Store) List(ctx context.Context, g disk.GroupID, after disk.ShardID, fn func(disk.ShardInfo) error) error {
	for {
		page, err := s.call(ctx, "list", "", request{verb: verbList, group: g, shard: after}, nil, pageMax)
		if err != nil {
			return err
		}
		if len(page) == 0 || page[0] > 1 || page[0] == 1 && len(page) == 1 {
			return disk.Errorf("list", disk.KindIO, "", errAnswer)
		}
		more := page[0] == 1
		for page = page[1:]; len(page) > 0; {
			var i disk.ShardInfo
			if i, page, err = parseInfo(page); err != nil || i.ID.Group != g || !above(i.ID, after) {
				return disk.Errorf("list", disk.KindIO, "", errAnswer)
			}
			if err := fn(i); err != nil {
				return err
			}
			after = i.ID
		}
		if !more {
			return nil
		}
	}
}

// above reports whether a shard comes behind another in an inventory.
func above(id, after disk.ShardID) bool {
	return after == disk.ShardID{} || bytes.Compare(id.AppendKey(nil), after.AppendKey(nil)) > 0
}

// Get reads n bytes from offset off of a committed shard.
func (s *Store) Get(ctx context.Context, id disk.ShardID, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, disk.Errorf("get", disk.KindIO, id.String(), err)
	}
	r := &reader{s: s, ctx: ctx, id: id, off: off, n: n}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// Create begins a shard.
func (s *Store) Create(ctx context.Context, id disk.ShardID, epoch disk.Epoch) (disk.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, disk.Errorf("create", disk.KindIO, id.String(), err)
	}
	w := &writer{attempt: s.attempt(ctx, "create", id.String(), true), answered: make(chan struct{})}
	if err := w.open(ctx, id, epoch); err != nil {
		return nil, err
	}
	return w, nil
}
