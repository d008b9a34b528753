package machine_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// split makes a command that cuts the rig's range before a key.
func (r *rig) split(key string, newRange uint64) *metapb.Command {
	return r.splitAt(keys.Position(bucketID, []byte(key)), newRange)
}

func (r *rig) splitAt(at []byte, newRange uint64) *metapb.Command {
	c := r.command("")
	start, key := bucketID+uint64(0), []byte(nil)
	if d := r.m.Descriptor(); len(d.Start) > 0 {
		start, key, _ = keys.ParsePosition(d.Start)
	}
	c.Bucket, c.Key, c.RequestId = start, key, ""
	c.Op = &metapb.Command_Split{Split: &metapb.SplitRange{IfGeneration: r.m.Descriptor().Generation, At: at, NewRange: newRange}}
	return c
}

// born returns a rig of a range that was split off.
func (r *rig) born(id uint64) *rig {
	n := &rig{t: r.t, disk: r.disk, id: id, time: r.time, requests: 1000 * int(id)}
	n.load()
	return n
}

// correct has a range set its halved usage right.
func (r *rig) correct() {
	for _, x := range r.corrections() {
		c := r.command("")
		c.Bucket, c.Key, c.RequestId = x.Bucket, machine.FirstKey(r.m.Descriptor(), x.Bucket), ""
		c.Op = &metapb.Command_CorrectUsage{CorrectUsage: x.Change}
		r.do(metapb.Status_OK, c)
	}
}

func (r *rig) corrections() []machine.Correction {
	s := r.disk.State().Snapshot()
	defer s.Close()
	list, err := machine.Corrections(s, r.id)
	r.check(err)
	return list
}

func (r *rig) usage(bucket uint64) *metapb.Usage {
	s := r.disk.State().Snapshot()
	defer s.Close()
	u := new(metapb.Usage)
	v, ok, err := s.Get(keys.UsageRow(r.id, bucket))
	r.check(err)
	if ok {
		r.check(u.UnmarshalVT(v))
	}
	return u
}

func (r *rig) checkUsage(bucket uint64) {
	r.t.Helper()
	s := r.disk.State().Snapshot()
	defer s.Close()
	r.check(machine.CheckUsage(s, r.id, bucket))
}

// TestSplit: both ranges know their spans, each refuses the other's keys, and nothing of what the parent promised is lost:
// fences, floor, range time, what dedupe remembers.
func TestSplit(t *testing.T) {
	d := threeVoters()
	r := newRigOf(t, d)
	first := r.put("m", 10)
	answered := r.do(ok, first)
	r.do(ok, r.put("c", 20))
	r.do(ok, r.putInline("x", 30))
	id, _ := r.begin("n", 10)
	floor := r.command("")
	floor.Op = &metapb.Command_RaiseFloor{RaiseFloor: &metapb.RaiseFloor{Floor: 77}}
	r.do(ok, floor)
	r.do(ok, r.fence(&metapb.Fence{Generation: 2, Versioning: 1}))
	later := r.fence(&metapb.Fence{Generation: 9})
	later.Bucket = bucketID + 1
	r.do(ok, later)
	got := r.do(ok, r.split("m", 8))
	right := r.born(8)
	left := r.m.Descriptor()
	if !proto.Equal(got.Range, left) || !proto.Equal(got.Split, right.m.Descriptor()) {
		t.Fatalf("%v, the ranges are %v and %v", got, left, right.m.Descriptor())
	}
	at := keys.Position(bucketID, []byte("m"))
	if !bytes.Equal(left.End, at) || !bytes.Equal(got.Split.Start, at) || left.Generation != 2 || got.Split.Generation != 2 ||
		len(got.Split.Replicas) != 3 || got.Split.NextReplica != 4 {
		t.Fatalf("%v and %v", left, got.Split)
	}
	a, b := r.m.State(), right.m.State()
	if b.Time != a.Time || b.Floor != 77 || b.Sequence != a.Sequence || b.AppliedIndex != machine.FirstIndex {
		t.Fatalf("%v and %v", a, b)
	}
	for _, x := range []*rig{r, right} {
		s := x.disk.State().Snapshot()
		m, err := machine.Load(s, x.id)
		x.check(err)
		x.check(s.Close())
		if !proto.Equal(m.Descriptor(), x.m.Descriptor()) || !proto.Equal(m.State(), x.m.State()) {
			t.Fatalf("range %d is not what its rows say", x.id)
		}
	}
	r.ask(metapb.Status_WRONG_RANGE, r.get("m", ""))
	right.ask(metapb.Status_WRONG_RANGE, right.get("c", ""))
	put := func(x *rig, key string) *metapb.Command {
		c := x.put(key, 5)
		c.Generation = 2
		return c
	}
	r.do(ok, put(r, "c"))
	r.do(metapb.Status_WRONG_RANGE, put(r, "m"))
	right.do(metapb.Status_WRONG_RANGE, put(right, "c"))
	right.do(stale, right.put("m", 5)) // the fence of the bucket is there
	other := right.put("m", 5)
	other.Bucket = bucketID + 1
	right.do(stale, other) // and that of the next bucket has moved
	again := retry(first)
	if got := right.do(ok, again); got.Version.Time != answered.Version.Time {
		t.Fatalf("a retry over the split was answered %v, first %v", got, answered)
	}
	done := right.complete("n", id)
	done.Generation = 2
	right.do(metapb.Status_INVALID_REQUEST, done) // it knows the upload: no parts are named
	r.load()
	if list := r.fenced(bucketID + 1); list {
		t.Error("the old range keeps the fence of a bucket that it has no part of")
	}
}

