package machine_test

import (
	"bytes"
	"testing"

	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

const (
	ok         = metapb.Status_OK
	absent     = metapb.Status_NO_SUCH_KEY
	failed     = metapb.Status_PRECONDITION_FAILED
	stale      = metapb.Status_STALE_GENERATION
	frozen     = metapb.Status_FROZEN
	below      = metapb.Status_BELOW_FLOOR
	unknown    = metapb.Status_UNKNOWN_OUTCOME
	badRequest = metapb.Status_INVALID_REQUEST
)

// retry makes the same request's next attempt.
func retry(c *metapb.Command) *metapb.Command {
	c = c.CloneVT()
	c.Retry = true
	return c
}

func TestConditions(t *testing.T) {
	etag := "30303030303030303030303030303130" // of put(…, 10)
	for _, c := range []struct {
		name                  string
		condition             *metapb.Condition
		onKey, onAbsent       metapb.Status
		onMarker, deleteOnKey metapb.Status
	}{
		{"none", nil, ok, ok, ok, ok},
		{"if absent", &metapb.Condition{IfAbsent: true}, failed, ok, ok, failed},
		{"any", &metapb.Condition{IfMatch: "*"}, ok, absent, absent, ok},
		{"bare", &metapb.Condition{IfMatch: etag}, ok, absent, absent, ok},
		{"quoted", &metapb.Condition{IfMatch: `"` + etag + `"`}, ok, absent, absent, ok},
		{"half quoted", &metapb.Condition{IfMatch: `"` + etag}, failed, absent, absent, failed},
		{"other", &metapb.Condition{IfMatch: `"00"`}, failed, absent, absent, failed},
		{"parts", &metapb.Condition{IfMatch: etag + "-1"}, failed, absent, absent, failed},
		{"size", &metapb.Condition{HasIfMatchSize: true, IfMatchSize: 10}, ok, ok, ok, ok},
		{"other size", &metapb.Condition{HasIfMatchSize: true, IfMatchSize: 0}, failed, ok, ok, failed},
		{"time", &metapb.Condition{IfMatchTime: startTime + 2_500_000}, ok, ok, ok, ok},
		{"other time", &metapb.Condition{IfMatchTime: startTime}, failed, ok, ok, failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			on := func(want metapb.Status, prepare func(*rig), isDelete bool) {
				t.Helper()
				r := newRig(t)
				r.do(ok, r.fence(&metapb.Fence{Generation: 2, Versioning: 1}))
				prepare(r)
				cmd := r.put("k", 11)
				cmd.GetPut().Condition = c.condition
				if isDelete {
					cmd = r.delete("k", "")
					cmd.GetDelete().Condition = c.condition
				}
				r.do(want, at(cmd, 2))
			}
			put := func(r *rig) { r.do(ok, at(r.put("k", 10), 2)) }
			on(c.onKey, put, false)
			on(c.onAbsent, func(*rig) {}, false)
			on(c.onMarker, func(r *rig) { put(r); r.do(ok, at(r.delete("k", ""), 2)) }, false)
			on(c.deleteOnKey, put, true)
		})
	}
}

// at sets a command's generation.
func at(c *metapb.Command, generation uint64) *metapb.Command {
	c.Generation = generation
	return c
}

func TestVersionTimeRisesWhateverTheClocks(t *testing.T) {
	r := newRig(t)
	first := r.do(ok, r.put("k", 1))
	c := r.put("k", 2)
	c.Time = 5
	if got := r.do(ok, c); got.Version.Time != first.Version.Time+1 {
		t.Fatalf("time %d after %d", got.Version.Time, first.Version.Time)
	}
	late := r.entry(r.put("k", 3))
	late.Proposal.Time = 1
	before := r.m.State().Time
	if r.applyEntry(late); r.m.State().Time != before {
		t.Fatalf("range time went from %d to %d", before, r.m.State().Time)
	}
}

