package machine_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// text is a line of a page as text: what the naive lister and the machine are compared by.
func text(i *metapb.ListItem) string {
	switch {
	case i.CommonPrefix:
		return fmt.Sprintf("prefix %q", i.Key)
	case i.Upload != nil:
		return fmt.Sprintf("upload %q %x", i.Key, i.Upload.Id)
	case i.Version != nil:
		return fmt.Sprintf("version %q %d latest %v marker %v", i.Key, i.Version.Time, i.IsLatest, i.Version.DeleteMarker)
	}
	return fmt.Sprintf("key %q %d", i.Key, i.Current.Time)
}

func texts(items []*metapb.ListItem) []string {
	var s []string
	for _, i := range items {
		s = append(s, text(i))
	}
	return s
}

// naive rolls lines up as S3's pages say: in order, above after (a common prefix at or below it is dropped), past the
// whole of afterPrefix. hidden says what a marker within a key has passed already.
func naive(
	all []*metapb.ListItem, prefix, delimiter, after, afterPrefix []byte, hidden func(*metapb.ListItem) bool,
) []string {
	var out []string
	for _, i := range all {
		if !bytes.HasPrefix(i.Key, prefix) || bytes.Compare(i.Key, after) <= 0 && hidden == nil && len(after) > 0 {
			continue
		}
		if hidden != nil && hidden(i) {
			continue
		}
		if len(afterPrefix) > 0 && (bytes.HasPrefix(i.Key, afterPrefix) || bytes.Compare(i.Key, afterPrefix) < 0) {
			continue
		}
		line := text(i)
		if n := bytes.Index(i.Key[len(prefix):], delimiter); len(delimiter) > 0 && n >= 0 {
			common := i.Key[:len(prefix)+n+len(delimiter)]
			if len(after) > 0 && bytes.Compare(common, after) <= 0 {
				continue
			}
			line = fmt.Sprintf("prefix %q", common)
		}
		if len(out) == 0 || out[len(out)-1] != line {
			out = append(out, line)
		}
	}
	return out
}

// oddKeys draws keys of few letters, so that prefixes and delimiters are frequent.
func oddKey() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("ab/\x00\xff")), 1, 6), func(b []byte) string { return string(b) })
}

func maybe(t *rapid.T, label string, n int) []byte {
	return rapid.SliceOfN(rapid.SampledFrom([]byte("ab/\x00\xff")), 0, n).Draw(t, label)
}

// fill puts keys, versions, markers and uploads.
func fill(t *rapid.T, r *rig) {
	r.do(metapb.Status_OK, r.fence(&metapb.Fence{Generation: 2, Versioning: 1}))
	for range rapid.IntRange(0, 25).Draw(t, "keys") {
		key := oddKey().Draw(t, "key")
		for range rapid.IntRange(1, 3).Draw(t, "versions") {
			c := r.put(key, 1)
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				c = r.delete(key, "")
			case 1:
				c = r.createUpload(key)
			}
			c.Generation = 2
			r.do(metapb.Status_OK, c)
		}
	}
}

// lines returns all lines that a list could have, in order.
func lines(r *rig, column keys.Column) (all []*metapb.ListItem) {
	var last []byte
	for _, row := range dump(r.t, r.disk) {
		if keys.Column(row.Key[0]) != column {
			continue
		}
		at, err := keys.Parse(row.Key)
		r.check(err)
		i := &metapb.ListItem{Key: at.Key}
		switch column {
		case keys.Current:
			i.Current = new(metapb.Current)
			r.check(i.Current.UnmarshalVT(row.Value))
		case keys.Versions:
			i.Version = new(metapb.Version)
			r.check(i.Version.UnmarshalVT(row.Value))
			i.IsLatest = last == nil || !bytes.Equal(last, at.Key)
			last = at.Key
		case keys.Uploads:
			if _, _, _, isPart, err := keys.ParseUpload(row.Key); isPart || err != nil {
				continue
			}
			i.Upload = new(metapb.Upload)
			r.check(i.Upload.UnmarshalVT(row.Value))
		}
		all = append(all, i)
	}
	return all
}

// judgePage compares a page to what the naive lister says.
func judgePage(t *rapid.T, a *metapb.Answer, want []string, limit uint32) {
	t.Helper()
	whole := len(want)
	want = want[:min(whole, int(limit))]
	if got := texts(a.Items); !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	if a.Truncated != (limit > 0 && whole > int(limit)) {
		t.Fatalf("truncated %v, %d of %d", a.Truncated, limit, whole)
	}
}

