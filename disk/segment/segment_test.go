package segment

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/contender/contender/disk"
)

func header(seq uint64) Header {
	return Header{
		Cluster: disk.ClusterID{1, 2}, Disk: 7, Seq: seq, Salt: [16]byte{3, 4}, Boot: 2, Bytes: 64 << 10,
		PrevEnd: Pos{Seq: seq - 1, Off: 5000},
	}
}

func TestHeader(t *testing.T) {
	h := header(9)
	b := h.Encode()
	if got, err := DecodeHeader(b); err != nil || got != h {
		t.Fatalf("%+v %v", got, err)
	}
	for i := range b {
		b[i] ^= 1
		if _, err := DecodeHeader(b); err == nil {
			t.Errorf("byte %d may change", i)
		}
		b[i] ^= 1
	}
	if _, err := DecodeHeader(make([]byte, HeaderBytes)); err != ErrNoHeader {
		t.Errorf("zeros: %v", err)
	}
	if _, err := DecodeHeader(b[:50]); err != ErrBadHeader {
		t.Errorf("short: %v", err)
	}
}

func sealed(k Kind, flags uint16, gen uint64, meta, data []byte) Record {
	r := Record{Kind: k, Flags: flags, Gen: gen, Meta: meta, Data: data}
	r.Seal()
	return r
}

// TestBinding: a record verifies in its place and nowhere else.
func TestBinding(t *testing.T) {
	h := header(9)
	c := h.Context()
	r := sealed(KindPayload, 0, 2, []byte("meta"), []byte("data!"))
	b := r.Append(nil, &c, 4096)
	if int64(len(b)) != r.Size() || len(b)%Align != 0 {
		t.Errorf("%d bytes, Size says %d", len(b), r.Size())
	}
	if got, n, err := Parse(b, &c, 4096); err != nil || n != int64(len(b)) || !reflect.DeepEqual(got, r) {
		t.Fatalf("%+v %d %v", got, n, err)
	}
	places := map[string]func(h *Header, off *int64){
		"offset":  func(_ *Header, off *int64) { *off += Align },
		"segment": func(h *Header, _ *int64) { h.Seq++ },
		"salt":    func(h *Header, _ *int64) { h.Salt[15]++ },
		"disk":    func(h *Header, _ *int64) { h.Disk++ },
		"cluster": func(h *Header, _ *int64) { h.Cluster[0]++ },
	}
	for name, change := range places {
		h, off := h, int64(4096)
		change(&h, &off)
		c := h.Context()
		if _, _, err := Parse(b, &c, off); err != ErrBadRecord {
			t.Errorf("other %s: %v", name, err)
		}
	}
	for i := range RecordHeaderBytes + len(r.Meta) + len(r.Data) {
		b[i] ^= 0x10
		want := ErrBadRecord
		if i >= RecordHeaderBytes+len(r.Meta) {
			want = ErrBadData
		}
		if _, _, err := Parse(b, &c, 4096); err != want {
			t.Errorf("byte %d: %v, want %v", i, err, want)
		}
		b[i] ^= 0x10
	}
}

