package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
)

// Prefix is the path below which the front hands requests to this package.
const Prefix = "/-/admin/"

// Services are what the endpoints stand on. Without one its endpoints are not there; the Source must be.
type Services struct {
	Source    Source
	Tokens    Tokens
	Arranger  Arranger
	Operator  Operator
	Explainer Explainer
	Keeper    Keeper
}

// New returns the handler of everything below Prefix. It does not authenticate: the front has done so. It is safe for
// concurrent use.
func New(s Services, log *slog.Logger) http.Handler {
	a := &api{Services: s, log: log}
	m := http.NewServeMux()
	get := func(path string, do http.HandlerFunc) {
		m.HandleFunc("GET "+Prefix+path, do)
		m.HandleFunc(Prefix+path, a.allow("GET, HEAD"))
	}
	post := func(path string, do http.HandlerFunc) {
		m.HandleFunc("POST "+Prefix+path, do)
		m.HandleFunc(Prefix+path, a.allow("POST"))
	}
	get("status", a.status)
	if s.Tokens != nil {
		post("tokens", a.newToken)
	}
	if s.Arranger != nil {
		get("ranges", a.ranges)
		post("ranges/split", a.splitRange)
		post("ranges/presplit", a.presplit)
		post("ranges/move", a.moveReplica)
	}
	if s.Operator != nil {
		post("nodes/maintenance", a.maintain)
	}
	if s.Explainer != nil {
		get("explain", a.explain)
	}
	if s.Keeper != nil {
		get("bucket", a.bucket)
		post("bucket/set", a.setBucket)
	}
	m.HandleFunc(Prefix, a.unknown)
	return m
}

type api struct {
	Services
	log *slog.Logger
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	s, err := a.Source.Status(r.Context())
	if err != nil {
		a.log.WarnContext(r.Context(), "status cannot be read", "err", err)
		a.write(w, r, http.StatusServiceUnavailable, problem{"Unavailable", "The state of the cluster cannot be read now."})
		return
	}
	s.Format = StatusFormat
	if s.Nodes == nil {
		s.Nodes = []Node{}
	}
	for i := range s.Nodes {
		if s.Nodes[i].Disks == nil {
			s.Nodes[i].Disks = []Disk{}
		}
	}
	a.write(w, r, http.StatusOK, s)
}

// allow refuses all methods but those named.
func (a *api) allow(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", methods)
		a.write(w, r, http.StatusMethodNotAllowed, problem{"MethodNotAllowed", "Allowed here: " + methods + "."})
	}
}

func (a *api) unknown(w http.ResponseWriter, r *http.Request) {
	a.write(w, r, http.StatusNotFound, problem{"NotFound", "There is no such operator endpoint."})
}

// problem is the JSON form of an error.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (a *api) write(w http.ResponseWriter, r *http.Request, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // cannot be with the types above
		a.log.ErrorContext(r.Context(), "status cannot be encoded", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if _, err := w.Write(append(b, '\n')); err != nil {
		a.log.DebugContext(r.Context(), "client left", "err", err)
	}
}
