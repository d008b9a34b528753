package node

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/mapcopy"
)

// hangFS is a file system below one of whose folders every write and sync hangs while it is told to.
type hangFS struct {
	vfs.FS
	below string

	mu   sync.Mutex
	gate chan struct{} // nil: nothing hangs
}

func (h *hangFS) hang() (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	gate := make(chan struct{})
	h.gate = gate
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.gate = nil
		close(gate)
	})
}

func (h *hangFS) wait(name string) {
	h.mu.Lock()
	gate := h.gate
	h.mu.Unlock()
	if gate != nil && strings.HasPrefix(name, h.below) {
		<-gate
	}
}

func (h *hangFS) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasPrefix(name, h.below) {
		return f, err
	}
	return &hangFile{f, h, name}, nil
}

func (h *hangFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	h.wait(name)
	f, err := h.FS.Create(name, c)
	return h.wrap(name, f, err)
}

func (h *hangFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	h.wait(name)
	f, err := h.FS.OpenReadWrite(name, c, opts...)
	return h.wrap(name, f, err)
}

func (h *hangFS) OpenDir(name string) (vfs.File, error) {
	f, err := h.FS.OpenDir(name)
	return h.wrap(name, f, err)
}

func (h *hangFS) Rename(from, to string) error {
	h.wait(to)
	return h.FS.Rename(from, to)
}

type hangFile struct {
	vfs.File
	fs   *hangFS
	name string
}

func (f *hangFile) Write(p []byte) (int, error) {
	f.fs.wait(f.name)
	return f.File.Write(p)
}

func (f *hangFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.wait(f.name)
	return f.File.WriteAt(p, off)
}

func (f *hangFile) Sync() error {
	f.fs.wait(f.name)
	return f.File.Sync()
}

func (f *hangFile) SyncData() error {
	f.fs.wait(f.name)
	return f.File.SyncData()
}

func (f *hangFile) SyncTo(n int64) (bool, error) {
	f.fs.wait(f.name)
	return f.File.SyncTo(n)
}

// TestHungDisk: writes to one disk hang. After some seconds nobody waits for it any more, through whichever node, and it is shown slow;
// its own node keeps the map and serves. When it goes on it takes part again, and nothing acknowledged is lost.
//
// Caught mutant: hungcounts.
func TestHungDisk(t *testing.T) {
	t.Parallel()
	c := &cluster{t: t, root: t.TempDir()}
	h := &hangFS{FS: vfs.Default, below: filepath.Join(c.root, "1", "disk1")}
	for i := range 3 {
		var fs vfs.FS = vfs.Default
		if i == 1 {
			fs = h
		}
		c.nodes = append(c.nodes, serveOn(t, c.nodeConfig(i), testEnv(fs), &http.Transport{MaxIdleConnsPerHost: 128}))
	}
	s := c.nodes[0]
	s.createBucket()
	c.awaitSpread(1)
	sizes := []int{100, 50_000, 400_000}
	written := map[string][]byte{}
	write := func(when string, n int, most time.Duration) {
		t.Helper()
		for i := range n {
			key, data := fmt.Sprintf("%s/%d", when, i), bytes.Repeat([]byte{byte(i + 1)}, sizes[i%3])
			began := time.Now()
			for { // as clients do
				err := c.nodes[i%3].put(key, data)
				if err == nil {
					break
				}
				if time.Since(began) > time.Minute {
					t.Fatalf("put %s: %v", key, err)
				}
			}
			if took := time.Since(began); most > 0 && took > most {
				t.Errorf("put %s through node %d took %v", key, i%3, took)
			}
			written[key] = data
		}
	}
	check := func() {
		t.Helper()
		for key, data := range written {
			for _, x := range c.nodes {
				x.mustGet(key, data)
			}
		}
	}
	write("before", 18, 0)
	end := h.hang()
	t.Cleanup(end) // else nothing can be closed
	first := make(chan error, 1)
	found := make(chan struct{})
	go func() { // one of these comes to that disk, and finds out
		for i := 0; ; i++ {
			select {
			case <-found:
				first <- nil
				return
			default:
			}
			if err := c.nodes[2].put(fmt.Sprintf("first/%d", i), bytes.Repeat([]byte("f"), 400_000)); err != nil {
				first <- err
				return
			}
		}
	}()
	for _, x := range c.nodes {
		await(t, "the disk is shown slow", func() bool {
			states := x.diskStates(h.below)
			return len(states) == 1 && states[0] == stateSlow
		})
	}
	close(found)
	if err := <-first; err != nil {
		t.Errorf("the writes that found out: %v", err)
	}
	write("meanwhile", 18, 3*time.Second)
	check()
	short := true
	revision := c.nodes[1].topology.Map().Revision
	if _, err := s.SplitRange(t.Context(), admin.SplitRequest{Bucket: testBucket, Key: "m"}); err != nil {
		t.Error(err)
	}
	if _, err := c.nodes[1].SetBucket(t.Context(), admin.BucketRequest{Name: testBucket, Short: &short}); err != nil {
		t.Error(err)
	}
	await(t, "the node with the disk has the newest map, and keeps it in its other folder", func() bool {
		m, err := mapcopy.Load(vfs.Default, c.nodes[1].cfg.Dirs[1])
		return err == nil && m.Revision > revision
	})
	end()
	for _, x := range c.nodes {
		await(t, "the disk is up again", func() bool {
			states := x.diskStates(h.below)
			return len(states) == 1 && states[0] == "up"
		})
	}
	write("after", 18, 0)
	check()
}

// TestAside: what is to be done with a folder takes turns, however many come at once; while one hangs the others give up, and afterwards
// all goes on.
func TestAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a aside
		var running, callers sync.WaitGroup
		in, done := 0, 0
		for range 20 {
			callers.Go(func() {
				err := a.run(&running, func() error {
					if in++; in != 1 {
						t.Error("two at once")
					}
					time.Sleep(10 * time.Millisecond) // virtual
					in--
					done++
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if done != 20 {
			t.Errorf("%d of 20 were done", done)
		}
		hangs := make(chan struct{})
		for range 2 {
			if err := a.run(&running, func() error { <-hangs; return nil }); !errors.Is(err, errFolderBusy) {
				t.Errorf("while one hangs: %v", err)
			}
		}
		close(hangs)
		running.Wait()
		if err := a.run(&running, func() error { return nil }); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
