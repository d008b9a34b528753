package wire

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestCodeTable(t *testing.T) {
	seen := map[Code]bool{}
	for _, row := range codeTable {
		if seen[row.code] {
			t.Errorf("%s stands twice", row.code)
		}
		seen[row.code] = true
		if row.message == "" || http.StatusText(row.status) == "" {
			t.Errorf("%s: %d %q", row.code, row.status, row.message)
		}
	}
	for code, status := range map[Code]int{
		NoSuchKey: 404, NoSuchBucket: 404, NoSuchUpload: 404, BucketAlreadyOwnedByYou: 409, BucketNotEmpty: 409,
		InvalidRange: 416, PreconditionFailed: 412, NotModified: 304, MethodNotAllowed: 405, MissingContentLength: 411,
		SignatureDoesNotMatch: 403, NotImplemented: 501, SlowDown: 503, InternalError: 500, InvalidPart: 400,
		RequestTimeTooSkewed: 403, XAmzContentSHA256Mismatch: 400, ConditionalRequestConflict: 409, "Unknown": 500,
	} {
		if code.Status() != status {
			t.Errorf("%s is %d, want %d", code, code.Status(), status)
		}
	}
}

func TestErrorIsItsCode(t *testing.T) {
	base := New(NoSuchKey)
	e := fmt.Errorf("get: %w", base.With("Key", "k"))
	if !errors.Is(e, NoSuchKey) || errors.Is(e, NoSuchBucket) || len(base.Extra) != 0 {
		t.Errorf("%v", e)
	}
	a, b := base.With("A", "1"), base.With("B", "2")
	if a.Field("B") != "" || b.Field("A") != "" {
		t.Error("copies share their fields")
	}
}

type slow struct{ error }

func (slow) Timeout() bool { return true }

func TestAsError(t *testing.T) {
	for _, c := range []struct {
		err  error
		code Code
	}{
		{New(NoSuchKey), NoSuchKey},
		{fmt.Errorf("x: %w", New(NoSuchKey)), NoSuchKey},
		{fmt.Errorf("x: %w", SlowDown), SlowDown},
		{io.ErrUnexpectedEOF, IncompleteBody},
		{context.Canceled, ServiceUnavailable},
		{context.DeadlineExceeded, ServiceUnavailable},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), RequestTimeout},
		{slow{errors.New("slow")}, RequestTimeout},
		{&http.MaxBytesError{Limit: 5}, EntityTooLarge},
		{errors.New("secret detail"), InternalError},
	} {
		if got := AsError(c.err); got.Code != c.code || strings.Contains(got.Message, "secret") {
			t.Errorf("%v = %v, want %s", c.err, got, c.code)
		}
	}
	if AsError(nil) != nil {
		t.Error("nil is an error")
	}
}

func TestWriteError(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Length", "5")
	w.Header().Set("Content-Range", "bytes 0-4/5")
	w.Header().Set("X-Amz-Delete-Marker", "true")
	err := New(NoSuchKey).With("Key", "a<b>\x01")
	WriteError(w, httptest.NewRequest("GET", "/b/k", nil), err, "id1", "id2", "/b/a<b>")
	want := `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&lt;b&gt;&#x1;</Key><Resource>/b/a&lt;b&gt;</Resource><RequestId>id1</RequestId><HostId>id2</HostId></Error>
`
	if w.Code != 404 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	h := w.Header()
	if h.Get("Content-Type") != "application/xml" || h.Get("X-Amz-Request-Id") != "id1" || h.Get("X-Amz-Id-2") != "id2" ||
		h.Get("Content-Range") != "" || h.Get("X-Amz-Delete-Marker") != "true" || h.Get("Content-Length") != fmt.Sprint(len(want)) {
		t.Errorf("%v", h)
	}
	for _, c := range []struct {
		method string
		err    error
		status int
	}{
		{"HEAD", New(NoSuchKey), 404}, {"GET", New(NotModified), 304}, {"HEAD", New(NotModified), 304},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Etag", `"e"`)
		WriteError(w, httptest.NewRequest(c.method, "/b/k", nil), c.err, "id1", "id2", "/b/k")
		if w.Code != c.status || w.Body.Len() != 0 || w.Header().Get("X-Amz-Request-Id") != "id1" || w.Header().Get("Etag") == "" {
			t.Errorf("%s %v: %d %q %v", c.method, c.err, w.Code, w.Body, w.Header())
		}
	}
	w = httptest.NewRecorder()
	WriteError(w, httptest.NewRequest("HEAD", "/b", nil), New(AuthorizationHeaderMalformed).With("Region", "eu-9"), "1", "2", "/b")
	if w.Header().Get("X-Amz-Bucket-Region") != "eu-9" {
		t.Errorf("%v", w.Header())
	}
}

func TestErrorDocumentParses(t *testing.T) {
	for _, row := range codeTable {
		var doc struct{ Code, Message, Resource, RequestId, HostId string }
		if err := xml.Unmarshal(New(row.code).AppendXML(nil, "r", "h", "/p"), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Code != string(row.code) || doc.Message != row.message || doc.Resource != "/p" || doc.RequestId != "r" || doc.HostId != "h" {
			t.Errorf("%+v", doc)
		}
	}
}