func (r *rig) fenced(bucket uint64) bool {
	s := r.disk.State().Snapshot()
	defer s.Close()
	_, ok, err := s.Get(keys.FenceRow(r.id, bucket))
	r.check(err)
	return ok
}

// TestSplitsThatAreRefused: neither a stale nor an impossible split does anything.
func TestSplitsThatAreRefused(t *testing.T) {
	joint := threeVoters()
	joint.Replicas[0].Outgoing = true
	joint.Replicas = append(joint.Replicas, &metapb.Replica{Id: 4, Disk: 14, Incoming: true})
	inner := threeVoters()
	inner.Start, inner.End = keys.Position(bucketID, nil), keys.Position(bucketID, []byte("t"))
	at := func(key string) []byte { return keys.Position(bucketID, []byte(key)) }
	for name, x := range map[string]struct {
		from   *metapb.RangeDescriptor
		change func(*metapb.Command)
		want   metapb.Status
	}{
		"amid an exchange": {joint, func(*metapb.Command) {}, metapb.Status_INVALID_REQUEST},
		"at its start":     {inner, func(c *metapb.Command) { c.GetSplit().At = at("") }, metapb.Status_INVALID_REQUEST},
		"at its end":       {inner, func(c *metapb.Command) { c.GetSplit().At = at("t") }, metapb.Status_INVALID_REQUEST},
		"outside":          {inner, func(c *metapb.Command) { c.GetSplit().At = at("z") }, metapb.Status_INVALID_REQUEST},
		"nowhere":          {inner, func(c *metapb.Command) { c.GetSplit().At = []byte{1} }, metapb.Status_INVALID_REQUEST},
		"into no range":    {inner, func(c *metapb.Command) { c.GetSplit().NewRange = 0 }, metapb.Status_INVALID_REQUEST},
		"into itself":      {inner, func(c *metapb.Command) { c.GetSplit().NewRange = rangeID }, metapb.Status_INVALID_REQUEST},
		"a stale one":      {inner, func(c *metapb.Command) { c.GetSplit().IfGeneration = 7 }, metapb.Status_REVISION_MISMATCH},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigOf(t, x.from)
			before := r.m.Descriptor()
			c := r.split("m", 8)
			x.change(c)
			got := r.do(x.want, c)
			if x.want == metapb.Status_REVISION_MISMATCH && !proto.Equal(got.Range, before) {
				t.Errorf("answered with %v", got.Range)
			}
			if r.m.Descriptor() != before {
				t.Errorf("it is %v now", r.m.Descriptor())
			}
		})
	}
	system := newRig(t)
	system.do(metapb.Status_INVALID_REQUEST, system.splitAt(keys.Position(0, metapb.BucketKey("m")), 8))
	system.do(ok, system.splitAt(keys.Position(0, metapb.RecordKey("m")), 8))
	r := newRigOf(t, inner)
	if got := r.apply(r.put("a", 1), r.split("m", 8)); got[1].Status != metapb.Status_INVALID_REQUEST {
		t.Errorf("a split among other commands: %v", got[1])
	}
}

