package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockTicks is USER_HZ, the unit of the times in /proc; it is 100 on every Linux that Go runs on.
const clockTicks = 100

// CPUSeconds returns the user and system time that a process has spent so far.
func CPUSeconds(t testing.TB, pid int) (total float64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name in parentheses may hold spaces; the fields after it are counted from the third.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	for _, s := range f[11:13] {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += n / clockTicks
	}
	return total
}

// MemoryMiB returns a size in MiB of the memory of a process: VmRSS for now, VmHWM for the most so far.
func MemoryMiB(t testing.TB, pid int, field string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n / 1024
		}
	}
	t.Fatalf("no %s of process %d", field, pid)
	return 0
}

// Calm waits until a process has used hardly any CPU for so long: what it does in the background after much work has ended.
// A server sweeps what it remembers of requests a minute after them.
func Calm(t testing.TB, pid int, long time.Duration) {
	t.Helper()
	const (
		look    = 500 * time.Millisecond
		most    = 0.1 // of a core
		patient = 15 * time.Minute
	)
	began := time.Now()
	for since := began; time.Since(since) < long; {
		before := CPUSeconds(t, pid)
		<-time.After(look)
		if used := (CPUSeconds(t, pid) - before) / look.Seconds(); used > most {
			since = time.Now()
		}
		if time.Since(began) > patient {
			t.Fatalf("the process is not calm after %v", patient)
		}
	}
}
