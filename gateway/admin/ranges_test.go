package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/contender/contender/gateway/admin"
)

// arranger answers with what it is told, and notes what it was asked.
type arranger struct {
	list  admin.RangeList
	err   error
	asked string
}

func (a *arranger) Ranges(_ context.Context, bucket string) (admin.RangeList, error) {
	a.asked = "list " + bucket
	return a.list, a.err
}

func (a *arranger) SplitRange(_ context.Context, q admin.SplitRequest) (admin.SplitAnswer, error) {
	a.asked = fmt.Sprintf("split %d %s/%s", q.Range, q.Bucket, q.Key)
	return admin.SplitAnswer{Left: admin.Range{ID: 1}, Right: admin.Range{ID: 2}}, a.err
}

func (a *arranger) Presplit(_ context.Context, q admin.PresplitRequest) (admin.PresplitAnswer, error) {
	a.asked = fmt.Sprintf("presplit %s at %d keys", q.Bucket, len(q.Keys))
	return admin.PresplitAnswer{Split: len(q.Keys)}, a.err
}

func (a *arranger) MoveReplica(_ context.Context, q admin.MoveRequest) error {
	a.asked = fmt.Sprintf("move %d %s %s", q.Range, q.From, q.To)
	return a.err
}

func (a *arranger) Maintain(_ context.Context, q admin.MaintenanceRequest) error {
	a.asked = fmt.Sprintf("maintain %s for %d", q.Node, q.ForSeconds)
	return a.err
}

func (a *arranger) Explain(_ context.Context, bucket, key, version string) (admin.Explanation, error) {
	a.asked = fmt.Sprintf("explain %s/%s %s", bucket, key, version)
	return admin.Explanation{}, a.err
}

func (a *arranger) Bucket(_ context.Context, name string) (admin.Bucket, error) {
	a.asked = "bucket " + name
	return admin.Bucket{}, a.err
}

func (a *arranger) SetBucket(_ context.Context, q admin.BucketRequest) (admin.Bucket, error) {
	a.asked = fmt.Sprintf("set %s %s %v", q.Name, q.Policy, q.Short != nil && *q.Short)
	return admin.Bucket{}, a.err
}

