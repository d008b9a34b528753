//go:build bones

package bones

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/contender/contender/conformance/harness"
)

// TestEmptiedFolder empties one of four folders while the server is stopped, or removes it: it starts, names the disk replaced by
// a new one in the same folder, or missing, and reads and writes on the others.
func TestEmptiedFolder(t *testing.T) {
	ways := []struct {
		take   func(*testing.T, string)
		states map[string]int // as they are shown then
	}{
		{empty, map[string]int{"replaced": 1, "up": 1}},
		{func(t *testing.T, dir string) { empty(t, dir); mustRemove(t, dir) }, map[string]int{"missing": 1}},
	}
	for i := range 4 {
		if !harness.Full() && i%2 == 1 {
			continue
		}
		lost := ways[i/2]
		t.Run(fmt.Sprintf("folder %d", i+1), func(t *testing.T) {
			s := harness.New(t, 4)
			s.Start()
			c := harness.Client(s.Endpoint)
			harness.CreateBucket(t, c, bucket)
			sizes := []int{0, 1000, 16 << 10, 16<<10 + 1, 300 << 10, 5 << 20}
			write := func(prefix string) {
				harness.Each(t, 8, 10*len(sizes), func(n int) error {
					key := fmt.Sprintf("%s/%d", prefix, n)
					return harness.Put(t.Context(), c, bucket, key, harness.Body(key, sizes[n%len(sizes)]))
				})
			}
			read := func(prefix string) {
				harness.Each(t, 8, 10*len(sizes), func(n int) error {
					key := fmt.Sprintf("%s/%d", prefix, n)
					b, err := harness.Get(t.Context(), c, bucket, key)
					if err == nil && !bytes.Equal(b, harness.Body(key, sizes[n%len(sizes)])) {
						err = fmt.Errorf("%s came back with other bytes", key)
					}
					return err
				})
			}
			write("before")
			if err := s.Stop(); err != nil {
				t.Fatalf("stop: %v", err)
			}
			lost.take(t, s.Dirs[i])
			s.Start()
			states := map[string]int{} // of the disks that were in the folder, and are
			for _, d := range askStatus(t, s).Nodes[0].Disks {
				if d.Path == s.Dirs[i] {
					states[d.State]++
				} else if d.State != "up" {
					t.Errorf("%s is shown %s", d.Path, d.State)
				}
			}
			if want := lost.states; !maps.Equal(states, want) {
				t.Errorf("%s is shown %v, want %v", s.Dirs[i], states, want)
			}
			read("before")
			write("after")
			read("after")
			s.Kill()
			s.Start()
			read("before")
			read("after")
		})
	}
}

// empty removes everything in a folder.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

func mustRemove(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
}

// TestFewFiles puts 4,000 objects of 64 KiB and 4,000 of 1 KiB: fewer than 400 files are left in all four folders.
func TestFewFiles(t *testing.T) {
	const n, most = 4000, 400
	s := harness.New(t, 4)
	s.Start()
	c := harness.Client(s.Endpoint)
	harness.CreateBucket(t, c, bucket)
	harness.Each(t, 16, n, func(i int) error {
		key := fmt.Sprintf("small/%04d", i)
		if err := harness.Put(t.Context(), c, bucket, key, harness.Body(key, 1<<10)); err != nil {
			return err
		}
		key = fmt.Sprintf("large/%04d", i)
		return harness.Put(t.Context(), c, bucket, key, harness.Body(key, 64<<10))
	})
	running := countFiles(t, s.Dirs)
	if err := s.Stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	stopped := countFiles(t, s.Dirs)
	t.Logf("%d files while running, %d stopped", running, stopped)
	if running >= most || stopped >= most {
		t.Errorf("%d files while running, %d stopped; want fewer than %d", running, stopped, most)
	}
}

func countFiles(t *testing.T, dirs []string) (n int) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err): // taken away meanwhile
			case err != nil:
				return err
			case !d.IsDir():
				n++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}
