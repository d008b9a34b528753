//go:build nodes

package nodes

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
)

// gapMost is the longest that a writer through another node may wait for its next acknowledgement while a node drains.
const gapMost = 2 * time.Second

// TestSIGTERMHandsOver ends each of three nodes in turn with SIGTERM, so that each range's leader is among them, while
// others write through the nodes that stay: no write fails, none is lost, and the writers hardly notice.
func TestSIGTERMHandsOver(t *testing.T) {
	c := start(t, 3, 1)
	harness.CreateBucket(t, harness.Client(c.Nodes[0].Endpoint), bucket)
	for round := range harness.Pick(3, 12) {
		ending := round % 3
		writers := []*writer{}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range c.Nodes {
			if i != ending {
				w := &writer{prefix: fmt.Sprintf("round%d/by%d", round, i), started: make(chan struct{})}
				writers = append(writers, w)
				wg.Go(func() { w.run(ctx, c.Nodes[i].Endpoint) })
			}
		}
		for _, w := range writers {
			<-w.started
		}
		began := time.Now()
		if err := c.Nodes[ending].Stop(); err != nil {
			t.Errorf("round %d: %s ended with %v", round, c.Nodes[ending].Name, err)
		}
		took := time.Since(began)
		c.Start()
		stop()
		wg.Wait()
		for _, w := range writers {
			t.Logf("%s, node %d ends in %v: %d writes acknowledged, %d failed, longest gap %v", w.prefix, ending, took, w.n, len(w.errs), w.gap)
			if len(w.errs) > 0 {
				t.Errorf("%s: %d writes failed, the first: %v", w.prefix, len(w.errs), w.errs[0])
			}
			if w.gap > gapMost {
				t.Errorf("%s: %v without an acknowledgement, want at most %v", w.prefix, w.gap, gapMost)
			}
			for n := range w.n {
				if err := check(t.Context(), harness.Client(c.Nodes[ending].Endpoint), w.key(n), writerBytes); err != nil {
					t.Error(err)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}

const writerBytes = 4 << 10

// A writer writes one object after the other through one node.
type writer struct {
	prefix  string
	started chan struct{} // closed after the first acknowledgement, or when it gives up
	start   sync.Once
	n       int // acknowledged
	errs    []error
	gap     time.Duration // longest between two acknowledgements
}

func (w *writer) key(n int) string { return fmt.Sprintf("%s/%05d", w.prefix, n) }

func (w *writer) run(ctx context.Context, endpoint string) {
	c := harness.Client(endpoint)
	defer func() { w.start.Do(func() { close(w.started) }) }()
	last := time.Now()
	for ctx.Err() == nil && len(w.errs) < 10 {
		key := w.key(w.n)
		err := harness.Put(context.WithoutCancel(ctx), c, bucket, key, harness.Body(key, writerBytes))
		if err != nil {
			w.errs = append(w.errs, err)
			continue
		}
		now := time.Now()
		if w.n > 0 {
			w.gap = max(w.gap, now.Sub(last))
		}
		w.start.Do(func() { close(w.started) })
		last = now
		w.n++
	}
}
