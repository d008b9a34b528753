package node

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/objectlayer"
)

// TestBucketPolicy: objects are coded as their bucket says at the time; a policy that the cluster can't keep is refused with the
// reason; and with too few nodes left for the parity a bucket refuses writes, or takes them with less, as it was told.
func TestBucketPolicy(t *testing.T) {
	c := newCluster(t, 5)
	s := c.nodes[0]
	s.createBucket()
	for _, x := range c.nodes {
		await(t, "all nodes are counted on", func() bool {
			st, err := x.Status(t.Context())
			return err == nil && st.Tolerates.Node == 2 && st.Healthy && len(st.Nodes) == 5
		})
		x.awaitWhole()
	}
	large := bytes.Repeat([]byte("l"), 300_000)
	set := func(policy string, short bool) (admin.Bucket, error) {
		return c.nodes[1].SetBucket(t.Context(), admin.BucketRequest{Name: testBucket, Policy: policy, Short: &short})
	}
	for _, x := range []struct{ policy, coding string }{
		{"auto", "2+2"}, {"replica:2", "1+1"}, {"ec:2+1", "2+1"}, {"replica:4", "1+3"}, {"ec:3+1", "3+1"}, {"auto", "2+2"},
	} {
		if b, err := set(x.policy, false); err != nil || b.Policy != x.policy || b.Coding != x.coding || b.Short {
			t.Fatalf("%s: %+v, %v", x.policy, b, err)
		}
		for i, by := range c.nodes {
			by.mustPut("k", large) // by which it hears of the change
			by.mustPut("k", large)
			if e := s.explain("k"); len(e.Extents) != 1 || e.Extents[0].Coding != x.coding || !spreads(e) || !e.Whole {
				t.Errorf("%s by node %d: %+v", x.policy, i, e.Extents)
			}
		}
		s.mustGet("k", large)
	}
	for policy, says := range map[string]string{"ec:4+2": "domains", "ec:4+1": "slots", "ec:0+1": "at least one", "best": "want auto"} {
		var refused *admin.RequestError
		if _, err := set(policy, false); !errors.As(err, &refused) || refused.Kind != admin.Invalid || !strings.Contains(refused.Text, says) {
			t.Errorf("%s: %v, want something about %s", policy, err, says)
		}
	}
	if b, err := s.Bucket(t.Context(), testBucket); err != nil || b.Policy != "auto" || b.Versioning != "never" {
		t.Errorf("after refusals: %+v, %v", b, err)
	}
	var refused *admin.RequestError
	if _, err := s.Bucket(t.Context(), "no-such-bucket"); !errors.As(err, &refused) || refused.Kind != admin.NotFound {
		t.Errorf("a bucket that is not there: %v", err)
	}

	if _, err := set("replica:4", false); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{3, 4} {
		if err := c.nodes[i].close(); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "writes are refused", func() bool { return s.put("k", large) != nil })
	short := true
	await(t, "writes are allowed", func() bool {
		_, err := s.SetBucket(t.Context(), admin.BucketRequest{Name: testBucket, Short: &short})
		return err == nil
	})
	s.mustPut("k", large)
	s.mustPut("k", large)
	if e := s.explain("k"); e.Extents[0].Coding != "1+2" || !e.Readable {
		t.Errorf("written short: %+v", e.Extents)
	}
	if b, err := s.keeping.Get(t.Context(), testBucket); err != nil || b.Placement != (objectlayer.Placement{Policy: "replica:4", Short: true}) {
		t.Errorf("%+v, %v", b.Placement, err)
	}
}
