package listing_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

const name = "bucket"

// newLayer returns a layer with one bucket; its range of data is cut at some keys, because a page must not show where
// ranges end.
func newLayer(t testing.TB, cuts ...string) *objecttest.Layer {
	t.Helper()
	var o objecttest.Options
	for _, c := range cuts {
		o.Cuts = append(o.Cuts, keys.Position(1, []byte(c)))
	}
	l := objecttest.New(t, o)
	b, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name})
	if err != nil || b.ID != 1 {
		t.Fatalf("%+v %v", b, err)
	}
	return l
}

func put(t testing.TB, l *objecttest.Layer, names ...string) {
	t.Helper()
	for _, key := range names {
		_, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: name, Key: key, Size: -1}, strings.NewReader(key))
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
	}
}

func line(it objectlayer.Item) string {
	if it.Prefix != "" {
		return "[" + it.Prefix + "]"
	}
	return it.Version.Key + it.Upload.Key
}

// all walks a listing in pages by token.
func all(t testing.TB, list func(objectlayer.ListRequest) (objectlayer.Page, error), r objectlayer.ListRequest) (lines []string) {
	t.Helper()
	r.Bucket = name
	for {
		p, err := list(r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if len(p.Items) > r.Limit || p.Truncated && len(p.Items) != r.Limit || p.Truncated != (p.Next != "") {
			t.Fatalf("%+v: a page of %d lines, truncated %v, next %q", r, len(p.Items), p.Truncated, p.Next)
		}
		for _, it := range p.Items {
			lines = append(lines, line(it))
		}
		if !p.Truncated {
			return lines
		}
		r.Token = p.Next
	}
}

// byMarker walks keys in pages by the last key or prefix, as ListObjects V1 does.
func byMarker(t testing.TB, l *objecttest.Layer, r objectlayer.ListRequest) (lines []string) {
	t.Helper()
	r.Bucket = name
	for {
		p, err := l.Listings.Keys(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range p.Items {
			lines = append(lines, line(it))
		}
		if !p.Truncated {
			return lines
		}
		r.After = p.NextKey
	}
}

// model lists keys as S3's documentation says.
func model(sorted []string, r objectlayer.ListRequest) (lines []string) {
	for _, key := range sorted {
		if !strings.HasPrefix(key, r.Prefix) {
			continue
		}
		shown := key
		if r.Delimiter != "" {
			if before, _, found := strings.Cut(key[len(r.Prefix):], r.Delimiter); found {
				shown = r.Prefix + before + r.Delimiter
				if shown > r.After && !slices.Contains(lines, "["+shown+"]") {
					lines = append(lines, "["+shown+"]")
				}
				continue
			}
		}
		if shown > r.After {
			lines = append(lines, shown)
		}
	}
	return lines
}

func TestKeysAgainstModel(t *testing.T) {
	names := []string{
		"a", "a/", "a/b", "a/b/c", "a//b", "a.b", "b", "b+c", "b c", "dir/", "dir/1", "dir/2", "dir/sub/1", "dir/sub/2",
		"dir0", "prefix1", "prefix1/", "prefix1/x", "prefix1/y", "prefix10", "ü", "ü/ö", "\U0001f600", "z--x", "z--y--1", "z--y--2",
		"\x01", "\u00ff", "q\xc3\xbf/1",
	}
	sorted := slices.Sorted(slices.Values(names))
	requests := []objectlayer.ListRequest{{}}
	for _, prefix := range []string{"", "a", "a/", "dir/", "dir/sub/", "prefix1", "z", "none", "ü"} {
		for _, delimiter := range []string{"", "/", "--", "b", "//"} {
			for _, after := range []string{"", "a", "a/", "a/b", "dir/", "dir/sub/1", "prefix1", "prefix1/", "z--", "\U0001f600", "zzz"} {
				requests = append(requests, objectlayer.ListRequest{Prefix: prefix, Delimiter: delimiter, After: after})
			}
		}
	}
	for _, cuts := range [][]string{nil, {"dir/sub/15"}, {"a/b", "b", "dir/1\x00", "prefix1/x", "z--y--2"}} {
		l := newLayer(t, cuts...)
		put(t, l, names...)
		keysOf := func(r objectlayer.ListRequest) (objectlayer.Page, error) { return l.Listings.Keys(t.Context(), r) }
		for _, r := range requests {
			want := model(sorted, r)
			for _, limit := range []int{1, 2, 3, 1000} {
				r.Limit = limit
				if got := all(t, keysOf, r); !slices.Equal(got, want) {
					t.Fatalf("cuts %q: %+v: %q, want %q", cuts, r, got, want)
				}
				if got := byMarker(t, l, r); !slices.Equal(got, want) {
					t.Fatalf("cuts %q: %+v by marker: %q, want %q", cuts, r, got, want)
				}
			}
		}
	}
}

func TestPrefixAfterItsKey(t *testing.T) {
	l := newLayer(t)
	put(t, l, "prefix1", "prefix1/a", "prefix2")
	p, err := l.Listings.Keys(t.Context(), objectlayer.ListRequest{Bucket: name, Delimiter: "/", After: "prefix1", Limit: 10})
	if err != nil || len(p.Items) != 2 || p.Items[0].Prefix != "prefix1/" || p.Truncated {
		t.Fatalf("%+v %v", p, err)
	}
}

func TestWhatALineTells(t *testing.T) {
	l := newLayer(t)
	v, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{
		Bucket: name, Key: "k", Size: -1, Owner: "me", Expect: objectlayer.Expect{Algorithm: "sha1"},
		Attributes: objectlayer.Attributes{StorageClass: "GLACIER"},
	}, bytes.NewReader(make([]byte, 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	for what, list := range map[string]func() (objectlayer.Page, error){
		"keys": func() (objectlayer.Page, error) {
			return l.Listings.Keys(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1})
		},
		"versions": func() (objectlayer.Page, error) {
			return l.Listings.Versions(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1})
		},
	} {
		p, err := list()
		if err != nil || len(p.Items) != 1 || p.Truncated {
			t.Fatalf("%s: %+v %v", what, p, err)
		}
		got := p.Items[0].Version
		if got.Key != "k" || got.Size != 100_000 || got.ETag != v.ETag || got.ID != "null" || !got.Latest || got.Owner != "me" ||
			!got.Modified.Equal(v.Modified) || got.Attributes.StorageClass != "GLACIER" || got.Checksums[0].Algorithm != "sha1" {
			t.Fatalf("%s: %+v", what, got)
		}
	}
}

func TestLimits(t *testing.T) {
	l := newLayer(t)
	for i := range 1005 {
		put(t, l, fmt.Sprintf("%04d", i))
	}
	for _, c := range []struct{ limit, want int }{{0, 0}, {-1, 0}, {1, 1}, {1000, 1000}, {5000, 1000}} {
		p, err := l.Listings.Keys(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: c.limit})
		if err != nil || len(p.Items) != c.want || p.Truncated != (c.want > 0) {
			t.Fatalf("limit %d: %d lines, truncated %v, %v", c.limit, len(p.Items), p.Truncated, err)
		}
	}
	p, err := l.Listings.Keys(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 5, After: "0999"})
	if err != nil || len(p.Items) != 5 || p.Truncated {
		t.Fatalf("the last full page: %d lines, truncated %v, %v", len(p.Items), p.Truncated, err)
	}
}

