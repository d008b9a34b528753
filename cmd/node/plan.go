package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/placement"
)

// Measures of planning.
const (
	// changesMax is how many ranges exchange replicas at once.
	changesMax = 8
	// arrivalsMax is to how many ranges' new replicas a disk makes room at once: each begins with a snapshot.
	arrivalsMax = 2
	// stepTimeout bounds one step of one range.
	stepTimeout = 3 * time.Second
)

// planning is what the planner remembers between two looks.
type planning struct {
	quiet    bool   // nothing was to be done
	revision uint64 // with the map of this revision
	alive    []bool // while these of its disks were alive
}

// moveAll takes the next step for ranges whose replicas are not where they should be. It does not look before the map has
// changed, or a disk has come or gone, if there was nothing to be done.
func (n *Node) moveAll(ctx context.Context, g *planning) error {
	m := n.topology.Map()
	if len(m.Nodes) > 1 && n.keptNodes.Load() < 2 {
		return nil // see freshOf
	}
	list := make([]bool, len(m.Disks))
	alive := make(map[disk.ID]bool, len(m.Disks))
	for i, d := range m.Disks {
		list[i] = n.alive(d.ID)
		alive[d.ID] = list[i]
	}
	if g.quiet && g.revision == m.Revision && slices.Equal(g.alive, list) {
		return nil
	}
	l := newLook(m, func(id disk.ID) bool { return alive[id] })
	quiet := l.choose()
	err := n.takeSteps(ctx, l)
	*g = planning{quiet: quiet, revision: m.Revision, alive: list}
	return err
}

// look is one look at all ranges, and chooses those that take a step.
type look struct {
	m        *clustermap.Map
	alive    func(disk.ID) bool
	planner  *placement.Planner
	changing int             // ranges that exchange replicas, those left out that wait for a disk that is away
	arriving map[disk.ID]int // ranges of which a new replica comes to a disk
	steps    []*clustermap.Range
}

// newLook begins a look. That a disk is away is no reason to take replicas from it: it may come back soon.
func newLook(m *clustermap.Map, alive func(disk.ID) bool) *look {
	never := func(disk.ID) bool { return false }
	return &look{m: m, alive: alive, planner: placement.NewPlanner(m, alive, never), arriving: map[disk.ID]int{}}
}

// choose chooses the ranges that are exchanging replicas, then those that are ordered to, then others, as many as may do so
// at once, and reports whether all ranges rest.
func (l *look) choose() (quiet bool) {
	var ordered, others []*clustermap.Range
	for i := range l.m.Ranges {
		switch r := &l.m.Ranges[i]; {
		case exchanging(r):
			l.take(r, l.planner.Arrivals(r))
		case r.Move != nil:
			ordered = append(ordered, r)
		default:
			others = append(others, r)
		}
	}
	quiet = len(l.steps) == 0
	for _, r := range slices.Concat(ordered, others) {
		if l.changing >= changesMax {
			return false
		}
		if r.Move == nil {
			if _, ok := l.planner.Next(r, func(disk.ID) bool { return true }); !ok {
				continue
			}
		}
		quiet = false
		arrivals := l.planner.Arrivals(r)
		if !slices.ContainsFunc(arrivals, func(d disk.ID) bool { return l.arriving[d] >= arrivalsMax }) {
			l.take(r, arrivals)
		}
	}
	return quiet
}

// exchanging reports whether a range's replicas are being exchanged.
func exchanging(r *clustermap.Range) bool {
	return slices.ContainsFunc(r.Replicas, func(x clustermap.Replica) bool { return x.Learner || x.Incoming || x.Outgoing })
}

// take has a range take a step.
func (l *look) take(r *clustermap.Range, arrivals []disk.ID) {
	l.planner.Expect(r)
	l.steps = append(l.steps, r)
	for _, d := range arrivals {
		l.arriving[d]++
	}
	if !slices.ContainsFunc(arrivals, func(d disk.ID) bool { return !l.alive(d) }) {
		l.changing++
	}
}

// taken is what came of a step.
type taken struct {
	shown *clustermap.Range // as it is now
	ended *clustermap.Range // its order is to be dropped
}