func TestMetas(t *testing.T) {
	id := disk.ShardID{Group: 1, Blob: disk.BlobID{2}, Extent: 3, Slot: 4}
	for _, moved := range []bool{false, true} {
		old := Pos{}
		if moved {
			old = Pos{Seq: 3, Off: 1 << 30}
		}
		commit := &Commit{
			Info: disk.ShardInfo{ID: id, Epoch: 5, Length: 1 << 40, Owner: []byte("owner")}, Digest: 1 << 63,
			Runs: []Run{{First: 0, Count: 3, At: Pos{Seq: 1, Off: 4096}}, {First: 3, Count: 1, At: Pos{Seq: 2, Off: 9}}}, Old: old,
		}
		if got, err := ParseCommit(commit.AppendMeta(nil, moved), moved); err != nil || !reflect.DeepEqual(got, commit) {
			t.Errorf("commit: %+v %v", got, err)
		}
		entry := Entry{Range: 1, Term: 2, Index: 1 << 60, Type: 3, Base: Pos{Seq: 8, Off: 9}, Old: old}
		if got, err := ParseEntry(entry.AppendMeta(nil, moved), moved); err != nil || got != entry {
			t.Errorf("entry: %+v %v", got, err)
		}
		b := entry.AppendMeta(nil, moved)
		PatchBase(b, Pos{Seq: 10, Off: 11})
		if got, err := ParseEntry(b, moved); err != nil || got.Base != (Pos{Seq: 10, Off: 11}) || got.Index != entry.Index {
			t.Errorf("patched entry: %+v %v", got, err)
		}
		hard := HardState{State: disk.HardState{Range: 1, Term: 2, Vote: 3, Commit: 4}, Old: old}
		if got, err := ParseHardState(hard.AppendMeta(nil, moved), moved); err != nil || got != hard {
			t.Errorf("hard state: %+v %v", got, err)
		}
		payload := Payload{ID: disk.PayloadID{Range: 1, Term: 2, Index: 3, N: 4}, Old: old}
		if got, err := ParsePayload(payload.AppendMeta(nil, moved), moved); err != nil || got != payload {
			t.Errorf("payload: %+v %v", got, err)
		}
	}
	block := Block{ID: id, Epoch: 5, Number: 6}
	if got, err := ParseBlock(block.AppendMeta(nil)); err != nil || got != block {
		t.Errorf("block: %+v %v", got, err)
	}
	if Size(BlockMetaBytes, disk.BlockBytes) != BlockStride {
		t.Errorf("stride is %d, a full block takes %d", BlockStride, Size(BlockMetaBytes, disk.BlockBytes))
	}
	if got, err := ParseTombstone(Tombstone{ID: id}.AppendMeta(nil)); err != nil || got.ID != id {
		t.Errorf("tombstone: %+v %v", got, err)
	}
	mark := Mark{Synced: Pos{Seq: 7, Off: 8}}
	if got, err := ParseMark(mark.AppendMeta(nil)); err != nil || got != mark {
		t.Errorf("mark: %+v %v", got, err)
	}
}

// script lays records into a segment, one behind the other, and returns their offsets.
func script(h Header, recs ...Record) (b []byte, offs []int64) {
	b = make([]byte, HeaderBytes, h.Bytes)
	c := h.Context()
	for i := range recs {
		offs = append(offs, int64(len(b)))
		b = recs[i].Append(b, &c, int64(len(b)))
	}
	return b[:h.Bytes], append(offs, int64(len(b)))
}

func mark(gen uint64, p Pos) Record {
	return sealed(KindMark, 0, gen, Mark{Synced: p}.AppendMeta(nil), nil)
}

func TestWalk(t *testing.T) {
	h := header(1)
	data := func(gen uint64, n int) Record {
		return sealed(KindPayload, 0, gen, []byte("m"), bytes.Repeat([]byte{byte(gen)}, n))
	}
	recs := []Record{data(2, 100), mark(2, Pos{1, 4096}), data(2, 50), mark(3, Pos{1, 4300}), data(3, 60), data(3, 70)}
	b, offs := script(h, recs...)
	w := NewWalk(b, h, HeaderBytes, 2)
	for i := range recs {
		r, off, err := w.Next()
		if err != nil || off != offs[i] || r.Kind != recs[i].Kind || r.Gen != recs[i].Gen || !bytes.Equal(r.Data, recs[i].Data) {
			t.Fatalf("record %d: %+v %d %v", i, r, off, err)
		}
	}
	if _, off, err := w.Next(); err != ErrBadRecord || off != offs[len(recs)] {
		t.Errorf("at the end: %d %v", off, err)
	}
	if _, ok := w.LastMark(); ok {
		t.Error("a mark behind the end")
	}

	// Bad data: the record is named and stepped over.
	b[offs[2]+RecordHeaderBytes+10] ^= 1
	w = NewWalk(b, h, offs[2], 2)
	if r, _, err := w.Next(); err != ErrBadData || r.Kind != KindPayload || w.Off() != offs[3] {
		t.Errorf("bad data: %+v %v, now at %d", r, err, w.Off())
	}

	// A bad header: what follows proves that it was synced, and reading goes on behind it at the next boot's mark.
	b[offs[2]] ^= 1
	w = NewWalk(b, h, offs[2], 2)
	if _, _, err := w.Next(); err != ErrBadRecord || w.Off() != offs[2] {
		t.Errorf("bad header: %v, now at %d", err, w.Off())
	}
	if p, ok := w.LastMark(); !ok || p != (Pos{1, 4300}) {
		t.Errorf("last mark: %v %v", p, ok)
	}
	if !w.Resync() || w.Off() != offs[3] {
		t.Errorf("resync to %d, want %d", w.Off(), offs[3])
	}
}

