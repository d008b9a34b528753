//go:build nodes

package nodes

import (
	"math/rand/v2"
	"testing"

	"github.com/contender/contender/conformance/harness"
	"github.com/contender/contender/conformance/history"
)

// TestRandomOrder: all five nodes are killed at once under load and started one after the other in another order each time, each
// when the one before has begun to serve: every acknowledged object is right, LIST too.
func TestRandomOrder(t *testing.T) {
	c := start(t, 5, 2, "--delete-delay", "1s")
	m := history.New(t, c.Endpoints())
	m.Fill(harness.Pick(200, 2000))
	for round := range harness.Pick(3, 100) {
		stop := m.Load()
		if !m.Await(50+rand.IntN(200), goOnMax) {
			t.Errorf("round %d: the load does not go on", round)
		}
		c.KillAll()
		stop()
		order := rand.Perm(len(c.Nodes))
		for _, i := range order {
			c.Nodes[i].Launch()
			if c.Nodes[i].EndsBeforeGreeting() {
				t.Fatalf("round %d: node %d ends by itself, started in the order %v", round, i+1, order)
			}
		}
		for _, s := range c.Nodes {
			s.WaitReady()
		}
		acknowledged, unknown := m.Count()
		t.Logf("round %d: started in the order %v; %d operations so far, of %d unknown outcome", round, order, acknowledged, unknown)
		m.Verify(round%10, 10)
		if t.Failed() {
			return
		}
	}
	m.Verify(0, 1)
}
