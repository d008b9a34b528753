package machine_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// compare compares all rows to the model.
func (h *run) compare(t *rapid.T) {
	got := read(t, h.disk)
	var usage metapb.Usage
	coded := map[[3]uint32]uint64{}
	countCoded := func(b *metapb.Blob) {
		for _, e := range b.GetExtents() {
			coded[[3]uint32{e.Coding.K, e.Coding.M, e.Group >> 16}] += e.Length
		}
	}
	var payloads []string
	refs := map[string]int{}
	for key, vs := range h.model.keys {
		if len(got.versions[key]) != len(vs) {
			t.Fatalf("%q: %d versions, the model has %d", key, len(got.versions[key]), len(vs))
		}
		for i, want := range vs {
			v := got.versions[key][len(vs)-1-i]
			if v.Time != want.Time || v.NullVersion != want.NullVersion || v.DeleteMarker != want.DeleteMarker ||
				v.Size != want.Size || modelETag(v) != modelETag(want) || v.Nonce != want.Nonce {
				t.Fatalf("%q: version %v, the model has %v", key, v, want)
			}
			usage.Versions++
			usage.Bytes += v.Size
			usage.KeptBytes += uint64(v.SizeVT()) + v.GetInline().GetLength()
			refs[string(v.GetBlob().GetId())]++
			countCoded(v.GetBlob())
			for _, p := range v.Parts {
				refs[string(p.Blob.Id)]++
				countCoded(p.Blob)
			}
			if in := v.GetInline(); in != nil {
				payloads = append(payloads, fmt.Sprint(in.Index, in.N, in.Length))
			}
		}
		newest := h.model.newest(key)
		if live := newest != nil && !newest.DeleteMarker; live != (got.current[key] != nil) {
			t.Fatalf("%q: current row %v, newest version %v", key, got.current[key], newest)
		} else if live {
			usage.Objects++
			if got.current[key].Time != newest.Time {
				t.Fatalf("%q: current row %v, newest version %v", key, got.current[key], newest)
			}
		}
		h.compareGets(t, key)
	}
	for id, u := range h.model.uploads {
		usage.Uploads++
		if len(got.parts[id]) != len(u.parts) {
			t.Fatalf("upload %x: %d parts, the model has %d", id, len(got.parts[id]), len(u.parts))
		}
		for _, p := range got.parts[id] {
			usage.UploadBytes += p.Size
			usage.KeptBytes += uint64(p.SizeVT())
			refs[string(p.Blob.Id)]++
			countCoded(p.Blob)
		}
	}
	delete(refs, "")
	for _, c := range slices.SortedFunc(maps.Keys(coded), func(a, b [3]uint32) int { return slices.Compare(a[:], b[:]) }) {
		usage.Coded = append(usage.Coded, &metapb.CodedBytes{K: c[0], M: c[1], Layout: c[2], Bytes: coded[c]})
	}
	h.compareWholeUsage(t, &usage)
	if !got.usage.Same(&usage) || len(got.uploads) != len(h.model.uploads) {
		t.Fatalf("usage %v, counted %v", &got.usage, &usage)
	}
	h.compareBytes(t, got, refs, payloads)
}

// compareBytes: each blob is referred to by one row or stands in the outbox; each payload in the log is referred to.
func (h *run) compareBytes(t *rapid.T, got *rows, refs map[string]int, payloads []string) {
	for id := range h.model.named {
		n := refs[id] + got.outbox[id]
		if h.done[id] {
			n++
		}
		if n != 1 {
			t.Fatalf("blob %x: %d rows, %d outbox rows, done: %v", id, refs[id], got.outbox[id], h.done[id])
		}
	}
	for id := range got.outbox {
		if !h.model.named[id] {
			t.Fatalf("blob %x in the outbox was never named", id)
		}
	}
	for index := uint64(0); index <= h.m.State().AppliedIndex; index++ {
		id := disk.PayloadID{Range: rangeID, Term: h.m.State().AppliedTerm, Index: index}
		p, err := h.disk.Log().Payload(context.Background(), id)
		if referred := slices.Contains(payloads, fmt.Sprint(id.Index, id.N, len(p))); referred != (err == nil) {
			t.Fatalf("payload %v: referred to: %v, in the log: %v", id, referred, err)
		}
	}
}

// compareWholeUsage asks for the sum over all buckets: there is one.
func (h *run) compareWholeUsage(t *rapid.T, want *metapb.Usage) {
	s := h.disk.State().Snapshot()
	defer s.Close()
	a, err := h.m.Answer(s, &metapb.Query{Format: 1, Bucket: 1, Op: &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{All: true}}})
	h.check(err)
	if a.Status != metapb.Status_OK || !sameUsage(a.Usage, want) {
		t.Fatalf("usage of the range %v, counted %v", a.Usage, want)
	}
}

