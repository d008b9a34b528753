//go:build crash

package crash

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
	"github.com/contender/contender/conformance/history"
)

// readyMax is how soon a killed server must be ready again.
const readyMax = 5 * time.Second

// loadMax is how long the load of a round may take.
const loadMax = 2 * time.Minute

// baseShares is in how many rounds each of the objects that no longer change is read once; the others are read after
// each round, and LIST shows all of them each time. The last look reads everything.
const baseShares = 10

func rounds(t *testing.T) int {
	if s := os.Getenv("ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if harness.Full() {
		return 50
	}
	return 5
}

// TestKillLoop is the line: kill -9 at random moments, every acknowledged object right, LIST agrees with GET,
// ready again within five seconds; on 100,000 objects in the full run.
func TestKillLoop(t *testing.T) {
	s := harness.New(t, 4, "--delete-delay", "1s")
	s.Start()
	base := 500
	if harness.Full() {
		base = 100_000
	}
	m := history.New(t, []string{s.Endpoint})
	m.Fill(base)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for round := range rounds(t) {
		stop := m.Load()
		if !m.Await(50+r.IntN(400), loadMax) {
			t.Errorf("round %d: the load does not go on", round)
		}
		s.Kill()
		stop()
		took := s.Start()
		if took > readyMax {
			t.Errorf("round %d: ready after %v, want at most %v", round, took, readyMax)
		}
		acknowledged, unknown := m.Count()
		t.Logf("round %d: %d operations so far, of %d unknown outcome, ready after %v", round, acknowledged, unknown, took)
		m.Verify(round%baseShares, baseShares)
		if t.Failed() {
			return
		}
	}
	m.Verify(0, 1)
}
