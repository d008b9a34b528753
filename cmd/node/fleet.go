package node

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/peer"
	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/trust"
)

// Measures of the connections that carry shards.
const (
	bytesIdleConns  = 256
	bytesIdleTime   = time.Minute
	bytesBufferSize = 64 << 10
	dialTimeout     = 3 * time.Second
)

// remote is what this node holds of the disks of others. It is safe for concurrent use.
type remote struct {
	health remoteHealth

	mu      sync.Mutex
	disks   map[disk.ID]*peer.Store
	clients map[clustermap.NodeID]*http.Client
}

// Disk implements disk.Fleet.
func (n *Node) Disk(id disk.ID) (disk.Store, error) {
	node, ok := n.directory.NodeOf(id)
	switch {
	case n.disks[id] != nil:
		return n.ownDisk(id)
	case !ok:
		return nil, disk.Errorf("find", disk.KindNotFound, id.String(), nil)
	}
	if _, state := n.diskOf(id); state != admin.StateUp {
		return nil, disk.Errorf("find", disk.KindFenced, id.String(), errors.New(state))
	}
	return n.remote.disk(n, node, id)
}

// disk returns the store of another node's disk.
func (r *remote) disk(n *Node, node clustermap.NodeID, id disk.ID) (*peer.Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.disks[id]; s != nil {
		return s, nil
	}
	c := r.clients[node]
	if c == nil {
		c = n.bytesClient(node)
	}
	s, err := peer.NewStore(peer.StoreOptions{
		Client: c, Disk: id, Sender: peer.Sender{Node: uint64(n.self()), Boot: n.boot()},
		Base: func() string {
			a, ok := n.directory.Address(node)
			if !ok {
				return ""
			}
			return "https://" + a
		},
	})
	if err != nil {
		return nil, err
	}
	if r.disks == nil {
		r.disks, r.clients = map[disk.ID]*peer.Store{}, map[clustermap.NodeID]*http.Client{}
	}
	r.disks[id], r.clients[node] = s, c
	return s, nil
}

// close lets go of the connections that are kept.
func (r *remote) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		c.CloseIdleConnections()
	}
}

// boot is how often this node was started, as its disks count it; 1 for a front-end, which has another id each time.
func (n *Node) boot() uint64 {
	boot := uint64(1)
	for _, f := range n.folders {
		boot = max(boot, f.ident.Boot)
	}
	return boot
}

// bootOf is how often one of this node's disks was started.
func (n *Node) bootOf(id disk.ID) uint64 {
	for _, f := range n.folders {
		if f.disk != nil && f.disk.ID() == id {
			return f.ident.Boot
		}
	}
	return 0
}

// freshOf reports whether nobody can hold a promise that a disk's store gave in an earlier life: there was none, or this
// node is alone in the cluster, so that all others ended with it. That it is, its copy of the map says: no replica moves to
// another node before the copy lists that node.
func (n *Node) freshOf(id disk.ID) bool {
	return n.bootOf(id) <= 1 || len(n.topology.Map().Nodes) == 1
}

// bytesClient makes the connections that carry shards to and from a node.
func (n *Node) bytesClient(node clustermap.NodeID) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return n.dialPeer(ctx, trust.ProtocolBytes, node, address)
		},
		MaxIdleConns: bytesIdleConns, MaxIdleConnsPerHost: bytesIdleConns, IdleConnTimeout: bytesIdleTime,
		WriteBufferSize: bytesBufferSize, ReadBufferSize: bytesBufferSize, DisableCompression: true,
	}}
}

// dialPeer makes a connection to a node, on which both sides have shown who they are.
func (n *Node) dialPeer(ctx context.Context, protocol string, node clustermap.NodeID, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	plain, err := n.env.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, n.trust.ClientTLS(protocol, trust.NodeID(node)))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return conn, nil
}
