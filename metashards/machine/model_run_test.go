package machine_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// run is a random history on a machine, its model and a second replica that applies several entries in one batch.
type run struct {
	*rapid.T
	*rig
	model   *model
	twin    *rig
	pending []machine.Entry
	past    []*metapb.Command // applied or refused
	never   []*metapb.Command // made and not applied
	blobs   int
	done    map[string]bool // blobs of outbox rows that were done
}

var modelKeys = []string{"a", "a/b", "a/b/c", "\x00", "\xff"}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &run{T: t, rig: newRig(t), twin: newRig(t), model: newModel(), done: map[string]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"put":      func(t *rapid.T) { h.step(t, h.drawPut(t)) },
			"put more": func(t *rapid.T) { h.step(t, h.drawPut(t)) },
			"delete":   func(t *rapid.T) { h.step(t, h.drawDelete(t)) },
			"create":   func(t *rapid.T) { h.step(t, h.drawCreate(t)) },
			"part":     func(t *rapid.T) { h.step(t, h.drawPart(t)) },
			"complete": func(t *rapid.T) { h.step(t, h.drawComplete(t)) },
			"abort":    func(t *rapid.T) { h.step(t, h.drawAbort(t)) },
			"fence":    func(t *rapid.T) { h.step(t, h.drawFence(t)) },
			"lost":     func(t *rapid.T) { h.never = append(h.never, h.drawPut(t)) },
			"retry":    h.retry,
			"late":     h.late,
			"outbox":   h.outbox,
			"wait":     func(t *rapid.T) { h.time += rapid.Uint64Range(0, 90_000_000).Draw(t, "wait") },
			"reload":   func(*rapid.T) { h.load() },
			"":         func(t *rapid.T) { h.compare(t) },
		})
		h.compareTwin()
	})
}

// feed applies commands to the machine; the twin gets the entry later.
func (h *run) feed(t *rapid.T, cs ...*metapb.Command) []*metapb.Result {
	e := h.entry(cs...)
	var a disk.Append
	for n, length := range e.Proposal.PayloadLengths {
		id := disk.PayloadID{Range: rangeID, Term: e.Term, Index: e.Index, N: uint32(n)}
		a.Payloads = append(a.Payloads, disk.Payload{ID: id, Data: make([]byte, length)})
	}
	h.check(h.disk.Log().Append(context.Background(), a))
	h.check(h.disk.Log().Sync(context.Background()))
	h.pending = append(h.pending, e)
	results := h.applyEntry(e)
	if rapid.IntRange(0, 9).Draw(t, "twin applies") == 0 {
		h.compareTwin()
	}
	return results
}

// step applies one command, alone or in a batch, and compares its status to the model's.
func (h *run) step(t *rapid.T, c *metapb.Command) {
	if c == nil {
		return
	}
	var got *metapb.Result
	if rapid.IntRange(0, 4).Draw(t, "in a batch") == 0 {
		outer := h.command("a")
		outer.Op = &metapb.Command_Batch{Batch: &metapb.Batch{Commands: []*metapb.Command{c}}}
		got = h.feed(t, outer)[0].Results[0]
	} else {
		got = h.feed(t, c)[0]
	}
	h.judge(t, c, got)
	if got.Status < metapb.Status_STALE_GENERATION {
		h.past = append(h.past, c)
	}
}

func (h *run) judge(t *rapid.T, c *metapb.Command, got *metapb.Result) {
	if want := h.model.apply(c); got.Status != want {
		t.Fatalf("%v: %v %q, the model says %v", c, got.Status, got.Detail, want)
	}
	h.model.answers[c.RequestId] = got
}

