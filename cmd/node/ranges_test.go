package node

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// TestRangesSplitBySize: a bucket that grows is split by itself while clients write and list through all nodes; nothing is
// lost, every node's map comes to show the ranges, and the counts are exact.
func TestRangesSplitBySize(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 3, func(cfg *Config) { cfg.RangeBytes = rangeBytesMin })
	c.nodes[0].createBucket()
	const writers, each = 6, 100
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			s := c.nodes[w%len(c.nodes)]
			for i := range each {
				key := fmt.Sprintf("%02d/%d", i, w)
				if err := s.put(key, body(key, 2000)); err != nil {
					t.Errorf("put %s: %v", key, err)
				}
			}
		})
	}
	all.Wait()
	await(t, "ten ranges in every map", func() bool {
		return !slices.ContainsFunc(c.nodes, func(s *server) bool { return len(s.topology.Map().Ranges) < 10 })
	})
	for _, s := range c.nodes {
		if got := s.listAll(); len(got) != writers*each {
			t.Errorf("%d keys are listed, want %d", len(got), writers*each)
		}
		for i := range each {
			key := fmt.Sprintf("%02d/%d", i, i%writers)
			s.mustGet(key, body(key, 2000))
		}
	}
	await(t, "exact counts", func() bool {
		u, halved := c.nodes[0].countAll(t)
		return !halved && u.Objects == writers*each && u.Versions == writers*each && u.Bytes == writers*each*2000
	})
}

// TestRangesSplitByLoad: a bucket that is asked for much is split where the requests are halved, though it is small.
func TestRangesSplitByLoad(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 1, func(cfg *Config) { cfg.RangeRate = 5 })
	s := c.nodes[0]
	s.createBucket()
	for i := range 50 {
		s.mustPut(fmt.Sprintf("%02d", i), []byte("v"))
	}
	before := len(s.topology.Map().Ranges)
	i := 0
	await(t, "another range", func() bool {
		for range 50 { // some hundred in a second are enough to know where
			i++
			s.mustGet(fmt.Sprintf("%02d", i*7%50), []byte("v"))
		}
		return len(s.topology.Map().Ranges) > before
	})
	r := s.topology.Map().Ranges[2]
	if bucket, key, err := keys.ParsePosition(r.Start); err != nil || bucket != 1 || string(key) < "10" || string(key) > "40" {
		t.Errorf("it begins at %d %q (%v)", bucket, key, err)
	}
}

// listAll lists the test bucket page by page.
func (s *server) listAll() (all []string) {
	s.t.Helper()
	p := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), MaxKeys: aws.Int32(97)})
	for p.HasMorePages() {
		page, err := p.NextPage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range page.Contents {
			all = append(all, *o.Key)
		}
	}
	if !slices.IsSorted(all) {
		s.t.Error("the list is not in order")
	}
	return all
}

// countAll sums the usage over all ranges.
func (n *Node) countAll(t *testing.T) (sum *metapb.Usage, halved bool) {
	sum = new(metapb.Usage)
	for at := []byte(nil); ; {
		a, err := n.askRange(t.Context(), &metapb.RangeDescriptor{Start: at}, &metapb.Query{Op: &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{All: true}}})
		if err != nil {
			t.Log(err)
			return sum, true
		}
		sum.Objects += a.Usage.Objects
		sum.Versions += a.Usage.Versions
		sum.Bytes += a.Usage.Bytes
		halved = halved || a.Usage.Halved != 0
		if at = a.Range.Range.End; len(at) == 0 {
			return sum, halved
		}
	}
}

// TestSplitByHand: a range is split where it is asked to be, once; ids are never given twice.
func TestSplitByHand(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	s := c.nodes[0]
	s.createBucket()
	s.mustPut("a", []byte("1"))
	s.mustPut("z", []byte("2"))
	ids := map[uint64]bool{}
	for _, key := range []string{"m", "c", "x"} {
		r, err := s.splitRange(t.Context(), keys.Position(1, []byte(key)))
		if err != nil {
			t.Fatal(err)
		}
		ids[r.Split.Id] = true
	}
	if len(ids) != 3 || ids[dataRange] {
		t.Errorf("ids %v", slices.Sorted(maps.Keys(ids)))
	}
	if _, err := s.splitRange(t.Context(), keys.Position(1, []byte("m"))); err == nil {
		t.Error("a range was split at its start")
	}
	s.mustGet("a", []byte("1"))
	s.mustGet("z", []byte("2"))
	if got := s.listAll(); !slices.Equal(got, []string{"a", "z"}) {
		t.Errorf("%q", got)
	}
	if n := len(s.topology.Map().Ranges); n != 5 {
		t.Errorf("%d ranges in the map", n)
	}
}
