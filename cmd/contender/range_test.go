package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/contender/contender/gateway/admin"
)

// rangesEndpoint answers requests about ranges by what is asked and how often it was before.
func rangesEndpoint(t *testing.T, answer func(n int64, asked string) (int, string)) adminClient {
	t.Helper()
	var count atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/-/live" {
			return
		}
		body, _ := io.ReadAll(r.Body)
		code, text := answer(count.Add(1), strings.TrimSpace(r.Method+" "+r.URL.String()+" "+string(body)))
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(func() { s.Close(); http.DefaultClient.CloseIdleConnections() })
	return adminClient{endpoint: s.URL, accessKey: "AK", secretKey: "SK"}
}

func TestListRanges(t *testing.T) {
	c := rangesEndpoint(t, func(_ int64, asked string) (int, string) {
		if asked != "GET /-/admin/ranges?bucket=a%20b" {
			t.Errorf("asked %s", asked)
		}
		return 200, `{"ranges":[{"id":7}]}`
	})
	body, list, err := listRanges(t.Context(), c, "a b")
	if err != nil || len(list.Ranges) != 1 || list.Ranges[0].ID != 7 || !strings.Contains(string(body), `"id":7`) {
		t.Errorf("%s %+v %v", body, list, err)
	}
}

func TestSplitRequest(t *testing.T) {
	for _, c := range []struct {
		v    rangeSplitVerb
		want string // empty: refused
	}{
		{rangeSplitVerb{ID: 7}, `{"range":7}`},
		{rangeSplitVerb{At: "s3://b/k/l"}, `{"bucket":"b","key":"k/l"}`},
		{rangeSplitVerb{At: "s3://b"}, `{"bucket":"b"}`},
		{rangeSplitVerb{At: "b/k"}, ""},
		{rangeSplitVerb{At: "s3:///k"}, ""},
		{rangeSplitVerb{}, ""},
		{rangeSplitVerb{ID: 7, At: "s3://b/k"}, ""},
	} {
		q, err := c.v.request()
		b, _ := json.Marshal(q)
		if (err == nil) != (c.want != "") || err == nil && string(b) != c.want {
			t.Errorf("%+v: %s %v, want %s", c.v, b, err, c.want)
		}
	}
}

func TestRefusalsAreShownPlainly(t *testing.T) {
	c := rangesEndpoint(t, func(int64, string) (int, string) { return 409, `{"code":"Conflict","message":"It is held."}` })
	err := c.post(t.Context(), "range", "/-/admin/ranges/split", admin.SplitRequest{Range: 1}, &admin.SplitAnswer{})
	if err == nil || err.Error() != "range: HTTP 409: It is held." {
		t.Errorf("%v", err)
	}
}

func TestAwaitMove(t *testing.T) {
	const moving = `{"ranges":[{"id":7,"replicas":[{"disk":"a"}],"move":{"from":"a","to":"b"}}]}`
	for name, c := range map[string]struct {
		then string
		says string // empty: it has moved
	}{
		"moved":             {`{"ranges":[{"id":6},{"id":7,"replicas":[{"disk":"b"}]}]}`, ""},
		"given up":          {`{"ranges":[{"id":7,"replicas":[{"disk":"a"}]}]}`, "given up"},
		"a learner is left": {`{"ranges":[{"id":7,"replicas":[{"disk":"a"},{"disk":"b","learner":true}]}]}`, "given up"},
		"another order":     {`{"ranges":[{"id":7,"replicas":[{"disk":"a"}],"move":{"from":"a","to":"c"}}]}`, "given up"},
		"the range is gone": {`{"ranges":[]}`, "no range 7"},
		"for ever":          {moving, "still moving"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := rangesEndpoint(t, func(n int64, _ string) (int, string) {
				switch {
				case n == 1:
					return 503, "not now"
				case n < 4:
					return 200, moving
				}
				return 200, c.then
			})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := (&rangeMoveVerb{ID: 7, From: "a", To: "b"}).await(ctx, client)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestPrintRanges(t *testing.T) {
	var out strings.Builder
	at := func(disk string) admin.Member { return admin.Member{Disk: disk, Node: "n-" + disk, Path: "/p/" + disk} }
	leader := at("d1")
	err := printRanges(&out, []admin.Range{
		{
			ID: 7, Generation: 3, End: &admin.Position{BucketID: 1, Bucket: "b", Key: "k\n"}, Leader: &leader, Move: &admin.Move{From: "d1", To: "d2"},
			Replicas: []admin.Replica{{Member: at("d1"), Outgoing: true}, {Member: at("d2"), Learner: true}},
		},
		{ID: 8, Start: &admin.Position{BucketID: 1, Bucket: "b", Key: "k/l"}, End: &admin.Position{BucketID: 2, KeyBytes: []byte{255}}},
		{ID: 9, Start: &admin.Position{Key: "system"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"range 7", "generation 3", "from the beginning", `to s3://b/"k\n"`, "moving from d1 to d2", "n-d1", "/p/d1", "leader, outgoing", "learner",
		"from s3://b/k/l", `to bucket 2/"\xff"`, "from system system", "to the end",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 5 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
