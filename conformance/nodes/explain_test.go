//go:build nodes

package nodes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
)

// explanation is what this test reads of `contender explain --json`.
type explanation struct {
	Form            string
	Whole, Readable bool
	Extents         []struct {
		Coding string
		Shards []struct{ Node, State string }
	}
	Survives struct{ Node int }
}

// explain asks a server where an object lies.
func explain(t *testing.T, s *harness.Server, key string) (e explanation) {
	t.Helper()
	out, err := s.Command(t.Context(), "explain", "s3://"+bucket+"/"+key, "--json", "--endpoint", s.Endpoint).Output()
	if err == nil {
		err = json.Unmarshal(out, &e)
	}
	if err != nil {
		t.Fatalf("explain %s: %v: %s", key, err, out)
	}
	return e
}

// TestWrittenMeanwhileIsWhole: five nodes of two disks, of which two are killed one after the other: reads and writes go on, and
// explain shows that what is written meanwhile has all of its parity, on nodes that live.
func TestWrittenMeanwhileIsWhole(t *testing.T) {
	c := start(t, 5, 2)
	all := clients(c)
	harness.CreateBucket(t, all[0], bucket)
	const n = 30
	sizes := []int{1 << 10, 100 << 10, 3 << 20}
	var keys []string
	write := func(when string, by ...int) {
		t.Helper()
		harness.Each(t, 6, n, func(i int) error {
			key := fmt.Sprintf("%s/%d", when, i)
			for began := time.Now(); ; {
				err := harness.Put(t.Context(), all[by[i%len(by)]], bucket, key, harness.Body(key, sizes[i%3]))
				if err == nil || time.Since(began) > goOnMax {
					return err
				}
			}
		})
		for i := range n {
			keys = append(keys, fmt.Sprintf("%s/%d", when, i))
		}
	}
	dead := map[string]bool{}
	judge := func(when string, by int, parity string) {
		t.Helper()
		for i := range n {
			e := explain(t, c.Nodes[by], fmt.Sprintf("%s/%d", when, i))
			if !e.Readable || (len(e.Extents) > 0) != (i%3 > 0) {
				t.Errorf("%s/%d: %+v", when, i, e)
			}
			for _, x := range e.Extents {
				if !strings.HasSuffix(x.Coding, parity) {
					t.Errorf("%s/%d is coded %s, want %s", when, i, x.Coding, parity)
				}
				for _, s := range x.Shards {
					if s.State != "up" || dead[s.Node] {
						t.Errorf("%s/%d has a shard on node %s, which is %s", when, i, s.Node, s.State)
					}
				}
			}
		}
	}
	kill := func(i int) {
		t.Helper()
		c.Kill(i)
		dead[c.Nodes[i].Name] = true
		await(t, "it is missed", healMax, func() bool {
			down := 0
			for _, x := range c.Status(4).Nodes {
				if x.State != "up" {
					down++
				}
			}
			return down == len(dead)
		})
	}
	write("before", 0, 1, 2, 3, 4)
	judge("before", 0, "+2")
	kill(0)
	write("one dead", 1, 2, 3, 4)
	judge("one dead", 1, "+2")
	kill(2)
	write("two dead", 1, 3, 4)
	judge("two dead", 3, "+2")
	harness.Each(t, 6, len(keys), func(i int) error { return check(t.Context(), all[[]int{1, 3, 4}[i%3]], keys[i], sizes[i%n%3]) })
}
