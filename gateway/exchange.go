package gateway

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

// exchange is one request with its answer, from the first byte to the last.
type exchange struct {
	g        *Gateway
	r        *http.Request
	reply    *call.Reply
	body     *incoming
	id, host string // x-amz-request-id and x-amz-id-2
	resource string
	began    time.Time

	s3       bool // not one of the server's own paths
	op       route.Op
	identity call.Identity
	decoded  *call.Body
	code     wire.Code // of the error answered
}

type exchangeKey struct{}

func withExchange(ctx context.Context, e *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, e)
}

func exchangeOf(r *http.Request) *exchange {
	e, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return e
}

// newExchange gives the request its ids and the answer the headers that all answers have.
func (g *Gateway) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	now := g.o.Clock()
	e := &exchange{
		g: g, r: r, began: now, resource: route.RawPath(r),
	}
	if r.Body != nil && r.Body != http.NoBody {
		e.body = &incoming{body: r.Body, control: http.NewResponseController(w), clock: g.o.Clock, limits: &g.o.Limits}
	}
	e.reply = call.NewReply(w, g.buffers, g.o.Clock, g.o.Limits.BodyIdleTimeMax, e.body.release)
	var b [8 + 30]byte
	if _, err := io.ReadFull(g.o.Rand, b[:]); err != nil {
		g.o.Logger.Error("no random bytes for request ids", "err", err)
	}
	e.id = strings.ToUpper(hex.EncodeToString(b[:8]))
	e.host = base64.StdEncoding.EncodeToString(b[8:])
	h := w.Header()
	h.Set(wire.HeaderRequestID, e.id)
	h.Set(wire.HeaderHostID, e.host)
	h.Set("Server", ServerName)
	h.Set("Date", call.HTTPTime(now))
	return e
}

// finish runs at the end of each request, after a panic too, and lets the outside know.
func (e *exchange) finish() {
	p := recover()
	e.body.release()
	if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // panic values are compared as net/http does
		e.log(slog.LevelError, "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if e.reply.Status() == 0 || e.reply.Spaced() {
			e.refuse(wire.New(wire.InternalError))
		} else {
			p = http.ErrAbortHandler
		}
	}
	took := e.g.o.Clock().Sub(e.began)
	e.log(slog.LevelDebug, "request", "status", e.reply.Status(), "code", string(e.code), "took", took)
	if e.g.o.Observe != nil && e.s3 {
		o := Observation{Op: e.op, Status: e.reply.Status(), Code: string(e.code), Duration: took, Sent: e.reply.Bytes()}
		if e.decoded != nil {
			o.Received = e.decoded.Count()
		}
		e.g.o.Observe(o)
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // as above
		panic(p)
	}
}

// refuse is the one place where errors are written. Where the answer has begun, an error can only break it off, but for
// answers that are white space so far: those end with the error's document.
func (e *exchange) refuse(err error) {
	w := wireError(err)
	e.code = w.Code
	level := slog.LevelDebug
	if w.Status >= http.StatusInternalServerError && w.Code != wire.NotImplemented && w.Code != wire.SlowDown {
		level = slog.LevelWarn
	}
	e.log(level, "refused", "code", string(w.Code), "err", err)
	var p *call.PanicError
	if errors.As(err, &p) {
		e.log(slog.LevelError, "panic", "panic", fmt.Sprint(p.Value), "stack", string(p.Stack))
	}
	switch {
	case e.reply.Status() == 0:
		e.forget(w.Status)
		if w.Code == wire.SlowDown || w.Code == wire.ServiceUnavailable {
			e.reply.Header().Set("Retry-After", "1")
		}
		if w.Code == wire.RequestTimeout || w.Code == wire.SlowDown {
			e.reply.Header().Set("Connection", "close") // what is left of the body is not waited for
		}
		wire.WriteError(e.reply, e.r, w, e.id, e.host, e.resource)
	case e.reply.Spaced():
		_, _ = e.reply.Write(w.AppendElement(nil, e.id, e.host, e.resource)) // the client is gone if this fails
	default:
		panic(http.ErrAbortHandler)
	}
}

// forget takes headers off that a handler set for an answer that is not to be. What tells of a version that was not
// changed, or of a delete marker, stays.
func (e *exchange) forget(status int) {
	h := e.reply.Header()
	for name := range h {
		switch name {
		case wire.HeaderRequestID, wire.HeaderHostID, "Server", "Date", "Allow", "X-Amz-Delete-Marker", "X-Amz-Version-Id":
			continue
		case "Etag", "Cache-Control", "Expires":
			if status == http.StatusNotModified {
				continue
			}
		case "Last-Modified":
			if status == http.StatusNotModified || status == http.StatusMethodNotAllowed {
				continue
			}
		}
		delete(h, name) // names of metadata are not in canonical form
	}
}

func (e *exchange) log(level slog.Level, msg string, args ...any) {
	l := e.g.o.Logger
	if !l.Enabled(e.r.Context(), level) {
		return
	}
	args = append(args, "id", e.id, "method", e.r.Method, "path", e.resource, "op", string(e.op), "access_key", e.identity.AccessKey)
	l.Log(e.r.Context(), level, msg, args...)
}
