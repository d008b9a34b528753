package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/gateway/admin"
)

// aStatus is of two nodes, one of which is worked on.
func aStatus() admin.Status {
	return admin.Status{
		Nodes: []admin.Node{
			{ID: "01", Name: "n1", State: "up", S3: "h:1", Peer: "h:2", Site: "s1", Disks: []admin.Disk{
				{ID: "d1", Path: "/a", Device: "7", State: "up", UsedBytes: 1 << 20, CapacityBytes: 1 << 30},
				{ID: "d2", Path: "/b", Device: "7", State: "failed", CapacityBytes: 1 << 30},
			}},
			{ID: "02", Name: "n2", State: "unreachable", S3: "h:3", Peer: "h:4", MaintenanceUntil: 1_800_000_000},
		},
		FrontEnds: []admin.FrontEnd{{ID: "0f", Name: "f1", S3: "h:5"}},
	}
}

// words are the lines of a text, with one space between their words.
func words(text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

func TestPrintNodes(t *testing.T) {
	var b strings.Builder
	if err := printNodes(&b, aStatus()); err != nil {
		t.Fatal(err)
	}
	got := words(b.String())
	until := time.Unix(1_800_000_000, 0).Format(time.RFC3339)
	want := []string{
		"NAME ID STATE S3 PEER SITE RACK DISKS USED",
		"n1 01 up h:1 h:2 s1 - 1 of 2 up 1.0 MiB of 2.0 GiB",
		"n2 02 unreachable, maintenance until " + until + " h:3 h:4 - - 0 of 0 up 0 B of 0 B",
		"f1 0f up, front-end h:5 - - - - -",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestPrintDisks(t *testing.T) {
	var b strings.Builder
	if err := printDisks(&b, aStatus(), false); err != nil {
		t.Fatal(err)
	}
	got := words(b.String())
	if len(got) != 3 || got[1] != "n1 /a d1 7 up 1.0 MiB of 1.0 GiB" || got[2] != "n1 /b d2 7 failed 0 B of 1.0 GiB" {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	b.Reset()
	var list []map[string]any
	if err := printDisks(&b, aStatus(), true); err != nil || json.Unmarshal([]byte(b.String()), &list) != nil ||
		len(list) != 2 || list[1]["node"] != "n1" || list[1]["state"] != "failed" {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestMaintenanceRequest(t *testing.T) {
	for _, c := range []struct {
		v     nodeMaintenanceVerb
		asked string // empty: refused here
	}{
		{nodeMaintenanceVerb{Node: "n1", For: 90 * time.Minute}, `POST /-/admin/nodes/maintenance {"node":"n1","for_seconds":5400}`},
		{nodeMaintenanceVerb{Node: "n1", End: true}, `POST /-/admin/nodes/maintenance {"node":"n1","for_seconds":0}`},
		{nodeMaintenanceVerb{Node: "n1"}, ""},
		{nodeMaintenanceVerb{Node: "n1", For: time.Hour, End: true}, ""},
		{nodeMaintenanceVerb{Node: "n1", For: -time.Hour}, ""},
		{nodeMaintenanceVerb{Node: "n1", For: time.Millisecond}, ""},
	} {
		asked := ""
		e := rangesEndpoint(t, func(_ int64, q string) (int, string) {
			asked = q
			return 200, "{}"
		})
		t.Setenv("CONTENDER_ACCESS_KEY", "AK")
		t.Setenv("CONTENDER_SECRET_KEY", "SK")
		c.v.Endpoint, c.v.Timeout = e.endpoint, time.Minute
		if err := c.v.Run(context.Background()); (err == nil) != (c.asked != "") || asked != c.asked {
			t.Errorf("%+v: asked %q, %v", c.v, asked, err)
		}
	}
}
