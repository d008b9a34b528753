package simtest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/local"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/router"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
)

// onDisks is three running stores on three real disks, with one range, and a router over them.
func onDisks(b *testing.B) *router.Router {
	m := &clustermap.Map{Ranges: []clustermap.Range{{ID: 2, Start: keys.Position(1, nil)}}}
	desc := &metapb.RangeDescriptor{Id: 2, Start: keys.Position(1, nil)}
	for i := range uint64(3) {
		m.Ranges[0].Replicas = append(m.Ranges[0].Replicas, clustermap.Replica{ID: i + 1, Disk: disk.ID(i + 1)})
		desc.Replicas = append(desc.Replicas, &metapb.Replica{Id: i + 1, Disk: i + 1})
	}
	stores, wires := map[disk.ID]*store.Store{}, transport.NewLocal(nil)
	for i := range disk.ID(3) {
		d, err := local.Open(b.Context(), local.Options{FS: vfs.Default, Dir: b.TempDir(), Cluster: disk.ClusterID{1}, ID: i + 1, Boot: 1, Rand: rand.Reader})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = d.Close() })
		if err := store.Bootstrap(b.Context(), d, desc, time.Now()); err != nil {
			b.Fatal(err)
		}
		s, err := store.New(store.Config{
			Options: store.Options{
				Disk: d, Sender: wires, Puller: wires, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Proposer: uint64(i+1) << 32, Boot: 1, Fresh: true,
			},
			Ticker: func(d time.Duration) (<-chan time.Time, func()) { t := time.NewTicker(d); return t.C, t.Stop },
		})
		if err != nil {
			b.Fatal(err)
		}
		stores[i+1] = s
		wires.Register(i+1, s)
	}
	var running sync.WaitGroup
	for _, s := range stores {
		running.Go(func() { s.Run(context.Background()) })
		b.Cleanup(s.Close)
	}
	b.Cleanup(func() {
		for _, s := range stores {
			s.Close()
		}
		running.Wait()
	})
	return router.New(router.Options{
		Topology: mapcopy.New(m), Clock: router.Wall{},
		Target: func(id disk.ID) (router.Target, bool) { return stores[id], true },
	})
}

// cpu returns what the process has used so far, in user and kernel.
func cpu(b *testing.B) (user, system time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

// many runs do b.N times, by so many clients, and reports the CPU of the whole process for each.
func many(b *testing.B, clients int, do func(client, n int) error) {
	var next atomic.Int64
	var all sync.WaitGroup
	user, system := cpu(b)
	b.ResetTimer()
	for c := range clients {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := do(c, int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	u, s := cpu(b)
	b.ReportMetric(float64((u-user+s-system).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64((s-system).Microseconds())/float64(b.N), "kernel-µs/op")
}

func putCommand(key string, n int, payload []byte) *metapb.Command {
	now := uint64(time.Now().UnixMicro())
	return &metapb.Command{
		Format: 1, RequestId: fmt.Sprintf("%016x%016x", n, now), Bucket: 3, Key: []byte(key), Generation: 1, Time: now,
		PayloadLength: uint64(len(payload)),
		Op: &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{
			Format: 1, Size: uint64(len(payload)), Nonce: uint64(n), Etag: make([]byte, 16), Owner: "root",
			Attributes: &metapb.Attributes{ContentType: "application/octet-stream"},
			Checksums:  []*metapb.Checksum{{Algorithm: "crc64nvme", Value: make([]byte, 8)}},
		}}},
	}
}

// BenchmarkPut is puts of new keys with 4 KiB: router, Raft over three replicas, three real disks.
func BenchmarkPut(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			r, payload := onDisks(b), make([]byte, 4096)
			do := func(c, n int) error {
				a, err := r.Apply(b.Context(), putCommand(fmt.Sprintf("folder/%d/object-%08d", c, n), n, payload), payload)
				if err == nil && a.Status != metapb.Status_OK {
					err = fmt.Errorf("%v %s", a.Status, a.Detail)
				}
				return err
			}
			if err := do(0, 0); err != nil {
				b.Fatal(err)
			}
			many(b, clients, do)
		})
	}
}

// BenchmarkGet is reads of 1,000 objects of 4 KiB, payload and all.
func BenchmarkGet(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			r, payload := onDisks(b), bytes.Repeat([]byte{7}, 4096)
			for i := range 1000 {
				if _, err := r.Apply(b.Context(), putCommand(fmt.Sprintf("folder/object-%08d", i), i, payload), payload); err != nil {
					b.Fatal(err)
				}
			}
			many(b, clients, func(_, n int) error {
				a, err := r.Query(b.Context(), &metapb.Query{
					Format: 1, Bucket: 3, Key: fmt.Appendf(nil, "folder/object-%08d", n%1000), Generation: 1,
					Op: &metapb.Query_Get{Get: &metapb.GetVersion{Payload: true}},
				})
				if err == nil && len(a.Payload) != len(payload) {
					err = fmt.Errorf("%v %s", a.Status, a.Detail)
				}
				return err
			})
		})
	}
}
