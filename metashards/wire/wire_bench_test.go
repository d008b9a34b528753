package wire_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// cpu returns how much processor time this process has used.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkCall is a query of 128 bytes, answered with 128 bytes, both ends in this process, over the loopback.
func BenchmarkCall(b *testing.B) {
	for _, inFlight := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			n := newNetwork(b, true)
			defer n.close()
			n.start(2).add(20, newFake())
			t := n.start(1).target(20)
			q := &metapb.Query{Format: 1, Bucket: 3, Key: make([]byte, 100), Op: &metapb.Query_Get{Get: &metapb.GetVersion{Payload: true}}}
			if _, err := t.Query(b.Context(), 7, q); err != nil {
				b.Fatal(err)
			}
			// The router bounds each attempt; what that costs is its own.
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			b.ReportAllocs()
			begin := cpu(b)
			b.ResetTimer()
			var all sync.WaitGroup
			for w := range inFlight {
				all.Go(func() {
					for i := w; i < b.N; i += inFlight {
						if _, err := t.Query(ctx, 7, q); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64((cpu(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkRaft is an append with an entry of 300 bytes and its payload of 4 KiB, and the answer to it, both ends in this
// process, over the loopback.
func BenchmarkRaft(b *testing.B) {
	n := newNetwork(b, true)
	defer n.close()
	x, y := n.start(1), n.start(2)
	near, far := newFake(), newFake()
	x.add(10, near)
	y.add(20, far)
	response := &transport.Message{Range: 7, From: 20, To: 10, Raft: &raftpb.Message{
		Type: raftpb.MsgAppResp.Enum(), To: new(uint64(1)), From: new(uint64(2)), Term: new(uint64(3)), Index: new(uint64(1000)),
	}}
	far.receive = func(*transport.Message) { y.peers.Send(response) }
	window := make(chan bool, 16)
	near.receive = func(*transport.Message) { <-window }
	append4k := &transport.Message{Range: 7, From: 10, To: 20, Payloads: [][]byte{make([]byte, 4096)}, Raft: &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), To: new(uint64(2)), From: new(uint64(1)), Term: new(uint64(3)), Index: new(uint64(1000)),
		LogTerm: new(uint64(3)), Commit: new(uint64(999)),
		Entries: []*raftpb.Entry{{Type: raftpb.EntryNormal.Enum(), Term: new(uint64(3)), Index: new(uint64(1001)), Data: make([]byte, 300)}},
	}}
	window <- true
	x.peers.Send(append4k)
	eventually(b, "the first append", func() bool { return near.received.Load() == 1 })
	b.SetBytes(4096)
	b.ReportAllocs()
	begin := cpu(b)
	b.ResetTimer()
	for range b.N {
		window <- true
		x.peers.Send(append4k)
	}
	eventually(b, "the last append", func() bool { return near.received.Load() == int64(b.N)+1 })
	b.ReportMetric(float64((cpu(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