// retry sends a command again. The answer is the first one or that it is unknown, and nothing changes.
func (h *run) retry(t *rapid.T) {
	if len(h.past) == 0 {
		return
	}
	c := rapid.SampledFrom(h.past).Draw(t, "retried").CloneVT()
	if c.GetFence() != nil {
		return
	}
	c.Retry, c.Generation = true, h.model.generation
	first, got := h.model.answers[c.RequestId], h.feed(t, c)[0]
	same := got.Status == first.Status && got.Version.GetTime() == first.Version.GetTime()
	switch {
	case got.Status == metapb.Status_UNKNOWN_OUTCOME:
	case same && got.Time == first.Time: // it was remembered
	case first.Status != metapb.Status_OK || !changes(c, first):
		h.judge(t, c, got) // the first attempt changed nothing: it may be judged anew
	case c.GetDelete().GetVersionId() != "" && got.Status == metapb.Status_OK && got.Version == nil: // it is gone already
	case c.GetPutPart() != nil && same && got.Part.Time == first.Part.Time: // the part's row remembered it
	case c.GetPutPart() != nil && got.Status == metapb.Status_NO_SUCH_UPLOAD: // the upload has ended
	default:
		t.Fatalf("retry of %v: %v after %v", c, got, first)
	}
}

// changes reports whether an answered command changed anything.
func changes(c *metapb.Command, r *metapb.Result) bool {
	return c.GetDelete() == nil || r.Version != nil
}

// late sends a command as a retry whose first attempt was lost: it is carried out or unknown.
func (h *run) late(t *rapid.T) {
	if len(h.never) == 0 {
		return
	}
	c := h.never[0].CloneVT()
	h.never = h.never[1:]
	c.Retry, c.Generation = true, h.model.generation
	if got := h.feed(t, c)[0]; got.Status != metapb.Status_UNKNOWN_OUTCOME {
		h.judge(t, c, got)
		h.past = append(h.past, c)
	}
}

func (h *run) drawKey(t *rapid.T) string { return rapid.SampledFrom(modelKeys).Draw(t, "key") }

// drawCommand begins a command, at times with an old generation or from a clock that lags.
func (h *run) drawCommand(t *rapid.T, key string) *metapb.Command {
	c := h.command(key)
	c.Generation = h.model.generation
	if rapid.IntRange(0, 15).Draw(t, "stale") == 0 {
		c.Generation += rapid.SampledFrom([]uint64{1, ^uint64(0)}).Draw(t, "generation")
	}
	c.Time += rapid.SampledFrom([]uint64{0, 0, 20_000_000}).Draw(t, "skew") - 10_000_000
	return c
}

func (h *run) drawCondition(t *rapid.T, key string) *metapb.Condition {
	etag := "00"
	if v := h.model.newest(key); v != nil {
		etag = modelETag(v)
	}
	return rapid.SampledFrom([]*metapb.Condition{
		nil, nil, nil, {IfAbsent: true}, {IfMatch: "*"}, {IfMatch: `"` + etag + `"`}, {IfMatch: etag}, {IfMatch: `"11"`},
	}).Draw(t, "condition")
}

func (h *run) nextBlob() *metapb.Blob {
	h.blobs++
	return blob(h.blobs, h.time/1000)
}

func (h *run) drawPut(t *rapid.T) *metapb.Command {
	key := h.drawKey(t)
	c := h.drawCommand(t, key)
	v := &metapb.Version{Size: rapid.Uint64Range(0, 5).Draw(t, "size"), Nonce: rapid.Uint64().Draw(t, "nonce")}
	v.Etag = fmt.Appendf(nil, "%d", v.Size)
	switch {
	case v.Size == 0:
	case rapid.Bool().Draw(t, "inline"):
		c.PayloadLength = v.Size
	default:
		v.Form = &metapb.Version_Blob{Blob: h.nextBlob()}
	}
	c.Op = &metapb.Command_Put{Put: &metapb.PutVersion{Version: v, Condition: h.drawCondition(t, key)}}
	return c
}

func (h *run) drawDelete(t *rapid.T) *metapb.Command {
	key := h.drawKey(t)
	c := h.drawCommand(t, key)
	ids := []string{"", "", "null", metapb.EncodeVersionID(1, 1)}
	for _, v := range h.model.keys[key] {
		ids = append(ids, metapb.VersionID(v))
	}
	c.Op = &metapb.Command_Delete{Delete: &metapb.DeleteVersion{
		VersionId: rapid.SampledFrom(ids).Draw(t, "id"), Nonce: rapid.Uint64().Draw(t, "nonce"),
		Condition: h.drawCondition(t, key),
	}}
	return c
}

func (h *run) drawCreate(t *rapid.T) *metapb.Command {
	c := h.drawCommand(t, h.drawKey(t))
	c.Op = &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{Upload: &metapb.Upload{Id: h.nextBlob().Id}}}
	return c
}

