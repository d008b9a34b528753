package node

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/trust"
)

// testSecretText is the cluster secret of these tests.
const testSecretText = "3f7d0fffe0e702c976d01baf6eced99d9eabf2e6d056b5b870ec39d9b4c37b25"

// cluster is nodes in one process that reach each other over loopback.
type cluster struct {
	t     testing.TB
	root  string
	nodes []*server
}

// nodeConfig is the configuration of node i, which joins through the others that are there.
func (c *cluster) nodeConfig(i int) Config {
	secret, err := trust.ParseSecret(testSecretText)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg := testConfig([]string{filepath.Join(c.root, fmt.Sprint(i), "disk1"), filepath.Join(c.root, fmt.Sprint(i), "disk2")})
	cfg.Name, cfg.Secret, cfg.Init = fmt.Sprintf("node%d", i), secret, i == 0
	for j, s := range c.nodes {
		if j != i {
			cfg.Join = append(cfg.Join, s.peer.Addr().String())
		}
	}
	return cfg
}

// newCluster founds a cluster and has the other nodes join it.
func newCluster(t testing.TB, n int) *cluster { return newClusterOf(t, n, func(*Config) {}) }

// newClusterOf is newCluster with changes to what the nodes are told.
func newClusterOf(t testing.TB, n int, change func(*Config)) *cluster {
	c := &cluster{t: t, root: t.TempDir()}
	for i := range n {
		cfg := c.nodeConfig(i)
		change(&cfg)
		c.nodes = append(c.nodes, serveOn(t, cfg, testEnv(vfs.Default), &http.Transport{MaxIdleConnsPerHost: 128}))
	}
	return c
}

// awaitSpread waits until the cluster survives the loss of so many nodes, and every node knows.
func (c *cluster) awaitSpread(losses int) {
	c.t.Helper()
	for _, x := range c.nodes {
		await(c.t, "all nodes are counted on", func() bool {
			st, err := x.Status(c.t.Context())
			return err == nil && st.Tolerates.Node == losses && st.Healthy && len(st.Nodes) == len(c.nodes)
		})
		x.awaitWhole()
	}
}

// TestJoin: nodes that know the secret become members; what is written through one is read through all.
func TestJoin(t *testing.T) {
	c := newCluster(t, 3)
	for i, s := range c.nodes {
		await(t, "all nodes in the map", func() bool { return len(s.topology.Map().Disks) == 6 })
		await(t, "all nodes up", func() bool {
			st, err := s.Status(t.Context())
			up := 0
			for _, n := range st.Nodes {
				for _, d := range n.Disks {
					if n.State == "up" && d.State == "up" {
						up++
					}
				}
			}
			return err == nil && up == 6
		})
		if i == 0 {
			s.createBucket()
		}
		for _, size := range []int{0, 1000, 100_000} {
			body := bytes.Repeat([]byte{byte(i + 1)}, size)
			key := fmt.Sprintf("by%d-%d", i, size)
			if err := s.put(key, body); err != nil {
				t.Fatalf("node %d: put %d bytes: %v", i, size, err)
			}
			for j, other := range c.nodes {
				got, err := other.get(key)
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("node %d reads %s: %d bytes, %v", j, key, len(got), err)
				}
			}
		}
	}
}

// TestGrowth: the replicas of ranges and the placement groups spread over nodes that join, by themselves.
func TestGrowth(t *testing.T) {
	c := newCluster(t, 5)
	for i, s := range c.nodes {
		await(t, fmt.Sprintf("node %d sees that two nodes may be lost", i), func() bool {
			st, err := s.Status(t.Context())
			return err == nil && st.Tolerates.Node == 2 && st.Healthy && st.Ranges.UnderReplicated == 0
		})
	}
	await(t, "five voters of each range, and nobody else", func() bool {
		return !slices.ContainsFunc(c.nodes[3].topology.Map().Ranges, func(r clustermap.Range) bool {
			return len(r.Replicas) != 5 || slices.ContainsFunc(r.Replicas, func(x clustermap.Replica) bool {
				return x.Learner || x.Incoming || x.Outgoing
			})
		})
	})
	for _, s := range c.nodes {
		await(t, "every node's map names the leaders", func() bool {
			return !slices.ContainsFunc(s.topology.Map().Ranges, func(r clustermap.Range) bool { return r.Leader == 0 })
		})
	}
	m := c.nodes[3].topology.Map()
	for _, s := range c.nodes {
		await(t, "replicas that left are gone", func() bool {
			for id, st := range s.stores {
				for _, r := range st.Status().Replicas {
					if !slices.ContainsFunc(m.Ranges, func(x clustermap.Range) bool {
						return x.ID == r.Range && slices.ContainsFunc(x.Replicas, func(y clustermap.Replica) bool { return y.Disk == id })
					}) {
						return false
					}
				}
			}
			return true
		})
	}
}