// TestWalkGenerations: the boot count grows at marks only, and never falls.
func TestWalkGenerations(t *testing.T) {
	h := header(1)
	b, offs := script(h, mark(2, Pos{}), sealed(KindPayload, 0, 3, nil, nil), mark(1, Pos{}))
	w := NewWalk(b, h, HeaderBytes, 2)
	if _, _, err := w.Next(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Next(); err != ErrBadRecord {
		t.Errorf("a later boot without a mark: %v", err)
	}
	w = NewWalk(b, h, offs[2], 2)
	if _, _, err := w.Next(); err != ErrBadRecord {
		t.Errorf("an earlier boot: %v", err)
	}
	// With a later boot behind, resync does not stop at stale records of the boot in force.
	b, offs = script(h, sealed(KindPayload, 0, 2, nil, nil), sealed(KindPayload, 0, 2, nil, nil), mark(3, Pos{1, 5000}))
	b[offs[0]] ^= 1
	w = NewWalk(b, h, HeaderBytes, 2)
	if !w.Resync() || w.Off() != offs[2] {
		t.Errorf("resync to %d, want the mark at %d", w.Off(), offs[2])
	}
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(header(3).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := DecodeHeader(b); err == nil && !bytes.Equal(h.Encode()[:encodedHeaderBytes-16], b[:encodedHeaderBytes-16]) {
			t.Errorf("%+v encodes otherwise", h)
		}
	})
}

func FuzzMeta(f *testing.F) {
	c := Commit{Info: disk.ShardInfo{Owner: []byte("o")}, Runs: []Run{{Count: 1, At: Pos{1, 2}}}}
	f.Add(c.AppendMeta(nil, false), false)
	f.Add(Entry{Range: 1}.AppendMeta(nil, true), true)
	f.Add(Payload{}.AppendMeta(nil, false), false)
	f.Fuzz(func(t *testing.T, b []byte, moved bool) {
		if m, err := ParseCommit(b, moved); err == nil {
			again, err := ParseCommit(m.AppendMeta(nil, moved), moved)
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("commit %+v, again %+v %v", m, again, err)
			}
		}
		if m, err := ParseEntry(b, moved); err == nil {
			if again, err := ParseEntry(m.AppendMeta(nil, moved), moved); err != nil || again != m {
				t.Errorf("entry %+v, again %+v %v", m, again, err)
			}
		}
		if m, err := ParseHardState(b, moved); err == nil {
			if again, err := ParseHardState(m.AppendMeta(nil, moved), moved); err != nil || again != m {
				t.Errorf("hard state %+v, again %+v %v", m, again, err)
			}
		}
		if m, err := ParsePayload(b, moved); err == nil {
			if again, err := ParsePayload(m.AppendMeta(nil, moved), moved); err != nil || again != m {
				t.Errorf("payload %+v, again %+v %v", m, again, err)
			}
		}
		_, _ = ParseBlock(b)
		_, _ = ParseTombstone(b)
		_, _ = ParseMark(b)
	})
}

func FuzzWalk(f *testing.F) {
	h := header(1)
	b, _ := script(h, sealed(KindPayload, 0, 2, []byte("m"), []byte("d")), mark(2, Pos{1, 4096}))
	f.Add(b[HeaderBytes:5000])
	f.Fuzz(func(t *testing.T, b []byte) {
		w := NewWalk(append(make([]byte, HeaderBytes), b...), h, HeaderBytes, 0)
		for last := int64(0); ; {
			if w.Off() <= last {
				t.Fatalf("stands still at %d", last)
			}
			last = w.Off()
			if _, _, err := w.Next(); err == ErrBadRecord {
				w.LastMark()
				if !w.Resync() {
					return
				}
			}
		}
	})
}
