package clustermap

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
)

// failer is a test, of whichever kind.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func encoded(t failer, m *Map) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sent makes the delta between two maps and sends it over a wire.
func sent(t failer, before, after *Map) *Delta {
	t.Helper()
	d, err := Diff(before, after)
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&Tail{Format: Format, Deltas: []*Delta{d}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	tail, err := UnmarshalTail(b)
	if err != nil {
		t.Fatal(err)
	}
	return tail.Deltas[0]
}

func TestDelta(t *testing.T) {
	for name, change := range map[string]func(*Map){
		"nothing":          func(*Map) {},
		"the policy":       func(m *Map) { m.Policy, m.Region = "ec:4+2", "eu" },
		"a node's address": func(m *Map) { m.Nodes[1].Peer = "host:1" },
		"a node and a disk": func(m *Map) {
			m.Nodes = append(m.Nodes, Node{ID: 7})
			m.Disks = slices.Insert(m.Disks, 2, Disk{ID: 1 << 20, Node: 7, Device: "x"})
		},
		"a disk goes":      func(m *Map) { m.Disks = m.Disks[:1:1]; m.Groups = nil; m.Ranges = m.Ranges[:1:1] },
		"a slot is taken":  func(m *Map) { m.Groups[0].Epoch++; m.Groups[0].Slots[1] = Slot{Owner: 2} },
		"a group closes":   func(m *Map) { m.Groups[0].Closed = true },
		"a split":          func(m *Map) { split(m) },
		"a merge":          func(m *Map) { m.Ranges = m.Ranges[:1]; m.Ranges[0].End = nil },
		"ranges trade ids": func(m *Map) { m.Ranges[0].ID, m.Ranges[1].ID = 2, 1 },
		"a learner comes": func(m *Map) {
			m.Ranges[0].Replicas = append(m.Ranges[0].Replicas, Replica{ID: 5, Disk: 2, Learner: true})
		},
		"joint":             func(m *Map) { m.Ranges[1].Replicas[0].Outgoing = true },
		"copysets":          func(m *Map) { m.Copysets = []Copyset{{ID: 1, Disks: []disk.ID{1, 2}}} },
		"an order":          func(m *Map) { m.Ranges[1].Move = &Move{From: 2, To: 1 << 63} },
		"no groups":         func(m *Map) { m.Groups = []Group{} },
		"null groups":       func(m *Map) { m.Groups = nil },
		"no slots":          func(m *Map) { m.Groups[0].Slots = []Slot{} },
		"null replicas":     func(m *Map) { m.Ranges[0].Replicas = nil },
		"nothing is left":   func(m *Map) { *m = Map{Format: Format, Revision: m.Revision} },
		"empty, not absent": func(m *Map) { m.Ranges[0].Start = []byte{} },
	} {
		t.Run(name, func(t *testing.T) {
			before, after := valid(), valid()
			change(after)
			after.Revision = 9
			d := sent(t, before, after)
			got, err := before.Apply(d)
			if err != nil || !bytes.Equal(encoded(t, got), encoded(t, after)) {
				t.Fatalf("%v\n%s\n%s", err, encoded(t, got), encoded(t, after))
			}
			if !reflect.DeepEqual(before, valid()) {
				t.Error("the map that the delta is for changed")
			}
			back, err := after.Apply(d)
			if err == nil {
				t.Errorf("applied twice: %+v", back)
			}
			forth := valid()
			forth.Revision = 10 // and back again
			got, err = got.Apply(sent(t, after, forth))
			if err != nil || !bytes.Equal(encoded(t, got), encoded(t, forth)) {
				t.Fatalf("back: %v\n%s\n%s", err, encoded(t, got), encoded(t, forth))
			}
		})
	}
}

func split(m *Map) {
	m.Ranges = slices.Insert(m.Ranges, 1, m.Ranges[0])
	m.Ranges[0].End, m.Ranges[0].Generation = []byte("c"), 2
	m.Ranges[1].ID, m.Ranges[1].Start = 3, []byte("c")
}

func TestDeltaIsRefused(t *testing.T) {
	before, after := valid(), valid()
	after.Revision, after.Policy = 4, "replica:2"
	for name, c := range map[string]struct {
		m      *Map
		change func(*Delta)
	}{
		"another revision":              {&Map{Format: Format, Revision: 2}, nil},
		"the same revision, other text": {&Map{Format: Format, Revision: 3}, nil},
		"a newer format":                {before, func(d *Delta) { d.Format++ }},
		"no newer revision":             {before, func(d *Delta) { d.To = d.From }},
		"something was lost":            {before, func(d *Delta) { d.Policy = "auto" }},
		"something was added":           {before, func(d *Delta) { d.Nodes = &Changes[Node, NodeID]{Gone: []NodeID{1}} }},
		"twice the same":                {before, func(d *Delta) { d.Disks = &Changes[Disk, disk.ID]{Set: []Disk{before.Disks[0], before.Disks[0]}} }},
	} {
		d := sent(t, before, after)
		if c.change != nil {
			c.change(d)
		}
		if m, err := c.m.Apply(d); err == nil || m != nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if m, err := before.Apply(nil); err == nil {
		t.Errorf("no delta: %+v", m)
	}
}

// TestDeltaOfAnything: between any two valid maps a delta makes the second of the first, and of no third one.
func TestDeltaOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyMap(t, 1), anyMap(t, 2), anyMap(t, 1)
		d := sent(t, a, b)
		got, err := a.Apply(d)
		if err != nil || !bytes.Equal(encoded(t, got), encoded(t, b)) {
			t.Fatalf("%v\n%s\n%s", err, encoded(t, got), encoded(t, b))
		}
		if got, err := c.Apply(d); err == nil && !bytes.Equal(encoded(t, got), encoded(t, b)) {
			t.Fatalf("of another map came %s", encoded(t, got))
		}
	})
}

