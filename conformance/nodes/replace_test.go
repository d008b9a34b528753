//go:build nodes

package nodes

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
)

// TestReplacedNode: a node whose disks are all blank is refused under the name of one that lives, and joins under that of one
// that is away: then the status names that one replaced, and the ranges get all their replicas on the nodes that stand. The
// replaced one, should it come back, is told to take another name, and with that it is a node again.
func TestReplacedNode(t *testing.T) {
	c := start(t, 3, 1)
	all := clients(c)
	harness.CreateBucket(t, all[0], bucket)
	const n = 60
	sizes := []int{1 << 10, 100 << 10, 1 << 20}
	harness.Each(t, 8, n, func(i int) error {
		key := fmt.Sprint("before/", i)
		return harness.Put(t.Context(), all[i%3], bucket, key, harness.Body(key, sizes[i%3]))
	})

	// blank starts a node under the name of the third, and returns how it ended by itself, if it did.
	blank := func() (code int, said string) {
		args := []string{"server", "--name", "node3", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--peer", "127.0.0.1:0"}
		for _, p := range c.Peers()[:2] {
			args = append(args, "--join", p)
		}
		return exitCode(t, time.Minute, append(args, t.TempDir()), c.Nodes[2].Env...)
	}
	if code, said := blank(); code != 1 {
		t.Fatalf("under the name of a node that lives it ends with %d: %s", code, said)
	}
	c.Kill(2)
	await(t, "the others miss it for long enough", healMax, func() bool {
		st := c.Status(0)
		return st.Nodes[2].State == "unreachable" || st.Nodes[1].State == "unreachable" || st.Nodes[0].State == "unreachable"
	})

	old := c.Nodes[2]
	kept := make([]string, len(old.Dirs))
	for i, dir := range old.Dirs {
		kept[i] = dir + "-kept"
		if err := os.Rename(dir, kept[i]); err != nil {
			t.Fatal(err)
		}
	}
	next := harness.New(t, 2)
	next.Name, next.Env, next.Join = "node3", old.Env, c.Peers()[:2]
	await(t, "it may join under the name", healMax, func() bool {
		next.Launch()
		return !next.EndsBeforeGreeting()
	})
	next.WaitReady()
	c.Nodes[2] = next
	states := map[string]int{}
	for _, x := range c.Status(1).Nodes {
		states[x.State]++
	}
	if states["up"] != 3 || states["replaced"] != 1 {
		t.Errorf("the nodes are %v", states)
	}
	await(t, "the ranges have all their replicas on nodes that stand", healMax, func() bool {
		st := c.Status(1)
		return st.Ranges.UnderReplicated == 0
	})
	harness.Each(t, 8, n, func(i int) error { return check(t.Context(), clients(c)[i%3], fmt.Sprint("before/", i), sizes[i%3]) })
	harness.Each(t, 8, n, func(i int) error {
		key := fmt.Sprint("after/", i)
		return harness.Put(t.Context(), clients(c)[i%3], bucket, key, harness.Body(key, sizes[i%3]))
	})

	old.Dirs, old.Join = kept, nil
	old.Launch()
	if !old.EndsBeforeGreeting() && !old.Ends(time.Minute) {
		t.Error("the replaced node serves under its old name")
	}
	old.Name = "node4"
	old.Start()
	await(t, "all four are up", healMax, func() bool {
		up := 0
		for _, x := range c.Status(0).Nodes {
			if x.State == "up" {
				up++
			}
		}
		return up == 4
	})
	harness.Each(t, 8, n, func(i int) error {
		return check(t.Context(), harness.Client(old.Endpoint), fmt.Sprint("after/", i), sizes[i%3])
	})
}
