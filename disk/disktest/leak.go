package disktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/contender/contender/disk/fence"
)

// pebbleGoroutines are the functions in which goroutines of a Pebble that was fenced, and so is never closed, may stay:
// its own workers, flushes and compactions whose table writer is parked, and callers that wait for a flush or for room in
// a memtable.
var pebbleGoroutines = [...]string{
	"internal/genericcache.(*shard[...]).releaseLoop",
	"record.(*LogWriter).flushLoop",
	".(*ConcurrencyLimitScheduler).periodicGranter",
	".(*cleanupManager).mainLoop",
	".(*DB).collectTableStats",
	".(*DB).flush",
	".(*DB).compact",
	".(*DB).Flush",
	".(*DB).ingest",
	".(*DB).makeRoomForWrite",
	".(*commitPipeline).Commit",
}

// VerifyTestMain runs the tests of a package and fails if goroutines are left at the end. It is what a package whose
// tests fence disks calls in place of goleak's function of that name: goroutines parked by package fence are excepted,
// and, only if there are any, those of the Pebbles that were fenced.
func VerifyTestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(leakOptions()...); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func leakOptions() []goleak.Option {
	if !anyParked() {
		return nil
	}
	options := []goleak.Option{goleak.IgnoreAnyFunction(fence.Parked)}
	for _, name := range pebbleGoroutines {
		pkg := "github.com/cockroachdb/pebble/v2"
		if !strings.HasPrefix(name, ".") {
			pkg += "/"
		}
		options = append(options, goleak.IgnoreAnyFunction(pkg+name))
	}
	return options
}

// anyParked reports whether a goroutine is parked for ever.
func anyParked() bool {
	for size := 1 << 16; ; size *= 2 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size {
			return strings.Contains(string(b[:n]), fence.Parked+"(")
		}
	}
}
