package router_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/router"
)

// owners adds to the answers of real stores which range owns a position that theirs does not.
type owners struct {
	router.Target
	all []*metapb.RangeDescriptor
}

func (o owners) owner(bucket uint64, key []byte) *metapb.RangeDescriptor {
	for _, d := range o.all {
		if keys.Contains(d.Start, d.End, bucket, key) {
			return d
		}
	}
	return nil
}

func (o owners) Query(ctx context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error) {
	a, err := o.Target.Query(ctx, rangeID, q)
	if a.GetStatus() == metapb.Status_WRONG_RANGE {
		a.Range = &metapb.RangeReport{Range: o.owner(q.Bucket, q.Key)}
	}
	return a, err
}

// walk lists bucket 3 page by page, with the last line of each page as the marker of the next.
func walk(t *testing.T, r *router.Router, what, delimiter string, limit uint32) (got []string, pages int) {
	t.Helper()
	var after, afterPrefix, upload []byte
	var version string
	for {
		pages++
		q := &metapb.Query{Format: 1, Bucket: 3, Generation: 1}
		switch what {
		case "keys":
			q.Op = &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{
				Delimiter: []byte(delimiter), Limit: limit, After: after, AfterPrefix: afterPrefix,
			}}
		case "versions":
			q.Op = &metapb.Query_ListVersions{ListVersions: &metapb.ListVersions{
				Delimiter: []byte(delimiter), Limit: limit, KeyMarker: after, VersionMarker: version, AfterPrefix: afterPrefix,
			}}
		case "uploads":
			q.Op = &metapb.Query_ListUploads{ListUploads: &metapb.ListUploads{
				Delimiter: []byte(delimiter), Limit: limit, KeyMarker: after, UploadMarker: upload, AfterPrefix: afterPrefix,
			}}
		}
		a, err := r.Query(t.Context(), q)
		if err != nil || a.Status != metapb.Status_OK {
			t.Fatalf("%v %v", a, err)
		}
		after, afterPrefix, upload, version = nil, nil, nil, ""
		for _, i := range a.Items {
			got = append(got, string(i.Key))
			after, afterPrefix, upload, version = i.Key, nil, i.GetUpload().GetId(), ""
			if i.Version != nil {
				version = metapb.VersionID(i.Version)
			}
			if i.CommonPrefix {
				after, afterPrefix = nil, i.Key
			}
		}
		if !a.Truncated {
			return got, pages
		}
		if pages > 100 {
			t.Fatalf("%s: no end, %q", what, got)
		}
	}
}

// pages answers list queries by a script, and notes at which keys it was asked.
type pages struct {
	script map[string]*metapb.Answer
	asked  []string
}

func (p *pages) Propose(context.Context, uint64, *metapb.Command, []byte) (*metapb.Result, error) {
	panic("a command")
}

func (p *pages) Query(_ context.Context, _ uint64, q *metapb.Query) (*metapb.Answer, error) {
	p.asked = append(p.asked, string(q.Key))
	return p.script[string(q.Key)].CloneVT(), nil
}

func item(key string) *metapb.ListItem { return &metapb.ListItem{Key: []byte(key)} }

func prefix(key string) *metapb.ListItem {
	return &metapb.ListItem{Key: []byte(key), CommonPrefix: true}
}

func cut(next string, items ...*metapb.ListItem) *metapb.Answer {
	return &metapb.Answer{Truncated: true, Next: []byte(next), Items: items}
}

