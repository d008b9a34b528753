package keys_test

import (
	"bytes"
	"cmp"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/metashards/keys"
)

// oddKey draws keys in which the bytes that escaping touches are frequent.
func oddKey() *rapid.Generator[[]byte] {
	b := rapid.OneOf(rapid.SampledFrom([]byte{0x00, 0x01, 0xfe, 0xff, 'a', '/'}), rapid.Byte())
	return rapid.SliceOfN(b, 0, 12)
}

func oddNumber() *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 0xff, 0x100, 1 << 63, ^uint64(0)}), rapid.Uint64())
}

// order compares two rows as their columns, buckets, keys and suffixes say.
func order(a, b keys.Row) int {
	return cmp.Or(cmp.Compare(a.Column, b.Column), cmp.Compare(a.Bucket, b.Bucket), bytes.Compare(a.Key, b.Key),
		bytes.Compare(a.Suffix, b.Suffix))
}

func draw(t *rapid.T, label string) (keys.Row, []byte) {
	r := keys.Row{
		Column: keys.Column(rapid.IntRange(int(keys.System), int(keys.Dedupe)).Draw(t, label+" column")),
		Bucket: oddNumber().Draw(t, label+" bucket"), Key: oddKey().Draw(t, label+" key"),
		Suffix: rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, label+" suffix"),
	}
	return r, append(keys.KeyRow(r.Column, r.Bucket, r.Key), r.Suffix...)
}

func TestRowsKeepOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, rowA := draw(t, "a")
		b, rowB := draw(t, "b")
		if got, want := bytes.Compare(rowA, rowB), order(a, b); got != want {
			t.Fatalf("rows %x and %x compare %d, want %d", rowA, rowB, got, want)
		}
		back, err := keys.Parse(rowA)
		if err != nil || order(back, a) != 0 {
			t.Fatalf("parsed %+v, want %+v: %v", back, a, err)
		}
	})
}

func TestPositionsKeepOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, _ := draw(t, "a")
		b, _ := draw(t, "b")
		a.Column, a.Suffix, b.Column, b.Suffix = keys.System, nil, keys.System, nil
		pa, pb := keys.Position(a.Bucket, a.Key), keys.Position(b.Bucket, b.Key)
		if bytes.Compare(pa, pb) != order(a, b) || keys.ComparePosition(a.Bucket, a.Key, pb) != order(a, b) {
			t.Fatalf("positions %x and %x are out of order", pa, pb)
		}
		bucket, key, err := keys.ParsePosition(pa)
		if err != nil || bucket != a.Bucket || !bytes.Equal(key, a.Key) {
			t.Fatalf("parsed %d %x: %v", bucket, key, err)
		}
	})
}

// A row lies in the spans of an interval exactly if its position lies in the interval.
func TestSpansHoldTheRowsOfAnInterval(t *testing.T) {
	bound := rapid.OneOf(rapid.Just([]byte(nil)), rapid.Custom(func(t *rapid.T) []byte {
		return keys.Position(rapid.Uint64Range(0, 3).Draw(t, "bucket"), oddKey().Draw(t, "key"))
	}))
	rapid.Check(t, func(t *rapid.T) {
		start, end := bound.Draw(t, "start"), bound.Draw(t, "end")
		r, _ := draw(t, "row")
		r.Bucket %= 4
		row := append(keys.KeyRow(r.Column, r.Bucket, r.Key), r.Suffix...)
		spans, err := keys.Spans(start, end)
		if err != nil {
			t.Fatal(err)
		}
		in := 0
		for i, s := range spans {
			if i > 0 && bytes.Compare(spans[i-1].Upper, s.Lower) > 0 {
				t.Fatalf("span %d begins below the end of the one before", i)
			}
			if bytes.Compare(s.Lower, row) <= 0 && bytes.Compare(row, s.Upper) < 0 {
				in++
			}
		}
		if want := keys.Contains(start, end, r.Bucket, r.Key); (in == 1) != want || in > 1 {
			t.Fatalf("row %x lies in %d spans of [%x, %x), contained: %v", row, in, start, end, want)
		}
	})
}

func TestPrefixAndKeySpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, row := draw(t, "row")
		prefix := oddKey().Draw(t, "prefix")
		if rapid.Bool().Draw(t, "cut from the key") {
			prefix = r.Key[:rapid.IntRange(0, len(r.Key)).Draw(t, "length")]
		}
		p := keys.PrefixSpan(r.Column, r.Bucket, prefix)
		in := bytes.Compare(p.Lower, row) <= 0 && bytes.Compare(row, p.Upper) < 0
		if in != bytes.HasPrefix(r.Key, prefix) {
			t.Fatalf("key %x in the span of prefix %x: %v", r.Key, prefix, in)
		}
		k := keys.KeySpan(r.Column, r.Bucket, prefix)
		in = bytes.Compare(k.Lower, row) <= 0 && bytes.Compare(row, k.Upper) < 0
		if in != bytes.Equal(r.Key, prefix) {
			t.Fatalf("key %x in the span of key %x: %v", r.Key, prefix, in)
		}
	})
}

func TestEachRowParsesBack(t *testing.T) {
	id := bytes.Repeat([]byte{0, 0xff}, 8)
	rapid.Check(t, func(t *rapid.T) {
		bucket, key := oddNumber().Draw(t, "bucket"), oddKey().Draw(t, "key")
		a, b := oddNumber().Draw(t, "a"), oddNumber().Draw(t, "b")
		same := func(gotBucket uint64, gotKey []byte, ok bool, err error) {
			t.Helper()
			if err != nil || gotBucket != bucket || !bytes.Equal(gotKey, key) || !ok {
				t.Fatalf("parsed %d %x %v: %v", gotBucket, gotKey, ok, err)
			}
		}
		gb, gk, time, err := keys.ParseVersion(keys.VersionRow(bucket, key, a))
		same(gb, gk, time == a, err)
		r, up, part, isPart, err := keys.ParseUpload(keys.UploadRow(bucket, key, id))
		same(r.Bucket, r.Key, bytes.Equal(up, id) && part == 0 && !isPart, err)
		r, up, part, isPart, err = keys.ParseUpload(keys.PartRow(bucket, key, id, uint32(b)))
		same(r.Bucket, r.Key, bytes.Equal(up, id) && part == uint32(b) && isPart, err)
		r, due, n, err := keys.ParseOutbox(keys.OutboxRow(bucket, key, a, b))
		same(r.Bucket, r.Key, due == a && n == b, err)
		gb, gk, blob, err := keys.ParseBlob(keys.BlobRow(bucket, key, id))
		same(gb, gk, bytes.Equal(blob, id), err)
		gb, gk, err = keys.ParseKey(keys.KeyRow(keys.Dedupe, bucket, key), keys.Dedupe)
		same(gb, gk, true, err)
		f, err := keys.ParseLocal(keys.FenceRow(a, bucket))
		same(f.Bucket, key, f.Fence && f.Range == a, err)
		f, err = keys.ParseLocal(keys.UsageRow(a, bucket))
		same(f.Bucket, key, f.Usage && f.Range == a, err)
		f, err = keys.ParseLocal(keys.StateRow(a))
		same(bucket, key, f.State && f.Range == a, err)
		f, err = keys.ParseLocal(keys.DescriptorRow(a))
		same(bucket, key, f.Descriptor && f.Range == a, err)
	})
}

func TestVersionsSortNewestFirst(t *testing.T) {
	if bytes.Compare(keys.VersionRow(1, []byte("k"), 2), keys.VersionRow(1, []byte("k"), 1)) >= 0 {
		t.Fatal("the older version sorts first")
	}
}

func TestLocalRowsLieInTheirRangesSpanAlone(t *testing.T) {
	for _, row := range [][]byte{keys.DescriptorRow(9), keys.StateRow(9), keys.FenceRow(9, ^uint64(0)), keys.UsageRow(9, 1)} {
		for id := uint64(8); id <= 10; id++ {
			s := keys.LocalSpan(id)
			if in := bytes.Compare(s.Lower, row) <= 0 && bytes.Compare(row, s.Upper) < 0; in != (id == 9) {
				t.Fatalf("row %x in the span of range %d: %v", row, id, in)
			}
		}
	}
}