// anyMap draws a valid map, of few ids so that two of them have some in common.
func anyMap(t *rapid.T, revision uint64) *Map {
	m := &Map{Format: Format, Revision: revision, Cluster: disk.ClusterID{1}.String(), Policy: rapid.SampledFrom([]string{"auto", "ec:2+1"}).Draw(t, "policy")}
	some := func(what string, n int) (ids []int) {
		for i := range n {
			if rapid.Bool().Draw(t, what) {
				ids = append(ids, i+1)
			}
		}
		return ids
	}
	for _, id := range append([]int{0}, some("node", 3)...) {
		m.Nodes = append(m.Nodes, Node{ID: NodeID(id + 1), Name: rapid.SampledFrom([]string{"", "n"}).Draw(t, "name")})
	}
	for _, id := range some("disk", 6) {
		m.Disks = append(m.Disks, Disk{ID: disk.ID(id), Node: 1, Device: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "device")})
	}
	if len(m.Disks) > 0 {
		for _, id := range some("group", 4) {
			owner := rapid.SampledFrom(m.Disks).Draw(t, "owner").ID
			m.Groups = append(m.Groups, Group{ID: disk.GroupID(id), Epoch: 1, K: 1, Slots: []Slot{{Owner: owner}}})
		}
		anyRanges(t, m, some("border", 5))
		for _, id := range some("copyset", 3) {
			m.Copysets = append(m.Copysets, Copyset{ID: uint64(id), Disks: []disk.ID{rapid.SampledFrom(m.Disks).Draw(t, "member").ID}})
		}
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	return m
}

func anyRanges(t *rapid.T, m *Map, borders []int) {
	ids := rapid.Permutation([]uint64{1, 2, 3, 4, 5}).Draw(t, "ids")
	for i := 1; i < len(borders); i++ {
		r := Range{ID: ids[i], Start: fmt.Append(nil, borders[i-1]), End: fmt.Append(nil, borders[i])}
		for n, d := range m.Disks {
			if rapid.Bool().Draw(t, "replica") {
				r.Replicas = append(r.Replicas, Replica{ID: uint64(n + 1), Disk: d.ID, Learner: rapid.Bool().Draw(t, "learner")})
			}
		}
		if to := len(m.Disks) - 1; to > 0 && rapid.Bool().Draw(t, "order") {
			r.Move = &Move{From: m.Disks[0].ID, To: m.Disks[to].ID}
		}
		m.Ranges = append(m.Ranges, r)
	}
}

// FuzzTail: a tail of any bytes is refused or makes the map that it says, and between any two valid maps Diff and Apply give the
// second.
func FuzzTail(f *testing.F) {
	after := valid()
	after.Revision = 4
	split(after)
	d, err := Diff(valid(), after)
	if err != nil {
		f.Fatal(err)
	}
	b, err := (&Tail{Format: Format, Deltas: []*Delta{d}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(encoded(f, after))
	f.Add([]byte(`{"format":1,"deltas":[null,{"format":1,"from":3,"to":4,"nodes":{"gone":[1,1]},"ranges":{"set":[{}],"null":true}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tail, err := UnmarshalTail(b); err == nil {
			for _, d := range tail.Deltas {
				m, err := valid().Apply(d)
				if err != nil {
					continue
				}
				if sum, err := m.Clone().sum(); sum != d.Sum || err != nil || m.Revision != d.To {
					t.Fatalf("made %+v, %v", m, err)
				}
				_ = m.Validate()
			}
			_, _ = tail.Bring(valid(), 4)
		}
		m, err := Unmarshal(b)
		if err != nil || m.Validate() != nil {
			return
		}
		before := valid()
		before.Revision = m.Revision - 1
		if m.Revision == 0 {
			return
		}
		got, err := before.Apply(sent(t, before, m))
		if err != nil || !bytes.Equal(encoded(t, got), encoded(t, m)) {
			t.Fatalf("%v: %s, want %s", err, encoded(t, got), encoded(t, m))
		}
	})
}