func TestDeleteMarkerAndRestore(t *testing.T) {
	r := newRig(t)
	r.do(ok, r.put("k", 1)) // null version
	r.do(ok, r.fence(&metapb.Fence{Generation: 2, Versioning: 1}))
	second := r.do(ok, at(r.put("k", 2), 2)).Version
	marker := r.do(ok, at(r.delete("k", ""), 2))
	if !marker.DeleteMarker || marker.Version == nil {
		t.Fatalf("%v", marker)
	}
	get := func(want metapb.Status, id string) *metapb.Answer {
		t.Helper()
		q := r.get("k", id)
		q.Generation = 2
		return r.ask(want, q)
	}
	if a := get(absent, ""); !a.Version.GetDeleteMarker() {
		t.Fatalf("%v", a)
	}
	if a := get(ok, "null"); a.Version.Size != 1 {
		t.Fatalf("%v", a)
	}
	gone := r.do(ok, at(r.delete("k", metapb.VersionID(marker.Version)), 2))
	if !gone.DeleteMarker {
		t.Fatalf("%v", gone)
	}
	if a := get(ok, ""); a.Version.Time != second.Time {
		t.Fatalf("%v", a)
	}
	r.do(ok, at(r.delete("k", metapb.VersionID(second)), 2))
	if a := get(ok, ""); a.Version.Size != 1 || !a.Version.NullVersion {
		t.Fatalf("%v", a)
	}
	r.do(ok, at(r.delete("k", metapb.VersionID(second)), 2)) // it is gone already
	r.do(badRequest, at(r.delete("k", "no id"), 2))
	get(badRequest, "no id")
	get(metapb.Status_NO_SUCH_VERSION, metapb.VersionID(second))
}

func TestSuspendedVersioningReplacesTheNullVersion(t *testing.T) {
	r := newRig(t)
	r.do(ok, r.fence(&metapb.Fence{Generation: 2, Versioning: 1}))
	kept := r.do(ok, at(r.put("k", 1), 2)).Version
	r.do(ok, r.fence(&metapb.Fence{Generation: 3, Versioning: 2}))
	r.do(ok, at(r.put("k", 2), 3))
	r.do(ok, at(r.put("k", 3), 3))
	r.do(ok, at(r.delete("k", ""), 3))
	got := read(t, r.disk).versions["k"]
	if len(got) != 2 || !got[0].NullVersion || !got[0].DeleteMarker || got[1].Time != kept.Time {
		t.Fatalf("%v", got)
	}
	r.do(ok, at(r.delete("k", "null"), 3))
	if got := read(t, r.disk); len(got.versions["k"]) != 1 || got.current["k"].Time != kept.Time {
		t.Fatalf("%v", got)
	}
	r.do(badRequest, r.fence(&metapb.Fence{Generation: 4}))
}

// Caught mutant: mutant_dedupe.
func TestRetryAnswersTheSame(t *testing.T) {
	r := newRig(t)
	first := r.put("k", 1)
	first.GetPut().Condition = &metapb.Condition{IfAbsent: true}
	won := r.do(ok, first)
	for range 3 {
		loser := r.put("k", 2)
		loser.GetPut().Condition = &metapb.Condition{IfAbsent: true}
		r.do(failed, loser) // must not make the winner's outcome forgotten
	}
	if again := r.do(ok, retry(first)); again.Version.Time != won.Version.Time || again.Time != won.Time {
		t.Fatalf("%v after %v", again, won)
	}
	r.do(ok, r.delete("k", ""))
	r.do(unknown, retry(first))
	r.ask(absent, r.get("k", ""))
}

func TestRetryOfALostAttemptIsCarriedOut(t *testing.T) {
	r := newRig(t)
	r.do(ok, r.put("k", 1))
	r.do(ok, retry(r.put("k", 2)))
	if a := r.ask(ok, r.get("k", "")); a.Version.Size != 2 {
		t.Fatalf("%v", a)
	}
}

// A retry may come with a clock that is ahead of range time: the row's mark, not its range time, tells.
func TestRetryWithAClockAhead(t *testing.T) {
	r := newRig(t)
	ahead := r.put("k", 1)
	ahead.Time += 30_000_000
	r.do(ok, ahead)
	r.do(ok, r.put("k", 2))
	r.do(unknown, retry(ahead))
}

