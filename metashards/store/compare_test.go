package store_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/store"
)

// TestReplicasAreCompared: replicas that hold the same are found to, and one whose rows are not the others' is found out, by
// whoever leads. A range that rests is compared, too, once after it has changed.
func TestReplicasAreCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, func(c *store.Config) { c.CompareTicks = 20 })
		defer g.close()
		for k := range 50 {
			g.mustPut(fmt.Sprint("k", k), 1, []byte("v"))
		}
		differ := func() []disk.ID { return g.stores[g.leader()].Status().Replicas[0].Differ }
		time.Sleep(20 * time.Second) // virtual
		if d := differ(); d != nil {
			t.Fatalf("sound replicas differ: %v", d)
		}
		rested := g.applied(g.leader())
		time.Sleep(time.Minute) // virtual
		if now := g.applied(g.leader()); now != rested {
			t.Errorf("a range that rests is compared again and again: %d entries more", now-rested)
		}
		bad := (g.leader() + 1) % 3
		b := g.disks[bad].State().NewBatch()
		if err := b.Delete(keys.KeyRow(keys.Current, 3, []byte("k7"))); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		g.mustPut("more", 1, []byte("v"))
		for range 600 {
			if slices.Equal(differ(), []disk.ID{g.disks[bad].ID()}) {
				return
			}
			time.Sleep(100 * time.Millisecond) // virtual
		}
		t.Errorf("the damaged replica is not found out: %v", differ())
	})
}
