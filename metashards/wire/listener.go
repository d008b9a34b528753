package wire

import (
	"net"
	"sync/atomic"
	"time"
)

// listener reads from a connection, notes when something came, and after begin ends a connection on which nothing comes
// for the time of silence.
type listener struct {
	conn    net.Conn
	clock   Clock
	silence time.Duration
	heard   *atomic.Int64 // Unix nanoseconds
	begun   bool
	until   time.Time
}

// begin starts the watch. It replaces whatever deadline there was.
func (l *listener) begin() error {
	l.begun, l.until = true, l.clock.Now().Add(l.silence)
	return l.conn.SetReadDeadline(l.until)
}

// Read implements io.Reader.
func (l *listener) Read(b []byte) (int, error) {
	n, err := l.conn.Read(b)
	now := l.clock.Now()
	if n > 0 {
		l.heard.Store(now.UnixNano())
	}
	// The deadline is moved seldom: it costs about as much as a read.
	if l.begun && err == nil && l.until.Sub(now) < l.silence-l.silence/4 {
		l.until = now.Add(l.silence)
		err = l.conn.SetReadDeadline(l.until)
	}
	return n, err
}