func wantKind(t testing.TB, err error, want objectlayer.Kind) {
	t.Helper()
	if err == nil || objectlayer.KindOf(err) != want {
		t.Fatalf("%v, want %v", err, want)
	}
}

func TestRefusals(t *testing.T) {
	l := newLayer(t)
	for _, token := range []string{"x", "AQ", "!!!", "AAAA", strings.Repeat("A", 10_000)} {
		_, err := l.Listings.Keys(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1, Token: token})
		wantKind(t, err, objectlayer.KindInvalidArgument)
	}
	_, err := l.Listings.Versions(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1, After: "k", VersionIDMarker: "what"})
	wantKind(t, err, objectlayer.KindInvalidArgument)
	_, err = l.Listings.Versions(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1, VersionIDMarker: "null"})
	wantKind(t, err, objectlayer.KindInvalidArgument)
	_, err = l.Listings.Uploads(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1, After: "k", UploadIDMarker: "what"})
	wantKind(t, err, objectlayer.KindInvalidArgument)
	for _, limit := range []int{0, 1} {
		r := objectlayer.ListRequest{Bucket: "other", Limit: limit}
		for _, list := range []func() (objectlayer.Page, error){
			func() (objectlayer.Page, error) { return l.Listings.Keys(t.Context(), r) },
			func() (objectlayer.Page, error) { return l.Listings.Versions(t.Context(), r) },
			func() (objectlayer.Page, error) { return l.Listings.Uploads(t.Context(), r) },
		} {
			_, err := list()
			wantKind(t, err, objectlayer.KindNoSuchBucket)
		}
	}
}