func TestDamagedRowsAreErrors(t *testing.T) {
	whole := keys.VersionRow(5, []byte("a\x00b"), 77)
	for n := range whole {
		if _, _, _, err := keys.ParseVersion(whole[:n]); !errors.Is(err, keys.ErrDamaged) {
			t.Fatalf("%d bytes of %d: %v", n, len(whole), err)
		}
	}
	for name, row := range map[string][]byte{
		"longer":         append(bytes.Clone(whole), 0),
		"another column": keys.KeyRow(keys.Current, 5, []byte("a")),
		"bad escape":     append(keys.PrefixRows(keys.Versions, 5, []byte("a")), 0, 7, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8),
		"range's row":    keys.FenceRow(5, 6),
	} {
		if _, _, _, err := keys.ParseVersion(row); !errors.Is(err, keys.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := keys.ParsePosition([]byte{1, 2}); err == nil {
		t.Error("a short position was parsed")
	}
	if _, err := keys.Spans([]byte{1}, nil); err == nil {
		t.Error("a short bound has spans")
	}
}

func TestOverlap(t *testing.T) {
	p := func(s string) []byte { return keys.Position(1, []byte(s)) }
	for _, c := range []struct {
		a, b, c, d []byte
		want       bool
	}{
		{nil, nil, nil, nil, true},
		{nil, p("m"), p("m"), nil, false},
		{nil, p("m\x00"), p("m"), nil, true},
		{p("a"), p("c"), p("b"), p("d"), true},
		{p("c"), p("d"), p("a"), p("c"), false},
	} {
		if got := keys.Overlap(c.a, c.b, c.c, c.d); got != c.want {
			t.Errorf("%x-%x and %x-%x: %v", c.a, c.b, c.c, c.d, got)
		}
	}
}

// FuzzParse: whatever parses is exactly what encoding gives, and nothing panics.
func FuzzParse(f *testing.F) {
	id := make([]byte, 16)
	for _, row := range [][]byte{
		nil, keys.VersionRow(1, []byte("a\x00"), 5), keys.PartRow(1, []byte("k"), id, 7), keys.OutboxRow(2, nil, 3, 4),
		keys.FenceRow(1, 2), keys.BucketRecord("b"), keys.BlobRow(1, []byte{0xff}, id), keys.StateRow(4),
	} {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		if r, err := keys.Parse(row); err == nil {
			if back := append(keys.KeyRow(r.Column, r.Bucket, r.Key), r.Suffix...); !bytes.Equal(back, row) {
				t.Fatalf("%x came back as %x", row, back)
			}
		}
		if r, up, part, isPart, err := keys.ParseUpload(row); err == nil {
			back := keys.UploadRow(r.Bucket, r.Key, up)
			if isPart {
				back = keys.PartRow(r.Bucket, r.Key, up, part)
			}
			if !bytes.Equal(back, row) {
				t.Fatalf("%x came back as %x", row, back)
			}
		}
		if r, due, n, err := keys.ParseOutbox(row); err == nil && !bytes.Equal(keys.OutboxRow(r.Bucket, r.Key, due, n), row) {
			t.Fatalf("outbox row %x does not come back", row)
		}
		if bucket, key, time, err := keys.ParseVersion(row); err == nil &&
			!bytes.Equal(keys.VersionRow(bucket, key, time), row) {
			t.Fatalf("version row %x does not come back", row)
		}
		if l, err := keys.ParseLocal(row); err == nil && !bytes.Equal(localRow(l), row) {
			t.Fatalf("local row %x came back as %x", row, localRow(l))
		}
		if bucket, key, err := keys.ParsePosition(row); err == nil && !bytes.Equal(keys.Position(bucket, key), row) {
			t.Fatalf("position %x does not come back", row)
		}
	})
}

// localRow encodes a parsed row of a range again.
func localRow(l keys.LocalRow) []byte {
	switch {
	case l.Descriptor:
		return keys.DescriptorRow(l.Range)
	case l.State:
		return keys.StateRow(l.Range)
	case l.Fence:
		return keys.FenceRow(l.Range, l.Bucket)
	}
	return keys.UsageRow(l.Range, l.Bucket)
}
