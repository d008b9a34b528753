package node

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/trust"
)

func TestPutNode(t *testing.T) {
	m := &clustermap.Map{Nodes: []clustermap.Node{{ID: 4, Name: "four"}, {ID: 5, Name: "five", Peer: "h:1", Key: []byte("k5")}, {ID: 9, Name: "nine"}}}
	for _, c := range []struct {
		what    string
		node    clustermap.Node
		changed bool
		refused string
	}{
		{"a new one", clustermap.Node{ID: 7, Name: "seven", Key: []byte("k7")}, true, ""},
		{"the same again", clustermap.Node{ID: 7, Name: "seven", Key: []byte("k7")}, false, ""},
		{"another address", clustermap.Node{ID: 7, Name: "seven", Peer: "h:2", Key: []byte("k7")}, true, ""},
		{"a name that is taken", clustermap.Node{ID: 8, Name: "five", Key: []byte("k8")}, false, "--name"},
		{"an id that is taken", clustermap.Node{ID: 5, Name: "five", Key: []byte("other")}, false, "another key"},
		{"the name of one that is away", clustermap.Node{ID: 11, Name: "nine", Key: []byte("k11")}, true, ""},
		{"the same again", clustermap.Node{ID: 11, Name: "nine", Key: []byte("k11")}, false, ""},
		{"the one that was replaced, under its name", clustermap.Node{ID: 9, Name: "nine", Key: []byte("k9")}, false, "--name"},
		{"under another name", clustermap.Node{ID: 9, Name: "ninth", Key: []byte("k9")}, true, ""},
		{"a node from before there were keys", clustermap.Node{ID: 4, Name: "four", Key: []byte("k4")}, true, ""},
	} {
		changed, err := putNode(m, c.node, func(id clustermap.NodeID) bool { return id == 9 })
		var refusal *trust.Refusal
		if c.refused != "" {
			if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, c.refused) {
				t.Errorf("%s: %v, want a refusal about %s", c.what, err, c.refused)
			}
			continue
		}
		if err != nil || changed != c.changed {
			t.Errorf("%s: changed %v, %v", c.what, changed, err)
		}
	}
	if len(m.Nodes) != 5 || string(m.Nodes[0].Key) != "k4" || m.Nodes[2].ID != 7 || m.Nodes[2].Peer != "h:2" || m.Nodes[3].ReplacedBy != 0 || m.Nodes[4].ID != 11 {
		t.Errorf("nodes %+v", m.Nodes)
	}
}

func TestPutDisk(t *testing.T) {
	m := &clustermap.Map{Disks: []clustermap.Disk{{ID: 5, Node: 1, CapacityBytes: 1000}}}
	for _, c := range []struct {
		disk    clustermap.Disk
		changed bool
		err     error
	}{
		{clustermap.Disk{ID: 3, Node: 2}, true, nil},
		{clustermap.Disk{ID: 3, Node: 2}, false, nil},
		{clustermap.Disk{ID: 3, Node: 1}, false, errDiskMoved},
		{clustermap.Disk{ID: 5, Node: 1, CapacityBytes: 1090}, false, nil},
		{clustermap.Disk{ID: 5, Node: 1, CapacityBytes: 1200}, true, nil},
		{clustermap.Disk{ID: 5, Node: 1, CapacityBytes: 1200, Path: "elsewhere"}, true, nil},
	} {
		changed, err := putDisk(m, c.disk)
		if changed != c.changed || !errors.Is(err, c.err) {
			t.Errorf("%+v: changed %v, %v", c.disk, changed, err)
		}
	}
	if len(m.Disks) != 2 || m.Disks[0].ID != 3 {
		t.Errorf("disks %+v", m.Disks)
	}
}

