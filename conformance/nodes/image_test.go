//go:build nodes

package nodes

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/contender/contender/conformance/harness"
)

// TestDiskImage: all disks of a node are restored from images of an earlier day while the others went on. The node is found out
// by the first peer, its disks fail, and after another start they are new disks. Nothing that was acknowledged is lost, also when
// one of the other nodes dies then.
func TestDiskImage(t *testing.T) {
	c := start(t, 3, 1)
	all := clients(c)
	harness.CreateBucket(t, all[0], bucket)
	written := 0
	sizes := []int{1 << 10, 8 << 10}
	write := func() {
		t.Helper()
		from := written
		harness.Each(t, 8, 60, func(i int) error {
			key := fmt.Sprint(from + i)
			return harness.Put(t.Context(), all[i%2], bucket, key, harness.Body(key, sizes[i%2]))
		})
		written += 60
	}
	write()
	old := c.Nodes[2]
	if err := old.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range old.Dirs {
		if err := os.CopyFS(dir+"-image", os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	old.Start()
	write()
	old.Kill()
	for _, dir := range old.Dirs {
		if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+"-image", dir)); err != nil {
			t.Fatal(err)
		}
	}
	states := func(node int) map[string]int {
		n := map[string]int{}
		for _, x := range c.Status(node).Nodes {
			if x.Name != old.Name {
				continue
			}
			for _, d := range x.Disks {
				n[d.State]++
			}
		}
		return n
	}
	old.Launch()
	await(t, "its disks have failed", healMax, func() bool {
		n := states(0)
		return n["failed"]+n["missing"] == 2
	})
	old.Kill()
	old.Start()
	await(t, "they are replaced", healMax, func() bool {
		n := states(1)
		return n["replaced"] == 2 && n["up"] == 2
	})
	c.WaitStatus(1, "tolerates.node=1", healMax)
	write()
	c.Kill(0)
	await(t, "the others go on", healMax, func() bool { return check(t.Context(), all[1], "0", sizes[0]) == nil })
	harness.Each(t, 8, written, func(i int) error { return check(t.Context(), all[1+i%2], fmt.Sprint(i), sizes[i%2]) })
}
