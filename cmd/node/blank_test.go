package node

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk/identity"
	"github.com/contender/contender/gateway/admin"
)

// mounts says which folders are mounts of their own: all others lie on the device of their parents.
type mounts map[string]uint64

func (m mounts) device(dir string) (uint64, error) {
	if d, ok := m[dir]; ok {
		return d, nil
	}
	return 1, nil
}

// wipe removes everything in a folder.
func wipe(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	if err := errors.Join(fs.RemoveAll(dir), fs.MkdirAll(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
}

// diskStates returns the states of the disks that the status shows in a folder.
func (s *server) diskStates(dir string) (states []string) {
	st, err := s.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range st.Nodes {
		for _, d := range n.Disks {
			if d.Path == dir {
				states = append(states, d.State)
			}
		}
	}
	return states
}

// TestBlankFolders: what becomes of a folder in which nothing is: a new one, one that was emptied, and a mount with a new disk
// are taken in; one that is not mounted, and one that is gone, are refused, and the node serves on without.
func TestBlankFolders(t *testing.T) {
	root := t.TempDir()
	dirs := make([]string, 4)
	for i := range dirs {
		dirs[i] = filepath.Join(root, fmt.Sprintf("disk%d", i+1))
	}
	mounted := mounts{dirs[2]: 8, dirs[3]: 7, filepath.Join(root, "disk5"): 9}
	env := testEnv(vfs.Default)
	env.Device = mounted.device
	start := func(dirs ...string) *server {
		return serveOn(t, testConfig(dirs), env, &http.Transport{MaxIdleConnsPerHost: 64})
	}
	s := start(dirs...)
	s.createBucket()
	bodies := map[string][]byte{"small": []byte("s"), "middle": bytes.Repeat([]byte("m"), 40<<10), "large": bytes.Repeat([]byte("l"), 1<<20)}
	for key, b := range bodies {
		s.mustPut(key, b)
	}
	check := func(what string, want ...string) {
		t.Helper()
		t.Log(what)
		for i, w := range want {
			if got := strings.Join(s.diskStates(dirs[i]), " "); got != w && got != reversed(w) {
				t.Errorf("%s: disk %d is %q, want %q", what, i+1, got, w)
			}
		}
		for key, b := range bodies {
			s.mustGet(key, b)
		}
		bodies[what] = []byte(what)
		s.mustPut(what, bodies[what])
	}
	// Bytes are not mended yet where a disk was lost: who writes them anew has them whole.
	renew := func() {
		t.Helper()
		s.awaitWhole()
		for key, b := range bodies {
			s.mustPut(key, b)
		}
	}
	again := func(dirs ...string) {
		t.Helper()
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		s = start(dirs...)
	}
	check("at first", "up", "up", "up", "up")

	dirs = append(dirs, filepath.Join(root, "disk5"))
	again(dirs...)
	check("one more folder", "up", "up", "up", "up", "up")
	renew()

	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	wipe(t, env.FS, dirs[1])
	s = start(dirs...)
	check("one was emptied", "up", "replaced up", "up", "up", "up")
	renew()

	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	hidden := dirs[3] + "-elsewhere"
	if err := errors.Join(env.FS.Rename(dirs[3], hidden), env.FS.MkdirAll(dirs[3], 0o755)); err != nil {
		t.Fatal(err)
	}
	delete(mounted, dirs[3])
	s = start(dirs...)
	check("one is not mounted", "up", "replaced up", "up", "missing", "up")
	for _, f := range s.folders {
		if f.dir == dirs[3] && !errors.Is(f.err, identity.ErrUnmounted) {
			t.Errorf("it is refused because of %v", f.err)
		}
	}

	if err := errors.Join(s.close(), env.FS.RemoveAll(dirs[3]), env.FS.Rename(hidden, dirs[3])); err != nil {
		t.Fatal(err)
	}
	mounted[dirs[3]] = 7
	s = start(dirs...)
	check("it is mounted again", "up", "replaced up", "up", "up", "up")

	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	wipe(t, env.FS, dirs[3])
	s = start(dirs...)
	check("a blank disk is mounted", "up", "replaced up", "up", "replaced up", "up")
	renew()

	if err := errors.Join(s.close(), env.FS.RemoveAll(dirs[0])); err != nil {
		t.Fatal(err)
	}
	s = start(dirs...)
	check("one is gone", "missing", "replaced up", "up", "replaced up", "up")
	if _, err := env.FS.Stat(dirs[0]); err == nil {
		t.Error("the folder that is gone was made")
	}
}

func reversed(s string) string {
	a, b, _ := strings.Cut(s, " ")
	return b + " " + a
}

// awaitWhole waits until all ranges have all their replicas on disks that stand.
func (s *server) awaitWhole() {
	s.t.Helper()
	await(s.t, "all ranges have their replicas", func() bool {
		st, err := s.Status(s.t.Context())
		if err != nil || st.Ranges.UnderReplicated > 0 {
			return false
		}
		l, err := s.Ranges(s.t.Context(), "")
		if err != nil {
			return false
		}
		for _, r := range l.Ranges {
			if len(r.Replicas) != st.Ranges.ReplicasWanted || r.Leader == nil {
				return false
			}
			for _, x := range r.Replicas {
				if x.Learner || x.Incoming || x.Outgoing || !standing(st, x.Disk) {
					return false
				}
			}
		}
		return true
	})
}

func standing(st admin.Status, id string) bool {
	for _, n := range st.Nodes {
		for _, d := range n.Disks {
			if d.ID == id {
				return d.State == admin.StateUp
			}
		}
	}
	return false
}
