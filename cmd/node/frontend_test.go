package node

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/trust"
)

// frontEndConfig is the configuration of a front-end of the cluster.
func (c *cluster) frontEndConfig() Config {
	cfg := c.nodeConfig(len(c.nodes))
	cfg.FrontEnd, cfg.Dirs, cfg.Peer, cfg.Console, cfg.Region, cfg.Name = true, nil, "", "", "", "front"
	return cfg
}

// frontEnd starts a front-end of the cluster.
func (c *cluster) frontEnd() *server {
	return serveOn(c.t, c.frontEndConfig(), testEnv(vfs.Default), &http.Transport{MaxIdleConnsPerHost: 128})
}

// TestFrontEnd: what is written through a front-end is read through every node, and the other way round; the map does not list
// it, each node's status does for as long as it is there, and nothing of it stays.
func TestFrontEnd(t *testing.T) {
	c := newCluster(t, 2)
	c.nodes[0].createBucket()
	front := c.frontEnd()
	for _, size := range []int{0, 1000, 100_000} {
		body := bytes.Repeat([]byte{7}, size)
		for i, by := range []*server{front, c.nodes[0], c.nodes[1]} {
			key := fmt.Sprintf("by%d-%d", i, size)
			if err := by.put(key, body); err != nil {
				t.Fatalf("put %d bytes by %d: %v", size, i, err)
			}
			for j, other := range []*server{front, c.nodes[0], c.nodes[1]} {
				if got, err := other.get(key); err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d reads %s: %d bytes, %v", j, key, len(got), err)
				}
			}
		}
	}
	if front.cfg.Region != c.nodes[0].cfg.Region || front.Greeting().Peer != "" {
		t.Errorf("region %q, greeting %+v", front.cfg.Region, front.Greeting())
	}
	address := front.s3.Addr().String()
	shown := func(s *server) int {
		st, err := s.Status(t.Context())
		if err != nil || len(st.Nodes) != 2 {
			t.Errorf("status: %d nodes, %v", len(st.Nodes), err)
		}
		for _, f := range st.FrontEnds {
			if f.Name != "front" || f.S3 != address {
				t.Errorf("shown is %+v", f)
			}
		}
		return len(st.FrontEnds)
	}
	for _, s := range c.nodes {
		await(t, "it is shown", func() bool { return shown(s) == 1 })
	}
	if err := front.close(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	for _, s := range c.nodes {
		await(t, "it is not shown any more", func() bool { return shown(s) == 0 })
	}
	if m := c.nodes[0].topology.Map(); m.Node(front.self()) != nil || len(m.Nodes) != 2 {
		t.Errorf("the map lists %+v", m.Nodes)
	}
}

// TestFrontEndRefused: a front-end needs what a node needs to join, a token serves one start, and keys that are not the
// cluster's end it.
func TestFrontEndRefused(t *testing.T) {
	c := newCluster(t, 1)
	for what, x := range map[string]struct {
		change func(*Config)
		says   func(error) bool
	}{
		"nothing to be known by": {func(cfg *Config) { cfg.Secret = trust.Secret{} }, func(err error) bool { return err != nil }},
		"nobody to join":         {func(cfg *Config) { cfg.Join = nil }, func(err error) bool { return err != nil }},
		"another secret": {func(cfg *Config) {
			cfg.Secret, _ = trust.ParseSecret("00" + testSecretText[2:])
		}, func(err error) bool { return trust.Is(err, trust.KindDenied) }},
	} {
		cfg := c.frontEndConfig()
		x.change(&cfg)
		n, err := Open(t.Context(), cfg, testEnv(vfs.Default))
		if !x.says(err) {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			_ = n.close()
		}
	}
	text, _, err := c.nodes[0].NewToken(t.Context(), time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.frontEndConfig()
	cfg.Secret = trust.Secret{}
	if cfg.Token, err = trust.ParseToken(text); err != nil {
		t.Fatal(err)
	}
	serveOn(t, cfg, testEnv(vfs.Default), &http.Transport{})
	if _, err := Open(t.Context(), cfg, testEnv(vfs.Default)); !trust.Is(err, trust.KindSpent) {
		t.Errorf("a second start with a token for one: %v", err)
	}
	cfg = c.frontEndConfig()
	cfg.AccessKey, cfg.SecretKey = "another-key", "another-secret"
	n, err := Open(t.Context(), cfg, testEnv(vfs.Default))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Serve(t.Context()); !errors.Is(err, errOtherRootKey) {
		t.Errorf("with other root keys it ends with %v", err)
	}
	m := &clustermap.Map{Nodes: []clustermap.Node{{ID: 5}}}
	if err := errors.Join(notOfNode(m, 6)); err != nil || notOfNode(m, 5) == nil {
		t.Errorf("the id of a node: %v, another: %v", notOfNode(m, 5), err)
	}
}
