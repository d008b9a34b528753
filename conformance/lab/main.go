package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideVar tells the test that it runs in its own namespaces.
const insideVar = "CONTENDER_LAB"

// Main runs the tests of a package again, in a network and a mount namespace of their own, and ends the process with what
// came out. A test main calls it. Who is not root gets a user namespace as well. Where namespaces can't be made the tests
// fail: a hard case that is skipped proves nothing.
func Main(m *testing.M) {
	if os.Getenv(insideVar) != "" {
		if err := settle(); err != nil {
			fmt.Fprintln(os.Stderr, "lab:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	os.Exit(again())
}

// again runs this program with its arguments in fresh namespaces and returns its exit code.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid := os.Geteuid(); uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	}
	fmt.Fprintln(os.Stderr, "lab: these tests need namespaces of their own, and may not make them here:", err)
	return 1
}

// settle makes the namespaces that the process has come into usable: nothing mounted here is seen outside, and names of
// network namespaces have a place that ends with them.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return &os.PathError{Op: "make private", Path: "/", Err: err}
	}
	if err := unix.Mount("lab", "/run", "tmpfs", 0, ""); err != nil {
		return &os.PathError{Op: "mount", Path: "/run", Err: err}
	}
	return run("ip", "link", "set", "lo", "up")
}

// run runs a program that says nothing when all is well.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
	}
	return nil
}
