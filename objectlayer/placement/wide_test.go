package placement

import (
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
)

// openOf counts the open groups of a family, and the slots of one.
func openOf(m *clustermap.Map, family string) (groups, slots int) {
	for _, run := range openRuns(m.Groups, family) {
		groups += len(run)
		slots = len(run[0].Slots)
	}
	return groups, slots
}

// TestWideGroups: a policy of a bucket that asks for more slots than the groups have gets groups of its own. Nobody else's bytes go
// there; both kinds grow with the cluster, each by itself; and what is stated of the cluster does not change before bytes lie there.
//
// Caught mutant: widemixed.
func TestWideGroups(t *testing.T) {
	const wide = "ec:6+1"
	m := nodes(8)
	build(t, m, Policy{})
	before := Tolerates(m, nil, new(metapb.Usage))
	m.Wide = []string{wide, "ec:20+2"} // the second one cannot be kept
	policy, err := ParsePolicy(wide)
	if err != nil {
		t.Fatal(err)
	}
	pick := func(p Policy, n int) Choice {
		t.Helper()
		c, err := Pick(Request{Map: m, Blob: disk.NewBlobID(uint64(n), [10]byte{byte(n), byte(n >> 8)}), Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := pick(policy, 1); c.Coding != (Coding{5, 1}) {
		t.Errorf("before its groups are laid: %v", c.Coding)
	}
	check := func(what string, slots int) {
		t.Helper()
		grown, changed, err := GrowGroups(m)
		if err != nil || !changed || grown.Validate() != nil {
			t.Fatalf("%s: grown %v, %v, %v", what, changed, err, grown.Validate())
		}
		m = grown
		if again, changed, err := GrowGroups(m); changed || err != nil || again != m {
			t.Errorf("%s: grown twice: %v", what, err)
		}
		if groups, n := openOf(m, wide); groups < 10 || n != 7 {
			t.Errorf("%s: %d wide groups of %d slots", what, groups, n)
		}
		if _, n := openOf(m, ""); n != slots || Widest(m) != slots {
			t.Errorf("%s: groups of %d slots", what, n)
		}
		for i := range 500 {
			if c := pick(policy, i); m.Group(c.Group).For != wide || c.Coding != (Coding{6, 1}) || m.Group(c.Group).Closed {
				t.Fatalf("%s: the wide policy gets group %d for %q, %v", what, c.Group, m.Group(c.Group).For, c.Coding)
			}
			for _, p := range []Policy{{}, Fixed(Coding{2, 1})} {
				if c := pick(p, i); m.Group(c.Group).For != "" || m.Group(c.Group).Closed {
					t.Fatalf("%s: policy %v gets group %d for %q", what, p, c.Group, m.Group(c.Group).For)
				}
			}
		}
	}
	check("laid", 6)
	if after := Tolerates(m, nil, new(metapb.Usage)); after != before {
		t.Errorf("empty wide groups change what is tolerated: %+v, before %+v", after, before)
	}
	layout := uint32(openRuns(m.Groups, wide)[0][0].ID.Layout())
	used := &metapb.Usage{Coded: []*metapb.CodedBytes{{K: 6, M: 1, Layout: layout, Bytes: 1}}}
	if after := Tolerates(m, nil, used); after.Node != 1 {
		t.Errorf("with bytes in wide groups: %+v", after)
	}

	before8, _ := openOf(m, "")
	m = join(m, 1)
	check("a node more", 6)
	if n, _ := openOf(m, ""); n <= before8 {
		t.Errorf("%d groups over nine nodes, %d over eight", n, before8)
	}
	for range 4 {
		m = join(m, 1)
	}
	check("thirteen nodes", 11)
}