func TestListKeysEqualsNaiveLister(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		fill(t, r)
		all := lines(r, keys.Current)
		for range 10 {
			l := &metapb.ListKeys{
				Prefix: maybe(t, "prefix", 2), Delimiter: maybe(t, "delimiter", 2), After: maybe(t, "after", 4),
				AfterPrefix: maybe(t, "after prefix", 2), Limit: rapid.Uint32Range(0, 6).Draw(t, "limit"),
			}
			q := r.query("")
			q.Generation, q.Op = 2, &metapb.Query_ListKeys{ListKeys: l}
			judgePage(t, r.ask(metapb.Status_OK, q), naive(all, l.Prefix, l.Delimiter, l.After, l.AfterPrefix, nil), l.Limit)
		}
	})
}

// Page after page gives everything once, with the last line as the marker of the next page.
func TestPagesOfKeysJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		fill(t, r)
		l := &metapb.ListKeys{
			Prefix: maybe(t, "prefix", 1), Delimiter: maybe(t, "delimiter", 2), Limit: rapid.Uint32Range(1, 3).Draw(t, "limit"),
		}
		want := naive(lines(r, keys.Current), l.Prefix, l.Delimiter, nil, nil, nil)
		var got []string
		for {
			q := r.query("")
			q.Generation, q.Op = 2, &metapb.Query_ListKeys{ListKeys: l}
			a := r.ask(metapb.Status_OK, q)
			got = append(got, texts(a.Items)...)
			if !a.Truncated {
				break
			}
			if l.After = a.Next; a.Items[len(a.Items)-1].CommonPrefix && rapid.Bool().Draw(t, "as a prefix") {
				l.After, l.AfterPrefix = nil, a.Next
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}

func TestListVersionsEqualsNaiveLister(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		r.do(metapb.Status_OK, r.put("a/b", 1)) // becomes a null version
		fill(t, r)
		all := lines(r, keys.Versions)
		for range 10 {
			l := &metapb.ListVersions{
				Prefix: maybe(t, "prefix", 2), Delimiter: maybe(t, "delimiter", 1), KeyMarker: maybe(t, "marker", 4),
				AfterPrefix: maybe(t, "after prefix", 1), Limit: rapid.Uint32Range(0, 6).Draw(t, "limit"),
			}
			var hidden func(*metapb.ListItem) bool
			if rapid.Bool().Draw(t, "within a key") {
				i := rapid.SampledFrom(all).Draw(t, "marker")
				l.KeyMarker, l.VersionMarker = i.Key, metapb.VersionID(i.Version)
				hidden = func(o *metapb.ListItem) bool {
					c := bytes.Compare(o.Key, i.Key)
					return c < 0 || c == 0 && o.Version.Time >= i.Version.Time
				}
			}
			q := r.query("")
			q.Generation, q.Op = 2, &metapb.Query_ListVersions{ListVersions: l}
			judgePage(t, r.ask(metapb.Status_OK, q), naive(all, l.Prefix, l.Delimiter, l.KeyMarker, l.AfterPrefix, hidden), l.Limit)
		}
	})
}

func TestListUploadsEqualsNaiveLister(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t)
		fill(t, r)
		c := r.createUpload("a/b")
		c.Generation = 2
		r.do(metapb.Status_OK, c)
		for n := range 3 {
			p := r.putPart("a/b", c.GetCreateUpload().Upload.Id, uint32(n+1), 5)
			p.Generation = 2
			r.do(metapb.Status_OK, p)
		}
		all := lines(r, keys.Uploads)
		for range 10 {
			l := &metapb.ListUploads{
				Prefix: maybe(t, "prefix", 2), Delimiter: maybe(t, "delimiter", 1), KeyMarker: maybe(t, "marker", 4),
				AfterPrefix: maybe(t, "after prefix", 1), Limit: rapid.Uint32Range(0, 6).Draw(t, "limit"),
			}
			var hidden func(*metapb.ListItem) bool
			if rapid.Bool().Draw(t, "within a key") {
				i := rapid.SampledFrom(all).Draw(t, "marker")
				l.KeyMarker, l.UploadMarker = i.Key, i.Upload.Id
				hidden = func(o *metapb.ListItem) bool {
					c := bytes.Compare(o.Key, i.Key)
					return c < 0 || c == 0 && bytes.Compare(o.Upload.Id, i.Upload.Id) <= 0
				}
			}
			q := r.query("")
			q.Generation, q.Op = 2, &metapb.Query_ListUploads{ListUploads: l}
			judgePage(t, r.ask(metapb.Status_OK, q), naive(all, l.Prefix, l.Delimiter, l.KeyMarker, l.AfterPrefix, hidden), l.Limit)
		}
	})
}

