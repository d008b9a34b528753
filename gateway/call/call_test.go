package call_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newCall(w http.ResponseWriter, h http.Header, body io.Reader, size int64) *call.Call {
	c := call.New(call.NewReply(w, call.NewBuffers(), time.Now, 0, nil))
	if h == nil {
		h = http.Header{}
	}
	c.Header, c.Body = h, call.NewBody(body, size, nil)
	return c
}

func TestBodyHoldsItsLength(t *testing.T) {
	for _, c := range []struct {
		body string
		size int64
		err  error
	}{
		{"1234", 4, nil},
		{"1234", -1, nil},
		{"123", 4, io.ErrUnexpectedEOF},
		{"12345", 4, io.ErrUnexpectedEOF},
		{"", 0, nil},
	} {
		b := call.NewBody(iotest.OneByteReader(strings.NewReader(c.body)), c.size, nil)
		if _, err := io.ReadAll(b); !errors.Is(err, c.err) || !errors.Is(b.Err(), c.err) {
			t.Errorf("%q of %d: %v, %v", c.body, c.size, err, b.Err())
		}
	}
}

func TestCheckLength(t *testing.T) {
	for _, c := range []struct {
		size int64
		h    http.Header
		code wire.Code
	}{
		{10, nil, ""},
		{11, nil, wire.EntityTooLarge},
		{0, nil, wire.MissingContentLength},
		{0, http.Header{"Content-Length": {"0"}}, ""},
		{-1, nil, ""},
	} {
		err := newCall(httptest.NewRecorder(), c.h, strings.NewReader(""), c.size).CheckLength(10)
		if (c.code == "") != (err == nil) || err != nil && !errors.Is(err, c.code) {
			t.Errorf("%d: %v", c.size, err)
		}
	}
	c := newCall(httptest.NewRecorder(), nil, strings.NewReader("more than ten bytes"), -1)
	if err := c.CheckLength(10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c.Body); !errors.Is(err, wire.EntityTooLarge) {
		t.Errorf("a body without end: %v", err)
	}
}

func TestStream(t *testing.T) {
	whole := bytes.Repeat([]byte("x"), call.CopyBytes*2+7)
	damage := errors.New("damage")
	for _, c := range []struct {
		name   string
		body   io.Reader
		length int
		status int // 0: nothing was sent
		sent   int
		failed bool
	}{
		{"empty", strings.NewReader(""), 0, 200, 0, false},
		{"small", iotest.OneByteReader(strings.NewReader("abc")), 3, 200, 3, false},
		{"data with its end", iotest.DataErrReader(strings.NewReader("abc")), 3, 200, 3, false},
		{"large", bytes.NewReader(whole), len(whole), 200, len(whole), false},
		{"one buffer", bytes.NewReader(whole[:call.CopyBytes]), call.CopyBytes, 200, call.CopyBytes, false},
		{"short", strings.NewReader("abc"), 4, 0, 0, true},
		{"long", strings.NewReader("abc"), 2, 0, 0, true},
		{"fails at once", iotest.ErrReader(damage), 4, 0, 0, true},
		{"fails at its end", io.MultiReader(strings.NewReader("abcd"), iotest.ErrReader(damage)), 4, 0, 0, true},
		{"fails later", io.MultiReader(bytes.NewReader(whole[:call.CopyBytes+1]), iotest.ErrReader(damage)), len(whole), 200, call.CopyBytes, true},
	} {
		w := httptest.NewRecorder()
		w.Code = 0
		reply := call.NewReply(w, call.NewBuffers(), time.Now, 0, nil)
		err := call.New(reply).Stream(http.StatusOK, int64(c.length), c.body)
		if reply.Status() != c.status || w.Body.Len() != c.sent || (err != nil) != c.failed {
			t.Errorf("%s: status %d, %d bytes, %v", c.name, reply.Status(), w.Body.Len(), err)
		}
	}
}

func TestSlowly(t *testing.T) {
	for _, c := range []struct {
		name string
		take time.Duration
		want string
	}{
		{"quick", time.Millisecond, "<?xml v?>\n<Doc/>"},
		{"slow", 25 * time.Second, `<?xml version="1.0" encoding="UTF-8"?>` + "\n  <Doc/>"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := httptest.NewRecorder()
			k := newCall(w, nil, strings.NewReader(""), 0)
			k.KeepAlive = 10 * time.Second
			err := k.Slowly(t.Context(), func(context.Context) ([]byte, func(), error) {
				time.Sleep(c.take) // virtual
				return []byte("<?xml v?>\n<Doc/>"), func() { k.ResponseHeader().Set("X-Quick", "1") }, nil
			})
			got := w.Body.String()
			if err != nil || got != c.want || w.Code != 200 || (w.Header().Get("X-Quick") == "1") != (c.name == "quick") {
				t.Errorf("%s: %d %q %v %v", c.name, w.Code, got, w.Header(), err)
			}
		})
	}
}

