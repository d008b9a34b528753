package trust

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Kind says what went wrong, as far as a caller may act on it. The list is closed.
type Kind uint8

// The kinds of error of this package.
const (
	// KindInvalid: what was handed in makes no sense: a short secret, a damaged token or record, a field out of bounds.
	KindInvalid Kind = iota
	// KindDenied: the member does not accept the secret or the token. It does not say why.
	KindDenied
	// KindExpired: the token has expired.
	KindExpired
	// KindSpent: the token has admitted as many nodes as it may.
	KindSpent
	// KindRefused: the secret was right, and the cluster does not want this node. The text says why.
	KindRefused
	// KindUnavailable: the member cannot admit anybody now. Ask again, or another member.
	KindUnavailable
	// KindUntrusted: the other side is not who it must be: another authority, cluster or node, an expired certificate,
	// or it does not know the secret.
	KindUntrusted
	// KindConnection: the connection failed or was too slow.
	KindConnection
	// KindProtocol: the other side does not speak this protocol.
	KindProtocol
	// KindStorage: a file could not be read or written.
	KindStorage
)

var kindNames = [...]string{
	"invalid", "denied", "expired", "used up", "refused", "unavailable", "not trusted", "connection failed",
	"protocol broken", "storage failed",
}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is the one error type of this package. It never holds a secret or a key.
type Error struct {
	Op   string // what was being done, for example "join"
	Kind Kind
	Err  error // the cause, may be nil
}

// Error prints operation, kind and cause.
func (e *Error) Error() string {
	s := "trust: " + e.Op + ": " + e.Kind.String()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether err is, or wraps, an Error of kind k. Of several the outermost counts.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

// fail makes an Error; format may be empty.
func fail(op string, k Kind, format string, args ...any) error {
	e := &Error{Op: op, Kind: k}
	if format != "" {
		e.Err = fmt.Errorf(format, args...)
	}
	return e
}

// Refusal is the error by which ServeOptions.Admit turns a proven joiner away; the reason reaches it. Any other error
// reaches it as KindUnavailable without a text.
type Refusal struct {
	Kind   Kind   // KindRefused, KindSpent or KindExpired; anything else counts as KindRefused
	Reason string // for the joiner's operator; the first 512 bytes are sent
}

// Error returns kind and reason.
func (r *Refusal) Error() string { return r.kind().String() + ": " + r.Reason }

func (r *Refusal) kind() Kind {
	if r.Kind == KindSpent || r.Kind == KindExpired {
		return r.Kind
	}
	return KindRefused
}

// reasonMax is the most bytes of a reason that are sent or shown.
const reasonMax = 512

// printable makes text of another process fit for a terminal and a log.
func printable(text []byte) string {
	s := strings.ToValidUTF8(string(text[:min(len(text), reasonMax)]), "?")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
