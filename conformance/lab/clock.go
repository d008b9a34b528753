package lab

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ClockVar names the file of a WallClock to a server built with the tag clockfile.
const ClockVar = "CONTENDER_CLOCK_FILE"

// WallClock is how far the wall clock of one node is from the machine's. Only a server built with the tag clockfile has
// such a clock: no namespace has a CLOCK_REALTIME of its own. Its methods are for one goroutine.
type WallClock struct {
	Path string

	t     testing.TB
	ahead time.Duration
}

// NewWallClock makes a clock that is right. Its file goes at the end of the test.
func NewWallClock(t testing.TB) *WallClock {
	t.Helper()
	c := &WallClock{Path: filepath.Join(t.TempDir(), "clock"), t: t}
	if err := os.WriteFile(c.Path, make([]byte, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// Set steps the clock: from now on it is so much ahead, in whole seconds.
func (c *WallClock) Set(ahead time.Duration) {
	c.t.Helper()
	f, err := os.OpenFile(c.Path, os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	// Eight aligned bytes in one write: who has mapped the file sees the old or the new value.
	if _, err := f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(ahead/time.Second))), 0); err != nil {
		c.t.Fatal(err)
	}
	c.ahead = ahead
}

// Ahead returns how much the clock is ahead.
func (c *WallClock) Ahead() time.Duration { return c.ahead }
