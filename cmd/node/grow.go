package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/objectlayer/placement"
)

// Measures of growth.
const (
	growTick = 500 * time.Millisecond
	// growPause is how long the cluster's disks must have been the same before placement groups are laid anew: nodes
	// seldom come alone.
	growPause = 2 * time.Second
	// leaderPause is how long a range must have had the same leader before the map names it.
	leaderPause = 2 * time.Second
	// growLagMax is how many entries a learner may miss and count as caught up.
	growLagMax = 1000
	// growTimeout bounds one step.
	growTimeout = 10 * time.Second
)

// growth is what the planner remembers between two looks.
type growth struct {
	disks  []disk.ID // as the map listed them
	since  time.Time // and since when
	judged uint64    // the revision of the map that needs no other layouts, or can't have them

	planning planning
}

// grow has placement groups and the replicas of ranges spread over the disks that come, until ctx ends. The node that
// leads the system range plans; every node tends the ranges that it leads, hands some to others if it leads too many, and lets go of what it
// keeps for ranges that have left it.
func (n *Node) grow(ctx context.Context) {
	ticker := time.NewTicker(growTick)
	defer ticker.Stop()
	var g growth
	l := leading{handed: map[uint64]handed{}}
	c, t := newCollecting(), newTending()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !n.settled.Load() {
			continue
		}
		if n.leads(systemRange) {
			n.plan(ctx, &g)
		}
		n.tend(ctx, t)
		if n.isWorkedOn(n.topology.Map().Node(n.self())) {
			n.handOver(ctx)
		} else {
			n.spreadLeaders(ctx, &l)
		}
		n.collect(ctx, c)
	}
}

// plan takes one step for the groups, and one for each of some ranges.
func (n *Node) plan(ctx context.Context, g *growth) {
	ctx, cancel := context.WithTimeout(ctx, growTimeout)
	defer cancel()
	if err := n.growLayouts(ctx, g); err != nil && ctx.Err() == nil {
		n.env.Log.Warn("placement groups or copysets cannot be laid over the cluster's disks now", "error", err)
	}
	if err := n.moveAll(ctx, &g.planning); err != nil && ctx.Err() == nil {
		n.env.Log.Warn("the map cannot show the replicas of ranges as they are now", "error", err)
	}
}

// growLayouts lays placement groups and copysets over disks that have none.
func (n *Node) growLayouts(ctx context.Context, g *growth) error {
	m := n.topology.Map()
	var disks []disk.ID
	for _, d := range m.Disks {
		disks = append(disks, d.ID)
	}
	now := n.env.Clock()
	if !slices.Equal(disks, g.disks) {
		g.disks, g.since = disks, now
	}
	if now.Sub(g.since) < growPause || g.judged == m.Revision {
		return nil
	}
	_, more, err := placement.GrowGroups(m)
	_, others := placement.GrowCopysets(m)
	if !more && !others {
		g.judged = m.Revision
		return err
	}
	return errors.Join(err, n.changeMap(ctx, func(m *clustermap.Map) (changed bool, err error) {
		sets, others := placement.GrowCopysets(m)
		grown, more, err := placement.GrowGroups(m)
		if err == nil && more {
			n.env.Log.Info("placement groups are laid over the cluster's disks", "disks", len(m.Disks), "groups", len(grown.Groups)-len(m.Groups))
			*m = *grown
		}
		if others {
			n.env.Log.Info("copysets are laid over the cluster's disks", "disks", len(m.Disks), "sets", len(sets))
			m.Copysets = sets
		}
		return others || err == nil && more, nil
	}))
}

// rangeOf makes the map's form of a descriptor.
func rangeOf(d *metapb.RangeDescriptor) clustermap.Range {
	r := clustermap.Range{ID: d.Id, Generation: d.Generation, Start: d.Start, End: d.End}
	for _, x := range d.Replicas {
		r.Replicas = append(r.Replicas, clustermap.Replica{
			ID: x.Id, Disk: disk.ID(x.Disk), Learner: x.Learner, Incoming: x.Incoming, Outgoing: x.Outgoing,
		})
	}
	return r
}

// collecting is what a node remembers of replicas to be taken off, between two looks.
type collecting struct {
	glance glance
	due    map[held]*replica.Status // to be looked at: they have changed, or could not be taken off
}

// held is a replica on one of this node's disks.
type held struct {
	rangeID uint64
	disk    disk.ID
}

func newCollecting() *collecting { return &collecting{due: map[held]*replica.Status{}} }

// collect takes replicas off this node's disks that are no members of their ranges any more. The map is a hint where to
// look; what the range itself says, decides.
func (n *Node) collect(ctx context.Context, c *collecting) {
	for _, x := range n.changes(&c.glance) {
		if x.now != nil {
			c.due[held{x.now.Range, x.now.Disk}] = x.now
		} else {
			delete(c.due, held{x.before.Range, x.before.Disk})
		}
	}
	m := n.topology.Map()
	for at, x := range c.due {
		r := shownRange(m, x)
		if r == nil || !takesPart(x) || slices.ContainsFunc(r.Replicas, func(o clustermap.Replica) bool { return o.Disk == at.disk }) {
			delete(c.due, at)
			continue
		}
		if err := n.letGo(ctx, r, at.disk, n.stores[at.disk].Destroy); err != nil && ctx.Err() == nil {
			n.env.Log.Debug("a replica that may be in nobody's use stays for now", "range", r.ID, "disk", at.disk, "error", err)
		}
	}
}

// shownRange returns what the map shows of a replica's range, nil: nothing.
func shownRange(m *clustermap.Map, x *replica.Status) *clustermap.Range {
	if x.Descriptor == nil {
		return m.Range(x.Range)
	}
	if r := m.RangeAt(x.Descriptor.Start); r != nil && r.ID == x.Range { // a range never begins elsewhere
		return r
	}
	return nil
}

// takesPart reports whether a replica can be destroyed: it takes part, or knows itself to be no member any more.
func takesPart(r *replica.Status) bool {
	switch r.Role {
	case roleLeader, roleFollower, roleCandidate, roleRemoved:
		return true
	}
	return false
}

// letGo destroys a disk's replica of a range if the range says that it is no member.
func (n *Node) letGo(ctx context.Context, r *clustermap.Range, id disk.ID, destroy func(ctx context.Context, rangeID, least uint64) error) error {
	ctx, cancel := context.WithTimeout(ctx, growTimeout)
	defer cancel()
	report, err := n.rangeReport(ctx, r)
	if err != nil {
		return err
	}
	d := report.Range
	if d.Id != r.ID || d.Generation < r.Generation || slices.ContainsFunc(d.Replicas, func(x *metapb.Replica) bool { return disk.ID(x.Disk) == id }) {
		return nil
	}
	return destroy(ctx, r.ID, d.NextReplica)
}
