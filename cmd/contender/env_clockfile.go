//go:build clockfile

package main

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/contender/contender/cmd/node"
)

// serverEnv is the world that a server runs in, but for its wall clock, for tests: that is ahead by as many seconds as
// the file named by CONTENDER_CLOCK_FILE holds at the moment, a signed number of eight bytes.
func serverEnv(log *slog.Logger) (node.Env, error) {
	env := node.SystemEnv(log)
	path := os.Getenv("CONTENDER_CLOCK_FILE")
	if path == "" {
		return env, nil
	}
	ahead, err := mapSeconds(path)
	if err != nil {
		return env, fmt.Errorf("CONTENDER_CLOCK_FILE: %w", err)
	}
	env.Clock = func() time.Time { return stepped(time.Now(), ahead.Load()) }
	return env, nil
}

// mapSeconds maps a file of eight bytes, for as long as the process lives.
func mapSeconds(path string) (*atomic.Int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, &os.PathError{Op: "mmap", Path: path, Err: err}
	}
	return (*atomic.Int64)(unsafe.Pointer(&b[0])), nil
}

// stepped returns what time.Now returns on a machine whose wall clock was stepped: another time of day with the same
// monotonic reading, so that differences do not show the step. Time.Add would move both, so the seconds are moved within
// the value, and looked at afterwards.
func stepped(now time.Time, seconds int64) time.Time {
	t := now
	wall := (*uint64)(unsafe.Pointer(&t)) // one bit: there is a monotonic reading; 33 bits: seconds; 30 bits: nanoseconds
	*wall += uint64(seconds) << 30
	if t.Unix() != now.Unix()+seconds || t.Sub(now) != 0 {
		panic("time.Time is laid out in another way than this test clock knows")
	}
	return t
}
