package node

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// image copies a folder aside; restore puts the copy in its place.
func image(t *testing.T, dir string) (restore func()) {
	t.Helper()
	kept := dir + "-image"
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(dir), os.Rename(kept, dir)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskSetBack: a disk whose image is restored has forgotten what it acknowledged. Its node finds out by its other folder: it
// becomes a new disk, and nothing is lost. (Where all were restored a peer finds out: see TestDiskImage of conformance. A fenced
// disk keeps its locks in this process.)
func TestDiskSetBack(t *testing.T) {
	c := newCluster(t, 3)
	s := c.nodes[0]
	s.createBucket()
	c.awaitSpread(1)
	written := 0
	write := func(n int) {
		t.Helper()
		for range n {
			key := fmt.Sprint(written)
			c.nodes[written%3].mustPut(key, bytes.Repeat([]byte(key), 1+2_000*(written%2)))
			written++
		}
	}
	check := func(x *server) {
		t.Helper()
		for i := range written {
			key := fmt.Sprint(i)
			x.mustGet(key, bytes.Repeat([]byte(key), 1+2_000*(i%2)))
		}
	}
	states := func(i int) map[string]int {
		n := map[string]int{}
		for _, dir := range c.nodes[i].cfg.Dirs {
			for _, x := range s.diskStates(dir) {
				n[x]++
			}
		}
		return n
	}
	stop := func(i int) {
		t.Helper()
		if err := c.nodes[i].close(); err != nil {
			t.Fatal(err)
		}
	}
	start := func(i int) {
		t.Helper()
		cfg := c.nodes[i].cfg
		cfg.Peer, cfg.Listen = c.nodes[i].cfg.Peer, c.nodes[i].cfg.Listen
		c.nodes[i] = serveOn(t, cfg, testEnv(vfs.Default), &http.Transport{MaxIdleConnsPerHost: 64})
	}
	write(10)

	stop(2)
	restore := image(t, c.nodes[2].cfg.Dirs[0])
	start(2)
	write(10)
	stop(2)
	restore()
	start(2)
	await(t, "the one is replaced", func() bool {
		n := states(2)
		return n["replaced"] == 1 && n["up"] == 2
	})
	check(c.nodes[2])
	c.nodes[2].awaitWhole()
	write(10)

	for _, x := range c.nodes {
		check(x)
	}
}

// TestLivesUnreadable: a folder whose disk cannot say which starts it had is left out, with its reason, and the node serves with its
// others. Without the file the disk is taken in again.
func TestLivesUnreadable(t *testing.T) {
	c := newClusterOf(t, 1, func(cfg *Config) {
		cfg.Dirs = append(cfg.Dirs, filepath.Join(t.TempDir(), "third"), filepath.Join(t.TempDir(), "fourth"))
	})
	s := c.nodes[0]
	s.createBucket()
	s.mustPut("before", []byte("1"))
	file := filepath.Join(s.cfg.Dirs[0], livesFile)
	start := func() {
		t.Helper()
		if err := c.nodes[0].close(); err != nil {
			t.Fatal(err)
		}
		c.nodes[0] = serveOn(t, s.cfg, testEnv(vfs.Default), &http.Transport{MaxIdleConnsPerHost: 64})
		c.nodes[0].awaitReady()
	}
	if err := os.WriteFile(file, []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	start()
	if f := c.nodes[0].folders[0]; !errors.Is(f.err, errNoLife) {
		t.Errorf("the folder takes part: %v", f.err)
	}
	c.nodes[0].mustGet("before", []byte("1"))
	c.nodes[0].mustPut("meanwhile", []byte("2"))

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	start()
	if f := c.nodes[0].folders[0]; f.disk == nil || f.err != nil {
		t.Errorf("the folder takes no part: %v", f.err)
	}
	c.nodes[0].mustGet("meanwhile", []byte("2"))
}

// TestFollows: which lives may come after one that was seen.
func TestFollows(t *testing.T) {
	lives := []life{{5, 50}, {6, 60}, {8, 80}}
	for _, c := range []struct {
		what string
		seen life
		want bool
	}{
		{"nothing was seen", life{}, true},
		{"the last one", life{8, 80}, true},
		{"an earlier one", life{5, 50}, true},
		{"another of the same start", life{6, 61}, false},
		{"a start that never spoke", life{7, 70}, false},
		{"a later start", life{9, 90}, false},
		{"one of before those that are kept", life{4, 44}, true},
		{"found to be set back before", dead, false},
	} {
		if got := c.seen.follows(lives); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	if !(life{9, 90}).follows(nil) || dead.follows(nil) {
		t.Error("a disk that tells no lives")
	}
}
