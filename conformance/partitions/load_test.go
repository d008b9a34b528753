//go:build partitions

package partitions

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
	"github.com/contender/contender/conformance/history"
)

const (
	bucket  = "partitions"
	clients = 16
	// gateWidth is how many clients may wait for one node: less than all by so many that the others go on.
	gateWidth = 6
	// slots is how many contended keys there are at a time, each among its own crowd.
	slots = 6
	// parkedEach is how many readers of each contended key wait for a node that is stopped.
	parkedEach = 4
	// keyOps and keyOpen retire a contended key: Porcupine's work grows with the operations, and fast with the open ones.
	keyOps  = 600
	keyOpen = 8
	// crowdMax is how many other keys there are at most.
	crowdMax   = 1500
	crowdBytes = 12 << 10
	listPage   = 100
	// requestMax is when a client gives up; longer than a node is stopped for, so that what it says on waking is heard.
	requestMax = 15 * time.Second
	// refusedPause is how long a client waits after an error.
	refusedPause = 50 * time.Millisecond
)

// sizes of objects on contended keys: inline, middle, coded.
var sizes = []int{1 << 10, 1 << 10, 64 << 10, 200 << 10}

// A load is clients that use the nodes until they are told to stop, and what they did and saw.
type load struct {
	t   *testing.T
	f   *fleet
	rec *history.Record

	mu     sync.Mutex
	slots  [slots]slot
	bodies map[string][md5.Size]byte // by ETag
	crowd  map[string]string         // acknowledged keys that nobody changes any more, with their ETags
	sent   int                       // of the crowd
	errs   map[string]int

	parked sync.WaitGroup // readers at a node that is stopped
}

// A slot is a place in the order of keys where one contended key follows the other.
type slot struct {
	generation int
	last       string // ETag that somebody saw last
}

func newLoad(t *testing.T, f *fleet) *load {
	return &load{t: t, f: f, rec: history.NewRecord(), bodies: map[string][md5.Size]byte{}, crowd: map[string]string{}, errs: map[string]int{}}
}

// start runs the clients; the returned function stops them and waits for what is under way, as the end of the test does.
func (l *load) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for id := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(id), uint64(time.Now().UnixNano())))
			for ctx.Err() == nil && !l.t.Failed() {
				l.one(ctx, r, id)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait(); l.parked.Wait() })
	l.t.Cleanup(stop)
	return stop
}

// one does one operation through some node that not too many wait for.
func (l *load) one(ctx context.Context, r *rand.Rand, id int) {
	ways := l.f.ways()
	m := ways[r.IntN(len(ways))]
	select {
	case m.gate <- struct{}{}:
		defer func() { <-m.gate }()
	default:
		pause(ctx)
		return
	}
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestMax)
	defer cancel()
	var err error
	switch n := r.IntN(100); {
	case n < 8:
		err = l.list(request, m, r, id)
	case n < 20:
		err = l.grow(request, m, r)
	default:
		err = l.contend(request, m, r, id, n)
	}
	if err != nil {
		l.note(err)
		pause(ctx)
	}
}

// park has some clients wait for a node that has just been stopped, to read what is contended: they are answered by what the
// node believes in the moment that it wakes.
func (l *load) park(m *member) {
	for n := range slots * parkedEach {
		l.parked.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), requestMax)
			defer cancel()
			key, _ := l.hot(n % slots)
			op := history.Op{Client: clients + 1 + n, Key: key, Kind: history.Read, Call: l.rec.Now()}
			tag, err := l.get(ctx, m.client, key)
			if op.Value = tag; err == nil {
				l.rec.Note(op)
			}
		})
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(refusedPause):
	}
}

// contend does something to a contended key.
func (l *load) contend(ctx context.Context, m *member, r *rand.Rand, id, n int) error {
	at := r.IntN(slots)
	key, last := l.hot(at)
	op := history.Op{Client: id, Key: key, Call: l.rec.Now()}
	var err error
	switch {
	case n < 50:
		op.Kind = history.Read
		op.Value, err = l.get(ctx, m.client, key)
	case n < 58:
		op.Kind = history.Delete
		_, err = m.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	case n < 64:
		return l.multipart(ctx, m.client, r, at, op)
	default:
		in := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)}
		op.Kind = history.Write
		if n >= 76 && n < 88 {
			op.Kind, in.IfNoneMatch = history.WriteIfAbsent, aws.String("*")
		} else if n >= 88 && last != "" {
			op.Kind, op.Match, in.IfMatch = history.WriteIfMatch, last, aws.String(last)
		}
		var body []byte
		body, op.Value = l.body(r)
		in.Body = bytes.NewReader(body)
		_, err = m.client.PutObject(ctx, in)
	}
	return l.keep(at, op, err)
}

