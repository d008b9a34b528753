package main

import (
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/gateway/admin"
)

func TestPrintExplanation(t *testing.T) {
	member := admin.Member{Disk: "d1", Node: "n1", Path: "/a"}
	e := admin.Explanation{
		Bucket: "b", Key: "k/l", VersionID: "v1", Latest: true, Size: 3 << 20, Modified: time.Unix(0, 0).UTC(), Form: "extents",
		Range:       admin.Range{ID: 7, Replicas: []admin.Replica{{ID: 1, Member: member}}, Leader: &member},
		ExtentCount: 3, Readable: true, Survives: admin.Tolerates{Folder: 1},
		Extents: []admin.Extent{{Part: 2, Length: 1 << 20, Coding: "2+1", Group: 5, Shards: []admin.Shard{{Slot: 4, Member: member, Site: "s", Rack: "r", State: "up"}}}},
	}
	var b strings.Builder
	if err := printExplanation(&b, e); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"s3://b/k/l, version v1, the current one",
		"3.0 MiB, written 1970-01-01T00:00:00Z",
		"readable, but NOT whole; survives the loss of: 1 folders, 0 devices, 0 nodes, 0 racks, 0 sites more (one kind at a time)",
		"last verified: never",
		"",
		"metadata in range 7",
		"leader node n1 /a disk d1",
		"extent 1 of 3 of part 2: 1.0 MiB, 2+1 in group 5",
		"shard 0 node n1 /a disk d1 up site s, rack r",
		"and 2 more",
	}
	if got := words(b.String()); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	asked := ""
	c := rangesEndpoint(t, func(_ int64, q string) (int, string) { asked = q; return 200, "{}" })
	t.Setenv("CONTENDER_ACCESS_KEY", "AK")
	t.Setenv("CONTENDER_SECRET_KEY", "SK")
	for object, want := range map[string]string{
		"s3://b/a b+c&d": "GET /-/admin/explain?bucket=b&key=a%20b%2Bc%26d&version=v",
		"s3://b/":        "", "s3://b": "", "b/k": "", "s3:///k": "",
	} {
		asked = ""
		v := explainVerb{Object: object, VersionID: "v", Endpoint: c.endpoint, Timeout: time.Minute, JSON: true}
		if err := v.Run(t.Context()); (err == nil) != (want != "") || asked != want {
			t.Errorf("%s: asked %q, %v", object, asked, err)
		}
	}
}
