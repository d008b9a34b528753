package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/contender/contender/gateway"
)

func TestServerDrains(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		select {
		case <-release:
			_, _ = io.WriteString(w, "whole")
		case <-r.Context().Done():
		}
	})
	for _, patient := range []bool{true, false} {
		entered, release = make(chan struct{}), make(chan struct{})
		limits := gateway.Limits{DrainTimeMax: 10 * time.Second}
		if !patient {
			limits.DrainTimeMax = 10 * time.Millisecond
		}
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- gateway.NewServer(h, limits, nil).Serve(ctx, l) }()
		answered := make(chan string)
		tr := &http.Transport{}
		go func() {
			resp, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String()) //nolint:noctx // ends with the server
			if err != nil {
				answered <- "broken off"
				return
			}
			b, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			answered <- string(b)
		}()
		<-entered
		stop()
		want, failed := "broken off", true
		if patient {
			close(release)
			want, failed = "whole", false
		}
		if got := <-answered; got != want {
			t.Errorf("patient %v: %q", patient, got)
		}
		if err := <-served; (err != nil) != failed {
			t.Errorf("patient %v: %v", patient, err)
		}
		tr.CloseIdleConnections()
	}
}

func TestServerTellsOfItsListener(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := gateway.NewServer(http.NotFoundHandler(), gateway.Limits{}, nil).Serve(t.Context(), l); err == nil {
		t.Error("a closed listener is served")
	}
}
