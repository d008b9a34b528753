package machine_test

import (
	"fmt"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

const (
	rangeID   = 7
	bucketID  = 3
	startTime = 1_000_000_000_000 // microseconds
)

// failer is what testing.T, testing.B and rapid.T share.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// rig is a range of one replica on a disk in memory.
type rig struct {
	t    failer
	disk *disktest.Memory
	id   uint64 // of the range
	m    *machine.Machine

	time     uint64
	requests int
}

func newRig(t failer) *rig { return newRigOf(t, &metapb.RangeDescriptor{Id: rangeID}) }

func newRigOf(t failer, d *metapb.RangeDescriptor) *rig {
	t.Helper()
	r := &rig{t: t, disk: disktest.NewMemory(1), id: d.Id, time: startTime}
	b := r.disk.State().NewBatch()
	r.check(machine.Bootstrap(b, d, startTime))
	r.check(b.Commit())
	r.load()
	return r
}

func (r *rig) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%v", err)
	}
}

// load makes the machine anew from its rows.
func (r *rig) load() {
	r.t.Helper()
	s := r.disk.State().Snapshot()
	defer s.Close()
	m, err := machine.Load(s, r.id)
	r.check(err)
	r.m = m
}

// entry makes the next entry of some commands.
func (r *rig) entry(commands ...*metapb.Command) machine.Entry {
	s := r.m.State()
	p := &metapb.Proposal{Format: 1, Commands: commands, Time: r.time}
	addLengths(p, commands)
	return machine.Entry{Range: r.id, Term: s.AppliedTerm, Index: s.AppliedIndex + 1, Proposal: p}
}

func addLengths(p *metapb.Proposal, commands []*metapb.Command) {
	for _, c := range commands {
		if c.PayloadLength > 0 {
			p.PayloadLengths = append(p.PayloadLengths, c.PayloadLength)
			p.PayloadSums = append(p.PayloadSums, 0)
		}
		addLengths(p, c.GetBatch().GetCommands())
	}
}

// apply applies commands in one entry and one batch.
func (r *rig) apply(commands ...*metapb.Command) []*metapb.Result {
	r.t.Helper()
	return r.applyEntry(r.entry(commands...))
}

func (r *rig) applyEntry(e machine.Entry) []*metapb.Result {
	r.t.Helper()
	b := r.disk.State().NewBatch()
	results, err := r.m.Apply(b, e)
	r.check(err)
	r.check(b.Commit())
	return results
}

// do applies one command and demands a status.
func (r *rig) do(want metapb.Status, c *metapb.Command) *metapb.Result {
	r.t.Helper()
	got := r.apply(c)[0]
	if got.Status != want {
		r.t.Fatalf("%v: %v %q, want %v", c, got.Status, got.Detail, want)
	}
	return got
}

// ask answers one query and demands a status.
func (r *rig) ask(want metapb.Status, q *metapb.Query) *metapb.Answer {
	r.t.Helper()
	s := r.disk.State().Snapshot()
	defer s.Close()
	a, err := r.m.Answer(s, q)
	r.check(err)
	if a.Status != want {
		r.t.Fatalf("%v: %v %q, want %v", q, a.Status, a.Detail, want)
	}
	return a
}

// command begins a command on a key, with a new request id and a time one second later than the last.
func (r *rig) command(key string) *metapb.Command {
	r.requests++
	r.time += 1_000_000
	return &metapb.Command{
		Format: 1, RequestId: fmt.Sprint("r", r.requests), Bucket: bucketID, Key: []byte(key), Generation: 1, Time: r.time,
		Begun: r.time / 1000,
	}
}

func (r *rig) query(key string) *metapb.Query {
	return &metapb.Query{Format: 1, Bucket: bucketID, Key: []byte(key), Generation: 1}
}

