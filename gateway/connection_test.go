package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/gateway"
)

// dial opens a connection for requests written by hand.
func (s *server) dial() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.http.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, bufio.NewReader(c)
}

// head writes the head of a signed request for a body of length bytes.
func (s *server) head(method, path string, h headers, body string) string {
	s.t.Helper()
	r := s.request(method, path, h, body)
	sign(s.t, r, body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, path, r.Host, len(body))
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	return b.String() + "\r\n"
}

func readReply(t *testing.T, br *bufio.Reader, method string) reply {
	t.Helper()
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(mustRead(t, resp.Body))}
}

func TestKeptConnectionsAfterErrors(t *testing.T) {
	s := start(t, nil)
	s.bucket("keep")
	c, br := s.dial()
	for range 3 {
		_, _ = io.WriteString(c, s.head(http.MethodGet, "/keep/none", nil, ""))
		if r := readReply(t, br, http.MethodGet); r.status != 404 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		_, _ = io.WriteString(c, s.head(http.MethodHead, "/keep/none", nil, ""))
		if r := readReply(t, br, http.MethodHead); r.status != 404 || r.body != "" {
			t.Fatalf("HEAD: %d %q", r.status, r.body)
		}
		_, _ = io.WriteString(c, s.head(http.MethodPut, "/keep/k", headers{"If-Match": `"x"`}, "a body")+"a body")
		if r := readReply(t, br, http.MethodPut); r.status != 404 {
			t.Fatalf("PUT: %d %s", r.status, r.body)
		}
	}
	// Several requests before the first answer.
	for range 3 {
		_, _ = io.WriteString(c, s.head(http.MethodPut, "/keep/k", nil, "x")+"x"+s.head(http.MethodGet, "/keep/k", nil, ""))
	}
	for range 3 {
		if r := readReply(t, br, http.MethodPut); r.status != 200 {
			t.Fatalf("PUT: %d %s", r.status, r.body)
		}
		if r := readReply(t, br, http.MethodGet); r.status != 200 || r.body != "x" {
			t.Fatalf("GET: %d %s", r.status, r.body)
		}
	}
}

// A client that waits for "100 Continue" is refused before it sends its body, or told to go on.
func TestExpectContinue(t *testing.T) {
	s := start(t, nil)
	s.bucket("exp")
	s.want(200, "", http.MethodPut, "/exp/taken", nil, "x")
	body := string(pattern(1000))
	for _, c := range []struct {
		path   string
		h      headers
		status int
		code   string
	}{
		{"/exp/taken", headers{"If-None-Match": "*"}, 412, "PreconditionFailed"},
		{"/exp/new", headers{"If-Match": `"x"`}, 404, "NoSuchKey"},
		{"/noexp/new", nil, 404, "NoSuchBucket"},
		{"/exp/new?acl", nil, 501, "NotImplemented"},
		{"/exp/new", headers{"X-Amz-Acl": "public-read"}, 501, "NotImplemented"},
	} {
		conn, br := s.dial()
		h := headers{"Expect": "100-continue"}
		for k, v := range c.h {
			h[k] = v
		}
		_, _ = io.WriteString(conn, s.head(http.MethodPut, c.path, h, body))
		if r := readReply(t, br, http.MethodPut); r.status != c.status || r.code() != c.code {
			t.Errorf("%s: %d %s", c.path, r.status, r.body)
		}
	}
	conn, br := s.dial()
	_, _ = io.WriteString(conn, s.head(http.MethodPut, "/exp/new", headers{"Expect": "100-continue"}, body))
	if r := readReply(t, br, http.MethodPut); r.status != 100 {
		t.Fatalf("not told to go on: %d", r.status)
	}
	_, _ = io.WriteString(conn, body)
	if r := readReply(t, br, http.MethodPut); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestShortAndMissingBodies(t *testing.T) {
	s := start(t, nil)
	s.bucket("short")
	conn, br := s.dial()
	_, _ = io.WriteString(conn, s.head(http.MethodPut, "/short/k", nil, "0123456789")+"01234")
	_ = conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // it was dialed so
	if r := readReply(t, br, http.MethodPut); r.status != 400 || r.code() != "IncompleteBody" {
		t.Errorf("short: %d %s", r.status, r.body)
	}
	conn, br = s.dial()
	_, _ = io.WriteString(conn, strings.Replace(s.head(http.MethodPut, "/short/k", nil, ""), "Content-Length: 0\r\n", "", 1))
	if r := readReply(t, br, http.MethodPut); r.status != 411 || r.code() != "MissingContentLength" {
		t.Errorf("no length: %d %s", r.status, r.body)
	}
	conn, br = s.dial()
	h := headers{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
	_, _ = io.WriteString(conn, strings.Replace(s.head(http.MethodPut, "/short/k", h, ""), "Content-Length: 0\r\n", "Content-Length: 5368709121\r\n", 1))
	if r := readReply(t, br, http.MethodPut); r.status != 400 || r.code() != "EntityTooLarge" {
		t.Errorf("too large: %d %s", r.status, r.body)
	}
	s.want(404, "NoSuchKey", http.MethodGet, "/short/k", nil, "")
	s.want(200, "", http.MethodPut, "/short/empty", nil, "")
}

// A body of unknown length may come in HTTP's own chunks. It counts only if it came to its end.
func TestChunkedTransfer(t *testing.T) {
	s := start(t, nil)
	s.bucket("chunked")
	for _, c := range []struct {
		body   string
		status int
		code   string
	}{
		{"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", 200, ""},
		{"0\r\n\r\n", 200, ""},
		{"5\r\nhello\r\n", 400, "IncompleteBody"},
		{"a\r\nhello", 400, "IncompleteBody"},
	} {
		conn, br := s.dial()
		head := s.head(http.MethodPut, "/chunked/k", headers{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, "")
		_, _ = io.WriteString(conn, strings.Replace(head, "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", 1)+c.body)
		if c.status != 200 { // a client that closes its side of a whole request counts as gone
			_ = conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // it was dialed so
		}
		r := readReply(t, br, http.MethodPut)
		if r.status != c.status || r.code() != c.code {
			t.Errorf("%q: %d %s", c.body, r.status, r.body)
		}
	}
	if r := s.want(200, "", http.MethodGet, "/chunked/k", nil, ""); r.body != "" {
		t.Errorf("the last whole body was empty, stored is %q", r.body)
	}
}

func TestSlowBodies(t *testing.T) {
	for name, limits := range map[string]gateway.Limits{
		"stops":    {BodyIdleTimeMax: 50 * time.Millisecond},
		"too slow": {BodyRateMin: 1 << 40, BodyRateGrace: time.Millisecond, BodyIdleTimeMax: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(o *gateway.Options) { o.Limits = limits })
			s.bucket("slow")
			conn, br := s.dial()
			body := string(pattern(100))
			_, _ = io.WriteString(conn, s.head(http.MethodPut, "/slow/k", nil, body)+body[:50])
			if r := readReply(t, br, http.MethodPut); r.status != 400 || r.code() != "RequestTimeout" {
				t.Errorf("%d %s", r.status, r.body)
			}
			if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("the connection is kept: %v", err)
			}
		})
	}
}