// compareGets reads a key and each of its versions.
func (h *run) compareGets(t *rapid.T, key string) {
	ask := func(id string) (*metapb.Answer, metapb.Status) {
		q := h.get(key, id)
		q.Generation = h.model.generation
		s := h.disk.State().Snapshot()
		defer s.Close()
		a, err := h.m.Answer(s, q)
		h.check(err)
		for _, g := range []uint64{q.Generation, q.Generation + 1} { // what is in memory answers as the rows do
			q.Generation = g
			rows, err := h.m.Answer(s, q)
			h.check(err)
			memory, err := h.m.Moment().Answer(s, q)
			h.check(err)
			if rows.String() != memory.String() {
				t.Fatalf("%q: %v from memory, %v from rows", key, memory, rows)
			}
		}
		return a, a.Status
	}
	newest := h.model.newest(key)
	a, s := ask("")
	if want := newest == nil || newest.DeleteMarker; want != (s == metapb.Status_NO_SUCH_KEY) || a.Version.GetTime() != newest.GetTime() {
		t.Fatalf("get %q: %v, the model has %v", key, a, newest)
	}
	for _, v := range h.model.keys[key] {
		a, s := ask(metapb.VersionID(v))
		if a.Version.GetTime() != v.Time || a.IsLatest != (v == newest) || v.DeleteMarker != (s == metapb.Status_NO_SUCH_KEY) {
			t.Fatalf("get %q %v: %v", key, v, a)
		}
	}
	if _, s := ask(metapb.EncodeVersionID(1, 1)); s != metapb.Status_NO_SUCH_VERSION {
		t.Fatalf("get %q by an unknown id: %v", key, s)
	}
}

// dump returns all rows of a disk.
func dump(t failer, d *disktest.Memory) (rows []disk.Row) {
	s := d.State().Snapshot()
	defer s.Close()
	it, err := s.Iter(nil, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		rows = append(rows, disk.Row{Key: it.Key(), Value: it.Value()})
	}
	return rows
}

// rows is what lies on a disk, sorted by kind.
type rows struct {
	current  map[string]*metapb.Current
	versions map[string][]*metapb.Version // newest first
	uploads  map[string]*metapb.Upload
	parts    map[string][]*metapb.Part
	outbox   map[string]int // by blob id
	dedupe   int
	usage    usage
}

type usage struct{ metapb.Usage }

// Same compares the counters.
func (u *usage) Same(o *metapb.Usage) bool { return sameUsage(&u.Usage, o) }

func sameUsage(u, o *metapb.Usage) bool {
	return u.Objects == o.Objects && u.Versions == o.Versions && u.Bytes == o.Bytes && u.Uploads == o.Uploads &&
		u.UploadBytes == o.UploadBytes && u.KeptBytes == o.KeptBytes && slices.EqualFunc(u.Coded, o.Coded, func(a, b *metapb.CodedBytes) bool {
		return a.K == b.K && a.M == b.M && a.Layout == b.Layout && a.Bytes == b.Bytes
	})
}

func read(t failer, d *disktest.Memory) *rows {
	r := &rows{
		current: map[string]*metapb.Current{}, versions: map[string][]*metapb.Version{},
		uploads: map[string]*metapb.Upload{}, parts: map[string][]*metapb.Part{}, outbox: map[string]int{},
	}
	for _, row := range dump(t, d) {
		if err := r.add(row); err != nil {
			t.Fatalf("row %x: %v", row.Key, err)
		}
	}
	return r
}

func (r *rows) add(row disk.Row) error {
	if keys.Column(row.Key[0]) == keys.Local {
		if l, err := keys.ParseLocal(row.Key); err != nil || !l.Usage {
			return err
		}
		return r.usage.UnmarshalVT(row.Value)
	}
	at, err := keys.Parse(row.Key)
	if err != nil {
		return err
	}
	switch at.Column {
	case keys.Current:
		c := new(metapb.Current)
		r.current[string(at.Key)] = c
		return c.UnmarshalVT(row.Value)
	case keys.Versions:
		v := new(metapb.Version)
		r.versions[string(at.Key)] = append(r.versions[string(at.Key)], v)
		return v.UnmarshalVT(row.Value)
	case keys.Uploads:
		_, id, _, isPart, err := keys.ParseUpload(row.Key)
		if err != nil {
			return err
		}
		if isPart {
			p := new(metapb.Part)
			r.parts[string(id)] = append(r.parts[string(id)], p)
			return p.UnmarshalVT(row.Value)
		}
		r.uploads[string(id)] = new(metapb.Upload)
		return r.uploads[string(id)].UnmarshalVT(row.Value)
	case keys.Outbox:
		o := new(metapb.OutboxRow)
		if err := o.UnmarshalVT(row.Value); err != nil {
			return err
		}
		for _, b := range o.GetDeleteBlobs().Blobs {
			r.outbox[string(b.Id)]++
		}
	case keys.Dedupe:
		r.dedupe++
	}
	return nil
}
