//go:build bones

package bones

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/contender/contender/conformance/harness"
)

// mountOn mounts one folder on another until the test ends.
func mountOn(t *testing.T, source, target, kind string, flags uintptr) {
	t.Helper()
	mount(t, source, target, kind, flags, "")
}

func mount(t *testing.T, source, target, kind string, flags uintptr, options string) {
	t.Helper()
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount(source, target, kind, flags, options)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("NOT RUN: this machine allows no mounts")
	}
	if err != nil {
		t.Fatalf("mount %s on %s: %v", source, target, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(target, syscall.MNT_DETACH) }) // the test may have unmounted it
}

// mountSized mounts an empty file system of so many MiB on a folder.
func mountSized(t *testing.T, target string, mib int) {
	t.Helper()
	mount(t, "tmpfs", target, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
}

func unmount(t *testing.T, target string) {
	t.Helper()
	if err := syscall.Unmount(target, 0); err != nil {
		t.Fatalf("unmount %s: %v", target, err)
	}
}

// TestMounts: a server of four mounts, each of a file system of its own. One that is not mounted at a start is refused, nothing
// is written into the folder below it, and the others serve; mounted again it is there with all that it had; with a blank file
// system in its place it is a new disk.
func TestMounts(t *testing.T) {
	s := harness.New(t, 4)
	root := t.TempDir()
	var sources []string
	for i, dir := range s.Dirs {
		base := filepath.Join(root, fmt.Sprint("fs", i))
		mountOn(t, "tmpfs", base, "tmpfs", 0)
		sources = append(sources, filepath.Join(base, "disk"))
		if err := os.Mkdir(sources[i], 0o755); err != nil {
			t.Fatal(err)
		}
		mountOn(t, sources[i], dir, "", syscall.MS_BIND)
	}
	s.Start()
	c := harness.Client(s.Endpoint)
	harness.CreateBucket(t, c, bucket)
	n := 0
	check := func(what string, states ...string) {
		t.Helper()
		var got []string
		for _, d := range askStatus(t, s).Nodes[0].Disks {
			got = append(got, filepath.Base(d.Path)+" "+d.State)
		}
		if slices.Sort(got); !slices.Equal(got, states) {
			t.Errorf("%s: %s", what, strings.Join(got, ", "))
		}
		for i := range n {
			key := fmt.Sprint(i)
			if b, err := harness.Get(t.Context(), c, bucket, key); err != nil || string(b) != string(harness.Body(key, 200<<10)) {
				t.Errorf("%s: %d bytes of object %s: %v", what, len(b), key, err)
			}
		}
		key := fmt.Sprint(n)
		if err := harness.Put(t.Context(), c, bucket, key, harness.Body(key, 200<<10)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		n++
	}
	restart := func(change func()) {
		t.Helper()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		change()
		s.Start()
	}
	check("all", "disk1 up", "disk2 up", "disk3 up", "disk4 up")
	restart(func() { unmount(t, s.Dirs[1]) })
	check("one is not mounted", "disk1 up", "disk2 missing", "disk3 up", "disk4 up")
	if entries, err := os.ReadDir(s.Dirs[1]); err != nil || len(entries) > 1 { // its lock
		t.Errorf("below the mount lie %v, %v", entries, err)
	}
	restart(func() { mountOn(t, sources[1], s.Dirs[1], "", syscall.MS_BIND) })
	check("it is mounted again", "disk1 up", "disk2 up", "disk3 up", "disk4 up")
	restart(func() {
		unmount(t, s.Dirs[1])
		mountOn(t, "tmpfs", s.Dirs[1], "tmpfs", 0)
	})
	check("a blank one in its place", "disk1 up", "disk2 replaced", "disk2 up", "disk3 up", "disk4 up")
}