func TestOldRetryIsUnknown(t *testing.T) {
	r := newRig(t)
	c := r.put("k", 1)
	r.time += machine.DedupeWindow + 1
	r.do(unknown, retry(c))
	if n := r.m.State().AppliedIndex; n != machine.FirstIndex+1 {
		t.Fatalf("applied index %d", n)
	}
}

func TestRefusalsAreNotRemembered(t *testing.T) {
	r := newRig(t)
	c := at(r.put("k", 1), 2)
	r.do(stale, c)
	r.do(ok, r.fence(&metapb.Fence{Generation: 2, Frozen: true}))
	r.do(frozen, retry(c))
	r.do(ok, r.fence(&metapb.Fence{Generation: 3}))
	r.do(ok, at(retry(c), 3))
}

func TestSweepKeepsDedupeRowsBounded(t *testing.T) {
	r := newRig(t)
	most := 0
	for n := range 2000 {
		c := r.put(string(rune('a'+n%26))+string(rune('a'+n/26%26))+string(rune('a'+n/676)), 1)
		r.do(ok, c) // a second of range time each
		if n%100 == 99 {
			most = max(most, read(t, r.disk).dedupe)
		}
	}
	if most < 60 || most > 300 {
		t.Fatalf("up to %d dedupe rows, 60 are within the window", most)
	}
}

// Caught mutant: mutant_floor.
func TestFloorRefusesWhatWasBegunBelowIt(t *testing.T) {
	r := newRig(t)
	early, upload := r.put("k", 1), r.createUpload("u")
	r.do(ok, upload)
	id := upload.GetCreateUpload().Upload.Id
	part := r.putPart("u", id, 1, 5)
	r.do(ok, part)
	latePart, lateUpload, inline := r.putPart("u", id, 2, 5), r.createUpload("v"), r.putInline("i", 3)
	raise := r.command("")
	raise.Op = &metapb.Command_RaiseFloor{RaiseFloor: &metapb.RaiseFloor{Floor: raise.Begun}}
	r.do(ok, raise)
	lower := r.command("")
	lower.Op = &metapb.Command_RaiseFloor{RaiseFloor: &metapb.RaiseFloor{Floor: 1}}
	r.do(ok, lower)
	r.do(below, early)
	r.do(below, latePart)
	r.do(below, lateUpload)
	r.do(ok, inline) // names no blob
	lying := r.put("k", 1)
	lying.GetPut().Version.GetBlob().Id = early.GetPut().Version.GetBlob().Id
	r.do(below, lying)
	r.do(ok, r.put("k", 1))
	// Complete names the rows that hold its parts: they are there.
	r.do(ok, r.complete("u", id, part))
}

// Caught mutant: mutant_fence.
func TestFence(t *testing.T) {
	r := newRig(t)
	r.do(ok, r.put("k", 1))
	r.do(ok, r.fence(&metapb.Fence{Generation: 1})) // what it is
	if got := r.do(ok, r.fence(&metapb.Fence{Generation: 3})); got.Range.String() != r.m.Descriptor().String() {
		t.Fatalf("the fence does not say which range took it: %v", got)
	}
	if got := r.do(stale, r.put("k", 1)); got.Generation != 3 {
		t.Fatalf("%v", got)
	}
	if got := r.do(stale, at(r.put("k", 1), 4)); got.Generation != 3 {
		t.Fatalf("%v", got)
	}
	if got := r.ask(stale, r.get("k", "")); got.Generation != 3 || got.Version != nil {
		t.Fatalf("%v", got)
	}
	if got := r.do(stale, r.fence(&metapb.Fence{Generation: 2})); got.Generation != 3 || got.Range.GetId() != rangeID {
		t.Fatalf("%v", got)
	}
	r.do(stale, r.fence(&metapb.Fence{Generation: 3, Frozen: true}))
	r.do(ok, r.fence(&metapb.Fence{Generation: 4, Frozen: true}))
	r.do(frozen, at(r.put("k", 1), 4))
	q := r.get("k", "")
	q.Generation = 4
	r.ask(ok, q)
	gone := r.fence(&metapb.Fence{Generation: 5, Frozen: true})
	gone.GetFence().IfEmpty = true
	r.do(metapb.Status_BUCKET_NOT_EMPTY, gone)
	r.do(ok, r.fence(&metapb.Fence{Generation: 6}))
	r.do(ok, at(r.delete("k", ""), 6))
	upload := at(r.createUpload("u"), 6)
	r.do(ok, upload)
	gone.GetFence().Fence.Generation = 7
	r.do(metapb.Status_BUCKET_NOT_EMPTY, gone)
	abort := at(r.command("u"), 6)
	abort.Op = &metapb.Command_Abort{Abort: &metapb.AbortUpload{Upload: upload.GetCreateUpload().Upload.Id}}
	r.do(ok, abort)
	r.do(ok, gone)
	r.do(ok, r.fence(&metapb.Fence{Generation: 8, Deleted: true}))
	r.do(stale, at(r.put("k", 1), 8))
	r.do(stale, r.fence(&metapb.Fence{Generation: 9}))
}