func TestUploadsAndParts(t *testing.T) {
	l := newLayer(t, "b")
	var want []string
	ids := map[string]string{}
	for _, key := range []string{"a", "b/1", "b/1", "b/2", "c", "c", "c"} {
		u, err := l.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: name, Key: key, Owner: "me"})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, key)
		ids[u.ID] = key
	}
	uploads := func(r objectlayer.ListRequest) (objectlayer.Page, error) { return l.Listings.Uploads(t.Context(), r) }
	for limit := 1; limit < 9; limit++ {
		if got := all(t, uploads, objectlayer.ListRequest{Limit: limit}); !slices.Equal(got, want) {
			t.Fatalf("limit %d: %q", limit, got)
		}
		if got := all(t, uploads, objectlayer.ListRequest{Limit: limit, Delimiter: "/"}); !slices.Equal(got, []string{"a", "[b/]", "c", "c", "c"}) {
			t.Fatalf("limit %d: %q", limit, got)
		}
		if got := all(t, uploads, objectlayer.ListRequest{Limit: limit, Prefix: "b/"}); !slices.Equal(got, want[1:4]) {
			t.Fatalf("limit %d: %q", limit, got)
		}
		var got []string
		r := objectlayer.ListRequest{Bucket: name, Limit: limit}
		for more := true; more; {
			p, err := uploads(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range p.Items {
				got = append(got, it.Upload.Key)
				if ids[it.Upload.ID] != it.Upload.Key || it.Upload.Initiated.IsZero() || it.Upload.Owner != "me" {
					t.Fatalf("%+v", it.Upload)
				}
			}
			more, r.After, r.UploadIDMarker = p.Truncated, p.NextKey, p.NextUploadID
		}
		if !slices.Equal(got, want) {
			t.Fatalf("limit %d by markers: %q", limit, got)
		}
	}
	for id, key := range ids {
		if key != "a" {
			continue
		}
		for _, n := range []int{9, 1, 10_000, 4} {
			if _, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{Bucket: name, Key: key, UploadID: id, Number: n, Size: -1}, strings.NewReader("part")); err != nil {
				t.Fatal(err)
			}
		}
		var got []int
		r := objectlayer.ListRequest{Bucket: name, Key: key, UploadID: id, Limit: 3}
		for more := true; more; {
			p, err := l.Listings.Parts(t.Context(), r)
			if err != nil || p.Upload.ID != id {
				t.Fatalf("%+v %v", p, err)
			}
			for _, it := range p.Items {
				got = append(got, it.Part.Number)
				if it.Part.Size != 4 || it.Part.Modified.IsZero() {
					t.Fatalf("%+v", it.Part)
				}
			}
			more, r.PartMarker = p.Truncated, p.NextPart
		}
		if !slices.Equal(got, []int{1, 4, 9, 10_000}) {
			t.Fatalf("%v", got)
		}
		p, err := l.Listings.Parts(t.Context(), objectlayer.ListRequest{Bucket: name, Key: key, UploadID: id})
		if err != nil || len(p.Items) != 0 || p.Truncated {
			t.Fatalf("%+v %v", p, err)
		}
	}
}

// TestPagesDuringChanges deletes and adds keys between pages: what stays is listed once, whatever else happens.
func TestPagesDuringChanges(t *testing.T) {
	l := newLayer(t, "k5")
	random := rand.New(rand.NewPCG(1, 2))
	var stay []string
	for i := range 100 {
		key := fmt.Sprintf("k%02d/x", i)
		put(t, l, key)
		if i%2 == 0 {
			stay = append(stay, key)
		}
	}
	for _, delimiter := range []string{"", "/"} {
		var got []string
		r := objectlayer.ListRequest{Bucket: name, Limit: 7, Delimiter: delimiter}
		for more := true; more; {
			p, err := l.Listings.Keys(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range p.Items {
				got = append(got, strings.Trim(line(it), "[]"))
			}
			more, r.Token = p.Truncated, p.Next
			for range 5 {
				key := fmt.Sprintf("k%02d/x", random.IntN(50)*2+1)
				if random.IntN(2) == 0 {
					put(t, l, key)
				} else if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: key}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("%q", got)
		}
		for _, key := range stay {
			if delimiter != "" {
				key = strings.TrimSuffix(key, "x")
			}
			if !slices.Contains(got, key) {
				t.Fatalf("%q is missing", key)
			}
		}
	}
}
