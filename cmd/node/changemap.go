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

// tailBytesMax is how long the newest changes of the map may be together before the map is written anew: so that a change of a
// large map costs no more than a change of a small one, now and then excepted.
const tailBytesMax = 64 << 10

// knownMap is the newest cluster map, and the changes that the system range keeps beside an older one: a clustermap.Tail.
type knownMap struct {
	m    *clustermap.Map
	tail []byte
}

// readMap reads the newest cluster map of the system range, of which this node knows then; nil if none was ever put. It reads no
// more than has changed since the map that this node holds, if it can.
func (n *Node) readMap(ctx context.Context) (*knownMap, error) {
	held := n.topology.Map()
	rec, err := n.getSystem(ctx, metashards.RecordMapTail)
	if err != nil || rec == nil {
		return nil, err
	}
	if rec.Revision == held.Revision {
		return &knownMap{held, rec.Value}, nil
	}
	tail, err := clustermap.UnmarshalTail(rec.Value)
	if err != nil {
		return nil, err
	}
	changes := tail.Since(held.Revision)
	m, err := tail.Bring(held, rec.Revision)
	if errors.Is(err, clustermap.ErrBeforeTail) {
		changes = nil
		m, err = n.readWholeMap(ctx, tail, rec.Revision)
	}
	if err != nil {
		return nil, err
	}
	n.topology.Offer(m, changes...)
	return &knownMap{m, rec.Value}, nil
}

// readWholeMap reads the older map of the system range, and brings it to the revision of the newest.
func (n *Node) readWholeMap(ctx context.Context, tail *clustermap.Tail, revision uint64) (*clustermap.Map, error) {
	rec, err := n.getSystem(ctx, metashards.RecordMap)
	if err != nil {
		return nil, err
	}
	base, err := clustermap.Unmarshal(rec.GetValue())
	if err != nil {
		return nil, err
	}
	return tail.Bring(base, revision)
}

var errNoMap = errors.New("the system range has no cluster map yet")

// changeMap changes the cluster map: change gets the newest one to work on, as often as somebody else was quicker, and
// says whether it changed anything. When changeMap returns nil the change is durable, and this node knows of it.
func (n *Node) changeMap(ctx context.Context, change func(*clustermap.Map) (bool, error)) error {
	for {
		known, err := n.readMap(ctx)
		if err != nil {
			return err
		}
		if known == nil {
			return errNoMap
		}
		next := known.m.Clone()
		changed, err := change(next)
		if err != nil || !changed {
			return err
		}
		won, err := n.writeMap(ctx, known, next)
		if err != nil || won {
			return err
		}
	}
}

// writeMap writes what the newest map has become, if that is the newest still, and tells the others. It reports whether
// it was.
func (n *Node) writeMap(ctx context.Context, known *knownMap, next *clustermap.Map) (won bool, err error) {
	next.Revision = known.m.Revision + 1
	if err := next.Validate(); err != nil {
		return false, err
	}
	delta, err := clustermap.Diff(known.m, next)
	if err != nil {
		return false, err
	}
	if next, err = known.m.Apply(delta); err != nil {
		return false, err
	}
	tail, err := clustermap.UnmarshalTail(known.tail)
	if err != nil {
		return false, err
	}
	tail.Deltas = append(tail.Deltas, delta)
	value, err := tail.Marshal()
	if err == nil && len(value) > tailBytesMax {
		if won, err = n.writeWholeMap(ctx, known.m, tail); err != nil || !won {
			return won, err
		}
		tail.Deltas = []*clustermap.Delta{delta}
		value, err = tail.Marshal()
	}
	if err != nil {
		return false, err
	}
	won, err = n.putSystemAt(ctx, metashards.RecordMapTail, value, known.m.Revision)
	if err == nil && won {
		n.topology.Offer(next, delta)
		n.offerMap(delta.From)
	}
	return won, err
}

// writeWholeMap writes the newest map in place of the older one, so that the changes that lead to it can be dropped, and notes
// the revision of its record. It reports false if somebody else was quicker. That a crash leaves the changes there as well does
// no harm: who reads skips what the map has.
func (n *Node) writeWholeMap(ctx context.Context, m *clustermap.Map, tail *clustermap.Tail) (won bool, err error) {
	value, err := m.Marshal()
	if err != nil {
		return false, err
	}
	won, err = n.putSystemAt(ctx, metashards.RecordMap, value, tail.Base)
	if err == nil && !won {
		won, err = n.rewriteWholeMap(ctx, m.Revision, tail, value)
	}
	tail.Base++
	return won, err
}

// rewriteWholeMap does so where somebody has written it already, who did not come to drop the changes, or does so just now. It
// never puts an older map there: changes that it lacks may have been dropped.
func (n *Node) rewriteWholeMap(ctx context.Context, revision uint64, tail *clustermap.Tail, value []byte) (won bool, err error) {
	rec, err := n.getSystem(ctx, metashards.RecordMap)
	if err != nil {
		return false, err
	}
	there, err := clustermap.Unmarshal(rec.GetValue())
	if err != nil {
		return false, err
	}
	tail.Base = rec.GetRevision()
	if there.Revision > revision && !mutantStaleMap {
		return false, nil
	}
	return n.putSystemAt(ctx, metashards.RecordMap, value, tail.Base)
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

// Measures of following the map.
const (
	// mapTick is how often the map is looked after though nothing is known to have changed.
	mapTick = 2 * time.Second
	// rangesPause is how long a node's copy may miss what has changed in the ranges: those tell whom to ask themselves.
	rangesPause = 10 * time.Second
)

// followMap keeps the newest map on the node's disks, and links to all nodes of it, until ctx ends.
func (n *Node) followMap(ctx context.Context) {
	ticker := time.NewTicker(mapTick)
	defer ticker.Stop()
	var kept keptMap
	for {
		changed := n.topology.Changed()
		m := n.topology.Map()
		if kept.old(m, n.env.Clock()) && n.keepMap(m) {
			kept = keptMap{m, n.env.Clock()}
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

// keptMap is which map lies on the node's disks, and since when.
type keptMap struct {
	m     *clustermap.Map
	since time.Time
}

// old reports whether another map is to be kept: at once if more has changed than ranges.
func (k *keptMap) old(m *clustermap.Map, now time.Time) bool {
	return k.m == nil || m.Revision > k.m.Revision && (now.Sub(k.since) >= rangesPause || !clustermap.OnlyRangesDiffer(k.m, m))
}

// keepMap writes the node's copy of the map onto its disks, and reports whether all that work have it.
func (n *Node) keepMap(m *clustermap.Map) bool {
	err := n.saveMap(m)
	if err != nil {
		n.env.Log.Warn("the copy of the cluster map could not be kept", "error", err)
	}
	return err == nil
}

// saveMap writes a map into all folders whose disks work.
func (n *Node) saveMap(m *clustermap.Map) error {
	b, err := m.Marshal()
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range n.folders {
		if f.disk != nil && f.disk.Err() == nil {
			errs = append(errs, f.aside.run(&n.running, func() error { return mapcopy.Save(n.env.FS, f.dir, b) }))
		}
	}
	return errors.Join(errs...)
}

// offerMap tells the other nodes what has changed in the map since a revision. Who misses it, or holds another one, learns of
// the new map by the next ping.
func (n *Node) offerMap(since uint64) {
	revision, base, b, err := n.maps.Encoded(since)
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
	if _, err := n.readMap(ctx); err != nil && ctx.Err() == nil {
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
