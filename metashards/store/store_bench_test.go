package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkPropose is 64 writers of 4 KiB on three stores in memory: the CPU of Raft, batching and the machine.
func BenchmarkPropose(b *testing.B) {
	g := newGroup(b, 3, nil)
	defer g.close()
	leader := g.leader()
	payload := make([]byte, 4096)
	var n atomic.Int64
	b.ResetTimer()
	begin := time.Now()
	var all sync.WaitGroup
	for w := range 64 {
		all.Go(func() {
			key := fmt.Sprint("w", w)
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if _, err := g.stores[leader].Propose(b.Context(), rangeID, put(key, int(i), payload), payload); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "puts/s")
}
