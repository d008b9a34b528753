//go:build unix

package identity

import (
	"os"

	"golang.org/x/sys/unix"
)

// SystemDevice is the Device of the operating system's file system.
func SystemDevice(dir string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return uint64(st.Dev), nil
}