// keep notes what came of an operation on the key of a slot.
func (l *load) keep(at int, op history.Op, err error) error {
	outcome, happened := l.outcome(op, err)
	if !happened {
		return err
	}
	op.Outcome = outcome
	all, open := l.rec.Note(op)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.slots[at]
	if op.Key != hotKey(at, s.generation) {
		return err
	}
	if outcome == history.Done {
		s.last = op.Value
	}
	if all > keyOps || open > keyOpen {
		*s = slot{generation: s.generation + 1}
	}
	return err
}

// outcome reads an answer; false: the operation was surely not carried out, and nothing is known from it.
func (l *load) outcome(op history.Op, err error) (history.Outcome, bool) {
	if err == nil {
		return history.Done, true
	}
	conditional := op.Kind == history.WriteIfAbsent || op.Kind == history.WriteIfMatch
	switch status := harness.StatusCode(err); {
	case status == http.StatusPreconditionFailed && conditional:
		return history.Refused, true
	case status == http.StatusNotFound && op.Kind == history.WriteIfMatch && code(err) == "NoSuchKey":
		return history.Missing, true
	case status == http.StatusConflict && code(err) == "ConditionalRequestConflict", code(err) == "RequestTimeTooSkewed", errors.Is(err, syscall.ECONNREFUSED):
		return history.Unknown, false
	case status >= 400 && status < 500:
		l.t.Errorf("%v %s: %v", l.rec.Now(), op, err)
		return history.Unknown, false
	}
	return history.Unknown, true
}

// note counts errors by their kind, for the log.
func (l *load) note(err error) {
	kind := code(err)
	if kind == "" {
		kind = "no answer"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs[kind]++
}

func (l *load) hot(at int) (k, e string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return hotKey(at, l.slots[at].generation), l.slots[at].last
}

// body makes bytes that no other object has, and their ETag.
func (l *load) body(r *rand.Rand) ([]byte, string) {
	b := harness.Body(fmt.Sprint(r.Uint64()), sizes[r.IntN(len(sizes))])
	return b, l.know(b)
}

// know keeps that an object may have these bytes, and returns the ETag that it has then.
func (l *load) know(b []byte) string {
	sum := md5.Sum(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bodies[hex.EncodeToString(sum[:])] = sum
	return hex.EncodeToString(sum[:])
}

// grow adds a key to the crowd, or reads one.
func (l *load) grow(ctx context.Context, m *member, r *rand.Rand) error {
	l.mu.Lock()
	full := l.sent >= crowdMax
	if !full {
		l.sent++
	}
	l.mu.Unlock()
	if full {
		return nil
	}
	key := crowdKey(r.IntN(slots), r.Uint64())
	b := harness.Body(key, crowdBytes)
	tag := l.know(b)
	err := harness.Put(ctx, m.client, bucket, key, b)
	if err == nil {
		l.mu.Lock()
		l.crowd[key] = tag
		l.mu.Unlock()
	}
	return err
}

// list lists a slot by pages. It is a read of the slot's contended key, and must show all of the crowd that was
// acknowledged before.
func (l *load) list(ctx context.Context, m *member, r *rand.Rand, id int) error {
	at := r.IntN(slots)
	key, _ := l.hot(at)
	want := l.acknowledged(slotPrefix(at))
	op := history.Op{Client: id, Key: key, Kind: history.Read, Call: l.rec.Now()}
	shown, err := listing(ctx, l.t, m.client, slotPrefix(at))
	if err != nil {
		return err
	}
	for k, tag := range want {
		if shown[k] != tag {
			l.t.Errorf("%v: %s was acknowledged with ETag %s before %v, and a listing through %s that began then shows %q", l.rec.Now(), k, tag, op.Call, m.Name, shown[k])
		}
	}
	op.Value = shown[key]
	return l.keep(at, op, nil)
}

// acknowledged returns what of the crowd below a prefix is acknowledged.
func (l *load) acknowledged(prefix string) map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]string{}
	for k, tag := range l.crowd {
		if strings.HasPrefix(k, prefix) {
			out[k] = tag
		}
	}
	return out
}