// TestUsageThroughSplits splits a range at any key again and again while objects come and go: the sum over all ranges is what
// is there until the first of them counts, what each has to add is right at every moment, and so is its own usage once it
// has counted. It catches the mutant halved.
func TestUsageThroughSplits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		r.do(ok, r.fence(&metapb.Fence{Generation: 2, Versioning: rapid.Uint32Range(0, 2).Draw(t, "versioning")}))
		all := []*rig{r}
		owner := func(key string) *rig {
			i := slices.IndexFunc(all, func(x *rig) bool {
				d := x.m.Descriptor()
				return keys.Contains(d.Start, d.End, bucketID, []byte(key))
			})
			return all[i]
		}
		key := rapid.StringMatching("[a-f]{1,2}")
		uploads, counted := map[string][]byte{}, false
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k := key.Draw(t, "key")
				x := owner(k)
				c := x.put(k, rapid.IntRange(1, 50).Draw(t, "size"))
				if rapid.Bool().Draw(t, "inline") {
					c = x.putInline(k, rapid.IntRange(1, 50).Draw(t, "size"))
				}
				c.Generation = 2
				x.do(ok, c)
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				c := owner(k).delete(k, "")
				c.Generation = 2
				owner(k).do(ok, c)
			},
			"upload": func(t *rapid.T) {
				k := key.Draw(t, "key")
				x := owner(k)
				c := x.createUpload(k)
				c.Generation = 2
				x.do(ok, c)
				uploads[k] = c.GetCreateUpload().Upload.Id
				p := x.putPart(k, uploads[k], 1, rapid.IntRange(1, 50).Draw(t, "size"))
				p.Generation = 2
				x.do(ok, p)
			},
			"split": func(t *rapid.T) {
				k := key.Draw(t, "key")
				x := owner(k)
				if bytes.Equal(x.m.Descriptor().Start, keys.Position(bucketID, []byte(k))) {
					return
				}
				id := uint64(100 + len(all))
				x.do(ok, x.split(k, id))
				all = append(all, x.born(id))
			},
			"count": func(t *rapid.T) {
				all[rapid.IntRange(0, len(all)-1).Draw(t, "range")].correct()
				counted = true
			},
			"": func(t *rapid.T) {
				sum, right := new(metapb.Usage), new(metapb.Usage)
				for _, x := range all {
					x.checkUsage(bucketID)
					machine.AddUsage(sum, x.usage(bucketID))
					for _, c := range x.corrections() {
						machine.AddUsage(right, c.Change.By)
					}
				}
				machine.AddUsage(right, sum)
				want := countAll(t, r)
				if !sameUsage(right, want) || !counted && !sameUsage(sum, want) {
					t.Fatalf("the sum over %d ranges is %v, %v with what they have to add, there is %v", len(all), sum, right, want)
				}
			},
		})
		for _, x := range all {
			x.correct()
			if u := x.usage(bucketID); u.Halved != 0 {
				t.Fatalf("range %d is halved still: %v", x.id, u)
			}
			x.checkUsage(bucketID)
		}
	})
}

// countAll counts the rows of the whole disk.
func countAll(t failer, r *rig) *metapb.Usage {
	s := r.disk.State().Snapshot()
	defer s.Close()
	u, err := machine.CountRows(s, &metapb.RangeDescriptor{}, bucketID)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return u
}

// TestFindSplit: the middle is found by weight, in bounded memory, and never amid a key.
func TestFindSplit(t *testing.T) {
	find := func(r *rig) string {
		a := r.ask(ok, &metapb.Query{Format: 1, Bucket: bucketID, Op: &metapb.Query_FindSplit{FindSplit: &metapb.FindSplit{}}})
		if len(a.Split) == 0 {
			return ""
		}
		_, key, err := keys.ParsePosition(a.Split)
		r.check(err)
		return string(key)
	}
	r := newRig(t)
	if at := find(r); at != "" {
		t.Errorf("an empty range is to be cut at %q", at)
	}
	r.do(ok, r.fence(&metapb.Fence{Generation: 2, Versioning: 1}))
	put := func(key string, n int) {
		c := r.putInline(key, n)
		c.Generation = 2
		r.do(ok, c)
	}
	put("a", 1)
	put("a", 1)
	if at := find(r); at != "" {
		t.Errorf("a range of one key is to be cut at %q", at)
	}
	for i := range 4000 {
		put(fmt.Sprintf("k%04d", i), 10)
	}
	if at := find(r); at < "k1950" || at > "k2050" {
		t.Errorf("4000 keys alike are to be cut at %q", at)
	}
	put("z", 16384)
	for i := range 60 {
		put(fmt.Sprintf("y%02d", i), 16384)
	}
	if at := find(r); at < "k3000" {
		t.Errorf("with a heavy end it is to be cut at %q", at)
	}
}
