package machine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// system begins a command on a system record.
func (r *rig) system(change func(*metapb.Command)) *metapb.Command {
	c := r.command("")
	c.Bucket, c.Generation = 0, 0
	change(c)
	return c
}

func (r *rig) createBucket(name string) *metapb.Command {
	return r.system(func(c *metapb.Command) {
		c.Op = &metapb.Command_CreateBucket{CreateBucket: &metapb.CreateBucket{Bucket: &metapb.Bucket{Name: name, Owner: "o"}}}
	})
}

func TestBuckets(t *testing.T) {
	r := newRig(t)
	for n, name := range []string{"b", "a", "c"} {
		c := r.createBucket(name)
		got := r.do(ok, c)
		if got.Bucket.Id != uint64(n+1) || got.Bucket.Generation != 1 || got.Bucket.Created != c.Time {
			t.Fatalf("%v", got)
		}
		if again := r.do(ok, retry(c)); again.Bucket.Id != got.Bucket.Id {
			t.Fatalf("%v", again)
		}
	}
	if got := r.do(metapb.Status_BUCKET_EXISTS, r.createBucket("a")); got.Bucket.Id != 2 || got.Bucket.Owner != "o" {
		t.Fatalf("%v", got)
	}
	update := func(name string, generation uint64) *metapb.Command {
		return r.system(func(c *metapb.Command) {
			c.Op = &metapb.Command_UpdateBucket{UpdateBucket: &metapb.UpdateBucket{
				Bucket: &metapb.Bucket{Name: name, Deleting: true, Versioning: 1}, IfGeneration: generation,
			}}
		})
	}
	r.do(metapb.Status_NO_SUCH_BUCKET, update("x", 1))
	r.do(metapb.Status_REVISION_MISMATCH, update("a", 2))
	if got := r.do(ok, update("a", 1)); got.Bucket.Id != 2 || got.Bucket.Generation != 2 || !got.Bucket.Deleting {
		t.Fatalf("%v", got)
	}
	q := &metapb.Query{Op: &metapb.Query_GetBucket_{GetBucket_: &metapb.GetBucket{Name: "a"}}}
	if a := r.ask(ok, q); a.Bucket.Generation != 2 {
		t.Fatalf("%v", a)
	}
	settle := func(generation, id uint64) *metapb.Command {
		return r.system(func(c *metapb.Command) {
			c.Op = &metapb.Command_SettleBucket{SettleBucket: &metapb.SettleBucket{Name: "a", IfGeneration: generation, IfId: id}}
		})
	}
	r.do(badRequest, settle(2, 2)) // it is being deleted
	remove := func(generation uint64) *metapb.Command {
		return r.system(func(c *metapb.Command) {
			c.Op = &metapb.Command_RemoveBucket{RemoveBucket: &metapb.RemoveBucket{Name: "a", IfGeneration: generation}}
		})
	}
	r.do(metapb.Status_REVISION_MISMATCH, remove(1))
	r.do(ok, remove(2))
	r.do(metapb.Status_NO_SUCH_BUCKET, remove(2))
	r.ask(metapb.Status_NO_SUCH_BUCKET, q)
	if got := r.do(ok, r.createBucket("a")); got.Bucket.Id != 4 {
		t.Fatalf("an id was given again: %v", got)
	}
}

// Each change of a bucket's record leaves it pending until somebody says that the ranges have taken it.
func TestSettleBucket(t *testing.T) {
	r := newRig(t)
	c := r.createBucket("a")
	c.GetCreateBucket().Bucket.Pending = true
	if b := r.do(ok, c).Bucket; b.Pending {
		t.Fatalf("a new bucket is pending: %v", b)
	}
	settle := func(name string, generation, id uint64) *metapb.Command {
		return r.system(func(c *metapb.Command) {
			c.Op = &metapb.Command_SettleBucket{SettleBucket: &metapb.SettleBucket{Name: name, IfGeneration: generation, IfId: id}}
		})
	}
	for n := uint64(1); n < 4; n++ {
		b := r.do(ok, r.system(func(c *metapb.Command) {
			c.Op = &metapb.Command_UpdateBucket{UpdateBucket: &metapb.UpdateBucket{
				Bucket: &metapb.Bucket{Name: "a", Versioning: 1}, IfGeneration: n,
			}}
		})).Bucket
		if !b.Pending || b.Generation != n+1 {
			t.Fatalf("%v", b)
		}
		if n == 2 {
			continue // a change may come before the last one is settled
		}
		r.do(metapb.Status_REVISION_MISMATCH, settle("a", n, 1))
		r.do(metapb.Status_REVISION_MISMATCH, settle("a", n+1, 2))
		r.do(metapb.Status_NO_SUCH_BUCKET, settle("b", n+1, 1))
		for range 2 {
			if b := r.do(ok, settle("a", n+1, 1)).Bucket; b.Pending || b.Generation != n+1 || b.Versioning != 1 {
				t.Fatalf("%v", b)
			}
		}
	}
}

