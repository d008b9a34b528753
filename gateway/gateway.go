package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/sigv4"
)

// ServerName is what the Server header says.
const ServerName = "Contender"

// Gateway answers S3 requests. It is an http.Handler, safe for concurrent use.
type Gateway struct {
	o       Options
	ops     map[route.Op]call.Handler
	keys    *sigv4.KeyCache
	buffers *call.Buffers
	slots   chan struct{} // one for each S3 request under way
	router  *mux.Router
}

// New returns a gateway over o. It starts nothing and needs no closing.
func New(o Options) (*Gateway, error) {
	if o.Objects == nil || o.Uploads == nil || o.Listings == nil || o.Buckets == nil || o.Identities == nil {
		return nil, errors.New("gateway: Objects, Uploads, Listings, Buckets and Identities are needed")
	}
	o.Limits = o.Limits.withDefaults()
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		o: o, ops: operations(o), keys: sigv4.NewKeyCache(sigv4.DefaultKeyCacheEntries),
		buffers: call.NewBuffers(), slots: make(chan struct{}, o.Limits.RequestsMax),
	}
	// Bucket, key and operation are found by package route from the raw request line: to mux all of S3 is one route.
	g.router = mux.NewRouter().SkipClean(true).UseEncodedPath()
	g.router.NotFoundHandler = http.HandlerFunc(g.s3)
	g.router.MatcherFunc(g.ownPath).HandlerFunc(g.own)
	g.router.MatcherFunc(func(*http.Request, *mux.RouteMatch) bool { return true }).HandlerFunc(g.s3)
	return g, nil
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") && r.ProtoMajor == 1 {
		// net/http says it when a body is first read, and an empty one is not. Python's botocore, thus aws-cli, takes any
		// answer without it for one that came early, and then misreads the next answer on the connection and hangs.
		w.WriteHeader(http.StatusContinue)
	}
	e := g.newExchange(w, r)
	ctx, cancel := context.WithTimeout(withExchange(r.Context(), e), g.o.Limits.RequestTimeMax)
	defer cancel()
	defer e.finish()
	r = r.WithContext(ctx) // net/http looks at its own request's body again
	if e.body != nil {
		r.Body = e.body
	}
	g.router.ServeHTTP(e.reply, r)
}
