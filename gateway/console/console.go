// Package console serves a plain status page for people, on a port of its own. Whoever can reach the port may read it,
// so it says only how the cluster feels, in words and counts: no ids, addresses, paths or keys. The page needs no script
// and loads nothing from elsewhere.
package console

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/contender/contender/gateway/admin"
)

//go:embed page.html style.css
var files embed.FS

// statusTimeMax bounds how long the page waits for the cluster.
const statusTimeMax = 5 * time.Second

// New returns the handler of the console port. It is safe for concurrent use.
func New(src admin.Source, log *slog.Logger) (http.Handler, error) {
	t, err := template.ParseFS(files, "page.html")
	if err != nil {
		return nil, err
	}
	css, err := files.ReadFile("style.css")
	if err != nil {
		return nil, err
	}
	c := &console{src: src, log: log, page: t, css: css}
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", c.index)
	m.HandleFunc("GET /style.css", c.style)
	return guarded(m), nil
}

type console struct {
	src  admin.Source
	log  *slog.Logger
	page *template.Template
	css  []byte
}

// guarded sets the headers that keep a page from loading, being framed or leaking anything.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (c *console) style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	c.send(w, r, http.StatusOK, c.css)
}

func (c *console) index(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeMax)
	defer cancel()
	status := http.StatusOK
	s, err := c.src.Status(ctx)
	if err != nil {
		c.log.WarnContext(ctx, "status cannot be read", "err", err)
		status = http.StatusServiceUnavailable
	}
	var b bytes.Buffer
	if err := c.page.Execute(&b, describe(s, err == nil)); err != nil {
		c.log.ErrorContext(ctx, "page cannot be made", "err", err)
		http.Error(w, "The page cannot be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.send(w, r, status, b.Bytes())
}

func (c *console) send(w http.ResponseWriter, r *http.Request, status int, b []byte) {
	w.WriteHeader(status)
	if _, err := w.Write(b); err != nil {
		c.log.DebugContext(r.Context(), "client left", "err", err)
	}
}