// blob makes a blob begun at a time in milliseconds.
func blob(n int, begun uint64) *metapb.Blob {
	id := disk.NewBlobID(begun, [10]byte{8: byte(n >> 8), 9: byte(n)})
	b := &metapb.Blob{Id: id[:], Length: uint64(n)}
	for i, rest := 0, uint64(n); rest > 0; i++ { // one extent or two, in codings and layouts that depend on the length
		length := (rest + 1) / 2
		if rest%3 == 0 || i > 0 {
			length = rest
		}
		rest -= length
		b.Extents = append(b.Extents, &metapb.Extent{
			Length: length, Number: uint32(i), Group: uint32(disk.FirstGroup(uint16((n + i) % 5 / 2))),
			Coding: &metapb.Coding{Codec: 1, K: uint32(n+i)%3 + 1, M: uint32(n) % 2},
		})
	}
	return b
}

// put makes a command that puts a version of n bytes in a blob.
func (r *rig) put(key string, n int) *metapb.Command {
	c := r.command(key)
	c.Op = &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{
		Size: uint64(n), Nonce: uint64(r.requests), Etag: fmt.Appendf(nil, "%016d", n),
		Form: &metapb.Version_Blob{Blob: blob(n, c.Begun)},
	}}}
	return c
}

// putInline makes a command that puts a version of n bytes that ride with it.
func (r *rig) putInline(key string, n int) *metapb.Command {
	c := r.put(key, n)
	c.GetPut().Version.Form = nil
	c.PayloadLength = uint64(n)
	return c
}

func (r *rig) delete(key, version string) *metapb.Command {
	c := r.command(key)
	c.Op = &metapb.Command_Delete{Delete: &metapb.DeleteVersion{VersionId: version, Nonce: uint64(r.requests)}}
	return c
}

// fence makes a command that brings a generation.
func (r *rig) fence(f *metapb.Fence) *metapb.Command {
	c := r.command("")
	c.Op = &metapb.Command_Fence{Fence: &metapb.FenceBucket{Fence: f}}
	return c
}

func (r *rig) get(key, version string) *metapb.Query {
	q := r.query(key)
	q.Op = &metapb.Query_Get{Get: &metapb.GetVersion{VersionId: version}}
	return q
}

func TestPutGetDelete(t *testing.T) {
	r := newRig(t)
	r.ask(metapb.Status_NO_SUCH_KEY, r.get("k", ""))
	p := r.do(metapb.Status_OK, r.put("k", 10))
	a := r.ask(metapb.Status_OK, r.get("k", ""))
	if a.Version.Time != p.Version.Time || a.Version.GetBlob() == nil || !a.IsLatest || !a.Version.NullVersion {
		t.Fatalf("got %v after %v", a, p)
	}
	r.load()
	r.do(metapb.Status_OK, r.delete("k", ""))
	r.ask(metapb.Status_NO_SUCH_KEY, r.get("k", ""))
	r.do(metapb.Status_OK, r.delete("k", ""))
}

func (r *rig) createUpload(key string) *metapb.Command {
	c := r.command(key)
	c.Op = &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{
		Upload: &metapb.Upload{Id: blob(r.requests, c.Begun).Id},
	}}
	return c
}

// putPart makes a command that puts a part of n bytes.
func (r *rig) putPart(key string, upload []byte, number uint32, n int) *metapb.Command {
	c := r.command(key)
	c.Op = &metapb.Command_PutPart{PutPart: &metapb.PutPart{Upload: upload, Part: &metapb.Part{
		Number: number, Size: uint64(n), Etag: fmt.Appendf(nil, "%016d", n), Blob: blob(1000*r.requests+n, c.Begun),
	}}}
	return c
}

// complete makes a command that completes an upload from the parts that some commands put.
func (r *rig) complete(key string, upload []byte, parts ...*metapb.Command) *metapb.Command {
	c := r.command(key)
	d := &metapb.CompleteUpload{Upload: upload, Nonce: uint64(r.requests)}
	for _, p := range parts {
		part := p.GetPutPart().Part
		d.Parts = append(d.Parts, &metapb.CompletedPart{Number: part.Number, Etag: part.Etag})
	}
	c.Op = &metapb.Command_Complete{Complete: d}
	return c
}
