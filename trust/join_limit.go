package trust

import "context"

// How many joins a member should serve at once if nothing else is said.
const (
	// JoinConnections: a stranger may take each of these places for StrangerTimeout, at some tens of KiB.
	JoinConnections = 64
	// JoinAdmissions: each costs up to about three times its payload until the joiner has read it.
	JoinAdmissions = 2
)

// JoinLimit bounds how many joins a member serves at once, over all its listeners. Safe for concurrent use.
type JoinLimit struct {
	connections chan struct{}
	admissions  chan struct{}
}

// NewJoinLimit returns a limit of so many connections, from accepting to closing, and, among them, so many joiners that
// are being admitted. A number below one counts as one. A connection above the limit is closed at once, before its
// handshake: joiners ask again. A proven joiner waits for its turn within the time limit of its join.
func NewJoinLimit(connections, admissions int) *JoinLimit {
	return &JoinLimit{make(chan struct{}, max(1, connections)), make(chan struct{}, max(1, admissions))}
}

// connect takes a place for a connection if there is one; disconnect gives it back.
func (l *JoinLimit) connect() bool {
	select {
	case l.connections <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l *JoinLimit) disconnect() { <-l.connections }

// begin waits for a place among those being admitted; end gives it back.
func (l *JoinLimit) begin(ctx context.Context) error {
	select {
	case l.admissions <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *JoinLimit) end() { <-l.admissions }
