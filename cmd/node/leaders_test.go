package node

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/replica"
)

// TestLeadersSpread: the ranges that come of splits are all led where the first one was, and after a while by other disks, too;
// every node goes on to serve.
func TestLeadersSpread(t *testing.T) {
	c := newCluster(t, 3)
	s := c.nodes[0]
	s.createBucket()
	const splits = 8
	for i := range splits {
		await(t, "a split", func() bool {
			var refused *admin.RequestError
			_, err := s.SplitRange(t.Context(), admin.SplitRequest{Bucket: testBucket, Key: fmt.Sprint(i)})
			if err != nil && (!errors.As(err, &refused) || refused.Kind != admin.Conflict) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	await(t, "no disk leads half of all ranges", func() bool {
		leads, all := map[disk.ID]int{}, 0
		for _, x := range c.nodes {
			for _, r := range x.led() {
				leads[r.Disk]++
				all++
			}
		}
		for _, n := range leads {
			if n > splits/2 {
				return false
			}
		}
		return all == splits+2
	})
	for i := range splits {
		for n, x := range c.nodes {
			key := fmt.Sprintf("%d/%d", i, n)
			x.mustPut(key, []byte(key))
			c.nodes[(n+1)%3].mustGet(key, []byte(key))
		}
	}
}

// TestCountLeaders: what this node knows of leaders goes before what the map says.
func TestCountLeaders(t *testing.T) {
	m := spreadMap(4)
	addRanges(m, 8, func(i int) []disk.ID { return []disk.ID{1, 2, 3} })
	for i := range m.Ranges {
		m.Ranges[i].Leader = 2
	}
	now := time.Now()
	n := &Node{env: Env{Clock: func() time.Time { return now }}, topology: mapcopy.New(m)}
	l := &leading{handed: map[uint64]handed{
		1: {3, now},                       // just handed over, and led here still
		2: {3, now.Add(-leadersRetry)},    // should be led there by now, and is not
		3: {3, now.Add(-2 * time.Second)}, // handed over; the map does not know yet
		4: {3, now.Add(-leadersMemory)},   // the map knows better
	}}
	led := []*replica.Status{{Range: 1, Disk: 1}, {Range: 2, Disk: 1}, {Range: 5, Disk: 1}}
	got := n.countLeaders(l, led, func(id disk.ID) bool { return id != 4 })
	want := map[disk.ID]int{1: 2, 2: 4, 3: 2}
	if len(got) != 3 || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("%v, want %v", got, want)
	}
	if len(l.handed) != 2 {
		t.Errorf("remembers %v", l.handed)
	}
}