// TestWhereListsGoOn: the cursor of an answer tells the end of a range from a page that is full. All ranges lie in one as far as
// the map knows.
func TestWhereListsGoOn(t *testing.T) {
	last := &metapb.Answer{Items: []*metapb.ListItem{item("z")}}
	tests := []struct {
		name      string
		query     *metapb.ListKeys
		script    map[string]*metapb.Answer
		asked     []string
		items     int
		truncated bool
		err       bool
	}{
		{"to the end", &metapb.ListKeys{Limit: 10}, map[string]*metapb.Answer{"": cut("m", item("a")), "m": last}, []string{"", "m"}, 2, false, false},
		{"an empty range", &metapb.ListKeys{Limit: 10}, map[string]*metapb.Answer{"": cut("m"), "m": cut("t"), "t": last}, []string{"", "m", "t"}, 1, false, false},
		{"the limit at the end of a range", &metapb.ListKeys{Limit: 1}, map[string]*metapb.Answer{"": cut("m", item("a"))}, []string{""}, 1, true, false},
		{"a store that gives no more at once", &metapb.ListKeys{Limit: 10}, map[string]*metapb.Answer{"": cut("b", item("a"), item("b"))}, []string{""}, 2, true, false},
		{"past a prefix", &metapb.ListKeys{Limit: 10}, map[string]*metapb.Answer{"": cut("d/5", prefix("d/")), "d0": last}, []string{"", "d0"}, 2, false, false},
		{"past a prefix that began before", &metapb.ListKeys{Limit: 10, AfterPrefix: []byte("d/")}, map[string]*metapb.Answer{"d0": cut("m"), "m": last}, []string{"d0", "m"}, 1, false, false},
		{"a prefix without an end", &metapb.ListKeys{Limit: 10}, map[string]*metapb.Answer{"": cut("\xff5", prefix("\xff")), "\xff5": last}, []string{"", "\xff5"}, 2, false, false},
		{"a range that does not go on", &metapb.ListKeys{Limit: 10, After: []byte("m")}, map[string]*metapb.Answer{"m": cut("m")}, []string{"m"}, 0, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := &pages{script: test.script}
			r := router.New(router.Options{
				Topology: &topology{m: oneRange(), changed: make(chan struct{})}, Clock: router.Wall{},
				Target: func(disk.ID) (router.Target, bool) { return p, true },
			})
			a, err := r.Query(t.Context(), &metapb.Query{Format: 1, Bucket: 3, Op: &metapb.Query_ListKeys{ListKeys: test.query}})
			if !slices.Equal(p.asked, test.asked) {
				t.Errorf("asked at %q, want %q", p.asked, test.asked)
			}
			if test.err != isKind(err, metashards.KindDamaged) || err == nil && (len(a.Items) != test.items || a.Truncated != test.truncated) {
				t.Errorf("%v %v", a, err)
			}
		})
	}
}

// TestListOverStaleMap catches the mutant listend: pages over ranges of which the map knows nothing yet are the same as with the
// right map, and as full.
func TestListOverStaleMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, keys.Position(1, nil), keys.Position(3, []byte("d/2")), keys.Position(3, []byte("e")), keys.Position(3, []byte("m")), keys.Position(4, nil))
		defer c.close()
		names := []string{"a", "d/1", "d/2", "d/3", "e", "m", "z"}
		for _, n := range names {
			if _, err := c.Apply(t.Context(), put(n, n, false, nil), nil); err != nil {
				t.Fatal(err)
			}
			u := put(n, "u"+n, false, nil)
			u.Op = &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{Upload: &metapb.Upload{Format: 1, Id: bytes.Repeat([]byte{1}, 16)}}}
			u.Begun = uint64(time.Now().UnixMilli())
			if r, err := c.Apply(t.Context(), u, nil); err != nil || r.Status != metapb.Status_OK {
				t.Fatal(r, err)
			}
		}
		right := c.top.Map()
		stale := right.Clone()
		stale.Ranges[1].End = stale.Ranges[3].End // before this range of data was split in three, and the last one in two
		stale.Ranges = slices.Delete(stale.Ranges, 2, 4)[:3]
		stale.Ranges[2].End = nil
		var all []*metapb.RangeDescriptor
		for _, g := range right.Ranges {
			all = append(all, &metapb.RangeDescriptor{Id: g.ID, Generation: 1, Start: g.Start, End: g.End, Replicas: replicas(1, 2, 3)})
		}
		list := func(m *clustermap.Map, what, delimiter string, limit uint32) (got []string, pages int) {
			r := router.New(router.Options{
				Topology: &topology{m: m, changed: make(chan struct{})}, Clock: router.Wall{},
				Target: func(id disk.ID) (router.Target, bool) {
					s, ok := c.target(id)
					return owners{s, all}, ok
				},
			})
			return walk(t, r, what, delimiter, limit)
		}
		for _, what := range []string{"keys", "versions", "uploads"} {
			for limit := uint32(1); limit < 9; limit++ {
				if got, pages := list(stale, what, "", limit); !slices.Equal(got, names) || pages > len(names)/int(limit)+1 {
					t.Errorf("%s, limit %d: %v in %d pages", what, limit, got, pages)
				}
				want := []string{"a", "d/", "e", "m", "z"}
				if got, pages := list(stale, what, "/", limit); !slices.Equal(got, want) || pages > len(want)/int(limit)+1 {
					t.Errorf("%s, limit %d with delimiter: %v in %d pages", what, limit, got, pages)
				}
			}
		}
	})
}
