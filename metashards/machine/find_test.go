package machine_test

import (
	"slices"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// reference is the first shard of a blob's last extent.
func reference(key string, b *metapb.Blob) *metapb.ShardReference {
	r := &metapb.ShardReference{Bucket: bucketID, Key: []byte(key), Blob: b.GetId()}
	if n := len(b.Extents); n > 0 {
		e := b.Extents[n-1]
		e.Slots = []byte{4, 2}
		r.Extent, r.Group, r.Slot = e.Number, e.Group, 4
	}
	return r
}

// verdicts asks of blobs.
func (r *rig) verdicts(refs ...*metapb.ShardReference) []metapb.Verdict {
	r.t.Helper()
	q := r.query(string(refs[0].Key))
	q.Generation = 99 // not judged
	q.Op = &metapb.Query_FindShards{FindShards: &metapb.FindShards{Shards: refs}}
	return r.ask(ok, q).Verdicts
}

func (r *rig) raiseFloor(millis uint64) {
	r.t.Helper()
	c := r.command("k")
	c.Op = &metapb.Command_RaiseFloor{RaiseFloor: &metapb.RaiseFloor{Floor: millis}}
	r.do(ok, c)
}

// TestFindShards: a shard is referred to by its version, its part, the version that was completed of it, or the outbox row that is to delete
// it; one that nothing refers to is an orphan only below the floor, and then can't be named any more.
func TestFindShards(t *testing.T) {
	r := newRig(t)
	const young, referred, orphan = metapb.Verdict_YOUNG, metapb.Verdict_REFERRED, metapb.Verdict_ORPHAN
	expect := func(what string, ref *metapb.ShardReference, want metapb.Verdict) {
		t.Helper()
		if got := r.verdicts(ref)[0]; got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	first, second, lost := r.put("k", 100), r.put("k", 200), r.put("k", 300)
	blobOf := func(c *metapb.Command) *metapb.Blob { return c.GetPut().Version.GetBlob() }
	for _, c := range []*metapb.Command{first, second, lost} {
		reference("k", blobOf(c)) // gives it slots
	}
	r.do(ok, first)
	expect("a version's", reference("k", blobOf(first)), referred)
	expect("of another key", reference("l", blobOf(first)), young)
	expect("not committed yet", reference("k", blobOf(second)), young)
	r.do(ok, second)
	expect("in the outbox", reference("k", blobOf(first)), referred)
	expect("committed", reference("k", blobOf(second)), referred)

	r.raiseFloor(lost.Begun)
	expect("not below the floor", reference("k", blobOf(lost)), young)
	r.raiseFloor(lost.Begun + 1)
	expect("below the floor", reference("k", blobOf(lost)), orphan)
	expect("below the floor, referred to", reference("k", blobOf(second)), referred)
	r.do(below, lost)
	expect("refused", reference("k", blobOf(lost)), orphan)
	for what, change := range map[string]func(*metapb.ShardReference){
		"of an extent in vain": func(s *metapb.ShardReference) { s.Extent = 9 },
		"of another group":     func(s *metapb.ShardReference) { s.Group += 7 },
		"of another slot":      func(s *metapb.ShardReference) { s.Slot = 3 },
	} {
		s := reference("k", blobOf(second))
		change(s)
		expect(what, s, orphan)
	}

	up := r.createUpload("u")
	r.do(ok, up)
	id := up.GetCreateUpload().Upload.Id
	part, again := r.putPart("u", id, 1, 50), r.putPart("u", id, 1, 60)
	for _, c := range []*metapb.Command{part, again} {
		reference("u", c.GetPutPart().Part.Blob)
	}
	ofPart := func(c *metapb.Command, number uint32) *metapb.ShardReference {
		ref := reference("u", c.GetPutPart().Part.Blob)
		ref.Upload, ref.Part = id, number
		return ref
	}
	r.do(ok, part)
	expect("a part's", ofPart(part, 1), referred)
	expect("of another part number", ofPart(part, 2), young)
	r.do(ok, again)
	expect("a replaced part's", ofPart(part, 1), referred) // by the outbox
	r.do(ok, r.complete("u", id, again))
	expect("a completed part's", ofPart(again, 1), referred)

	// The outbox has done its work: what was replaced is an orphan wherever it still lies.
	list := r.query("k")
	list.Op = &metapb.Query_ListOutbox{ListOutbox: &metapb.ListOutbox{Due: 1 << 62, Limit: 100}}
	done := r.command("k")
	var rows [][]byte
	for _, o := range r.ask(ok, list).Outbox {
		if string(o.Key) == "k" {
			rows = append(rows, o.Row)
		}
	}
	done.Op = &metapb.Command_OutboxDone{OutboxDone: &metapb.OutboxDone{Rows: rows}}
	r.do(ok, done)
	expect("deleted", reference("k", blobOf(first)), orphan)

	got := r.verdicts(reference("k", blobOf(first)), reference("k", blobOf(second)), ofPart(again, 1), reference("k", &metapb.Blob{Id: []byte("short")}))
	if want := []metapb.Verdict{orphan, referred, referred, young}; !slices.Equal(got, want) {
		t.Errorf("together: %v, want %v", got, want)
	}
	elsewhere := reference("k", blobOf(first))
	elsewhere.Bucket = 0
	expect("the system's", elsewhere, metapb.Verdict_NOT_HERE)
}

// TestFloorNotAboveRangeTime: whoever asks with a clock that is far ahead does not have the range refuse what begins from now on.
func TestFloorNotAboveRangeTime(t *testing.T) {
	r := newRig(t)
	r.raiseFloor(r.time * 1000)
	r.do(ok, r.put("k", 1))
}

// TestHoldBlob: what is to be deleted together with a blob is put off by the delete delay from now, again and again, and nothing else is.
func TestHoldBlob(t *testing.T) {
	r := newRig(t)
	held, other := r.put("k", 100), r.put("k", 200)
	r.do(ok, held)
	r.do(ok, other) // replaces it
	r.do(ok, r.put("k", 300))
	due := func() map[disk.BlobID]uint64 {
		t.Helper()
		list := r.query("k")
		list.Op = &metapb.Query_ListOutbox{ListOutbox: &metapb.ListOutbox{Due: 1 << 62, Limit: 100}}
		times := map[disk.BlobID]uint64{}
		for _, o := range r.ask(ok, list).Outbox {
			times[disk.BlobID(o.Value.GetDeleteBlobs().Blobs[0].Id)] = o.Value.NotBefore
		}
		return times
	}
	hold := func(id []byte) {
		t.Helper()
		c := r.command("k")
		c.Generation = 0 // not judged
		c.Op = &metapb.Command_HoldBlob{HoldBlob: &metapb.HoldBlob{Blob: id}}
		r.do(ok, c)
	}
	first, second := disk.BlobID(held.GetPut().Version.GetBlob().Id), disk.BlobID(other.GetPut().Version.GetBlob().Id)
	before := due()
	if len(before) != 2 {
		t.Fatalf("%d rows", len(before))
	}
	for range 3 {
		r.time += 60_000_000
		hold(first[:])
		now := due()
		if now[first] <= before[first] || now[first] < r.time+machine.DeleteDelayDefault || now[second] != before[second] || len(now) != 2 {
			t.Errorf("due at %d and %d, before at %d and %d", now[first], now[second], before[first], before[second])
		}
		before[first] = now[first]
	}
	hold([]byte("unknown"))
	if now := due(); now[first] != before[first] {
		t.Error("a blob that is not there holds another")
	}
}
