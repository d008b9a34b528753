package node

import (
	"errors"
	"testing"
	"time"

	"github.com/contender/contender/gateway/admin"
)

// TestMaintenance: a node that somebody works on comes to lead nothing, and goes on to serve; when nobody does any more it leads
// again. It ends by itself.
func TestMaintenance(t *testing.T) {
	c := newCluster(t, 3)
	s := c.nodes[0]
	s.createBucket()
	await(t, "replicas on all nodes", func() bool {
		st, err := s.Status(t.Context())
		return err == nil && st.Tolerates.Node == 1
	})
	for _, key := range []string{"b", "d", "f", "h"} {
		await(t, "a split", func() bool {
			_, err := s.SplitRange(t.Context(), admin.SplitRequest{Bucket: testBucket, Key: key})
			return err == nil
		})
	}
	lead := func() (own, all int) {
		for i, x := range c.nodes {
			n := len(x.led())
			if all += n; i == 0 {
				own = n
			}
		}
		return own, all
	}
	shown := func() int64 {
		st, err := c.nodes[1].Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range st.Nodes {
			if n.Name == s.cfg.Name {
				return n.MaintenanceUntil
			}
		}
		return 0
	}
	if err := c.nodes[2].Maintain(t.Context(), admin.MaintenanceRequest{Node: s.cfg.Name, ForSeconds: 3600}); err != nil {
		t.Fatal(err)
	}
	await(t, "it leads nothing", func() bool {
		own, all := lead()
		return own == 0 && all == 6
	})
	if until := shown(); until < time.Now().Unix()+3000 {
		t.Errorf("shown is %d", until)
	}
	for i, x := range c.nodes {
		x.mustPut("key", []byte{byte(i)})
		c.nodes[(i+1)%3].mustGet("key", []byte{byte(i)})
	}
	if err := c.nodes[1].Maintain(t.Context(), admin.MaintenanceRequest{Node: s.self().String()}); err != nil {
		t.Fatal(err)
	}
	await(t, "it leads again", func() bool { own, _ := lead(); return own > 0 })
	if until := shown(); until != 0 {
		t.Errorf("shown is %d", until)
	}
	var refused *admin.RequestError
	if err := s.Maintain(t.Context(), admin.MaintenanceRequest{Node: "nobody", ForSeconds: 1}); !errors.As(err, &refused) || refused.Kind != admin.NotFound {
		t.Errorf("of a node that is not there: %v", err)
	}
	m := s.topology.Map().Clone().Nodes[0]
	if m.Maintenance = time.Now().Unix() - 1; s.isWorkedOn(&m) {
		t.Error("it does not end by itself")
	}
}