func TestListBuckets(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"b", "a", "ab", "a-c"} {
		r.do(ok, r.createBucket(name))
	}
	for _, c := range []struct {
		prefix, after string
		limit         uint32
		want          []string
		truncated     bool
	}{
		{"", "", 9, []string{"a", "a-c", "ab", "b"}, false},
		{"a", "", 2, []string{"a", "a-c"}, true},
		{"a", "a-c", 2, []string{"ab"}, false},
		{"", "zz", 2, nil, false},
		{"", "", 0, nil, false},
		{"a", "b", 2, nil, false},
	} {
		q := &metapb.Query{Op: &metapb.Query_ListBuckets{
			ListBuckets: &metapb.ListBuckets{Prefix: c.prefix, After: c.after, Limit: c.limit},
		}}
		a := r.ask(ok, q)
		var got []string
		for _, b := range a.Buckets {
			got = append(got, b.Name)
		}
		if !slices.Equal(got, c.want) || a.Truncated != c.truncated {
			t.Errorf("%+v: %v", c, a)
		}
	}
}

func TestSystemRecords(t *testing.T) {
	r := newRig(t)
	put := func(value string, revision uint64) *metapb.Command {
		return r.system(func(c *metapb.Command) {
			c.Op = &metapb.Command_PutSystem{PutSystem: &metapb.PutSystem{Name: "map", Value: []byte(value), IfRevision: revision}}
		})
	}
	q := &metapb.Query{Op: &metapb.Query_GetSystem{GetSystem: &metapb.GetSystem{Name: "map"}}}
	r.ask(absent, q)
	r.do(metapb.Status_REVISION_MISMATCH, put("x", 1))
	for n := range uint64(3) {
		if got := r.do(ok, put(fmt.Sprint(n), n)); got.Revision != n+1 {
			t.Fatalf("%v", got)
		}
	}
	if got := r.do(metapb.Status_REVISION_MISMATCH, put("x", 2)); got.Revision != 3 {
		t.Fatalf("%v", got)
	}
	if a := r.ask(ok, q); a.Record.Revision != 3 || string(a.Record.Value) != "2" {
		t.Fatalf("%v", a)
	}
	r.ask(badRequest, &metapb.Query{Bucket: 1, Op: q.Op})
	r.ask(badRequest, &metapb.Query{})
}

func TestLoadFindsWhatWasWritten(t *testing.T) {
	r := newRig(t)
	r.do(ok, r.put("k", 1))
	b := r.disk.State().NewBatch()
	d := &metapb.RangeDescriptor{Id: rangeID, Generation: 2, Replicas: []*metapb.Replica{{Id: 1, Disk: 5}}}
	r.check(r.m.SetDescriptor(b, d))
	r.check(r.m.SetTruncated(b, 4, 1))
	r.check(b.Commit())
	before := r.m
	r.load()
	if r.m.Descriptor().String() != before.Descriptor().String() || r.m.State().String() != before.State().String() {
		t.Fatalf("%v %v, was %v %v", r.m.Descriptor(), r.m.State(), before.Descriptor(), before.State())
	}
	if s := r.m.State(); s.AppliedIndex != machine.FirstIndex+1 || s.TruncatedIndex != 4 || s.Time != r.time {
		t.Fatalf("%v", s)
	}
	s := r.disk.State().Snapshot()
	defer s.Close()
	if _, err := machine.Load(s, rangeID+1); err == nil {
		t.Fatal("a range that is not here was loaded")
	}
	again := r.disk.State().NewBatch()
	defer again.Close()
	if err := machine.Bootstrap(again, d, 1); err == nil {
		t.Fatal("a range was bootstrapped twice")
	}
	if err := r.m.SetDescriptor(again, &metapb.RangeDescriptor{Id: rangeID, Start: []byte{1}}); err == nil {
		t.Fatal("a bound that is no position was taken")
	}
}

// The rows of a range, and nothing else, lie in its spans; copied to another disk they are the same range.
func TestSpansAndPayloadsCarryARange(t *testing.T) {
	r := newRig(t)
	r.do(ok, r.putInline("a", 3))
	r.do(ok, r.put("b", 4))
	r.do(ok, r.putInline("c", 5))
	r.do(ok, r.createBucket("bucket"))
	id, _ := r.begin("u", 10)
	if len(id) == 0 {
		t.Fatal("no upload")
	}
	var rows []disk.Row
	var lengths []uint64
	s := r.disk.State().Snapshot()
	defer s.Close()
	for _, span := range machine.Spans(r.m.Descriptor()) {
		it, err := s.Iter(span.Lower, span.Upper)
		r.check(err)
		for more := it.First(); more; more = it.Next() {
			rows = append(rows, disk.Row{Key: it.Key(), Value: it.Value()})
		}
		r.check(it.Close())
	}
	if !slices.EqualFunc(rows, dump(t, r.disk), sameRow) {
		t.Fatal("the spans miss rows or hold others")
	}
	r.check(machine.Payloads(s, r.m.Descriptor(), func(id disk.PayloadID, n uint64) error {
		if id.Range != rangeID || id.Term != machine.FirstTerm {
			t.Errorf("payload %v", id)
		}
		lengths = append(lengths, n)
		return nil
	}))
	if !slices.Equal(lengths, []uint64{3, 5}) {
		t.Fatalf("payloads of %v bytes", lengths)
	}
	other := disktest.NewMemory(2)
	b := other.State().NewBatch()
	for _, row := range rows {
		r.check(b.Set(row.Key, row.Value))
	}
	r.check(b.Commit())
	r.disk = other
	r.load()
	r.do(ok, r.put("a", 6))
	q := r.query("")
	q.Op = &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{}}
	if u := r.ask(ok, q).Usage; u.Objects != 3 || u.Bytes != 15 || u.Uploads != 1 {
		t.Fatalf("%v", u)
	}
	if keys.Column(rows[0].Key[0]) != keys.Local {
		t.Fatal("the range's own rows are not first")
	}
}
