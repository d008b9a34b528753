package promise_test

import (
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/disk/disktest"
)

// histories is how many are run; a flaw must show in so many.
const histories = 5000

// history runs one. Removed replicas are destroyed early or, if they linger, only for later ones: the model has nobody who
// waits until those that stay know of the removal.
func history(seed uint64, f flaws, linger bool) *world {
	shape := newWorld(seed, 1, 1).rand
	w := newWorld(seed, 3+shape.IntN(3), 1+shape.IntN(2))
	w.flaws = f
	upTo := func(n int) int { return shape.IntN(2) * shape.IntN(n) }
	w.mood = mood{
		lose: upTo(200), double: upTo(200), slow: upTo(300), crash: upTo(12), pause: upTo(12), cut: upTo(80),
		change: upTo(3000), transfer: 1000 * shape.IntN(2), lag: upTo(900), destroy: upTo(2000), hasty: upTo(1000),
	}
	if linger {
		w.mood.destroy, w.mood.hasty = 0, 0
	}
	if f.oneHalf { // it shows in joint configurations only
		w.mood.change, w.mood.hasty = 1000, 0
	}
	w.chaos(8 * time.Second)
	return w
}

// TestHistories: whatever happens to messages, stores and clocks, nobody is elected while an earlier leader has a lease.
func TestHistories(t *testing.T) {
	var sum counts
	n := disktest.Seeds(histories)
	for seed := range uint64(n) {
		w := history(seed, flaws{}, false)
		if w.broken != "" {
			t.Fatalf("seed %d: %s", seed, w.broken)
		}
		sum.elected += w.counts.elected
		sum.transferred += w.counts.transferred
		sum.leases += w.counts.leases
		sum.restarts += w.counts.restarts
		sum.joint += w.counts.joint
		sum.returned += w.counts.returned
		sum.raft += w.counts.raft
	}
	t.Logf("%+v", sum)
	if sum.elected < 2*n || sum.transferred < n/4 || sum.leases < 5*n || sum.restarts < n/2 || sum.joint < n || sum.returned < n/10 {
		t.Errorf("too little happens: %+v", sum)
	}
}

// TestFlawsOfCallers: the histories notice a store that misuses the table.
func TestFlawsOfCallers(t *testing.T) {
	for name, f := range map[string]flaws{
		"a transfer begins under the lease":               {transferKeeps: true},
		"an acknowledgement leaves after a later vote":    {acksLate: true},
		"one half of a joint configuration is made known": {oneHalf: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(histories) {
				w := history(seed, f, false)
				if w.broken == "" {
					continue
				}
				if !strings.Contains(w.broken, "has a lease of term") {
					t.Errorf("seed %d: %s", seed, w.broken)
				}
				t.Logf("seed %d", seed)
				return
			}
			t.Error("not noticed")
		})
	}
}
