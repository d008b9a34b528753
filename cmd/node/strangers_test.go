package node

import (
	"net"
	"testing"
)

// TestStrangersGiveWay: whoever has been there longest loses its place to who comes, and nobody else does.
func TestStrangersGiveWay(t *testing.T) {
	s := &strangers{places: 3}
	var ours, theirs []net.Conn
	for range 6 {
		a, b := net.Pipe()
		ours, theirs = append(ours, a), append(theirs, b)
		defer a.Close()
		defer b.Close()
	}
	s.enter(ours[0])
	s.enter(ours[1])
	s.leave(ours[0])
	for _, c := range ours[2:] {
		s.enter(c)
	}
	s.leave(ours[1]) // it has lost its place already
	for i, want := range []bool{true, false, false, true, true, true} {
		write := make(chan error, 1)
		go func() {
			_, err := theirs[i].Write([]byte("x"))
			write <- err
		}()
		_, _ = ours[i].Read(make([]byte, 1))
		if err := <-write; (err == nil) != want {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if len(s.conns) != 3 {
		t.Errorf("%d have a place", len(s.conns))
	}
}