func TestDocument(t *testing.T) {
	const doc = "<a/>"
	sum := "y/lzXbvbBKtI3SoPvr7EKA==" // not its MD5
	for _, c := range []struct {
		name   string
		h      http.Header
		max    int64
		demand bool
		code   wire.Code
	}{
		{"plain", nil, 10, false, ""},
		{"too long", nil, 3, false, wire.MaxMessageLengthExceeded},
		{"no digest", nil, 10, true, wire.InvalidRequest},
		{"bad MD5", http.Header{"Content-Md5": {sum}}, 10, true, wire.BadDigest},
		{"bad CRC32", http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA=="}}, 10, true, wire.BadDigest},
		{"bad SHA256", http.Header{"X-Amz-Checksum-Sha256": {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}, 10, true, wire.BadDigest},
		{"bad SHA1", http.Header{"X-Amz-Checksum-Sha1": {"AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}, 10, true, wire.BadDigest},
		{"bad CRC64", http.Header{"X-Amz-Checksum-Crc64nvme": {"AAAAAAAAAAA="}}, 10, true, wire.BadDigest},
		{"bad CRC32C", http.Header{"X-Amz-Checksum-Crc32c": {"AAAAAA=="}}, 10, true, wire.BadDigest},
	} {
		got, err := newCall(httptest.NewRecorder(), c.h, strings.NewReader(doc), -1).Document(c.max, c.demand)
		if c.code == "" && (err != nil || string(got) != doc) || c.code != "" && !errors.Is(err, c.code) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestChecksumsThereAndBack(t *testing.T) {
	for _, s := range []objectlayer.Checksum{
		{Algorithm: "crc32", Value: []byte{1, 2, 3, 4}},
		{Algorithm: "crc64nvme", Value: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{Algorithm: "sha256", Value: bytes.Repeat([]byte{9}, 32), Parts: 17},
	} {
		w := call.WireChecksums([]objectlayer.Checksum{s})[0]
		back, ok := call.LayerChecksum(w)
		if !ok || back.Algorithm != s.Algorithm || !bytes.Equal(back.Value, s.Value) || back.Parts != s.Parts {
			t.Errorf("%+v became %+v", s, back)
		}
	}
	for _, bad := range []string{"", "AAAAAA", "AAAAAA==-0", "AAAAAA==-x", "AAAA"} {
		if s, ok := call.LayerChecksum(wire.Checksum{Algorithm: wire.CRC32, Value: bad}); ok {
			t.Errorf("%q is %+v", bad, s)
		}
	}
}

func TestWholeChecksum(t *testing.T) {
	get := func(h http.Header) (*objectlayer.Checksum, error) {
		return newCall(httptest.NewRecorder(), h, strings.NewReader(""), 0).WholeChecksum(3)
	}
	if s, err := get(http.Header{}); s != nil || err != nil {
		t.Errorf("none: %+v, %v", s, err)
	}
	for value, parts := range map[string]int{"AAAAAA==": 0, "AAAAAA==-2": 2} {
		if s, err := get(http.Header{"X-Amz-Checksum-Crc32": {value}}); err != nil || s.Parts != parts {
			t.Errorf("%s: %+v, %v", value, s, err)
		}
	}
	if s, err := get(http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA=="}, "X-Amz-Checksum-Type": {"COMPOSITE"}}); err != nil || s.Parts != 3 {
		t.Errorf("composite: %+v, %v", s, err)
	}
	sha := "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	for value, parts := range map[string]int{sha: 3, sha + "-2": 2} {
		if s, err := get(http.Header{"X-Amz-Checksum-Sha256": {value}}); err != nil || s.Parts != parts {
			t.Errorf("%s: %+v, %v", value, s, err)
		}
	}
	for _, h := range []http.Header{
		{"X-Amz-Checksum-Crc32": {"AAAAAA=="}, "X-Amz-Checksum-Crc32c": {"AAAAAA=="}},
		{"X-Amz-Checksum-Crc32": {"no"}},
		{"X-Amz-Checksum-Crc32": {"AAAAAA=="}, "X-Amz-Checksum-Type": {"HALF"}},
		{"X-Amz-Checksum-Sha512": {"AAAAAA=="}},
	} {
		if s, err := get(h); err == nil {
			t.Errorf("%v: %+v", h, s)
		}
	}
}

func TestOnlyRootMay(t *testing.T) {
	if err := call.Authorize(call.Identity{Root: true}, call.Action{}); err != nil {
		t.Error(err)
	}
	if err := call.Authorize(call.Identity{Name: "somebody"}, call.Action{}); !errors.Is(err, wire.AccessDenied) {
		t.Error(err)
	}
}
