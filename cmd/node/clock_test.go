package node

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestClockOffIsShown: a node whose wall clock is stepped far off leads nothing any more, says so, and so do the others, until
// its clock is right again.
func TestClockOffIsShown(t *testing.T) {
	c := newCluster(t, 2)
	var ahead atomic.Int64
	env, begin := testEnv(vfs.Default), time.Now()
	env.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	env.BootClock = func() time.Duration { return time.Since(begin) }
	cfg := c.nodeConfig(2)
	cfg.Metrics = MetricsOpen
	c.nodes = append(c.nodes, serveOn(t, cfg, env, &http.Transport{}))
	stepped := c.nodes[2]
	c.nodes[0].createBucket()
	healthy := func() bool {
		for _, s := range c.nodes {
			if st, err := s.Status(t.Context()); err != nil || !st.Healthy || len(st.Nodes) != 3 || st.Tolerates.Node != 1 {
				return false
			}
		}
		return true
	}
	await(t, "healthy", healthy)
	ahead.Store(int64(time.Hour))
	await(t, "the step is shown by all", func() bool {
		for _, s := range c.nodes {
			st, err := s.Status(t.Context())
			if err != nil || st.Healthy {
				return false
			}
			for _, n := range st.Nodes {
				if off := n.Name == "node2"; n.ClockOff != off || off && n.ClockAheadSeconds < 3590 {
					return false
				}
			}
		}
		return true
	})
	await(t, "it leads nothing", func() bool {
		for _, s := range stepped.stores {
			for _, r := range s.Status().Replicas {
				if r.Role == roleLeader {
					return false
				}
			}
		}
		return true
	})
	if err := c.nodes[0].put("k", []byte("v")); err != nil {
		t.Errorf("a put meanwhile: %v", err)
	}
	w := &recorder{header: http.Header{}}
	stepped.metrics.handler().ServeHTTP(w, &http.Request{Method: http.MethodGet, Header: http.Header{}})
	for _, want := range []string{`contender_clock_off{disk="`, "} 1\n", "contender_replicas_remade_total{", "contender_replicas_found_differing_total{", "contender_replicas_differing{"} {
		if !strings.Contains(w.String(), want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	ahead.Store(0)
	await(t, "healthy again", healthy)
}