// drawUpload picks an upload; an unknown one if there is none.
func (h *run) drawUpload(t *rapid.T) (id []byte, u *modelUpload) {
	ids := append(slices.Sorted(maps.Keys(h.model.uploads)), string(make([]byte, 16)))
	s := rapid.SampledFrom(ids).Draw(t, "upload")
	if u = h.model.uploads[s]; u == nil {
		u = &modelUpload{key: "a"}
	}
	return []byte(s), u
}

func (h *run) drawPart(t *rapid.T) *metapb.Command {
	id, u := h.drawUpload(t)
	c := h.drawCommand(t, u.key)
	n := rapid.Uint32Range(1, 4).Draw(t, "number")
	c.Op = &metapb.Command_PutPart{PutPart: &metapb.PutPart{Upload: id, Part: &metapb.Part{
		Number: n, Size: uint64(n) + 10, Etag: fmt.Appendf(nil, "%016d", n), Blob: h.nextBlob(),
	}}}
	return c
}

func (h *run) drawComplete(t *rapid.T) *metapb.Command {
	id, u := h.drawUpload(t)
	c := h.drawCommand(t, u.key)
	d := &metapb.CompleteUpload{Upload: id, Nonce: rapid.Uint64().Draw(t, "nonce"), Condition: h.drawCondition(t, u.key)}
	numbers := slices.Sorted(maps.Keys(u.parts))
	switch rapid.IntRange(0, 5).Draw(t, "mistake") {
	case 0:
		slices.Reverse(numbers)
	case 1:
		numbers = append(numbers, 5)
	case 2:
		numbers = numbers[len(numbers)/2:]
	}
	if len(numbers) == 0 {
		numbers = []uint32{1}
	}
	for _, n := range numbers {
		d.Parts = append(d.Parts, &metapb.CompletedPart{Number: n, Etag: fmt.Appendf(nil, "%016d", n)})
	}
	c.Op = &metapb.Command_Complete{Complete: d}
	return c
}

func (h *run) drawAbort(t *rapid.T) *metapb.Command {
	id, u := h.drawUpload(t)
	c := h.drawCommand(t, u.key)
	c.Op = &metapb.Command_Abort{Abort: &metapb.AbortUpload{Upload: id}}
	return c
}

func (h *run) drawFence(t *rapid.T) *metapb.Command {
	if rapid.IntRange(0, 3).Draw(t, "rare") != 0 {
		return nil
	}
	v := h.model.versioning
	if v != 0 || rapid.Bool().Draw(t, "begin versioning") {
		v = rapid.Uint32Range(1, 2).Draw(t, "versioning")
	}
	return h.fence(&metapb.Fence{Generation: h.model.generation + 1, Versioning: v})
}

// outbox lists what is due, and does some of it.
func (h *run) outbox(t *rapid.T) {
	q := &metapb.Query{Op: &metapb.Query_ListOutbox{ListOutbox: &metapb.ListOutbox{Due: ^uint64(0), Limit: 3}}}
	c := h.command("a")
	c.Op = &metapb.Command_OutboxDone{OutboxDone: &metapb.OutboxDone{}}
	for _, item := range h.ask(metapb.Status_OK, q).Outbox {
		c.GetOutboxDone().Rows = append(c.GetOutboxDone().Rows, item.Row)
		for _, b := range item.Value.GetDeleteBlobs().Blobs {
			if h.done[string(b.Id)] {
				t.Fatalf("blob %x is to be deleted twice", b.Id)
			}
			h.done[string(b.Id)] = true
		}
	}
	if r := h.feed(t, c)[0]; r.Status != metapb.Status_OK {
		t.Fatalf("%v", r)
	}
}

// compareTwin applies what the twin lacks in one batch, and compares all rows.
func (h *run) compareTwin() {
	b := h.twin.disk.State().NewBatch()
	for _, e := range h.pending {
		_, err := h.twin.m.Apply(b, e)
		h.check(err)
	}
	h.check(b.Commit())
	h.pending = nil
	if got, want := dump(h.twin.t, h.twin.disk), dump(h.t, h.disk); !slices.EqualFunc(got, want, sameRow) {
		h.Fatalf("two replicas differ")
	}
}

func sameRow(a, b disk.Row) bool { return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) }
