package simtest_test

import (
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/contender/contender/metashards/simtest"
)

// TestSteadyThroughSplits: no put is held through a split for over a second, however long it takes to count what the halves
// of a range keep. Stores are milliseconds apart.
func TestSteadyThroughSplits(t *testing.T) {
	for seed := uint64(1); seed <= seeds(t, 4); seed++ {
		cryptotest.SetGlobalRandom(t, seed)
		out, err := simtest.Steady(simtest.Options{
			Seed: seed, Clients: 48, Operations: 50, Keys: 5000, RangeBytes: 48 << 10,
			MessageTime: [2]time.Duration{time.Millisecond, 5 * time.Millisecond}, JobTime: 3 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("seed %d: %+v", seed, out)
		if out.Splits < 5 {
			t.Errorf("seed %d: the test shows little: %+v", seed, out)
		}
		if out.Longest > time.Second {
			t.Errorf("seed %d: a put took %v", seed, out.Longest)
		}
	}
}
