package identity

import (
	"errors"
	"fmt"
)

// What can be wrong with a folder. Errors of this package are *Error and match one of these, or carry an error of the
// file system.
var (
	ErrNoIdentity     = errors.New("no identity file")
	ErrForeignCluster = errors.New("belongs to another cluster")
	ErrUnmounted      = errors.New("is not mounted")
	ErrDamaged        = errors.New("damaged identity file")
	ErrLocked         = errors.New("in use by another process")
	ErrFutureFormat   = errors.New("written by a newer version")
	ErrNotEmpty       = errors.New("not empty")
)

// Error says what is wrong with a folder and what its owner can do about it.
type Error struct {
	Dir    string
	Err    error  // one of the errors above, or an error of the file system
	Detail string // may be empty
}

// Error prints folder, reason, detail and advice.
func (e *Error) Error() string {
	s := fmt.Sprintf("folder %s: %v", e.Dir, e.Err)
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	if a := e.Advice(); a != "" {
		s += ": " + a
	}
	return s
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Advice says what to do, in a sentence without its full stop; it is empty for errors of the file system.
func (e *Error) Advice() string {
	switch {
	case errors.Is(e.Err, ErrNoIdentity):
		return "check that its disk is mounted; found a new cluster with --init, or let a cluster take the folder as a new disk"
	case errors.Is(e.Err, ErrForeignCluster):
		return "give this server the folders of its own cluster, or empty the folder if its data is not needed"
	case errors.Is(e.Err, ErrUnmounted):
		return "mount the disk that was here when the folder was founded, then start again"
	case errors.Is(e.Err, ErrDamaged):
		return "check the disk; to go on without its data empty the folder, and the cluster rebuilds it as a new disk"
	case errors.Is(e.Err, ErrLocked):
		return "stop the other process first; two must never use one folder"
	case errors.Is(e.Err, ErrFutureFormat):
		return "run the version that wrote it, or a newer one"
	case errors.Is(e.Err, ErrNotEmpty):
		return "give an empty or absent folder"
	}
	return ""
}

func fail(dir string, err error, detail string) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Dir: dir, Err: err, Detail: detail}
}
