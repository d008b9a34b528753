package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/local"
	"github.com/contender/contender/gateway"
	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/gateway/console"
	"github.com/contender/contender/heal/audit"
	"github.com/contender/contender/heal/orphan"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/router"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/metashards/transport"
	"github.com/contender/contender/metashards/wire"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/compress"
	"github.com/contender/contender/objectlayer/listing"
	"github.com/contender/contender/objectlayer/multipart"
	"github.com/contender/contender/objectlayer/object"
	"github.com/contender/contender/objectlayer/outbox"
	"github.com/contender/contender/objectlayer/placement"
	"github.com/contender/contender/objectlayer/stripe"
	"github.com/contender/contender/trust"
)

// Node is one running node: S3, the console and the peer service over its disks, or S3 alone (see frontend.go).
type Node struct {
	cfg Config
	env Env

	folders []*folder
	disks   map[disk.ID]*local.Disk
	stores  map[disk.ID]*store.Store

	topology   *mapcopy.Copy
	meta       metashards.Store
	buckets    *bucket.Resolver
	keeping    objectlayer.Buckets
	outbox     *outbox.Worker
	readied    atomic.Uint64 // where the ranges lie that readiness asks next
	identities identities
	metrics    *metrics

	frontEnd *frontEnd // what a node without disks tells of itself; nil: it has some

	lives     lastLives      // of all disks of the cluster
	identity  trust.Identity // as it was when this process began; trust has the one of now
	trust     *trust.Credentials
	directory *wire.MapDirectory
	maps      *wire.MapCopy
	peers     *wire.Peers
	peering   *peerService
	remote    remote

	s3, console, peer net.Listener
	front             *gateway.Gateway

	began     time.Time
	keptNodes atomic.Int64 // how many nodes the map on this node's disks lists
	settled   atomic.Bool  // the system records are there and the root key is known
	refused   chan error   // why this node must not go on serving; at most one
	running   sync.WaitGroup
	slow      slowDisks
	stop      context.CancelFunc
}

