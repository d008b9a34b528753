//go:build partitions

package partitions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
	"github.com/contender/contender/conformance/history"
)

const writers = 64

// A contest is many writers on one new key through all nodes, each under If-None-Match: *.
type contest struct {
	key  string
	size int

	mu      sync.Mutex
	winners []int
	maybe   []int
	refused int
}

// contests holds one contest after the other; the returned function ends them and returns how many there were, and how many
// of them somebody knows to have won.
func (l *load) contests() (stop func() (int, int)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	rounds, won := 0, 0
	stop = sync.OnceValues(func() (int, int) { cancel(); wg.Wait(); return rounds, won })
	l.t.Cleanup(func() { stop() })
	wg.Go(func() {
		r := rand.New(rand.NewPCG(99, uint64(time.Now().UnixNano())))
		for ctx.Err() == nil && !l.t.Failed() {
			x := &contest{key: fmt.Sprintf("contest/%x-%04d", r.IntN(16), rounds), size: sizes[rounds%len(sizes)]}
			x.run(l.f.ways())
			l.decide(ctx, x)
			rounds++
			won += len(x.winners)
			pause(ctx)
		}
	})
	return stop
}

func (x *contest) run(ways []*member) {
	ctx, cancel := context.WithTimeout(context.Background(), requestMax)
	defer cancel()
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			<-begin
			_, err := ways[w%len(ways)].client.PutObject(ctx, &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: aws.String(x.key), Body: bytes.NewReader(x.body(w)), IfNoneMatch: aws.String("*"),
			})
			x.note(w, err)
		})
	}
	close(begin)
	wg.Wait()
}

func (x *contest) body(w int) []byte { return harness.Body(fmt.Sprintf("%s/%d", x.key, w), x.size) }

func (x *contest) note(w int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch status := harness.StatusCode(err); {
	case err == nil:
		x.winners = append(x.winners, w)
	case status == http.StatusPreconditionFailed:
		x.refused++
	case status == http.StatusConflict, code(err) == "RequestTimeTooSkewed", errors.Is(err, syscall.ECONNREFUSED):
	default:
		x.maybe = append(x.maybe, w)
	}
}

// decide compares what writers were told with the object, through the first node that answers.
func (l *load) decide(ctx context.Context, x *contest) {
	what := fmt.Sprintf("%v %s: winners %v, %d refused, unknown %v", l.rec.Now(), x.key, x.winners, x.refused, x.maybe)
	if len(x.winners) > 1 {
		l.t.Errorf("%s; want one winner", what)
		return
	}
	may := x.winners
	if len(may) == 0 {
		may = x.maybe
	}
	for _, w := range may {
		l.know(x.body(w))
	}
	for ctx.Err() == nil {
		for _, m := range l.f.ways() {
			attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptMax)
			tag, err := l.get(attempt, m.client, x.key)
			cancel()
			if err != nil {
				continue
			}
			if tag == history.Absent && len(x.winners) == 0 && x.refused == 0 {
				return
			}
			i := slices.IndexFunc(may, func(w int) bool { return etag(x.body(w)) == tag })
			if i < 0 {
				l.t.Errorf("%s; the object through %s has ETag %q, which is not the winner's", what, m.Name, tag)
			} else if len(x.winners) == 1 {
				l.mu.Lock()
				l.crowd[x.key] = tag // it must stay
				l.mu.Unlock()
			}
			return
		}
		pause(ctx)
	}
}
