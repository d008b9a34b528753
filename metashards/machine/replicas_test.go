package machine

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/contender/contender/metashards/metapb"
)

// members writes a descriptor's replicas as text: disk, id, and a letter for what it is.
func members(d *metapb.RangeDescriptor) string {
	var s []string
	for _, r := range d.Replicas {
		kind := "v"
		switch {
		case r.Learner:
			kind = "l"
		case r.Incoming:
			kind = "i"
		case r.Outgoing:
			kind = "o"
		}
		s = append(s, string(rune('a'+r.Disk-1))+string(rune('0'+r.Id))+kind)
	}
	return strings.Join(s, " ")
}

func TestNextDescriptor(t *testing.T) {
	plain := &metapb.RangeDescriptor{
		Id: 7, Generation: 4, NextReplica: 5,
		Replicas: []*metapb.Replica{{Id: 1, Disk: 1}, {Id: 2, Disk: 2}, {Id: 3, Disk: 3}, {Id: 4, Disk: 4, Learner: true}},
	}
	joint := plain.CloneVT()
	joint.Replicas[0].Outgoing = true
	joint.Replicas[3].Learner, joint.Replicas[3].Incoming = false, true
	single := &metapb.RangeDescriptor{Id: 7, NextReplica: 2, Replicas: []*metapb.Replica{{Id: 1, Disk: 1}}}
	for _, c := range []struct {
		what   string
		from   *metapb.RangeDescriptor
		change *metapb.ChangeReplicas
		want   string // empty: refused
	}{
		{"add", plain, &metapb.ChangeReplicas{Add: []uint64{5}}, "a1v b2v c3v d4l e5l"},
		{"add where one is", plain, &metapb.ChangeReplicas{Add: []uint64{2}}, ""},
		{"add where a learner is", plain, &metapb.ChangeReplicas{Add: []uint64{4}}, ""},
		{"add no disk", plain, &metapb.ChangeReplicas{Add: []uint64{0}}, ""},
		{"add two", plain, &metapb.ChangeReplicas{Add: []uint64{5, 6}}, ""},
		{"add while joint", joint, &metapb.ChangeReplicas{Add: []uint64{5}}, ""},
		{"remove", plain, &metapb.ChangeReplicas{Remove: []uint64{4}}, "a1v b2v c3v"},
		{"remove a voter", plain, &metapb.ChangeReplicas{Remove: []uint64{1}}, ""},
		{"remove nobody", plain, &metapb.ChangeReplicas{Remove: []uint64{9}}, ""},
		{"remove while joint", joint, &metapb.ChangeReplicas{Remove: []uint64{1}}, ""},
		{"exchange", plain, &metapb.ChangeReplicas{Promote: []uint64{4}, Demote: []uint64{1}}, "a1o b2v c3v d4i"},
		{"promote", plain, &metapb.ChangeReplicas{Promote: []uint64{4}}, "a1v b2v c3v d4i"},
		{"demote", plain, &metapb.ChangeReplicas{Demote: []uint64{1, 2}}, "a1o b2o c3v d4l"},
		{"promote a voter", plain, &metapb.ChangeReplicas{Promote: []uint64{1}}, ""},
		{"promote a stranger", plain, &metapb.ChangeReplicas{Promote: []uint64{9}}, ""},
		{"demote a learner", plain, &metapb.ChangeReplicas{Demote: []uint64{4}}, ""},
		{"demote what is promoted", plain, &metapb.ChangeReplicas{Promote: []uint64{4}, Demote: []uint64{4}}, ""},
		{"demote twice", plain, &metapb.ChangeReplicas{Demote: []uint64{1, 1}}, ""},
		{"demote the last", single, &metapb.ChangeReplicas{Demote: []uint64{1}}, ""},
		{"exchange while joint", joint, &metapb.ChangeReplicas{Demote: []uint64{2}}, ""},
		{"leave", joint, &metapb.ChangeReplicas{Leave: true}, "a1l b2v c3v d4v"},
		{"leave what is plain", plain, &metapb.ChangeReplicas{Leave: true}, ""},
		{"nothing", plain, &metapb.ChangeReplicas{}, ""},
		{"two steps", plain, &metapb.ChangeReplicas{Add: []uint64{5}, Remove: []uint64{4}}, ""},
	} {
		before := c.from.CloneVT()
		next, why := NextDescriptor(c.from, c.change)
		if !proto.Equal(c.from, before) {
			t.Errorf("%s: the descriptor itself was changed", c.what)
		}
		switch {
		case c.want == "" && (next != nil || why == ""):
			t.Errorf("%s: %v %q, want a refusal with its reason", c.what, next, why)
		case c.want != "" && (next == nil || members(next) != c.want || next.Generation != c.from.Generation+1):
			t.Errorf("%s: %v %q, want %s", c.what, next, why, c.want)
		case next != nil && slices.ContainsFunc(next.Replicas, func(r *metapb.Replica) bool { return r.Id >= next.NextReplica }):
			t.Errorf("%s: an id is given that may be given again: %v", c.what, next)
		}
	}
}
