package simtest_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/metapb"
)

// usualPages are the pages of a bucket of folders.
func usualPages() []pageCase {
	return []pageCase{
		keyPage("start", 1000, &metapb.ListKeys{}),
		keyPage("middle", 1000, &metapb.ListKeys{After: []byte("t1/")}),
		keyPage("folders", 1000, &metapb.ListKeys{Prefix: []byte("t1/"), Delimiter: []byte("/")}),
		keyPage("folders of ten", 100, &metapb.ListKeys{Prefix: []byte("t2/"), Delimiter: []byte("/"), Limit: 100}),
		keyPage("top", 3, &metapb.ListKeys{Delimiter: []byte("/")}),
	}
}

// inFolder names keys: in three folders at the top that hold a third each: in two of them a folder for each key, in the
// last one for each ten. They come in no order.
func inFolder(i int) string {
	if i%3 == 2 {
		return fmt.Sprintf("t2/%s/%d", scattered(i/30), i)
	}
	return fmt.Sprintf("t%d/%s/object", i%3, scattered(i))
}

// threadCPU returns what the calling thread has used.
func threadCPU(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cost returns the CPU that a page takes of the thread that makes it: the mean of n of them.
func (l *listed) cost(c pageCase, n int) time.Duration {
	l.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadCPU(l.t)
	for range n {
		l.page(c.query, c.lines)
	}
	return (threadCPU(l.t) - began) / time.Duration(n)
}

// compare asks for the same pages of two buckets in turns, and fails if one of the second costs more than so many times
// what it costs of the first: the median of many rounds. At small size the rounds are few, and it may be twice that.
func compare(t *testing.T, few, many *listed, most float64, pages ...pageCase) {
	t.Helper()
	rounds, each := 5, 10
	if full() {
		rounds, each = 25, 40
	} else {
		most *= 2
	}
	for _, p := range pages {
		each := each * max(1, 1000/p.lines/10) // a short page takes little, and what else the thread does weighs more
		few.cost(p, each)                      // warm
		many.cost(p, each)
		var a, b []time.Duration
		var ratios []float64
		for range rounds {
			x, y := few.cost(p, each), many.cost(p, each)
			a, b, ratios = append(a, x), append(b, y), append(ratios, float64(y)/float64(x))
		}
		slices.Sort(a)
		slices.Sort(b)
		slices.Sort(ratios)
		m := rounds / 2
		t.Logf("%s: %v of CPU a page, %v, %.2f times (%.2f to %.2f)", p.name, a[m], b[m], ratios[m], ratios[0], ratios[rounds-1])
		if ratios[m] > most {
			t.Errorf("%s: %.2f times as much, want at most %.1f", p.name, ratios[m], most)
		}
	}
}

func full() bool { return os.Getenv("CONTENDER_FULL") == "1" }

// TestPageCost: what a page costs does not grow with the bucket, its objects' bytes, or its older versions. One range on one
// real disk, entries applied straight.
func TestPageCost(t *testing.T) {
	if disktest.Seeds(5) < 5 {
		t.Skip("the race detector's own work would be measured")
	}
	const few = 3000
	pick := func(small, large int) int {
		if full() {
			return large
		}
		return small
	}
	with := func(n, size int) *listed {
		l := newListed(t, t.TempDir())
		l.put(n, size, inFolder)
		return l
	}
	t.Run("keys", func(t *testing.T) {
		compare(t, with(few, 0), with(pick(12_000, 2_000_000), 0), 1.3, usualPages()...)
	})
	t.Run("bytes", func(t *testing.T) {
		n := pick(few, 200_000)
		compare(t, with(n, 0), with(n, 16<<10), 2, usualPages()...)
	})
	t.Run("versions", func(t *testing.T) {
		versions := versionPage("versions", 1000, &metapb.ListVersions{})
		one := newListed(t, t.TempDir())
		one.versioned()
		one.put(few, 0, inFolder)
		many := newListed(t, t.TempDir())
		many.versioned()
		for range pick(5, 500) {
			many.put(1000, 0, inFolder)
			many.remove(1000, inFolder)
		}
		many.put(few, 0, inFolder)
		compare(t, one, many, 1.3, append(usualPages(), versions)...)
	})
}
