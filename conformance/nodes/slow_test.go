//go:build nodes

package nodes

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
)

const (
	slowPeers   = 300 // of each kind
	slowMostMiB = 64  // what all of them together may cost a server
	// slowMax is how long a stranger may stay: the server's 10 s for each of two steps, and what a busy machine adds.
	slowMax = 40 * time.Second
)

// A slowPeer comes to the peer port, keeps a connection as long as it can, and returns when it was hung up on.
type slowPeer struct {
	name string
	stay func(plain net.Conn) error
}

var slowPeersKinds = []slowPeer{
	{"silent", func(plain net.Conn) error { return listen(plain) }},
	{"slow in its first words", func(plain net.Conn) error { return drip(plain, []byte{22, 3, 1, 64, 0, 1, 0, 63, 252, 3, 3}) }},
	{"silent half way into joining", func(plain net.Conn) error { return halfJoin(plain, listen) }},
	{"slow in joining", func(plain net.Conn) error {
		return halfJoin(plain, func(c net.Conn) error { return drip(c, []byte{1, 0, 0, 0, 40, 1}) })
	}},
	{"slow in joining, announcing much", func(plain net.Conn) error {
		return halfJoin(plain, func(c net.Conn) error { return drip(c, []byte{1, 255, 255, 255, 255}) })
	}},
	{"sending much instead of joining", func(plain net.Conn) error { return halfJoin(plain, flood) }},
	{"sending much instead of TLS", flood},
}

// listen waits until the other side hangs up.
func listen(c net.Conn) error {
	_, err := io.Copy(io.Discard, c)
	return err
}

// drip writes a beginning and then a byte every now and then, until the other side hangs up.
func drip(c net.Conn, beginning []byte) error {
	if _, err := c.Write(beginning); err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := c.Write([]byte{0}); err != nil {
			return err
		}
	}
	return nil
}

// flood writes as fast as it can until the other side hangs up.
func flood(c net.Conn) error {
	b := make([]byte, 64<<10)
	for {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
}

// halfJoin shakes hands as a joiner does, and then does something else.
func halfJoin(plain net.Conn, then func(net.Conn) error) error {
	conn := tls.Client(plain, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{joining}, MinVersion: tls.VersionTLS13})
	if err := conn.Handshake(); err != nil {
		return err
	}
	return then(conn)
}

// TestSlowPeerIsBounded: hundreds of strangers at the peer port that are silent, slow or loud cost bounded memory and are
// hung up on after their time. The members work on meanwhile, and a node joins afterwards.
func TestSlowPeerIsBounded(t *testing.T) {
	c := harness.StartCluster(t, 2, 1)
	s := c.Nodes[0]
	harness.CreateBucket(t, harness.Client(s.Endpoint), bucket)
	for _, kind := range slowPeersKinds {
		t.Run(kind.name, func(t *testing.T) {
			idle := harness.MemoryMiB(t, s.Pid(), "VmRSS")
			began := time.Now()
			gone := comeAll(t, s.Peer, kind)
			most, over := idle, false
			await(t, "all are hung up on", slowMax+10*time.Second, func() bool {
				select {
				case <-gone:
					over = true
				default:
				}
				most = max(most, harness.MemoryMiB(t, s.Pid(), "VmRSS"))
				return over
			})
			t.Logf("%d peers: at most %d MiB, idle %d MiB; the last was gone after %v", slowPeers, most, idle, time.Since(began))
			if most-idle > slowMostMiB {
				t.Errorf("they cost %d MiB, want at most %d", most-idle, slowMostMiB)
			}
			for i, client := range clients(c) {
				if err := harness.Put(t.Context(), client, bucket, kind.name, harness.Body(kind.name, 100<<10)); err != nil {
					t.Errorf("node %d: %v", i, err)
				}
			}
		})
	}
	c.Add(1)
	c.Start()
}

// comeAll has peers of one kind come, and returns what is closed when all of them were hung up on.
func comeAll(t *testing.T, address string, kind slowPeer) <-chan struct{} {
	t.Helper()
	gone := make(chan struct{})
	var all sync.WaitGroup
	for range slowPeers {
		all.Go(func() {
			plain, err := net.DialTimeout("tcp", address, 5*time.Second)
			if err != nil {
				t.Errorf("%s: %v", kind.name, err)
				return
			}
			defer plain.Close()
			if err := plain.SetDeadline(time.Now().Add(slowMax)); err != nil {
				t.Error(err)
			}
			err = kind.stay(plain)
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Errorf("%s: still there after %v", kind.name, slowMax)
			}
		})
	}
	go func() { all.Wait(); close(gone) }()
	return gone
}
