//go:build nodes

package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
)

// Bounds of many ranges on a node. The small size runs beside whatever else a machine does, and allows three times as much.
var (
	idleShare   = 0.05 * slack()                  // of a core, that a node spends though nothing is asked
	writesAgain = scaled(10*time.Second, slack()) // until each range takes a write after a node died
	startMost   = scaled(5*time.Second, slack())  // until a node is ready
)

func slack() float64 { return float64(harness.Pick(3, 1)) }

func scaled(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// TestManyRanges splits a bucket into thousands of ranges on three nodes. While nothing is asked of them they cost next to
// nothing; when a node dies, each of them takes a write soon; and a node with all of them starts quickly.
func TestManyRanges(t *testing.T) {
	ranges, idle := harness.Pick(600, 10_000), time.Duration(harness.Pick(5, 60))*time.Second
	c := harness.StartCluster(t, 3, 1)
	c.WaitStatus(0, "tolerates.node=1", spreadMax)
	harness.CreateBucket(t, harness.Client(c.Nodes[0].Endpoint), bucket)
	presplit(t, c, ranges)

	leadersRest(t, c, ranges)
	await(t, "a quiet cluster", 5*time.Minute, func() bool { return calm(t, c, 2*time.Second) })
	for i, share := range spent(t, c, idle) {
		t.Logf("%d ranges, %v idle: %s spends %.2f %% of a core", ranges, idle, c.Nodes[i].Name, 100*share)
		if share > idleShare {
			t.Errorf("%s spends %.2f %% of a core, want at most %.0f %%", c.Nodes[i].Name, 100*share, 100*idleShare)
		}
	}

	c.Kill(1)
	took := writeAll(t, c, ranges, "killed", 0, 2)
	t.Logf("a node of three died: %d ranges have each taken a write after %v", ranges, took)
	if took > writesAgain {
		t.Errorf("%v until each range took a write, want at most %v", took, writesAgain)
	}
	restart(t, c, "one of three, the others running", 1)
	await(t, "a quiet cluster", 5*time.Minute, func() bool { return calm(t, c, 2*time.Second) }) // what was away has caught up
	c.KillAll()
	restart(t, c, "all three", 0, 1, 2)
	took = writeAll(t, c, ranges, "started", 0, 1, 2)
	t.Logf("all started: %d ranges have each taken a write after %v", ranges, took)
}

func rangeKey(i int) string { return fmt.Sprintf("%05d", i) }

// presplit makes so many ranges of the bucket.
func presplit(t *testing.T, c *harness.Cluster, ranges int) {
	t.Helper()
	var keys strings.Builder
	for i := 1; i < ranges; i++ {
		fmt.Fprintln(&keys, rangeKey(i))
	}
	began := time.Now()
	cmd := c.Nodes[0].Command(t.Context(), "range", "presplit", "s3://"+bucket, "--endpoint", c.Nodes[0].Endpoint)
	cmd.Stdin = strings.NewReader(keys.String())
	out, err := cmd.CombinedOutput()
	t.Logf("presplit in %v: %s", time.Since(began), out)
	if err != nil {
		t.Fatal(err)
	}
}

// leadersRest waits until every node's map shows all ranges of the bucket, about as many led by each node; at full size until
// hardly any is still handed over.
func leadersRest(t *testing.T, c *harness.Cluster, ranges int) {
	t.Helper()
	least, most := ranges/5, harness.Pick(ranges, ranges*5/12)
	for _, s := range c.Nodes {
		led := map[string]int{}
		await(t, "leaders that are spread, in the map of "+s.Name, 5*time.Minute, func() bool {
			var list struct {
				Ranges []struct{ Leader struct{ Node string } }
			}
			out, err := s.Command(t.Context(), "range", "ls", "--json", "--bucket", bucket, "--endpoint", s.Endpoint).Output()
			if err != nil || json.Unmarshal(out, &list) != nil || len(list.Ranges) != ranges {
				return false
			}
			clear(led)
			for _, r := range list.Ranges {
				led[r.Leader.Node]++
			}
			for _, s := range c.Nodes {
				if led[s.Name] < least || led[s.Name] > most {
					return false
				}
			}
			return true
		})
		t.Logf("ranges led, as %s knows: %v", s.Name, led)
	}
}

// spent returns the share of a core that each node spends in a while.
func spent(t *testing.T, c *harness.Cluster, while time.Duration) (shares []float64) {
	t.Helper()
	var before []float64
	for _, s := range c.Nodes {
		before = append(before, harness.CPUSeconds(t, s.Pid()))
	}
	began := time.Now()
	<-time.After(while)
	for i, s := range c.Nodes {
		shares = append(shares, (harness.CPUSeconds(t, s.Pid())-before[i])/time.Since(began).Seconds())
	}
	return shares
}

// calm reports whether no node spent much in a while.
func calm(t *testing.T, c *harness.Cluster, while time.Duration) bool {
	t.Helper()
	for _, share := range spent(t, c, while) {
		if share > idleShare {
			return false
		}
	}
	return true
}

// writeAll writes a key of each range through some nodes, as often as it takes, and returns how long it took.
func writeAll(t *testing.T, c *harness.Cluster, ranges int, value string, nodes ...int) time.Duration {
	t.Helper()
	const workers = 128
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	thin := harness.NewThin(workers)
	defer thin.Close()
	var ways []*url.URL
	for _, i := range nodes {
		to, err := url.Parse(c.Nodes[i].Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		ways = append(ways, to.JoinPath(bucket))
	}
	began := time.Now()
	harness.Each(t, workers, ranges, func(i int) error {
		for {
			err := thin.Put(ctx, ways[i%len(ways)].JoinPath(rangeKey(i)), []byte(value))
			if err == nil || ctx.Err() != nil {
				return err
			}
		}
	})
	return time.Since(began)
}

// restart starts nodes that were killed, all at once, and judges how long it takes until each is ready.
func restart(t *testing.T, c *harness.Cluster, what string, nodes ...int) {
	t.Helper()
	began := time.Now()
	for _, i := range nodes {
		c.Nodes[i].Launch()
	}
	for _, i := range nodes {
		c.Nodes[i].WaitReady()
		took := time.Since(began)
		t.Logf("%s: %s is ready after %v", what, c.Nodes[i].Name, took)
		if took > startMost {
			t.Errorf("%s: %s was ready after %v, want at most %v", what, c.Nodes[i].Name, took, startMost)
		}
	}
}
