package store_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/metashards/metapb"
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

// TestReadAfterWrite: a read sees what was acknowledged before it began, though reads share snapshots while nothing changes, and
// views that are left open. It catches the mutant oldview.
func TestReadAfterWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		time.Sleep(5 * time.Second) // virtual: until the leader has a lease
		s := g.stores[g.leader()]
		for n := range 20 {
			key, value := fmt.Sprint("k", n), fmt.Appendf(nil, "value %d", n)
			if r, err := s.Propose(t.Context(), rangeID, put(key, n, value), value); err != nil || r.Status != metapb.Status_OK {
				t.Fatal(r, err)
			}
			for range 3 {
				a, err := s.Query(t.Context(), rangeID, get(key))
				if err != nil || string(a.Payload) != string(value) {
					t.Errorf("%v %v, want %q", a, err, value)
				}
			}
		}
	})
}

// TestReadAfterWriteAmidRead: the same while another reader holds on to what was there before. It catches the mutant openkept.
func TestReadAfterWriteAmidRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.mustPut("slow", 0, []byte("value"))
		time.Sleep(5 * time.Second) // virtual: until the leader has a lease
		leader := g.leader()
		s, n := g.stores[leader], 0
		g.disks[leader].SetHook(func(_ context.Context, op string) error {
			if op != "payload" {
				return nil
			}
			n++
			key := fmt.Sprint("k", n)
			if r, err := s.Propose(t.Context(), rangeID, put(key, n, nil), nil); err != nil || r.Status != metapb.Status_OK {
				t.Error(r, err)
			}
			if a, err := s.Query(t.Context(), rangeID, get(key)); err != nil || a.Status != metapb.Status_OK {
				t.Errorf("%s: %v %v", key, a, err)
			}
			return nil
		})
		for range 10 {
			if a, err := s.Query(t.Context(), rangeID, get("slow")); err != nil || string(a.Payload) != "value" {
				t.Errorf("%v %v", a, err)
			}
		}
		if n != 10 {
			t.Errorf("%d payloads were read", n)
		}
	})
}
