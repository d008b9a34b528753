package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
)

// pipes is a network in memory: what listens on it is reached by Dial. Ports are given out upwards from 40001. It starts
// no goroutine, so it fits in a bubble of testing/synctest.
type pipes struct {
	mu        sync.Mutex
	next      int
	listeners map[string]*pipeListener
}

func newPipes() *pipes { return &pipes{next: 40000, listeners: map[string]*pipeListener{}} }

// Listen is Env.Listen.
func (p *pipes) Listen(_, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == 0 {
		p.next++
		n = p.next
	}
	l := &pipeListener{
		pipes: p, addr: &net.TCPAddr{IP: net.ParseIP(host), Port: n}, conns: make(chan net.Conn), closed: make(chan struct{}),
	}
	if p.listeners[l.addr.String()] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: l.addr, Err: syscall.EADDRINUSE}
	}
	p.listeners[l.addr.String()] = l
	return l, nil
}

// Dial connects to a listener.
func (p *pipes) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	p.mu.Lock()
	l := p.listeners[address]
	p.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
	}
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) transport() *http.Transport {
	return &http.Transport{DialContext: p.Dial, MaxIdleConnsPerHost: 128}
}

type pipeListener struct {
	pipes  *pipes
	addr   *net.TCPAddr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.pipes.mu.Lock()
		defer l.pipes.mu.Unlock()
		delete(l.pipes.listeners, l.addr.String())
	})
	return nil
}

func (l *pipeListener) Addr() net.Addr { return l.addr }