// Clients that keep the case of header names must find metadata's names in lower case.
func TestMetadataNamesAreLowerCase(t *testing.T) {
	s := start(t, nil)
	s.bucket("lower")
	s.want(200, "", http.MethodPut, "/lower/k", headers{"X-Amz-Meta-Some-Name": "v"}, "")
	conn, br := s.dial()
	_, _ = io.WriteString(conn, s.head(http.MethodHead, "/lower/k", nil, ""))
	for {
		line, err := br.ReadString('\n')
		if err != nil || line == "\r\n" {
			t.Fatalf("not found: %v", err)
		}
		if line == "x-amz-meta-some-name: v\r\n" {
			return
		}
	}
}

// A client that asks and does not read is dropped.
func TestClientsThatDoNotRead(t *testing.T) {
	ended := make(chan gateway.Observation, 8)
	s := start(t, func(o *gateway.Options) {
		o.Objects = nothing{o.Objects, pattern(64 << 20)}
		o.Limits.BodyIdleTimeMax = 100 * time.Millisecond
		o.Observe = func(x gateway.Observation) {
			if x.Op == "GetObject" {
				ended <- x
			}
		}
	})
	s.bucket("unread")
	conn, _ := s.dial()
	_, _ = io.WriteString(conn, s.head(http.MethodGet, "/unread/k", nil, ""))
	select {
	case x := <-ended:
		if x.Status != 200 || x.Sent >= 64<<20 {
			t.Errorf("%+v", x)
		}
	case <-time.After(20 * time.Second):
		t.Error("the request is still there")
	}
}

// A client with nothing to send is told to go on, too: botocore takes an answer without it for an early one, keeps the
// connection, and misreads the next answer on it.
func TestExpectContinueWithoutBody(t *testing.T) {
	s := start(t, nil)
	s.bucket("exp")
	conn, br := s.dial()
	for path, status := range map[string]int{"/exp/empty": 200, "/noexp/empty": 404} {
		_, _ = io.WriteString(conn, s.head(http.MethodPut, path, headers{"Expect": "100-continue"}, ""))
		for _, want := range []int{100, status} {
			if r := readReply(t, br, http.MethodPut); r.status != want {
				t.Fatalf("%s: %d, want %d", path, r.status, want)
			}
		}
	}
}
