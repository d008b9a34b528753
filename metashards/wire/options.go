package wire

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// Store is a store of this node as its peers use it: *store.Store. It is safe for concurrent use.
type Store interface {
	transport.Receiver
	Propose(ctx context.Context, rangeID uint64, c *metapb.Command, payload []byte) (*metapb.Result, error)
	Query(ctx context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error)
}

// DiskLife is a disk from one start of its node to the next: which start it was, and a random number that names it.
type DiskLife struct {
	Disk disk.ID
	Boot uint64
	Life uint64
}

// Maps is the cluster map of this node as its peers see it: bytes with a revision. It is safe for concurrent use.
type Maps interface {
	// Revision returns the revision of the map held here. It is asked often and answers at once.
	Revision() uint64
	// Encoded returns the map held here, for one who holds that of revision since: what changed since then, with that
	// revision as base, or the whole map with base 0.
	Encoded(since uint64) (revision, base uint64, b []byte, err error)
	// Take takes in what a peer offers: the whole map if base is 0, otherwise what changed since base. It ignores what
	// is not newer. It returns false if it wants something else.
	Take(from clustermap.NodeID, revision, base uint64, b []byte) bool
}

// HealthBytesMax bounds what a ping tells of its node's health.
const HealthBytesMax = 64 * kib

// Options are what Peers stand on, and their measures. The zero value of a measure means its default.
type Options struct {
	Cluster disk.ClusterID
	Node    clustermap.NodeID
	// Instance names this life of the process: a random number.
	Instance  uint64
	Directory Directory
	// Dial makes a connection to a node on which both sides are authenticated: what answers is that node of this cluster.
	Dial func(ctx context.Context, node clustermap.NodeID, address string) (net.Conn, error)
	// Store returns the store of a disk of this node, false if there is none at the moment.
	Store func(disk.ID) (Store, bool)
	// Maps may be nil: then no maps are spoken of.
	Maps Maps
	// Health returns what every ping tells of this node, and the answers to pings of nodes that this one does not dial: opaque, HealthBytesMax at most, longer ones are left out. It is
	// asked often and answers at once. Nil: nothing is told.
	Health func() []byte
	// Lives returns the last lives of each disk of this node, ascending. They are told when a stream begins. Nil: nothing is.
	Lives func() []DiskLife
	// Judge notes the lives that a peer tells of its disks. It returns lives that were seen here of disks that do not know
	// of them: those were set back to an earlier state, and nothing that they say counts. Nil: all are believed.
	Judge func(peer clustermap.NodeID, lives []DiskLife) (unknown []DiskLife)
	// SetBack is told of lives of this node's disks that a peer has seen and that Lives did not tell of. Nil: nobody is.
	SetBack func(unknown []DiskLife)
	Clock   Clock
	// Jitter returns a duration between nothing and d, at random. Nil: d.
	Jitter func(d time.Duration) time.Duration
	Logger *slog.Logger

	// HandshakeTimeout bounds a dial, and a handshake. Default 3 s.
	HandshakeTimeout time.Duration
	// WriteTimeout is how long 256 KiB may take to be written. Default 5 s.
	WriteTimeout time.Duration
	// PingEvery is the time between pings, SilenceTimeout after how long without a word a connection is given up.
	// Default 500 ms and 3 s.
	PingEvery, SilenceTimeout time.Duration
	// CallTimeout bounds proposals and queries whose context has no deadline, PullTimeout each pull. CallMost bounds what
	// a peer may ask for. Default 10 s, 30 s and a minute.
	CallTimeout, PullTimeout, CallMost time.Duration
	// BackoffLeast and BackoffMost bound the pause before a peer is dialed again. Default 20 ms and 1 s.
	BackoffLeast, BackoffMost time.Duration

	// Calls and CallBytes bound the requests that are under way to one peer; more wait for their turn. Default 1,024 and
	// 32 MiB.
	Calls, CallBytes int
	// ServeCalls and ServeBytes bound the requests of one peer that are being answered, with their answers until they are
	// written; more are refused. Default 2,048 and 64 MiB.
	ServeCalls, ServeBytes int
	// RaftMessages and RaftBytes bound the Raft messages to one peer that are not written yet; more are dropped. Default
	// 8,192 and 64 MiB.
	RaftMessages, RaftBytes int
}

func (o Options) withDefaults() Options {
	duration := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	duration(&o.HandshakeTimeout, 3*time.Second)
	duration(&o.WriteTimeout, 5*time.Second)
	duration(&o.PingEvery, 500*time.Millisecond)
	duration(&o.SilenceTimeout, 3*time.Second)
	duration(&o.CallTimeout, 10*time.Second)
	duration(&o.PullTimeout, 30*time.Second)
	duration(&o.CallMost, time.Minute)
	duration(&o.BackoffLeast, 20*time.Millisecond)
	duration(&o.BackoffMost, time.Second)
	number(&o.Calls, 1024)
	number(&o.CallBytes, 32*mib)
	number(&o.ServeCalls, 2048)
	number(&o.ServeBytes, 64*mib)
	number(&o.RaftMessages, 8192)
	number(&o.RaftBytes, 64*mib)
	return o
}
