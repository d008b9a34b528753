package wire_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
	"github.com/contender/contender/metashards/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var cluster = disk.ClusterID{1, 2, 3}

// directory gives disk 10n+i to node n.
type directory struct{}

func (directory) NodeOf(id disk.ID) (clustermap.NodeID, bool) {
	return clustermap.NodeID(id / 10), id >= 10 && id < 100
}

func (directory) Address(n clustermap.NodeID) (string, bool) { return n.String(), n < 10 }

// network joins nodes by connections in memory, or over the loopback.
type network struct {
	t   testing.TB
	tcp bool
	// tune changes the options of each node.
	tune func(*wire.Options)
	// cut may put itself between the dialer of a connection and the rest.
	cut func(from, to clustermap.NodeID, c net.Conn) net.Conn

	mu    sync.Mutex
	nodes map[clustermap.NodeID]*node
	works sync.WaitGroup
	ctx   context.Context
	stop  func()
	all   []*node
}

// node is one node with its stores.
type node struct {
	net    *network
	id     clustermap.NodeID
	peers  *wire.Peers
	ends   chan error // why streams that were served ended
	mu     sync.Mutex
	stores map[disk.ID]wire.Store
	conns  map[net.Conn]bool // both ends of what it dialed
}

func newNetwork(t testing.TB, tcp bool) *network {
	n := &network{t: t, tcp: tcp, nodes: map[clustermap.NodeID]*node{}}
	n.ctx, n.stop = context.WithCancel(context.Background())
	return n
}

func (n *network) close() {
	n.stop()
	for _, x := range n.all {
		x.peers.Close()
	}
	n.works.Wait()
}

var errDown = errors.New("nobody listens")

// start begins a node's life.
func (n *network) start(id clustermap.NodeID) *node {
	x := &node{net: n, id: id, stores: map[disk.ID]wire.Store{}, conns: map[net.Conn]bool{}, ends: make(chan error, 10000)}
	opt := wire.Options{
		Cluster: cluster, Node: id, Instance: uint64(len(n.all) + 1), Directory: directory{}, Clock: wire.Wall{},
		Logger: slog.New(slog.DiscardHandler), Store: x.store, Dial: x.dial,
	}
	if n.tune != nil {
		n.tune(&opt)
	}
	x.peers = wire.New(n.ctx, opt)
	n.mu.Lock()
	n.nodes[id] = x
	n.mu.Unlock()
	n.all = append(n.all, x)
	return x
}

// stopNode ends a node's life.
func (n *network) stopNode(x *node) {
	n.mu.Lock()
	delete(n.nodes, x.id)
	n.mu.Unlock()
	x.peers.Close()
}

func (x *node) add(id disk.ID, s wire.Store) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stores[id] = s
}

func (x *node) store(id disk.ID) (wire.Store, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.stores[id]
	return s, ok
}

func (x *node) dial(ctx context.Context, to clustermap.NodeID, _ string) (net.Conn, error) {
	x.net.mu.Lock()
	y := x.net.nodes[to]
	x.net.mu.Unlock()
	if y == nil {
		return nil, errDown
	}
	a, b, err := x.net.pair()
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	x.conns[a], x.conns[b] = true, true
	x.mu.Unlock()
	x.net.works.Go(func() {
		y.ends <- y.peers.Serve(context.Background(), b, x.id)
	})
	if x.net.cut != nil {
		return x.net.cut(x.id, to, a), nil
	}
	return a, nil
}

// pair makes a connection.
func (n *network) pair() (a, b net.Conn, err error) {
	if !n.tcp {
		a, b = net.Pipe()
		return a, b, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	b, err = l.Accept()
	return a, b, err
}

// breakAll breaks every connection that the node has dialed.
func (x *node) breakAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.conns {
		_ = c.Close()
	}
	clear(x.conns)
}

// fake is a store that does what a test wants.
type fake struct {
	receive func(*transport.Message)
	propose func(ctx context.Context, rangeID uint64, c *metapb.Command, payload []byte) (*metapb.Result, error)
	query   func(ctx context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error)
	rows    func(ctx context.Context, r transport.RowsRequest) (transport.Rows, error)
	payload func(ctx context.Context, id disk.PayloadID) ([]byte, error)

	received atomic.Int64
	released chan uint64
}

func newFake() *fake {
	return &fake{
		released: make(chan uint64, 100),
		propose: func(_ context.Context, rangeID uint64, c *metapb.Command, payload []byte) (*metapb.Result, error) {
			return &metapb.Result{Detail: string(c.Key) + string(payload), Revision: rangeID}, nil
		},
		query: func(_ context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error) {
			return &metapb.Answer{Detail: string(q.Key), Generation: rangeID, Payload: q.Key}, nil
		},
		payload: func(_ context.Context, id disk.PayloadID) ([]byte, error) { return []byte(id.String()), nil },
	}
}

func (f *fake) Receive(m *transport.Message) {
	f.received.Add(1)
	if f.receive != nil {
		f.receive(m)
	}
}

func (f *fake) Propose(ctx context.Context, rangeID uint64, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	return f.propose(ctx, rangeID, c, payload)
}

func (f *fake) Query(ctx context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error) {
	return f.query(ctx, rangeID, q)
}

func (f *fake) ServeRows(ctx context.Context, r transport.RowsRequest) (transport.Rows, error) {
	return f.rows(ctx, r)
}

func (f *fake) ServePayload(ctx context.Context, id disk.PayloadID) ([]byte, error) {
	return f.payload(ctx, id)
}

func (f *fake) ServeRelease(token uint64) { f.released <- token }

// target returns a remote store, once its node can be reached.
func (x *node) target(id disk.ID) *wire.Target {
	x.net.t.Helper()
	var t *wire.Target
	eventually(x.net.t, "a target", func() (ok bool) {
		t, ok = x.peers.Target(id)
		return ok
	})
	return t
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("%s: it does not come", what)
		}
	}
}
