package store_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
)

// TestReadBesideWrites: a key is written again each time that a reader is between its row and its payload.
func TestReadBesideWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.mustPut("k", 0, []byte("value 0"))
		leader := g.leader()
		const writes = 100
		n := 0
		g.disks[leader].SetHook(func(_ context.Context, op string) error {
			if op == "payload" && n < writes {
				n++
				value := fmt.Appendf(nil, "value %d", n)
				if _, err := g.stores[leader].Propose(t.Context(), rangeID, put("k", n, value), value); err != nil {
					t.Error(err)
				}
			}
			return nil
		})
		a, err := g.stores[leader].Query(t.Context(), rangeID, get("k"))
		if err != nil || string(a.Payload) != fmt.Sprint("value ", writes) {
			t.Errorf("%v %v", a, err)
		}
	})
}
