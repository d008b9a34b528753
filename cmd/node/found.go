package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
	"github.com/contender/contender/objectlayer/placement"
	"github.com/contender/contender/trust"
)

// Ids of the ranges that a cluster is founded with. System records lie in front of everything else.
const (
	systemRange = 1
	dataRange   = 2
)

// found makes a new cluster of prepared folders: its first map, its first ranges' replicas, its root keys. Nothing of it
// counts before promote.
func (n *Node) found(ctx context.Context, cluster disk.ClusterID) error {
	who, err := trust.NewApplicant(n.env.Rand)
	if err != nil {
		return err
	}
	if err := n.makeTrust(cluster, who); err != nil {
		return err
	}
	m, err := n.firstMap(cluster)
	if err != nil {
		return err
	}
	now := n.env.Clock()
	for i := range m.Ranges {
		desc := descriptorOf(&m.Ranges[i])
		for _, r := range desc.Replicas {
			if err := store.Bootstrap(ctx, n.disks[disk.ID(r.Disk)], desc, now); err != nil {
				return err
			}
		}
	}
	if err := n.saveMap(m); err != nil {
		return err
	}
	if err := n.makeCredentials(); err != nil {
		return err
	}
	if err := promote(&n.env, n.folders); err != nil {
		return err
	}
	n.topology = mapcopy.New(m)
	n.env.Log.Info("founded a cluster", "cluster", cluster, "disks", len(n.folders), "policy", m.Policy, "groups", len(m.Groups))
	return nil
}

// firstMap draws up the map of a cluster of one node.
func (n *Node) firstMap(cluster disk.ClusterID) (*clustermap.Map, error) {
	var err error
	m := &clustermap.Map{
		Format: clustermap.Format, Revision: 1, Cluster: cluster.String(), Region: n.cfg.Region, Policy: "auto",
		Nodes: []clustermap.Node{{ID: n.self(), Name: n.cfg.Name, Site: n.cfg.Site, Rack: n.cfg.Rack, Key: n.publicKey()}},
	}
	n.setAddresses(&m.Nodes[0])
	for _, f := range n.folders {
		d, err := n.describe(f, n.self())
		if err != nil {
			return nil, err
		}
		m.Disks = append(m.Disks, d)
	}
	slices.SortFunc(m.Disks, func(a, b clustermap.Disk) int { return cmp.Compare(a.ID, b.ID) })
	if m.Groups, err = placement.Build(m, placement.BuildOptions{Rand: mathrand.New(mathrand.NewPCG(seed(n.env.Rand)))}); err != nil {
		return nil, err
	}
	border := keys.Position(1, nil) // bucket ids begin at 1
	for _, r := range []clustermap.Range{{ID: systemRange, End: border}, {ID: dataRange, Start: border}} {
		r.Generation = 1
		for i, d := range placement.ReplicaDisks(m, placement.Replicas(m)) {
			r.Replicas = append(r.Replicas, clustermap.Replica{ID: uint64(i + 1), Disk: d})
		}
		m.Ranges = append(m.Ranges, r)
	}
	return m, m.Validate()
}

// describe returns a folder as the map shows it.
func (n *Node) describe(f *folder, node clustermap.NodeID) (clustermap.Disk, error) {
	path, err := filepath.Abs(f.dir)
	if err != nil {
		return clustermap.Disk{}, err
	}
	dev, err := n.env.Device(f.dir)
	if err != nil {
		return clustermap.Disk{}, fmt.Errorf("find the device of %s: %w", f.dir, err)
	}
	return clustermap.Disk{
		ID: f.ident.Disk, Node: node, Path: path, Device: fmt.Sprintf("%d", dev), CapacityBytes: f.disk.Usage().CapacityBytes,
		Mount: f.ident.Mount.Own(),
	}, nil
}

// descriptorOf makes the replicas' descriptor of a range in the map.
func descriptorOf(r *clustermap.Range) *metapb.RangeDescriptor {
	d := &metapb.RangeDescriptor{Format: 1, Id: r.ID, Generation: r.Generation, Start: r.Start, End: r.End}
	for _, x := range r.Replicas {
		d.Replicas = append(d.Replicas, &metapb.Replica{Id: x.ID, Disk: uint64(x.Disk), Learner: x.Learner})
		d.NextReplica = max(d.NextReplica, x.ID+1)
	}
	return d
}

// seed draws two numbers for a generator that decides among equals; it need not be secret.
func seed(r io.Reader) (uint64, uint64) {
	var b [16]byte
	_, _ = io.ReadFull(r, b[:])
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}