// Open founds or opens the disks, starts the metadata stores and makes everything ready to Serve. On an error nothing is
// left running or open.
func Open(ctx context.Context, cfg Config, env Env) (n *Node, err error) {
	if cfg.Name == "" {
		if cfg.Name, err = env.Hostname(); err != nil {
			return nil, fmt.Errorf("find the host's name (or give --name): %w", err)
		}
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	n = &Node{cfg: cfg, env: env, began: env.Clock(), disks: map[disk.ID]*local.Disk{}, stores: map[disk.ID]*store.Store{}, metrics: newMetrics(), refused: make(chan error, 1), lives: lastLives{changed: make(chan struct{}, 1)}}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	start := n.start
	if cfg.FrontEnd {
		start = n.startFrontEnd
	}
	return n, start(ctx, run)
}

// start opens the disks and starts all that a node with disks does; run is the context of what goes on.
func (n *Node) start(ctx, run context.Context) error {
	if err := n.openDisks(ctx); err != nil {
		return err
	}
	if len(n.disks) == 0 {
		return errNoFolder
	}
	if err := n.noteLives(); err != nil {
		return err
	}
	if err := n.startPeers(run); err != nil {
		return err
	}
	if err := n.startStores(run); err != nil {
		return err
	}
	n.startRouter()
	n.peering.serve()
	if err := n.startLayer(run); err != nil {
		return err
	}
	n.running.Go(func() { n.keepLives(run) })
	n.running.Go(func() { n.outbox.Run(run) })
	n.running.Go(func() { n.grow(run) })
	return nil
}

// openDisks finds out what the folders are and opens them, founding a cluster if that is asked for and possible. It ends
// with listeners open and the node's copy of the map in place.
func (n *Node) openDisks(ctx context.Context) error {
	n.folders = examine(&n.cfg, &n.env)
	if err := distinct(&n.env, n.folders); err != nil {
		return err
	}
	cluster, err := clusterOf(n.folders)
	if err != nil {
		return err
	}
	switch {
	case cluster != disk.ClusterID{}:
		err = n.rejoin(ctx, cluster)
	case len(n.cfg.Join) > 0:
		err = n.join(ctx)
	default:
		err = n.begin(ctx)
	}
	return err
}

// takeDisks takes the folders that are open into use.
func (n *Node) takeDisks() error {
	for _, f := range n.folders {
		if f.disk == nil || n.disks[f.disk.ID()] != nil {
			continue
		}
		n.disks[f.disk.ID()] = f.disk
		if err := n.metrics.addDisk(f.disk, f.dir); err != nil {
			return err
		}
	}
	if len(n.legible()) == 0 {
		return errNoFolder
	}
	return nil
}

// begin founds a cluster, if that is asked for and possible.
func (n *Node) begin(ctx context.Context) error {
	if err := mayFound(&n.cfg, n.folders); err != nil {
		return err
	}
	for _, f := range n.folders {
		if err := f.claim(&n.env); err != nil {
			return err
		}
	}
	if err := distinct(&n.env, n.folders); err != nil { // they are there only now
		return err
	}
	cluster, err := drawCluster(n.env.Rand)
	if err != nil {
		return err
	}
	if err := prepare(ctx, &n.cfg, &n.env, n.folders, cluster); err != nil {
		return err
	}
	if err := n.takeDisks(); err != nil {
		return err
	}
	if err := n.listen(ports{}); err != nil {
		return err
	}
	return n.found(ctx, cluster)
}

// rejoin opens the folders of a cluster that they belong to.
func (n *Node) rejoin(ctx context.Context, cluster disk.ClusterID) error {
	adopt(ctx, &n.cfg, &n.env, n.folders, cluster)
	n.beginLives(ctx)
	if err := n.takeDisks(); err != nil {
		return err
	}
	m, err := mapcopy.LoadNewest(n.env.FS, n.legible())
	if err != nil {
		return err
	}
	if m.Cluster != cluster.String() {
		return fmt.Errorf("the copy of the cluster map is of cluster %s, the disks are of %s", m.Cluster, cluster)
	}
	n.topology = mapcopy.New(m)
	n.takeRegion(m)
	if err := n.listen(n.loadPorts()); err != nil {
		return err
	}
	if err := n.loadIdentity(cluster); err != nil {
		return err
	}
	n.takeBlank(ctx, cluster)
	return n.takeDisks()
}

var errNoFolder = errors.New("none of the folders can be used")

// takeRegion lets the cluster's region count.
func (n *Node) takeRegion(m *clustermap.Map) {
	if n.cfg.Region != m.Region {
		n.env.Log.Warn("the cluster's region was decided at founding; the one given is ignored", "region", m.Region, "given", n.cfg.Region)
		n.cfg.Region = m.Region
	}
}

// dirs returns the folders that take part.
func (n *Node) dirs() (dirs []string) {
	for _, f := range n.folders {
		if f.disk != nil {
			dirs = append(dirs, f.dir)
		}
	}
	return dirs
}

// legible returns the folders of which what the node keeps beside the disks may be read: those that take part, and those whose
// disks were set back.
func (n *Node) legible() (dirs []string) {
	for _, f := range n.folders {
		if f.disk != nil || errors.Is(f.err, errSetBack) {
			dirs = append(dirs, f.dir)
		}
	}
	return dirs
}

// startStores runs the replicas of every disk.
func (n *Node) startStores(run context.Context) error {
	wires := transport.NewLocal(n.peers)
	for id, d := range n.disks {
		var proposer [8]byte
		if _, err := io.ReadFull(n.env.Rand, proposer[:]); err != nil {
			return err
		}
		s, err := store.New(store.Config{
			Options: store.Options{
				Disk: d, Sender: wires, Puller: wires, Logger: n.env.Log.With("disk", id.String()), Now: n.env.Clock,
				Proposer: binary.BigEndian.Uint64(proposer[:]), DeleteDelay: n.cfg.DeleteDelay,
				Boot: n.bootOf(id), Fresh: n.freshOf(id), BootClock: n.env.BootClock, ReadByIndex: n.cfg.ReadByIndex,
				ClockID: uint64(n.self()),
			},
			Ticker: func(d time.Duration) (<-chan time.Time, func()) { t := time.NewTicker(d); return t.C, t.Stop },
		})
		if err != nil {
			return fmt.Errorf("open the replicas of disk %s: %w", id, err)
		}
		n.stores[id] = s
		if err := n.metrics.addStore(s); err != nil {
			return err
		}
		wires.Register(id, s)
	}
	for _, s := range n.stores {
		n.running.Go(func() { s.Run(run) })
	}
	return nil
}

// startRouter makes the way to all ranges, wherever they are led.
func (n *Node) startRouter() {
	n.meta = router.New(router.Options{Topology: n.topology, Clock: router.Wall{}, Target: func(id disk.ID) (router.Target, bool) {
		if s, ok := n.stores[id]; ok {
			return s, true
		}
		return n.peers.Target(id)
	}})
}

// startLayer stands the object layer and the gateway on the stores.
func (n *Node) startLayer(run context.Context) error {
	bytes, err := stripe.New(stripe.Options{Fleet: n, Topology: n.topology, Alive: n.alive, Writable: n.writable, Log: n.env.Log})
	if err != nil {
		return err
	}
	packed, err := compress.New(bytes)
	if err != nil {
		return err
	}
	resolver := bucket.NewResolver(n.meta, n.env.Clock, n.env.Rand)
	n.buckets = resolver
	buckets := bucket.New(resolver, n.checkPolicy)
	n.keeping = buckets
	objects := object.New(object.Options{Buckets: resolver, Bytes: packed, Policy: n.policy, HoldEvery: n.cfg.DeleteDelay / 4, Log: n.env.Log})
	n.outbox = outbox.New(outbox.Options{
		Store: n.meta, Bytes: bytes, Now: n.env.Clock, Led: n.newOutboxes(), Alive: n.alive, Log: n.env.Log,
	})
	n.front, err = gateway.New(gateway.Options{
		Objects: objects, Listings: listing.New(resolver), Buckets: buckets,
		Uploads:    multipart.New(multipart.Options{Buckets: resolver, Bytes: packed, Objects: objects, Policy: n.policy, Log: n.env.Log}),
		Identities: &n.identities, Region: n.cfg.Region, Clock: n.env.Clock, Rand: n.env.Rand, Logger: n.env.Log,
		Limits: n.limits(), Ready: n.ready,
		Metrics: n.metrics.handler(), MetricsAccess: map[MetricsAccess]gateway.Access{
			MetricsLocal: gateway.AccessLoopback, MetricsOpen: gateway.AccessPublic, MetricsSigned: gateway.AccessRoot,
		}[n.cfg.Metrics],
		Admin: admin.New(admin.Services{Source: n, Tokens: n, Arranger: n, Operator: n, Explainer: n, Keeper: n}, n.env.Log), Observe: n.metrics.observe,
	})
	if err != nil {
		return err
	}
	n.running.Go(func() { n.settle(run) })
	n.running.Go(func() { n.followMap(run) })
	return n.startHealing(run)
}

// startHealing has what no record names taken off this node's disks, and looks for what the records name that are led here.
func (n *Node) startHealing(run context.Context) error {
	if n.cfg.FrontEnd {
		return nil
	}
	c, err := orphan.New(orphan.Options{
		Store: n.meta, Disks: n.settledDisks, Groups: n.groups, Grace: n.cfg.OrphanGrace, Now: n.env.Clock, Log: n.env.Log,
	})
	if err != nil {
		return err
	}
	if err := n.metrics.addOrphans(c); err != nil {
		return err
	}
	a, err := audit.New(audit.Options{Store: n.meta, Topology: n.topology, Fleet: n, Led: n.ledPositions, Now: n.env.Clock, Log: n.env.Log})
	if err != nil {
		return err
	}
	if err := n.metrics.addAudit(a); err != nil {
		return err
	}
	n.running.Go(func() { c.Run(run) })
	n.running.Go(func() { a.Run(run) })
	return nil
}

// ledPositions returns the start of each range of data that this node leads.
func (n *Node) ledPositions() (list []audit.Position) {
	for _, at := range n.ledData() {
		list = append(list, at)
	}
	return list
}

// settledDisks returns this node's disks that work, none before it has settled.
func (n *Node) settledDisks() (list []orphan.Disk) {
	if !n.settled.Load() {
		return nil
	}
	for _, d := range n.disks {
		if d.Err() == nil {
			list = append(list, d)
		}
	}
	return list
}

// groups returns all placement groups of the map.
func (n *Node) groups() (ids []disk.GroupID) {
	for _, g := range n.topology.Map().Groups {
		ids = append(ids, g.ID)
	}
	return ids
}

func (n *Node) limits() gateway.Limits {
	l := gateway.DefaultLimits()
	if n.cfg.DrainTimeout > 0 {
		l.DrainTimeMax = n.cfg.DrainTimeout
	}
	return l
}

func (n *Node) policy() placement.Policy {
	p, err := placement.ParsePolicy(n.topology.Map().Policy)
	if err != nil { // the map was validated when it was made
		return placement.Policy{}
	}
	return p
}

// Serve answers requests until ctx ends, then drains and closes everything.
func (n *Node) Serve(ctx context.Context) error {
	handlers := map[net.Listener]*gateway.Server{n.s3: gateway.NewServer(n.front, n.limits(), n.env.Log)}
	if n.console != nil {
		page, err := console.New(n, n.env.Log)
		if err != nil {
			return errors.Join(err, n.close())
		}
		handlers[n.console] = gateway.NewServer(page, n.limits(), n.env.Log)
		n.env.Log.Info("serving the console", "at", n.console.Addr().String())
	}
	serving, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	var servers sync.WaitGroup
	for l, h := range handlers {
		servers.Go(func() {
			if err := h.Serve(serving, l); err != nil {
				failed(err)
			}
		})
	}
	n.env.Log.Info("serving", "s3", n.s3.Addr().String())
	select {
	case <-serving.Done():
	case err := <-n.refused:
		failed(err)
	}
	n.env.Log.Info("draining")
	n.handOver(context.WithoutCancel(ctx))
	servers.Wait()
	n.s3, n.console = nil, nil
	err := context.Cause(serving)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, n.close())
}

// close ends everything that runs, from the top down.
func (n *Node) close() error {
	n.stop()
	n.running.Wait()
	for _, s := range n.stores {
		s.Close()
	}
	var errs []error
	if n.peering != nil {
		errs = append(errs, n.peering.close())
		n.peer = nil
	} else if n.peers != nil {
		n.peers.Close()
	}
	n.remote.close()
	errs = append(errs, closeFolders(n.folders))
	for _, l := range []net.Listener{n.s3, n.console, n.peer} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}