// TestTokens: a token admits as many nodes as it may, each once however often it asks; then nobody else.
func TestTokens(t *testing.T) {
	c := newCluster(t, 1)
	founder := c.nodes[0]
	text, _, err := founder.NewToken(t.Context(), time.Hour, 1)
	if err != nil {
		t.Fatal(err)
	}
	token, err := trust.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.nodeConfig(1)
	cfg.Secret, cfg.Token = trust.Secret{}, token
	c.nodes = append(c.nodes, serveOn(t, cfg, testEnv(vfs.Default), &http.Transport{}))
	if err := founder.spend(t.Context(), token.ID(), trust.NodeID(c.nodes[1].self())); err != nil {
		t.Errorf("the same node again: %v", err)
	}
	cfg = c.nodeConfig(2)
	cfg.Secret, cfg.Token = trust.Secret{}, token
	if _, err = Open(t.Context(), cfg, testEnv(vfs.Default)); !trust.Is(err, trust.KindSpent) {
		t.Errorf("a second node with a token for one: %v", err)
	}
	for _, bad := range []struct {
		life time.Duration
		uses int
	}{{0, 1}, {time.Hour, 0}, {time.Hour, tokenUsesMax + 1}, {tokenLifeMax + 1, 1}} {
		if _, _, err := founder.NewToken(t.Context(), bad.life, bad.uses); err == nil {
			t.Errorf("a token for %v and %d uses was made", bad.life, bad.uses)
		}
	}
}

// TestJoinRefused: whoever lacks what it takes gets nothing, at once, and the map is what it was.
func TestJoinRefused(t *testing.T) {
	c := newCluster(t, 1)
	before := c.nodes[0].topology.Map().Revision
	text, err := trust.NewSecret(c.nodes[0].env.Rand)
	if err != nil {
		t.Fatal(err)
	}
	other, err := trust.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Config){
		"no secret":      func(cfg *Config) { cfg.Secret = trust.Secret{} },
		"another secret": func(cfg *Config) { cfg.Secret = other },
		"a name of two":  func(cfg *Config) { cfg.Name = "node0" },
	} {
		cfg := c.nodeConfig(1)
		cfg.Dirs = []string{filepath.Join(t.TempDir(), "disk")}
		change(&cfg)
		if n, err := Open(t.Context(), cfg, testEnv(vfs.Default)); err == nil {
			t.Errorf("%s: it joined", what)
			_ = n.close()
		} else {
			t.Logf("%s: %v", what, err)
		}
	}
	if m := c.nodes[0].topology.Map(); m.Revision != before || len(m.Nodes) != 1 {
		t.Errorf("the map changed: revision %d, nodes %+v", m.Revision, m.Nodes)
	}
}

// TestNodeReturns: a node that was away comes back without being asked to join, under another address if need be, and
// the others find it there.
func TestNodeReturns(t *testing.T) {
	c := newCluster(t, 3)
	c.nodes[0].createBucket()
	old := c.nodes[1].peer.Addr().String()
	if err := c.nodes[1].close(); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", old)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := c.nodeConfig(1)
	cfg.Join, cfg.Init = nil, false
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Peer = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c.nodes[1] = serveOn(t, cfg, testEnv(vfs.Default), &http.Transport{})
	if err := c.nodes[1].put("key", []byte("value")); err != nil {
		t.Fatal(err)
	}
	for i, s := range c.nodes {
		await(t, fmt.Sprintf("node %d reaches all", i), func() bool {
			for _, d := range s.topology.Map().Disks {
				if !s.alive(d.ID) {
					return false
				}
			}
			return true
		})
		if x := s.topology.Map().Node(c.nodes[1].self()); x == nil || x.Peer != cfg.Peer {
			t.Errorf("node %d knows %+v", i, x)
		}
		if got, err := s.get("key"); err != nil || string(got) != "value" {
			t.Errorf("node %d: %q, %v", i, got, err)
		}
	}
}

// TestRenewal: a node whose certificate is a third through its time gets a new one and goes on with it, after a restart,
// too.
func TestRenewal(t *testing.T) {
	c := newCluster(t, 2)
	s := c.nodes[1]
	before := s.trust.Identity().Certificate
	ahead := testEnv(vfs.Default)
	ahead.Clock = func() time.Time { return time.Now().Add(trust.NodeValidFor/3 + time.Hour) }
	cfg := c.nodeConfig(1)
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = serveOn(t, cfg, ahead, &http.Transport{})
	c.nodes[1] = s
	await(t, "a new certificate", func() bool { return s.trust.Identity().Certificate.NotAfter.After(before.NotAfter) })
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	id, err := trust.Load(vfs.Default, cfg.Dirs[1])
	if err != nil || !id.Certificate.NotAfter.After(before.NotAfter) || id.Node != s.identity.Node {
		t.Errorf("kept: %v, %v", id, err)
	}
}
