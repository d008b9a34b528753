package gateway_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/contender/contender/gateway"
	"github.com/contender/contender/objectlayer"
)

// nothing takes and gives bytes without keeping them.
type nothing struct {
	objectlayer.Objects
	data []byte
}

func (nothing) Put(_ context.Context, _ objectlayer.PutRequest, body io.Reader) (objectlayer.Version, error) {
	n, err := io.Copy(io.Discard, body)
	return objectlayer.Version{Size: n}, err
}

func (n nothing) Get(context.Context, objectlayer.GetRequest) (objectlayer.Reading, error) {
	size := int64(len(n.data))
	return objectlayer.Reading{Version: objectlayer.Version{Size: size}, Length: size, Body: io.NopCloser(bytes.NewReader(n.data))}, nil
}

// discard is a writer of answers that keeps none.
type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// What the gateway itself costs for a request, network and objects left out.
func BenchmarkGateway(b *testing.B) {
	body := pattern(4 << 10)
	s := start(b, func(o *gateway.Options) {
		o.Objects, o.Logger = nothing{o.Objects, body}, slog.New(slog.DiscardHandler)
	})
	h := s.http.Config.Handler
	for _, c := range []struct {
		method string
		body   []byte
	}{{http.MethodPut, body}, {http.MethodGet, nil}} {
		b.Run(c.method, func(b *testing.B) {
			signed := s.request(c.method, "/bench/key", headers{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, string(c.body))
			sign(b, signed, "")
			signed.Header.Set("Content-Length", "4096")
			signed.Host = signed.URL.Host
			b.ReportAllocs()
			for b.Loop() {
				r := signed.Clone(b.Context())
				r.Body = io.NopCloser(bytes.NewReader(c.body))
				r.RequestURI = "/bench/key"
				h.ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
	w := httptest.NewRecorder()
	r := s.request(http.MethodGet, "/bench/key", nil, "")
	sign(b, r, "")
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
}
