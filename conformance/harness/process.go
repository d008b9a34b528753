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

// Calm waits until a process has used hardly any CPU for a while: what it does in the background after much work has ended.
func Calm(t testing.TB, pid int) {
	t.Helper()
	const (
		look    = 500 * time.Millisecond
		most    = 0.1 // of a core
		looks   = 6   // in a row
		patient = 5 * time.Minute
	)
	for began, calm := time.Now(), 0; calm < looks; {
		before := CPUSeconds(t, pid)
		<-time.After(look)
		used := (CPUSeconds(t, pid) - before) / look.Seconds()
		if calm++; used > most {
			calm = 0
		}
		if time.Since(began) > patient {
			t.Fatalf("the process uses %.2f of a core still after %v", used, patient)
		}
	}
}