func ask(a *arranger, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/-/admin/"+path, strings.NewReader(body))
	admin.New(admin.Services{Source: source{}, Arranger: a, Operator: a, Explainer: a, Keeper: a}, slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	return w
}

func TestRangesHaveTheContractsFields(t *testing.T) {
	one := admin.Member{Disk: "d1", Node: "n1", Path: "/p"}
	a := &arranger{list: admin.RangeList{Revision: 5, Ranges: []admin.Range{
		{
			ID: 2, Generation: 3, Start: &admin.Position{BucketID: 1, Bucket: "b", Key: "k"}, End: &admin.Position{KeyBytes: []byte{255}},
			Replicas: []admin.Replica{{ID: 1, Member: one}, {ID: 2, Member: one, Learner: true, Incoming: true, Outgoing: true}},
			Leader:   &one, Move: &admin.Move{From: "d1", To: "d2"},
		}, {ID: 4},
	}}}
	const want = `{"format":1,"revision":5,"ranges":[{"id":2,"generation":3,"start":{"bucket_id":1,"bucket":"b","key":"k"},` +
		`"end":{"bucket_id":0,"key":"","key_base64":"/w=="},"replicas":[{"id":1,"disk":"d1","node":"n1","path":"/p"},` +
		`{"id":2,"disk":"d1","node":"n1","path":"/p","learner":true,"incoming":true,"outgoing":true}],` +
		`"leader":{"disk":"d1","node":"n1","path":"/p"},"move":{"from":"d1","to":"d2"}},{"id":4,"generation":0,"replicas":[]}]}`
	if got := strings.TrimSpace(ask(a, "GET", "ranges", "").Body.String()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := ask(&arranger{}, "GET", "ranges", "").Body.String(); !strings.Contains(got, `"ranges":[]`) {
		t.Errorf("without ranges: %s", got)
	}
}

func TestRangeRequests(t *testing.T) {
	gone, stuck := &admin.RequestError{Kind: admin.NotFound, Text: "gone"}, &admin.RequestError{Kind: admin.Conflict, Text: "stuck"}
	for _, c := range []struct {
		method, path, body string
		err                error
		asked              string
		status             int
		code               string
	}{
		{"GET", "ranges", "", nil, "list ", 200, ""},
		{"GET", "ranges?bucket=b%20c", "", nil, "list b c", 200, ""},
		{"GET", "ranges?bucket=x", "", gone, "list x", 404, "NotFound"},
		{"POST", "ranges", "", nil, "", 405, "MethodNotAllowed"},
		{"POST", "ranges/split", `{"range":7}`, nil, "split 7 /", 200, ""},
		{"POST", "ranges/split", `{"bucket":"b","key":"k"}`, nil, "split 0 b/k", 200, ""},
		{"POST", "ranges/split", `{"bucket":"b"}`, nil, "split 0 b/", 200, ""},
		{"POST", "ranges/split", `{"range":7,"bucket":"b"}`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/split", `{"range":7,"key":"k"}`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/split", `{}`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/split", `7`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/split", `{"bucket":"` + strings.Repeat("b", 8<<20) + `"}`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/presplit", `{"bucket":"b","keys":["a","b"]}`, nil, "presplit b at 2 keys", 200, ""},
		{"POST", "ranges/presplit", `{"bucket":"b","keys":[` + strings.Repeat(`"k",`, 999) + `"k"]}`, nil, "presplit b at 1000 keys", 200, ""},
		{"POST", "ranges/presplit", `{"bucket":"b","keys":[` + strings.Repeat(`"k",`, 1000) + `"k"]}`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/presplit", `{"bucket":"b"}`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/presplit", `{"keys":["a"]}`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/presplit", `{"bucket":"b","keys":["a"]}`, gone, "presplit b at 1 keys", 404, "NotFound"},
		{"POST", "ranges/split", `{"range":7}`, gone, "split 7 /", 404, "NotFound"},
		{"POST", "ranges/split", `{"range":7}`, fmt.Errorf("wrapped: %w", stuck), "split 7 /", 409, "Conflict"},
		{"POST", "ranges/split", `{"range":7}`, errors.New("secret"), "split 7 /", 503, "Unavailable"},
		{"GET", "ranges/split", "", nil, "", 405, "MethodNotAllowed"},
		{"POST", "ranges/move", `{"range":7,"from":"a","to":"b"}`, nil, "move 7 a b", 200, ""},
		{"POST", "ranges/move", `{"range":7,"from":"a","to":"b"}`, stuck, "move 7 a b", 409, "Conflict"},
		{"POST", "ranges/move", `[`, nil, "", 400, "InvalidRequest"},
		{"DELETE", "ranges/move", "", nil, "", 405, "MethodNotAllowed"},
		{"POST", "nodes/maintenance", `{"node":"n1","for_seconds":60}`, nil, "maintain n1 for 60", 200, ""},
		{"POST", "nodes/maintenance", `{"node":"n1"}`, gone, "maintain n1 for 0", 404, "NotFound"},
		{"POST", "nodes/maintenance", `{"node":"n1","for_seconds":2592001}`, nil, "", 400, "InvalidRequest"},
		{"POST", "nodes/maintenance", `{"node":"n1","for_seconds":-1}`, nil, "", 400, "InvalidRequest"},
		{"POST", "nodes/maintenance", `{"for_seconds":60}`, nil, "", 400, "InvalidRequest"},
		{"GET", "explain?bucket=b&key=a%20b%2Bc%26d", "", nil, "explain b/a b+c&d ", 200, ""},
		{"GET", "explain?bucket=b&key=k&version=v", "", gone, "explain b/k v", 404, "NotFound"},
		{"GET", "explain?bucket=b", "", nil, "", 400, "InvalidRequest"},
		{"GET", "explain?key=k", "", nil, "", 400, "InvalidRequest"},
		{"POST", "explain", "", nil, "", 405, "MethodNotAllowed"},
		{"GET", "bucket?name=b", "", nil, "bucket b", 200, ""},
		{"GET", "bucket?name=b", "", gone, "bucket b", 404, "NotFound"},
		{"GET", "bucket", "", nil, "", 400, "InvalidRequest"},
		{"POST", "bucket/set", `{"name":"b","policy":"ec:2+1"}`, nil, "set b ec:2+1 false", 200, ""},
		{"POST", "bucket/set", `{"name":"b","short":true}`, nil, "set b  true", 200, ""},
		{"POST", "bucket/set", `{"name":"b"}`, nil, "", 400, "InvalidRequest"},
		{"POST", "bucket/set", `{"policy":"ec:2+1"}`, nil, "", 400, "InvalidRequest"},
		{"POST", "ranges/merge", `{}`, nil, "", 404, "NotFound"},
	} {
		a := &arranger{err: c.err}
		w := ask(a, c.method, c.path, c.body)
		var p struct{ Code string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Code != c.code || a.asked != c.asked {
			t.Errorf("%s %s %.40s: %d %s, asked %q (%v)", c.method, c.path, c.body, w.Code, w.Body, a.asked, err)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("the cause reached the client: %s", w.Body)
		}
	}
	w := httptest.NewRecorder()
	admin.New(admin.Services{Source: source{}}, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/-/admin/ranges", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("without an arranger: %d", w.Code)
	}
}
