//go:build nodes

package nodes

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
)

const writers = 64

// A contest is many writers on one key through all nodes at once, with one condition.
type contest struct {
	key   string
	size  int
	ifTag *string // nil: only if there is no object

	mu      sync.Mutex
	winners []int // acknowledged
	maybe   []int // neither acknowledged nor refused
	refused int   // told that the condition does not hold, so that somebody has won
	errs    []error
}

// TestOneWinner: 64 writers on one key through all five nodes: one wins with If-None-Match: *, one with If-Match. In
// every third round a node dies meanwhile and comes back: then there may be writers who do not know, but still at most one
// who was told that it won, and the object is the winner's.
func TestOneWinner(t *testing.T) {
	c := start(t, 5, 2)
	all := clients(c)
	harness.CreateBucket(t, all[0], bucket)
	for round := range harness.Pick(10, 100) {
		dying := -1
		if round%3 == 2 {
			dying = rand.IntN(5)
		}
		reader := all[(dying+1)%5]
		size := []int{1 << 10, 100 << 10}[round%2]
		key := fmt.Sprintf("contested/%03d", round)
		fresh := &contest{key: key, size: size}
		fresh.run(t, c, all, dying)
		fresh.judge(t, reader, dying >= 0, nil)
		if dying >= 0 {
			c.Start()
		}
		old := harness.Body(key+"/old", size)
		put, err := reader.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(old)})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		next := &contest{key: key, size: size, ifTag: put.ETag}
		next.run(t, c, all, dying)
		next.judge(t, reader, dying >= 0, old)
		if dying >= 0 {
			c.Start()
		}
		if t.Failed() {
			return
		}
	}
}

// run has all writers write, and kills a node, if one is to die, once the first answers are there.
func (x *contest) run(t *testing.T, c *harness.Cluster, all []*s3.Client, dying int) {
	ctx, cancel := context.WithTimeout(t.Context(), requestMax)
	defer cancel()
	var wg sync.WaitGroup
	begin, answered := make(chan struct{}), make(chan struct{}, writers)
	for w := range writers {
		wg.Go(func() {
			<-begin
			in := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(x.key), Body: bytes.NewReader(x.body(w)), IfMatch: x.ifTag}
			if x.ifTag == nil {
				in.IfNoneMatch = aws.String("*")
			}
			_, err := all[w%len(all)].PutObject(ctx, in)
			x.note(w, err)
			answered <- struct{}{}
		})
	}
	close(begin)
	if dying >= 0 {
		for range rand.IntN(writers / 4) {
			<-answered
		}
		c.Kill(dying)
	}
	wg.Wait()
}

// body is what a writer writes.
func (x *contest) body(w int) []byte {
	return harness.Body(fmt.Sprintf("%s/%s/%d", x.key, aws.ToString(x.ifTag), w), x.size)
}

// note counts what a writer was told.
func (x *contest) note(w int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch status := harness.StatusCode(err); {
	case err == nil:
		x.winners = append(x.winners, w)
	case status == http.StatusPreconditionFailed:
		x.refused++
	case status == http.StatusConflict: // another was under way: it is told nothing of who has won
	default:
		x.maybe = append(x.maybe, w)
		x.errs = append(x.errs, err)
	}
}

// judge compares what writers were told with the object. The old one is what was there before, nil for none.
func (x *contest) judge(t *testing.T, c *s3.Client, death bool, old []byte) {
	t.Helper()
	what := fmt.Sprintf("%s, If-Match %q: winners %v, %d refused, unknown %v", x.key, aws.ToString(x.ifTag), x.winners, x.refused, x.maybe)
	if len(x.winners) > 1 || !death && len(x.winners) != 1 {
		t.Errorf("%s; want one winner; errors %v", what, x.errs)
		return
	}
	if !death && len(x.maybe) > 0 {
		t.Errorf("%s; no node died: %v", what, x.errs)
	}
	ctx, cancel := context.WithTimeout(t.Context(), requestMax)
	defer cancel()
	b, err := eventually(ctx, c, x.key)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if bytes.Equal(b, old) {
		if len(x.winners) > 0 || x.refused > 0 {
			t.Errorf("%s: the object is the one from before", what)
		}
		return
	}
	may := x.winners
	if len(may) == 0 {
		may = x.maybe
	}
	if !slices.ContainsFunc(may, func(w int) bool { return bytes.Equal(b, x.body(w)) }) {
		t.Errorf("%s: the object has %d bytes that are not the winner's", what, len(b))
	}
}

// eventually reads an object, nil if there is none, until an answer comes.
func eventually(ctx context.Context, c *s3.Client, key string) ([]byte, error) {
	for {
		b, err := harness.Get(ctx, c, bucket, key)
		if err == nil {
			return b, nil
		}
		if status := harness.StatusCode(err); status == http.StatusNotFound {
			return nil, nil
		} else if status < 500 || ctx.Err() != nil {
			return nil, err
		}
	}
}
