package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves a handler on listeners until it is told to stop. The gateway is served with it, and the console.
type Server struct {
	handler http.Handler
	limits  Limits
	log     *slog.Logger
}

// NewServer returns a server. Zero limits stand for DefaultLimits' values; log may be nil.
func NewServer(h http.Handler, limits Limits, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{handler: h, limits: limits.withDefaults(), log: log}
}

// Serve accepts connections until ctx ends. Then it takes no more, closes idle ones, gives requests under way
// Limits.DrainTimeMax to end, and breaks off the rest; requests that come on kept connections meanwhile are the last of
// theirs. It returns nil when all ended in time, an error when some were broken off or the listener failed. The
// listener is closed and no goroutine is left.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	requests, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	running := newRunning(s.handler)
	srv := &http.Server{
		Handler:           running,
		ReadHeaderTimeout: s.limits.HeaderTimeMax,
		IdleTimeout:       s.limits.IdleTimeMax,
		MaxHeaderBytes:    s.limits.HeaderBytesMax,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		_ = srv.Close() // the listener's failure is what counts
		abort()
		running.wait()
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(requests, s.limits.DrainTimeMax)
	defer cancel()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		// The connections go first: a handler that sees its context end and returns must not pass for an answer.
		_ = srv.Close()
		abort()
		err = fmt.Errorf("requests broken off after %s: %w", s.limits.DrainTimeMax.Round(time.Millisecond), err)
	}
	running.wait()
	if e := <-served; !errors.Is(e, http.ErrServerClosed) && err == nil {
		err = e
	}
	return err
}

// running counts the requests under way, so that a server that was stopped can wait for their handlers: net/http does
// not once it breaks connections off.
type running struct {
	next http.Handler

	mu     sync.Mutex
	count  int
	closed chan struct{} // nil until wait; closed when count is 0
}

func newRunning(next http.Handler) *running { return &running{next: next} }

func (r *running) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !r.enter() {
		panic(http.ErrAbortHandler) // came in on a connection that is being closed
	}
	defer r.leave()
	r.next.ServeHTTP(w, req)
}

func (r *running) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != nil {
		return false
	}
	r.count++
	return true
}

func (r *running) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count--
	if r.count == 0 && r.closed != nil {
		close(r.closed)
	}
}

func (r *running) wait() {
	r.mu.Lock()
	r.closed = make(chan struct{})
	if r.count == 0 {
		close(r.closed)
	}
	r.mu.Unlock()
	<-r.closed
}
