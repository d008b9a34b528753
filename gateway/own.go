package gateway

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

// ownPrefix begins the paths that are not S3's. "-" is no name of a bucket.
const ownPrefix = "/-/"

// ownPath matches the server's own paths, unless the host names a bucket: then "-/live" is a key like any other.
func (g *Gateway) ownPath(r *http.Request, _ *mux.RouteMatch) bool {
	if !strings.HasPrefix(route.RawPath(r), ownPrefix) {
		return false
	}
	t, err := route.Parse(r, g.o.Hosts)
	return err != nil || !t.VirtualHost
}

// own answers the server's own paths.
func (g *Gateway) own(w http.ResponseWriter, r *http.Request) {
	e := exchangeOf(r)
	path := route.RawPath(r)
	if path == "/-/live" || path == "/-/ready" {
		g.health(w, r, path == "/-/live")
		return
	}
	var next http.Handler
	open := false
	switch {
	case path == "/-/metrics":
		next = g.o.Metrics
		open = g.o.MetricsAccess == AccessPublic || g.o.MetricsAccess == AccessLoopback && fromLoopback(r)
	case strings.HasPrefix(path, admin.Prefix):
		next = g.o.Admin
	}
	if !open {
		_, err := g.authenticate(e, r)
		if err == nil && !e.identity.Root {
			err = wire.New(wire.AccessDenied)
		}
		if err != nil {
			e.refuse(err)
			return
		}
	}
	if next == nil {
		e.refuse(wire.Newf(wire.NoSuchKey, "There is nothing here."))
		return
	}
	next.ServeHTTP(w, r)
}

// health answers /-/live and /-/ready: 200, or 503 with the reason.
func (g *Gateway) health(w http.ResponseWriter, r *http.Request, live bool) {
	check, word := g.o.Ready, "ready"
	if live {
		check, word = g.o.Live, "live"
	}
	status := http.StatusOK
	if check != nil {
		if err := check(r.Context()); err != nil {
			status, word = http.StatusServiceUnavailable, err.Error()
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintln(w, word) // the asker is gone if this fails
	}
}

func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
