package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
)

// Ops lists the operations that a scenario may name.
var opNames = []string{"put", "get", "head", "list", "delete", "multipart", "mixed"}

// multipartParts is the number of parts of one multipart operation; each is as long as the scenario's size, which S3
// wants to be at least 5 MiB.
const multipartParts = 3

// Scenario is one kind of load.
type Scenario struct {
	Op          string // put, get, head, list, delete, multipart, mixed
	Size        int64  // bytes of an object or part
	Concurrency int
}

// String returns for example "put 4096 B ×64".
func (s Scenario) String() string { return fmt.Sprintf("%s %d B ×%d", s.Op, s.Size, s.Concurrency) }

// validate refuses what cannot be run.
func (s Scenario) validate() error {
	for _, n := range opNames {
		if n == s.Op {
			if s.Op == "multipart" && s.Size < 5<<20 {
				return fmt.Errorf("%v: parts must have at least 5 MiB", s)
			}
			if s.Concurrency < 1 || s.Size < 0 {
				return fmt.Errorf("%v: want a concurrency of at least 1 and a size of at least 0", s)
			}
			return nil
		}
	}
	return fmt.Errorf("%v: no such operation; there are %v", s, opNames)
}

// A load is a scenario against one endpoint: its bucket, its objects, its body.
type load struct {
	s      Scenario
	c      *client
	bucket string
	body   []byte
	keys   int          // objects that exist for reading
	next   atomic.Int64 // numbers of objects that are written
	gone   atomic.Int64 // objects deleted so far
}

func newLoad(s Scenario, c *client, bucket string, keys int) *load {
	l := &load{s: s, c: c, bucket: bucket, keys: keys, body: make([]byte, s.Size)}
	_, _ = rand.NewChaCha8([32]byte{1}).Read(l.body)
	return l
}

func (l *load) path(kind string, n int64) string {
	return fmt.Sprintf("/%s/%s-%d/%04x/%08d", l.bucket, kind, l.s.Size, n%256, n)
}

// prepare puts the objects that the scenario reads or deletes.
func (l *load) prepare(ctx context.Context, n int) error {
	switch l.s.Op {
	case "get", "head", "list", "mixed":
		return l.parallel(ctx, int64(l.keys), "read")
	case "delete":
		return l.parallel(ctx, int64(n), "gone")
	}
	return nil
}

func (l *load) parallel(ctx context.Context, n int64, kind string) error {
	var next atomic.Int64
	errs := make(chan error, 32)
	for range cap(errs) {
		go func() {
			for {
				i := next.Add(1) - 1
				if i >= n {
					errs <- nil
					return
				}
				if _, _, err := l.c.do(ctx, http.MethodPut, l.path(kind, i), nil, l.body); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	var first error
	for range cap(errs) {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// one does one operation and returns the bytes that it moved.
func (l *load) one(ctx context.Context, r *rand.Rand) (int64, error) {
	op := l.s.Op
	if op == "mixed" { // of a hundred: 45 GET, 15 PUT, 10 DELETE of what was put, 30 HEAD
		switch n := r.IntN(100); {
		case n < 45:
			op = "get"
		case n < 60:
			op = "put"
		case n < 70:
			op = "delete"
		default:
			op = "head"
		}
	}
	switch op {
	case "put":
		_, _, err := l.c.do(ctx, http.MethodPut, l.path("put", l.next.Add(1)), nil, l.body)
		return l.s.Size, err
	case "get":
		return l.c.drain(ctx, l.path("read", r.Int64N(int64(l.keys))))
	case "head":
		_, _, err := l.c.do(ctx, http.MethodHead, l.path("read", r.Int64N(int64(l.keys))), nil, nil)
		return 0, err
	case "list":
		q := url.Values{"list-type": {"2"}, "max-keys": {"1000"}, "prefix": {fmt.Sprintf("read-%d/", l.s.Size)}}
		_, out, err := l.c.do(ctx, http.MethodGet, "/"+l.bucket, q, nil)
		return int64(len(out)), err
	case "delete":
		kind := "gone"
		if l.s.Op == "mixed" {
			kind = "put"
		}
		_, _, err := l.c.do(ctx, http.MethodDelete, l.path(kind, l.gone.Add(1)-1), nil, nil)
		return 0, err
	default:
		return l.multipart(ctx)
	}
}

func (l *load) multipart(ctx context.Context) (int64, error) {
	path := l.path("multi", l.next.Add(1))
	id, err := l.c.createUpload(ctx, path)
	if err != nil {
		return 0, err
	}
	var doc bytes.Buffer
	doc.WriteString("<CompleteMultipartUpload>")
	for n := 1; n <= multipartParts; n++ {
		q := url.Values{"uploadId": {id}, "partNumber": {fmt.Sprint(n)}}
		h, _, err := l.c.do(ctx, http.MethodPut, path, q, l.body)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, h.Get("ETag"))
	}
	doc.WriteString("</CompleteMultipartUpload>")
	_, _, err = l.c.do(ctx, http.MethodPost, path, url.Values{"uploadId": {id}}, doc.Bytes())
	return multipartParts * l.s.Size, err
}
