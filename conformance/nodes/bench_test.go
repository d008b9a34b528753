//go:build nodes

package nodes

import (
	"fmt"
	"testing"

	"github.com/contender/contender/conformance/harness"
)

// TestBenchCluster loads a server of its own and one node of five in turns, and reports the CPU of all processes of each.
// What is demanded of the figures stands in later issues.
func TestBenchCluster(t *testing.T) {
	c := start(t, 5, 2)
	one := harness.New(t, 4)
	one.Start()
	round := map[bool]string{true: "5s", false: "300ms"}[harness.Full()]
	args := []string{
		"bench", "--endpoint", "one=" + one.Endpoint, "--endpoint", "five=" + c.Nodes[3].Endpoint,
		"--pids", fmt.Sprintf("one=%d", one.Pid()), "--ops", "put,get", "--size", "4KiB,1MiB",
		"--concurrency", "1,16", "--rounds", "3", "--round", round, "--objects", "200",
	}
	for _, pid := range c.Pids() {
		args = append(args, "--pids", "five="+pid)
	}
	out, err := one.Command(t.Context(), args...).Output() // progress goes elsewhere
	t.Logf("\n%s", out)
	if err != nil {
		t.Error(err)
	}
}
