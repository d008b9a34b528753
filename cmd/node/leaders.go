package node

import (
	"context"
	"maps"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/objectlayer/placement"
)

// Measures of spreading leaders.
const (
	// leadersPause is the time between two looks at who leads how much.
	leadersPause = 5 * time.Second
	// leadersMemory is for how long a range counts as led by whom this node handed it to, whatever the map says: the map
	// names a leader only once it has led for a while.
	leadersMemory = 3 * leadersPause
	// leadersRetry is after how long a range that this node leads still, though it handed it over, counts as its own again.
	leadersRetry = 2 * time.Second
)

// leading is what a node remembers of the ranges that it handed over to others.
type leading struct {
	looked time.Time
	handed map[uint64]handed // by range
	glance glance
	may    map[disk.ID]bool // which disks might lead at the last look
	rests  bool             // nothing was to be handed over then
}

// handed is to whom a range was handed over, and when.
type handed struct {
	to disk.ID
	at time.Time
}

// spreadLeaders hands some of the ranges that this node leads over to disks that lead fewer, now and then.
func (n *Node) spreadLeaders(ctx context.Context, l *leading) {
	now := n.env.Clock()
	if now.Sub(l.looked) < leadersPause {
		return
	}
	l.looked = now
	if !n.leadersStirred(l) && l.rests && len(l.handed) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, growTimeout)
	defer cancel()
	led := n.led()
	all := placement.SpreadLeaders(n.countLeaders(l, led, n.mayLead), n.heirs(led))
	l.rests = len(all) == 0
	if len(all) > 0 {
		n.env.Log.Info("ranges are handed over, so that all disks lead about as many", "ranges", len(all), "led", len(led))
	}
	for _, h := range all {
		n.env.Log.Debug("a range is handed over", "range", h.Range, "from", h.From, "to", h.To)
		if err := n.stores[h.From].TransferLeadership(ctx, h.Range, h.To); err != nil {
			n.env.Log.Debug("leadership is not handed over", "range", h.Range, "to", h.To, "error", err)
			continue
		}
		l.handed[h.Range] = handed{h.To, now}
	}
}

// leadersStirred reports whether anything has changed since the last look: replicas, the map, or which disks may lead.
func (n *Node) leadersStirred(l *leading) bool {
	may := map[disk.ID]bool{}
	for _, d := range n.topology.Map().Disks {
		may[d.ID] = n.mayLead(d.ID)
	}
	same := maps.Equal(may, l.may)
	l.may = may
	return len(n.changes(&l.glance)) > 0 || !same
}

// countLeaders counts how many ranges each disk leads that serves: by what this node leads, by what it has handed over lately,
// and else by the map.
func (n *Node) countLeaders(l *leading, led []*replica.Status, alive func(disk.ID) bool) map[disk.ID]int {
	m, now := n.topology.Map(), n.env.Clock()
	own := make(map[uint64]disk.ID, len(led))
	for _, r := range led {
		own[r.Range] = r.Disk
		if h, ok := l.handed[r.Range]; ok && now.Sub(h.at) >= leadersRetry {
			delete(l.handed, r.Range)
		}
	}
	for id, h := range l.handed {
		if now.Sub(h.at) >= leadersMemory {
			delete(l.handed, id)
		}
	}
	leads := make(map[disk.ID]int, len(m.Disks))
	for _, d := range m.Disks {
		if alive(d.ID) {
			leads[d.ID] = 0
		}
	}
	for i := range m.Ranges {
		r := &m.Ranges[i]
		leader := r.Leader
		if d, ok := own[r.ID]; ok {
			leader = d
		}
		if h, ok := l.handed[r.ID]; ok {
			leader = h.to
		}
		if _, ok := leads[leader]; ok {
			leads[leader]++
		}
	}
	return leads
}

// heirs returns the ranges that this node leads, with the disks that could lead them: that serve, vote, and have nearly all.
func (n *Node) heirs(led []*replica.Status) (list []placement.Led) {
	for _, r := range led {
		x := placement.Led{Range: r.Range, Disk: r.Disk}
		for _, f := range r.Followers {
			if f.Disk != r.Disk && f.Active && !f.Learner && f.State == replica.StateReplicating && f.Lag <= growLagMax && n.mayLead(f.Disk) {
				x.Heirs = append(x.Heirs, f.Disk)
			}
		}
		list = append(list, x)
	}
	return list
}
