package node

import (
	"net"
	"slices"
	"sync"
)

// strangers are the connections whose other end has not shown yet who it is. They have so many places; when all are taken,
// the one that has been there longest gives way to the next. So whoever holds places without a word keeps no member out: a
// member's handshake takes milliseconds. It is safe for concurrent use.
type strangers struct {
	places int

	mu    sync.Mutex
	conns []net.Conn // in the order in which they came
}

// enter takes a connection in, and closes another if there is no place.
func (s *strangers) enter(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == s.places {
		_ = s.conns[0].Close()
		s.conns = slices.Delete(s.conns, 0, 1)
	}
	s.conns = append(s.conns, c)
}

// leave frees a connection's place, if it still has one.
func (s *strangers) leave(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.conns, c); i >= 0 {
		s.conns = slices.Delete(s.conns, i, i+1)
	}
}