func TestOutbox(t *testing.T) {
	r := newRig(t)
	first := r.put("k", 1)
	r.do(ok, first)
	r.do(ok, r.put("k", 2))
	list := func(due uint64) *metapb.Answer {
		q := &metapb.Query{Op: &metapb.Query_ListOutbox{ListOutbox: &metapb.ListOutbox{Due: due, Limit: 9}}}
		return r.ask(ok, q)
	}
	replaced := r.m.State().Time
	if a := list(replaced + machine.DeleteDelayDefault - 1); len(a.Outbox) != 0 || a.Truncated {
		t.Fatalf("%v", a)
	}
	a := list(replaced + machine.DeleteDelayDefault)
	if len(a.Outbox) != 1 || a.Outbox[0].Bucket != bucketID || string(a.Outbox[0].Key) != "k" ||
		!bytes.Equal(a.Outbox[0].Value.GetDeleteBlobs().Blobs[0].Id, first.GetPut().Version.GetBlob().Id) {
		t.Fatalf("%v", a)
	}
	soon := r.entry(r.put("k", 3))
	soon.Proposal.DeleteDelay = 1
	r.applyEntry(soon)
	if a := list(r.m.State().Time + 1); len(a.Outbox) != 1 {
		t.Fatalf("%v", a)
	}
	for range 2 {
		done := r.command("k")
		done.Op = &metapb.Command_OutboxDone{OutboxDone: &metapb.OutboxDone{Rows: [][]byte{a.Outbox[0].Row}}}
		r.do(ok, done)
	}
	if a := list(^uint64(0)); len(a.Outbox) != 1 {
		t.Fatalf("%v", a)
	}
	bad := r.command("k")
	bad.Op = &metapb.Command_OutboxDone{OutboxDone: &metapb.OutboxDone{Rows: [][]byte{{1, 2}}}}
	r.do(badRequest, bad)
}

func TestOutboxPagesJoin(t *testing.T) {
	r := newRig(t)
	for range 100 {
		r.do(ok, r.put("k", 1))
	}
	q := &metapb.ListOutbox{Due: startTime + machine.DeleteDelayDefault + 80_000_000, Limit: 3}
	seen := 0
	for {
		a := r.ask(ok, &metapb.Query{Op: &metapb.Query_ListOutbox{ListOutbox: q}})
		if seen += len(a.Outbox); !a.Truncated {
			break
		}
		q.After = a.Next
	}
	if seen != 79 {
		t.Fatalf("%d rows are due", seen)
	}
}