// takeSteps takes the steps of the ranges that were chosen, all at once, and lets the map show what came of them in one
// change.
func (n *Node) takeSteps(ctx context.Context, l *look) error {
	if len(l.steps) == 0 {
		return nil
	}
	var all sync.WaitGroup
	var mu sync.Mutex // of the planner, and of what follows
	var done []taken
	for _, r := range l.steps {
		all.Go(func() {
			step, cancel := context.WithTimeout(ctx, stepTimeout)
			defer cancel()
			t, err := n.takeStep(step, r, func(now *clustermap.Range, caughtUp func(disk.ID) bool) (placement.ReplicaChange, bool) {
				mu.Lock()
				defer mu.Unlock()
				return l.planner.Next(now, caughtUp)
			})
			if err != nil {
				if ctx.Err() == nil {
					n.env.Log.Warn("the replicas of a range cannot be moved now", "range", r.ID, "error", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, t)
		})
	}
	all.Wait()
	return n.showSteps(ctx, done)
}

func (n *Node) showSteps(ctx context.Context, done []taken) error {
	if !slices.ContainsFunc(done, func(t taken) bool { return t.shown != nil || t.ended != nil }) {
		return nil
	}
	return n.changeMap(ctx, func(m *clustermap.Map) (changed bool, err error) {
		for _, t := range done {
			if t.shown != nil {
				shown := *t.shown
				shown.Move = nil // the map knows better
				changed = m.ShowRange(shown) || changed
			}
			if t.ended == nil {
				continue
			}
			if r := m.Range(t.ended.ID); r != nil && r.Move != nil && clustermap.SameMove(r.Move, t.ended.Move) {
				r.Move, changed = nil, true
			}
		}
		return changed, nil
	})
}

// takeStep takes the next step that brings the replicas of a range to where they should be, if any: where an order sends
// them, else where they are best.
func (n *Node) takeStep(ctx context.Context, r *clustermap.Range, next func(*clustermap.Range, func(disk.ID) bool) (placement.ReplicaChange, bool)) (t taken, err error) {
	report, err := n.rangeReport(ctx, r)
	if err != nil {
		return t, err
	}
	now := rangeOf(report.Range)
	if now.ID != r.ID {
		return t, nil // it was split, and the map does not show it yet
	}
	t.shown = &now
	now.Move = r.Move
	if now.Move == nil {
		if change, ok := next(&now, caughtUp(report)); ok {
			t.shown, err = n.changeReplicas(ctx, &now, change)
		}
		return t, err
	}
	change, state := placement.MoveReplica(&now, n.alive, caughtUp(report))
	switch state {
	case placement.OrderStep:
		t.shown, err = n.changeReplicas(ctx, &now, change)
	case placement.OrderDone, placement.OrderOff:
		n.env.Log.Info("the order that a replica move ends", "range", r.ID, "from", r.Move.From, "to", r.Move.To, "done", state == placement.OrderDone)
		t.ended = r
	}
	return t, err
}

// rangeReport asks the leader of a range for its descriptor and its replicas' progress.
func (n *Node) rangeReport(ctx context.Context, r *clustermap.Range) (*metapb.RangeReport, error) {
	q, err := atStart(r.Start)
	if err != nil {
		return nil, err
	}
	q.Op = &metapb.Query_GetRange{GetRange: &metapb.GetRange{}}
	a, err := n.meta.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.Status != metapb.Status_OK || a.Range.GetRange() == nil {
		return nil, fmt.Errorf("report of range %d: %v", r.ID, a.Status)
	}
	return a.Range, nil
}

// caughtUp tells which disks' replicas miss so little that they may vote.
func caughtUp(report *metapb.RangeReport) func(disk.ID) bool {
	return func(id disk.ID) bool {
		for _, p := range report.Replicas {
			if disk.ID(p.Disk) == id {
				return p.Active && p.Replicating && p.Lag <= growLagMax
			}
		}
		return false
	}
}

// changeReplicas asks a range for one step, and returns it as it is then: nil if somebody else was quicker.
func (n *Node) changeReplicas(ctx context.Context, r *clustermap.Range, change placement.ReplicaChange) (*clustermap.Range, error) {
	n.env.Log.Info("the replicas of a range change", "range", r.ID, "ordered", r.Move != nil, "add", change.Add, "promote", change.Promote,
		"demote", change.Demote, "remove", change.Remove, "leave", change.Leave)
	q, err := atStart(r.Start)
	if err != nil {
		return nil, err
	}
	res, err := n.meta.Apply(ctx, &metapb.Command{
		Format: 1, Bucket: q.Bucket, Key: q.Key, Time: uint64(n.env.Clock().UnixMicro()),
		Op: &metapb.Command_ChangeReplicas{ChangeReplicas: &metapb.ChangeReplicas{
			IfGeneration: r.Generation, Add: numbers(change.Add), Promote: numbers(change.Promote),
			Demote: numbers(change.Demote), Remove: numbers(change.Remove), Leave: change.Leave,
		}},
	}, nil)
	switch {
	case err != nil:
		return nil, err
	case res.Status == metapb.Status_OK:
		now := rangeOf(res.Range)
		return &now, nil
	case res.Status == metapb.Status_REVISION_MISMATCH:
		return nil, nil
	}
	return nil, fmt.Errorf("%v: %s", res.Status, res.Detail)
}

func numbers(ids []disk.ID) (out []uint64) {
	for _, id := range ids {
		out = append(out, uint64(id))
	}
	return out
}
