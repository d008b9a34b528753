package node

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/peer"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/wire"
	"github.com/contender/contender/trust"
)

// Limits of the peer port. Whoever has shown no certificate yet takes one of few places, for trust.StrangerTimeout at most.
const (
	strangersMax      = 256
	handshakesMax     = 2 * strangersMax // under way: those that have lost their places end soon
	bytesHeaderTime   = 10 * time.Second
	bytesServeIdle    = 2 * bytesIdleTime
	bytesHeaderMax    = 16 << 10
	peerAcceptPause   = 50 * time.Millisecond
	peerHandoverCount = 64
)

// peerService answers other nodes, and whoever wants to become one, on the peer port: the protocol is chosen in the TLS
// handshake.
type peerService struct {
	n          *Node
	listener   net.Listener
	bytes      *http.Server
	handed     *handedListener // connections that carry shards
	limit      *trust.JoinLimit
	strangers  strangers
	handshakes chan struct{}

	ctx    context.Context
	cancel context.CancelFunc
	works  sync.WaitGroup
}

// meetPeers opens the ways to other nodes.
func (n *Node) meetPeers(ctx context.Context) error {
	var instance [8]byte
	if _, err := io.ReadFull(n.env.Rand, instance[:]); err != nil {
		return err
	}
	n.directory = wire.NewMapDirectory(n.topology)
	n.maps = wire.NewMapCopy(n.topology, n.env.Log)
	n.peers = wire.New(context.WithoutCancel(ctx), wire.Options{
		Cluster: n.identity.Cluster, Node: n.self(), Instance: binary.BigEndian.Uint64(instance[:]), Directory: n.directory,
		Dial: func(ctx context.Context, node clustermap.NodeID, address string) (net.Conn, error) {
			return n.dialPeer(ctx, trust.ProtocolControl, node, address)
		},
		Store: func(id disk.ID) (wire.Store, bool) {
			s, ok := n.stores[id]
			return s, ok
		},
		Maps: n.maps, Health: n.health, Clock: wire.Wall{}, Logger: n.env.Log,
		Lives: n.ownLives, Judge: n.judgeLives, SetBack: n.setBack,
	})
	return nil
}

// startPeers opens the ways to other nodes, and prepares those of others to this one; nobody is answered before serve.
func (n *Node) startPeers(ctx context.Context) error {
	if err := n.meetPeers(ctx); err != nil {
		return err
	}
	h, err := peer.NewHandler(peer.HandlerOptions{Disk: n.ownDisk, Log: n.env.Log})
	if err != nil {
		return err
	}
	s := &peerService{
		n: n, listener: n.peer, limit: trust.NewJoinLimit(trust.JoinConnections, trust.JoinAdmissions),
		strangers: strangers{places: strangersMax}, handshakes: make(chan struct{}, handshakesMax),
		handed: newHandedListener(n.peer.Addr()),
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.bytes = &http.Server{
		Handler: h, ReadHeaderTimeout: bytesHeaderTime, IdleTimeout: bytesServeIdle, MaxHeaderBytes: bytesHeaderMax,
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ErrorLog:    slog.NewLogLogger(n.env.Log.Handler(), slog.LevelDebug),
	}
	n.peering = s
	return nil
}

// ownDisk finds a disk of this node for its peers.
func (n *Node) ownDisk(id disk.ID) (disk.Store, error) {
	d := n.disks[id]
	if d == nil {
		return nil, disk.Errorf("find", disk.KindNotFound, id.String(), nil)
	}
	if err := d.Err(); err != nil {
		return nil, disk.Errorf("find", disk.KindFenced, id.String(), err)
	}
	return d, nil
}

// serve answers until close.
func (s *peerService) serve() {
	s.works.Go(func() {
		if err := s.bytes.Serve(s.handed); !errors.Is(err, http.ErrServerClosed) {
			s.n.env.Log.Error("the service of shards ended", "error", err)
		}
	})
	s.works.Go(s.accept)
}

func (s *peerService) accept() {
	for {
		conn, err := s.listener.Accept()
		if s.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			s.n.env.Log.Warn("the peer port does not accept", "error", err)
			wire.Wall{}.Sleep(s.ctx, peerAcceptPause, nil)
			continue
		}
		select {
		case s.handshakes <- struct{}{}:
			s.strangers.enter(conn)
			s.works.Go(func() { s.meet(conn) })
		default: // it asks again
			_ = conn.Close()
		}
	}
}

// meet finds out who is at the other end, and hands the connection on.
func (s *peerService) meet(plain net.Conn) {
	conn := tls.Server(plain, s.n.trust.ServerTLS())
	protocol, node, err := trust.Handshake(s.ctx, conn)
	s.strangers.leave(plain)
	<-s.handshakes
	if err != nil {
		s.n.env.Log.Debug("a stranger at the peer port", "from", plain.RemoteAddr().String(), "error", err)
		_ = plain.Close()
		return
	}
	switch protocol {
	case trust.ProtocolControl:
		err = s.n.peers.Serve(s.ctx, conn, clustermap.NodeID(node))
	case trust.ProtocolBytes:
		s.handed.hand(conn)
	case trust.ProtocolJoin:
		err = trust.ServeJoin(s.ctx, conn, s.n.joinOptions(s.limit))
		if err == nil {
			s.n.env.Log.Info("a node has joined", "from", plain.RemoteAddr().String())
		}
	}
	if err != nil && s.ctx.Err() == nil {
		s.n.env.Log.Info("a connection of a peer ended", "from", plain.RemoteAddr().String(), "protocol", protocol, "error", err)
	}
}

// close ends everything that is under way.
func (s *peerService) close() error {
	s.cancel()
	err := s.listener.Close()
	s.handed.close()
	err = errors.Join(err, s.bytes.Close())
	s.n.peers.Close()
	s.works.Wait()
	return err
}

// handedListener gives connections that were accepted elsewhere to a server.
type handedListener struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandedListener(addr net.Addr) *handedListener {
	return &handedListener{addr: addr, conns: make(chan net.Conn, peerHandoverCount), closed: make(chan struct{})}
}

// hand passes a connection on, or closes it when the server has ended.
func (l *handedListener) hand(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (l *handedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *handedListener) close() {
	l.once.Do(func() { close(l.closed) })
	for {
		select {
		case c := <-l.conns:
			_ = c.Close()
		default:
			return
		}
	}
}

// Close implements net.Listener.
func (l *handedListener) Close() error {
	l.close()
	return nil
}

// Addr implements net.Listener.
func (l *handedListener) Addr() net.Addr { return l.addr }
