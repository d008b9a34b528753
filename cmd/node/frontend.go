package node

import (
	"context"
	"encoding/json"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/trust"
)

// A front-end is a node without disks: it answers S3 by the ranges and disks of others, which it finds by its copy of the
// cluster map. It keeps nothing anywhere, and joins anew at each start, under another id each time. The map does not list it:
// nobody dials it, and nobody misses it when it goes.

// frontEnd is what a front-end tells of itself.
type frontEnd struct {
	Name string `json:"name"`
	S3   string `json:"s3"` // host:port
}

// startFrontEnd joins a cluster and starts all that a node without disks does; run is the context of what goes on.
func (n *Node) startFrontEnd(ctx, run context.Context) error {
	if err := n.attach(ctx); err != nil {
		return err
	}
	if err := n.meetPeers(run); err != nil {
		return err
	}
	n.startRouter()
	return n.startLayer(run)
}

// attach gets a certificate and the map of the cluster that is reached by the join addresses. It asks until ctx ends, unless
// the cluster says no.
func (n *Node) attach(ctx context.Context) error {
	if err := n.mayAsk(); err != nil {
		return err
	}
	who, err := trust.NewApplicant(n.env.Rand)
	if err != nil {
		return err
	}
	if err := n.listenS3(0); err != nil {
		return err
	}
	n.frontEnd = &frontEnd{Name: n.cfg.Name, S3: n.s3Address()}
	id, m, err := n.ask(ctx, who, wishes{Name: n.frontEnd.Name, S3: n.frontEnd.S3, FrontEnd: true})
	if err != nil {
		return err
	}
	n.topology, n.cfg.Region = mapcopy.New(m), m.Region
	n.env.Log.Info("a front-end of a cluster", "cluster", m.Cluster, "nodes", len(m.Nodes))
	return n.setIdentity(id)
}

// frontEnds returns the front-ends that are connected with this node.
func (n *Node) frontEnds(m *clustermap.Map) (list []admin.FrontEnd) {
	for _, p := range n.peers.Status() {
		if !p.Served || m.Node(p.Node) != nil {
			continue
		}
		var h nodeHealth
		if err := json.Unmarshal(n.peers.Health(p.Node), &h); err == nil && h.FrontEnd != nil {
			list = append(list, admin.FrontEnd{ID: p.Node.String(), Name: h.FrontEnd.Name, S3: h.FrontEnd.S3})
		}
	}
	return list
}
