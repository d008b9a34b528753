package simtest_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"runtime"
	"testing"
	"time"

	"github.com/contender/contender/metashards/metapb"
)

// pageCase is a kind of page and how many lines it has.
type pageCase struct {
	name  string
	query *metapb.Query
	lines int
}

func keyPage(name string, lines int, k *metapb.ListKeys) pageCase {
	k.Limit = cmp.Or(k.Limit, 1000)
	return pageCase{name, &metapb.Query{Op: &metapb.Query_ListKeys{ListKeys: k}}, lines}
}

func versionPage(name string, lines int, k *metapb.ListVersions) pageCase {
	k.Limit = 1000
	return pageCase{name, &metapb.Query{Op: &metapb.Query_ListVersions{ListVersions: k}}, lines}
}

func scattered(i int) string {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return fmt.Sprintf("%016x", h.Sum64())
}

// pages measures pages one after the other.
func (l *listed) pages(b *testing.B, cases ...pageCase) {
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) { l.measure(b, c) })
	}
}

// measure reports the CPU of the thread that makes a page, and the steps of the disk's iterators for each of its lines.
func (l *listed) measure(b *testing.B, c pageCase) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	steps, began, n := l.disk.Stats().StateSteps, threadCPU(b), 0
	for b.Loop() {
		l.page(c.query, c.lines)
		n++
	}
	b.ReportMetric(float64((threadCPU(b)-began).Nanoseconds())/float64(n)/1000, "cpu-µs/page")
	b.ReportMetric(float64(l.disk.Stats().StateSteps-steps)/float64(n*c.lines), "steps/line")
}

// BenchmarkListUploads: a page of uploads after many others were aborted. What other pages cost: TestPageCost.
func BenchmarkListUploads(b *testing.B) {
	l := newListed(b, b.TempDir())
	l.upload(3000, inOrder)
	l.upload(100_000, scattered)
	l.abort(100_000, scattered)
	l.pages(b, pageCase{"start", &metapb.Query{Op: &metapb.Query_ListUploads{ListUploads: &metapb.ListUploads{Limit: 1000}}}, 1000})
}

// BenchmarkListDeleted: a million keys put, all but a thousand deleted, then listed at once: the first pages, and those
// after.
func BenchmarkListDeleted(b *testing.B) {
	const n = 1_000_000
	for _, c := range []struct {
		name string
		key  func(int) string
		keep func(int) bool
	}{
		{"in order, the last are left", inOrder, func(i int) bool { return i >= n-1000 }},
		{"in order, some are left", inOrder, func(i int) bool { return i%1000 == 0 }},
		{"in no order", scattered, func(i int) bool { return i%1000 == 0 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := newListed(b, b.TempDir())
			l.put(n, 0, c.key)
			var gone []int
			for i := range n {
				if !c.keep(i) {
					gone = append(gone, i)
				}
			}
			l.remove(len(gone), func(i int) string { return c.key(gone[i]) })
			all := keyPage("", 1000, &metapb.ListKeys{})
			slow := l.untilFast(b, all)
			b.Run("page", func(b *testing.B) {
				l.measure(b, all)
				b.ReportMetric(float64(slow[0].Microseconds()), "first-cpu-µs")
				b.ReportMetric(float64(len(slow)), "slow-pages")
				var sum time.Duration
				for _, cpu := range slow {
					sum += cpu
				}
				b.ReportMetric(float64(sum.Milliseconds()), "slow-cpu-ms")
			})
		})
	}
}

// untilFast asks for a page until it takes at most three steps a line, and returns the CPU of each time before.
func (l *listed) untilFast(b *testing.B, c pageCase) (slow []time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		steps, began := l.disk.Stats().StateSteps, threadCPU(b)
		l.page(c.query, c.lines)
		slow = append(slow, threadCPU(b)-began)
		if l.disk.Stats().StateSteps-steps <= int64(3*c.lines) {
			return slow
		}
	}
}

// BenchmarkListQueue: a thousand keys put, listed and deleted, over and over.
func BenchmarkListQueue(b *testing.B) {
	for _, each := range []int{1000, 10} {
		b.Run(fmt.Sprint(each), func(b *testing.B) {
			l := newListed(b, b.TempDir())
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			q := keyPage("", each, &metapb.ListKeys{})
			var cpu time.Duration
			n := 0
			steps := l.disk.Stats().StateSteps
			key := func(i int) string { return inOrder(n*each + i) }
			for b.Loop() {
				l.put(each, 0, key)
				began := threadCPU(b)
				l.page(q.query, each)
				cpu += threadCPU(b) - began
				l.remove(each, key)
				n++
			}
			s := l.disk.Stats()
			b.ReportMetric(float64(cpu.Microseconds())/float64(n), "cpu-µs/page")
			b.ReportMetric(float64(s.StateSteps-steps)/float64(n*each), "steps/line")
			b.ReportMetric(float64(s.ThinFlushes)/float64(n)*1000, "flushes/1000")
			b.ReportMetric(float64(s.Thinned)/float64(n)*1000, "rewrites/1000")
		})
	}
}
