package history

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
)

const (
	bucket = "history"

	workers    = 16
	keysPerOne = 60 // keys of a worker that change

	// requestTimeout is when a client gives up: the outcome is unknown.
	requestTimeout = 20 * time.Second
	// refusedPause is how long a client waits when nobody listens.
	refusedPause = 20 * time.Millisecond
)

// absent is the value of a key that does not exist; all others name the seed of a body.
const absent = uint64(0)

// A worker owns a set of keys that no other touches, so that for each it knows which values it may have: the last
// acknowledged one and, behind it, that of a request whose outcome is unknown. Such a request may still be carried out, so
// its key rests until the next Verify.
type worker struct {
	id      int
	rand    *rand.Rand
	may     map[string][]uint64
	settled map[string]bool // keys that no longer change
	next    uint64
}

// Model is what a service must hold. Its methods are for one goroutine, while no load runs unless they say otherwise.
type Model struct {
	t       testing.TB
	clients []*s3.Client
	workers []*worker

	mu      sync.Mutex
	cond    *sync.Cond
	ops     int
	unknown int
}

// New returns the model of an empty service that is reached by any of some endpoints. The workers are spread over them;
// one that gets no answer goes on to the next. Where there is only one, an error that it answers fails the test; of
// several the one that answers may have lost the one that it needs, so that errors of the server count as unknown.
func New(t testing.TB, endpoints []string) *Model {
	m := &Model{t: t}
	m.cond = sync.NewCond(&m.mu)
	for _, e := range endpoints {
		m.clients = append(m.clients, harness.Client(e))
	}
	for i := range workers {
		m.workers = append(m.workers, &worker{id: i, rand: rand.New(rand.NewPCG(uint64(i), 99)), may: map[string][]uint64{}, settled: map[string]bool{}})
	}
	harness.CreateBucket(t, m.clients[0], bucket)
	return m
}

// body makes the bytes of a value: from empty over inline sizes to several stripes.
func body(value uint64) []byte {
	r := rand.New(rand.NewPCG(value, 5))
	sizes := []int{0, 1, 100, 4 << 10, 4 << 10, 4 << 10, 16 << 10, 16<<10 + 1, 100 << 10, 700 << 10}
	b := make([]byte, sizes[r.IntN(len(sizes))]+8)
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], value)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// Fill puts n objects that no longer change, all acknowledged.
func (m *Model) Fill(n int) {
	m.each(func(w *worker) {
		for i := w.id; i < n; i += len(m.workers) {
			key, v := fmt.Sprintf("base/%02d/%06d", w.id, i), w.value()
			b := body(v)
			if n > 1000 {
				b = b[:8]
			}
			if err := harness.Put(context.Background(), m.clients[i%len(m.clients)], bucket, key, b); err != nil {
				m.t.Errorf("fill: %v", err)
				return
			}
			w.may[key], w.settled[key] = []uint64{v}, true
		}
	})
}

// each runs fn for all workers at once.
func (m *Model) each(fn func(*worker)) {
	var wg sync.WaitGroup
	for _, w := range m.workers {
		wg.Go(func() { fn(w) })
	}
	wg.Wait()
}

func (w *worker) value() uint64 {
	w.next++
	return uint64(w.id+1)<<40 | w.next
}

// Load puts and deletes, by all workers, until the returned function is called, which waits for what is under way: a request
// that is broken off could still be carried out while Verify reads. Await and Count may be called meanwhile.
func (m *Model) Load() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.each(func(w *worker) { m.work(ctx, w) })
	}()
	return func() { cancel(); <-done }
}

// work puts and deletes until the context ends, and ends what it has begun.
func (m *Model) work(ctx context.Context, w *worker) {
	at := w.id
	for ctx.Err() == nil && !m.t.Failed() {
		key, ok := w.key()
		if !ok {
			return // all rest
		}
		v, err := m.change(m.clients[at%len(m.clients)], w, key)
		switch {
		case err == nil:
			w.may[key] = []uint64{v}
			m.note(true)
			continue
		case errors.Is(err, syscall.ECONNREFUSED): // never sent
			select {
			case <-ctx.Done():
			case <-time.After(refusedPause):
			}
		default:
			if len(w.may[key]) == 0 {
				w.may[key] = []uint64{absent}
			}
			w.may[key] = append(w.may[key], v)
			m.note(false)
			if code := harness.StatusCode(err); code != 0 && ctx.Err() == nil && (len(m.clients) == 1 || code < 500) {
				m.t.Errorf("%s: %v", key, err)
			}
		}
		at++
	}
}