func TestListKeysByS3sExamples(t *testing.T) {
	r := newRig(t)
	for _, k := range []string{"prefix1/a", "prefix1/b", "prefix2", "z//y", "z//", "é"} {
		r.do(metapb.Status_OK, r.put(k, 1))
	}
	for _, c := range []struct {
		name string
		list *metapb.ListKeys
		want []string
	}{
		{"a prefix above start-after", &metapb.ListKeys{Delimiter: []byte("/"), After: []byte("prefix1"), Limit: 2}, []string{"prefix1/", "prefix2"}},
		{"a prefix at start-after", &metapb.ListKeys{Delimiter: []byte("/"), After: []byte("prefix1/"), Limit: 1}, []string{"prefix2"}},
		{"start-after within a prefix", &metapb.ListKeys{Delimiter: []byte("/"), After: []byte("prefix1/a"), Limit: 1}, []string{"prefix2"}},
		{"without delimiter", &metapb.ListKeys{After: []byte("prefix1/a"), Limit: 2}, []string{"prefix1/b", "prefix2"}},
		{"two characters", &metapb.ListKeys{Delimiter: []byte("//"), After: []byte("prefix2"), Limit: 9}, []string{"z//", "é"}},
		{"no keys asked", &metapb.ListKeys{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := r.query("")
			q.Op = &metapb.Query_ListKeys{ListKeys: c.list}
			var got []string
			for _, i := range r.ask(metapb.Status_OK, q).Items {
				got = append(got, string(i.Key))
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A list that goes on in the next range says where.
func TestListStopsAtTheRangesEnd(t *testing.T) {
	r := newRigOf(t, &metapb.RangeDescriptor{
		Id: rangeID, Start: keys.Position(bucketID, []byte("c")), End: keys.Position(bucketID, []byte("m")),
	})
	r.do(metapb.Status_OK, r.put("d", 1))
	r.do(metapb.Status_WRONG_RANGE, r.put("m", 1))
	r.do(metapb.Status_WRONG_RANGE, r.put("b", 1))
	for _, c := range []struct {
		prefix, after, next string
		items               int
	}{{"", "", "m", 1}, {"", "x", "m", 0}, {"d", "", "", 1}, {"a", "", "", 0}, {"x", "", "m", 0}} {
		q := r.query("d")
		q.Op = &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Prefix: []byte(c.prefix), After: []byte(c.after), Limit: 9}}
		a := r.ask(metapb.Status_OK, q)
		if len(a.Items) != c.items || a.Truncated != (c.next != "") || string(a.Next) != c.next {
			t.Errorf("%+v: %v", c, a)
		}
	}
	q := r.query("z")
	q.Op = &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Limit: 9}}
	r.ask(metapb.Status_WRONG_RANGE, q)
}

// counted is a reader that counts how many rows its iterators land on.
type counted struct {
	disk.Snapshot
	rows *int
}

func (c counted) Iter(lower, upper []byte) (disk.Iter, error) {
	it, err := c.Snapshot.Iter(lower, upper)
	return countedIter{it, c.rows}, err
}

type countedIter struct {
	disk.Iter
	rows *int
}

func (c countedIter) First() bool            { *c.rows++; return c.Iter.First() }
func (c countedIter) Next() bool             { *c.rows++; return c.Iter.Next() }
func (c countedIter) SeekGE(key []byte) bool { *c.rows++; return c.Iter.SeekGE(key) }

// A page looks at the rows that it returns, whatever lies beneath a common prefix, but for a few steps into the first
// prefixes: not more of them for more prefixes, or for more rows in them.
func TestPageCostsThePage(t *testing.T) {
	r := newRig(t)
	var cs []*metapb.Command
	for n := range 2000 {
		cs = append(cs, r.put(fmt.Sprintf("%02d/%04d", n%20, n), 1))
	}
	r.apply(cs...)
	for _, c := range []struct {
		delimiter string
		limit     int
		most      int
	}{{"", 10, 11}, {"/", 10, 11 + machine.StepsMost}, {"/", 19, 20 + machine.StepsMost}} {
		rows := 0
		s := counted{r.disk.State().Snapshot(), &rows}
		q := r.query("")
		q.Op = &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Delimiter: []byte(c.delimiter), Limit: uint32(c.limit)}}
		a, err := r.m.Answer(s, q)
		r.check(err)
		if len(a.Items) != c.limit || !a.Truncated || rows > c.most {
			t.Errorf("delimiter %q: %d items, %d rows looked at, want at most %d", c.delimiter, len(a.Items), rows, c.most)
		}
		r.check(s.Close())
	}
}
