package machine_test

import (
	"testing"

	"github.com/contender/contender/metashards/metapb"
)

// TestRefusalsAreCertain: a retry whose first attempt was applied and overwritten is not refused by a later fence as if
// it had never been, because whoever sent it would try again with what it has learned.
func TestRefusalsAreCertain(t *testing.T) {
	r := newRig(t)
	first := r.put("k", 10)
	r.do(metapb.Status_OK, first)
	r.do(metapb.Status_OK, r.put("k", 20))
	r.do(metapb.Status_OK, r.fence(&metapb.Fence{Generation: 2}))
	again := first.CloneVT()
	again.Retry = true
	r.do(metapb.Status_UNKNOWN_OUTCOME, again)
	later := r.put("k", 30)
	later.Retry = true
	r.do(metapb.Status_STALE_GENERATION, later)
}
