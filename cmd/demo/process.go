package demo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// process is one server that runs.
type process struct {
	pid   int
	ended chan struct{} // closed once it has
	err   error         // how it ended; to be read after that
}

// startProcess starts a program in a process group of its own, so that Ctrl-C reaches it through the demo alone. Its output is
// appended to a file. It gets SIGKILL should the demo end without having ended it.
func startProcess(program string, args, env []string, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends that signal when the thread ends that started the program: so it must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		p.err = errors.Join(p.err, log.Close())
		close(p.ended)
	}()
	if err := <-started; err != nil {
		<-p.ended
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return p, nil
}

// running reports whether the process has not ended yet.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end sends the process a signal and waits for its end.
func (p *process) end(s syscall.Signal) {
	if p.running() {
		_ = syscall.Kill(p.pid, s) // it may just have ended
		<-p.ended
	}
}