// key draws a key whose value is known, if many are.
func (w *worker) key() (string, bool) {
	for range keysPerOne {
		if key := fmt.Sprintf("live/%02d/%03d", w.id, w.rand.IntN(keysPerOne)); len(w.may[key]) < 2 {
			return key, true
		}
	}
	return "", false
}

// change puts a new value or deletes the key, and returns which value it has then.
func (m *Model) change(c *s3.Client, w *worker, key string) (v uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if w.rand.IntN(5) == 0 {
		_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
		return absent, err
	}
	v = w.value()
	return v, harness.Put(ctx, c, bucket, key, body(v))
}

// note counts an operation and wakes who waits for it.
func (m *Model) note(acknowledged bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !acknowledged {
		m.unknown++
		return
	}
	m.ops++
	m.cond.Broadcast()
}

// Await waits for n more acknowledged operations, and reports whether they came in time.
func (m *Model) Await(n int, timeout time.Duration) bool {
	late := false
	defer time.AfterFunc(timeout, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		late = true
		m.cond.Broadcast()
	}).Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	goal := m.ops + n
	for m.ops < goal && !late && !m.t.Failed() {
		m.cond.Wait()
	}
	return m.ops >= goal
}

// Count returns how many operations were acknowledged so far, and of how many the outcome was unknown.
func (m *Model) Count() (acknowledged, unknown int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops, m.unknown
}

// Verify lists the bucket, reads every key that changes and one share of those that do not, through all endpoints; what was
// read becomes the only possible value.
func (m *Model) Verify(share, shares int) {
	listed := m.list(m.clients[share%len(m.clients)])
	m.each(func(w *worker) {
		at := w.id
		for key, may := range w.may {
			if l, ok := listed[key]; w.settled[key] && int(crc32.ChecksumIEEE([]byte(key)))%shares != share {
				if !ok {
					m.t.Errorf("%s: acknowledged and not listed (%d)", key, l)
				}
				continue
			}
			at++
			got, size, err := m.read(m.clients[at%len(m.clients)], key, may)
			if err != nil {
				m.t.Errorf("%s: %v", key, err)
				continue
			}
			w.may[key] = []uint64{got}
			if l, ok := listed[key]; ok != (got != absent) || ok && l != size {
				m.t.Errorf("%s: LIST says (%d, %v), GET says (%d, %v)", key, l, ok, size, got != absent)
			}
		}
	})
	known := 0
	for _, w := range m.workers {
		for _, may := range w.may {
			if may[0] != absent {
				known++
			}
		}
	}
	if known != len(listed) {
		m.t.Errorf("LIST shows %d keys, %d are known", len(listed), known)
	}
}

// read gets a key and finds out which of its possible values it has.
func (m *Model) read(c *s3.Client, key string, may []uint64) (uint64, int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		var api interface{ ErrorCode() string }
		if !errors.As(err, &api) || api.ErrorCode() != "NoSuchKey" {
			return 0, 0, err
		}
		for _, v := range may {
			if v == absent {
				return absent, 0, nil
			}
		}
		return 0, 0, fmt.Errorf("acknowledged and gone (may be %x)", may)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		return 0, 0, err
	}
	for _, v := range may {
		if v == absent {
			continue
		}
		if want := body(v); bytes.Equal(b, want) || len(b) == 8 && bytes.Equal(b, want[:8]) {
			return v, int64(len(b)), nil
		}
	}
	return 0, 0, fmt.Errorf("%d bytes that none of its %d possible values has", len(b), len(may))
}

func (m *Model) list(c *s3.Client) map[string]int64 {
	out := map[string]int64{}
	p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	for p.HasMorePages() {
		page, err := p.NextPage(context.Background())
		if err != nil {
			m.t.Fatalf("list: %v", err)
		}
		for _, o := range page.Contents {
			if _, twice := out[aws.ToString(o.Key)]; twice {
				m.t.Errorf("%s is listed twice", aws.ToString(o.Key))
			}
			out[aws.ToString(o.Key)] = aws.ToInt64(o.Size)
		}
	}
	return out
}
