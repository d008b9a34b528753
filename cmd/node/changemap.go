package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/metapb"
)

// readMap reads the cluster map of the system range, nil if none was ever put.
func (n *Node) readMap(ctx context.Context) (*clustermap.Map, error) {
	rec, err := n.getSystem(ctx, metashards.RecordMap)
	if err != nil || rec == nil {
		return nil, err
	}
	return decodeMap(rec)
}

func decodeMap(rec *metapb.SystemRecord) (*clustermap.Map, error) {
	m, err := clustermap.Unmarshal(rec.Value)
	if err != nil {
		return nil, err
	}
	m.Revision = rec.Revision
	return m, nil
}

var errNoMap = errors.New("the system range has no cluster map yet")

// changeMap changes the cluster map: change gets the newest one to work on, as often as somebody else was quicker, and
// says whether it changed anything. When changeMap returns nil the change is durable, and this node knows of it. It begins with
// this node's copy: whether that is the newest is seen when the change is written, or read where nothing is to be changed.
func (n *Node) changeMap(ctx context.Context, change func(*clustermap.Map) (bool, error)) error {
	m, fresh := n.topology.Map(), false
	for {
		next := m.Clone()
		changed, err := change(next)
		if fresh && (err != nil || !changed) {
			n.topology.Offer(m)
			return err
		}
		if err == nil && changed {
			won, err := n.writeMap(ctx, m.Revision, next)
			if err != nil || won {
				return err
			}
		}
		if m, err = n.readMap(ctx); err != nil {
			return err
		}
		if m == nil {
			return errNoMap
		}
		fresh = true
	}
}

// writeMap writes what a map of a revision has become, if that is the newest still, and tells the others. It reports whether
// it was.
func (n *Node) writeMap(ctx context.Context, since uint64, next *clustermap.Map) (won bool, err error) {
	next.Revision = since + 1
	if err := next.Validate(); err != nil {
		return false, err
	}
	value, err := next.Marshal()
	if err != nil {
		return false, err
	}
	won, err = n.putSystemAt(ctx, metashards.RecordMap, value, since)
	if err == nil && won {
		n.topology.Offer(next)
		n.offerMap(since)
	}
	return won, err
}

// putSystemAt writes a system record if its revision still is the given one, and reports whether it was.
func (n *Node) putSystemAt(ctx context.Context, name string, value []byte, revision uint64) (won bool, err error) {
	id, err := randomID(n.env.Rand)
	if err != nil {
		return false, err
	}
	r, err := n.meta.Apply(ctx, &metapb.Command{
		Format: 1, RequestId: fmt.Sprintf("system-%016x", id), Time: uint64(n.env.Clock().UnixMicro()), Key: metapb.RecordKey(name),
		Op: &metapb.Command_PutSystem{PutSystem: &metapb.PutSystem{Name: name, Value: value, IfRevision: revision}},
	}, nil)
	switch {
	case err != nil:
		return false, fmt.Errorf("write system record %s: %w", name, err)
	case r.Status == metapb.Status_OK:
		return true, nil
	case r.Status == metapb.Status_REVISION_MISMATCH:
		return false, nil
	}
	return false, fmt.Errorf("write system record %s: %v", name, r.Status)
}

// mapTick is how often the map is looked after though nothing is known to have changed.
const mapTick = 2 * time.Second

// followMap keeps the newest map on the node's disks, and links to all nodes of it, until ctx ends.
func (n *Node) followMap(ctx context.Context) {
	ticker := time.NewTicker(mapTick)
	defer ticker.Stop()
	for saved := uint64(0); ; {
		changed := n.topology.Changed()
		m := n.topology.Map()
		if m.Revision > saved && n.keepMap(m) {
			saved = m.Revision
			n.keptNodes.Store(int64(len(m.Nodes)))
		}
		for i := range m.Nodes {
			if m.Nodes[i].ID != n.self() {
				n.peers.Meet(m.Nodes[i].ID)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-ticker.C:
			n.refreshMap(ctx)
			if err := n.renewIdentity(ctx); err != nil && ctx.Err() == nil {
				n.env.Log.Warn("the node's certificate could not be renewed", "error", err)
			}
		}
	}
}

// keepMap writes the node's copy of the map onto its disks, and reports whether all that work have it.
func (n *Node) keepMap(m *clustermap.Map) bool {
	kept := true
	for _, f := range n.folders {
		if f.disk == nil || f.disk.Err() != nil {
			continue
		}
		if err := mapcopy.Save(n.env.FS, f.dir, m); err != nil {
			n.env.Log.Warn("the copy of the cluster map could not be kept", "folder", f.dir, "error", err)
			kept = false
		}
	}
	return kept
}

// offerMap tells the other nodes what has changed in the map since a revision. Who misses it, or holds another one, learns
// of the new map by the next ping.
func (n *Node) offerMap(since uint64) {
	revision, base, b, err := n.maps.Offerable(since)
	if err == nil {
		err = n.peers.OfferMap(revision, base, b)
	}
	if err != nil {
		n.env.Log.Warn("the cluster map could not be offered to other nodes", "revision", revision, "error", err)
	}
}

// refreshMap reads the map where it lies, on the node that leads its range: whoever changed it may have ended before it
// told anybody.
func (n *Node) refreshMap(ctx context.Context) {
	if !n.leads(systemRange) {
		return
	}
	rec, err := n.getSystem(ctx, metashards.RecordMap)
	if err == nil && rec != nil && rec.Revision > n.topology.Map().Revision {
		var m *clustermap.Map
		if m, err = decodeMap(rec); err == nil {
			n.topology.Offer(m)
		}
	}
	if err != nil && ctx.Err() == nil {
		n.env.Log.Debug("the cluster map cannot be read now", "error", err)
	}
}

// leads reports whether a replica on one of this node's disks leads a range.
func (n *Node) leads(rangeID uint64) bool {
	for _, s := range n.stores {
		st := s.Status()
		if r, ok := st.Of(rangeID); ok && r.Role == roleLeader {
			return true
		}
	}
	return false
}
