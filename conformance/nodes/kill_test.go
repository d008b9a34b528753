//go:build nodes

package nodes

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
	"github.com/contender/contender/conformance/history"
)

// goOnMax is how long a killed node may keep the load through the others from going on.
const goOnMax = time.Minute

// TestKillLoop: kill -9 of one of three nodes at random, and now and then of all at once, under load: the load goes on
// without the one, and every acknowledged object is right through every node, LIST too.
func TestKillLoop(t *testing.T) {
	c := start(t, 3, 1, "--delete-delay", "1s")
	m := history.New(t, c.Endpoints())
	m.Fill(harness.Pick(300, 20_000))
	for round := range harness.Pick(5, 50) {
		all := round%3 == 2
		stop := m.Load()
		if !m.Await(50+rand.IntN(300), goOnMax) {
			t.Errorf("round %d: the load does not go on", round)
		}
		began := time.Now()
		if all {
			c.KillAll()
		} else {
			one := rand.IntN(3)
			c.Kill(one)
			if !m.Await(100, goOnMax) {
				t.Errorf("round %d: the load does not go on without node %d", round, one)
			}
			t.Logf("round %d: 100 operations without node %d in %v", round, one, time.Since(began))
		}
		if all {
			stop()
			c.Start()
		} else {
			c.Start() // under load
			stop()
		}
		acknowledged, unknown := m.Count()
		t.Logf("round %d: all at once: %v; %d operations so far, of %d unknown outcome; all ready after %v", round, all, acknowledged, unknown, time.Since(began))
		m.Verify(round%10, 10)
		if t.Failed() {
			return
		}
	}
	m.Verify(0, 1)
}
