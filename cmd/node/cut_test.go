package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/metashards/clustermap"
)

// cutter is a node's network, which can be cut: what is open closes and nothing opens any more.
type cutter struct {
	mu    sync.Mutex
	world Env
	cut   bool
	conns map[net.Conn]bool
}

var errCut = errors.New("the network is cut")

// take notes a connection.
func (c *cutter) take(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, errors.Join(errCut, conn.Close())
	}
	if c.conns == nil {
		c.conns = map[net.Conn]bool{}
	}
	c.conns[conn] = true
	return conn, nil
}

// set cuts the network, or mends it.
func (c *cutter) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.take(c.world.Dial(ctx, network, address))
}

// cutListener is a listener on a network that may be cut.
type cutListener struct {
	net.Listener
	c *cutter
}

// Accept implements net.Listener: connections that come while the network is cut are closed.
func (l cutListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if conn, err = l.c.take(conn, nil); err == nil {
			return conn, nil
		}
	}
}

// env is a node's world whose peer port, and whose way to others, can be cut. Clients still reach it.
func (c *cutter) env(world Env, peer string) Env {
	c.world = world
	env := world
	env.Dial = c.dial
	env.Listen = func(network, address string) (net.Listener, error) {
		l, err := world.Listen(network, address)
		if err == nil && address == peer {
			l = cutListener{l, c}
		}
		return l, err
	}
	return env
}

// newCutCluster is newClusterOf with nodes that can be cut off from all others, each by its cutter.
func newCutCluster(t testing.TB, n int, root string, world Env, reach func() *http.Transport, change func(*Config)) (*cluster, []*cutter) {
	c := &cluster{t: t, root: root}
	cutters := make([]*cutter, n)
	for i := range cutters {
		cutters[i] = new(cutter)
		cfg := c.nodeConfig(i)
		change(&cfg)
		cfg.Peer = fmt.Sprintf("127.0.0.%d:0", i+2) // told apart, and from what clients reach, by their host
		c.nodes = append(c.nodes, serveOn(t, cfg, cutters[i].env(world, cfg.Peer), reach()))
	}
	return c, cutters
}

// TestCutLeaderAcknowledgesNothing: a leader that is cut off from all other nodes must not acknowledge a write, whatever
// its own disk keeps. It is the test that catches the mutant ackbeforequorum over the wire.
func TestCutLeaderAcknowledgesNothing(t *testing.T) {
	c, cutters := newCutCluster(t, 3, t.TempDir(), testEnv(vfs.Default), func() *http.Transport { return &http.Transport{} }, func(*Config) {})
	c.nodes[0].createBucket()
	await(t, "three nodes keep the data", func() bool {
		for _, r := range c.nodes[0].topology.Map().Ranges {
			nodes := map[clustermap.NodeID]bool{}
			for _, x := range r.Replicas {
				if d := c.nodes[0].topology.Map().Disk(x.Disk); d != nil && !x.Learner && !x.Incoming && !x.Outgoing {
					nodes[d.Node] = true
				}
			}
			if len(nodes) != 3 || len(r.Replicas) != 3 {
				return false
			}
		}
		return true
	})
	leader := -1
	await(t, "a leader", func() bool {
		for i, s := range c.nodes {
			if s.leads(dataRange) {
				leader = i
			}
		}
		return leader >= 0
	})
	c.nodes[leader].mustPut("before", []byte("value")) // now the node knows the bucket, and need ask nobody
	cutters[leader].set(true)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := c.nodes[leader].putIn(ctx, "alone", []byte("value")); err == nil {
		t.Error("a write was acknowledged by a leader that nobody hears")
	}
	other := c.nodes[(leader+1)%3]
	await(t, "the others go on", func() bool { return other.put("together", []byte("value")) == nil })
	cutters[leader].set(false)
	await(t, "the old leader follows", func() bool {
		got, err := c.nodes[leader].get("together")
		return err == nil && string(got) == "value"
	})
}