func TestPayloadsOfRefusedCommandsAreDropped(t *testing.T) {
	r := newRig(t)
	wanted, refused := r.putInline("a", 3), at(r.putInline("b", 4), 9)
	nested, last := r.putInline("c", 5), r.putInline("d", 6)
	batch := r.command("")
	batch.Op = &metapb.Command_Batch{Batch: &metapb.Batch{Commands: []*metapb.Command{refused, nested}}}
	got := r.apply(wanted, batch, last)
	if got[0].Status != ok || got[1].Results[0].Status != stale || got[1].Results[1].Status != ok || got[2].Status != ok {
		t.Fatalf("%v", got)
	}
	for key, n := range map[string]uint32{"a": 0, "c": 2, "d": 3} {
		in := r.ask(ok, r.get(key, "")).Version.GetInline()
		if in.GetN() != n || in.GetIndex() != r.m.State().AppliedIndex || in.GetRange() != rangeID {
			t.Errorf("%s: %v", key, in)
		}
	}
}

func TestSenselessCommandsGetAStatus(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*metapb.Command){
		"no operation":       func(c *metapb.Command) { c.Op = nil },
		"no version":         func(c *metapb.Command) { c.GetPut().Version = nil },
		"no key":             func(c *metapb.Command) { c.Key = nil },
		"system bucket":      func(c *metapb.Command) { c.Bucket = 0 },
		"bytes nowhere":      func(c *metapb.Command) { c.GetPut().Version.Form = nil },
		"blob without id":    func(c *metapb.Command) { c.GetPut().Version.GetBlob().Id = nil },
		"delete marker":      func(c *metapb.Command) { c.GetPut().Version.DeleteMarker = true },
		"payload beside":     func(c *metapb.Command) { c.PayloadLength = 7 },
		"inline by caller":   func(c *metapb.Command) { c.GetPut().Version.Form = &metapb.Version_Inline{Inline: &metapb.Inline{}} },
		"unused pack":        func(c *metapb.Command) { c.GetPut().Version.Form = &metapb.Version_Pack{Pack: &metapb.Pack{}} },
		"delete, no version": func(c *metapb.Command) { c.Op = &metapb.Command_Delete{Delete: nil}; c.Key = nil },
		"batch in a batch": func(c *metapb.Command) {
			inner := &metapb.Command{Op: &metapb.Command_Batch{Batch: &metapb.Batch{Commands: []*metapb.Command{c.CloneVT()}}}}
			inner.GetBatch().Commands[0].PayloadLength = 4
			c.Op = &metapb.Command_Batch{Batch: &metapb.Batch{Commands: []*metapb.Command{inner}}}
		},
		"bucket without name": func(c *metapb.Command) {
			c.Bucket, c.Op = 0, &metapb.Command_CreateBucket{CreateBucket: &metapb.CreateBucket{}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.put("k", 1)
			change(c)
			got := r.apply(c)[0]
			if len(got.Results) > 0 {
				got = got.Results[0]
			}
			if got.Status != badRequest {
				t.Fatalf("%v", got)
			}
		})
	}
	r.ask(absent, r.get("k", ""))
}

func TestEntriesThatStopTheReplica(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*machine.Entry){
		"another range":     func(e *machine.Entry) { e.Range++ },
		"a gap":             func(e *machine.Entry) { e.Index++ },
		"again":             func(e *machine.Entry) { e.Index-- },
		"an older term":     func(e *machine.Entry) { e.Term-- },
		"a newer format":    func(e *machine.Entry) { e.Proposal.Format++ },
		"a newer command":   func(e *machine.Entry) { e.Proposal.Commands[0].Format++ },
		"a damaged version": func(*machine.Entry) {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.do(ok, r.put("k", 1))
			b := r.disk.State().NewBatch()
			defer b.Close()
			if name == "a damaged version" {
				for _, row := range dump(t, r.disk) {
					if bytes.Contains(row.Key, []byte("k\x00\x01")) {
						r.check(b.Set(row.Key, []byte{0xff}))
					}
				}
			}
			e := r.entry(r.put("k", 1))
			change(&e)
			if _, err := r.m.Apply(b, e); err == nil {
				t.Fatal("it was applied")
			}
		})
	}
	at := r.m.State().AppliedIndex + 1
	b := r.disk.State().NewBatch()
	defer b.Close()
	r.check(r.m.ApplyEmpty(b, machine.FirstTerm, at))
	if err := r.m.ApplyEmpty(b, machine.FirstTerm, at); err == nil {
		t.Fatal("an empty entry was applied twice")
	}
}
