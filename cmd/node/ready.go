package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/placement"
)

// Measures of readiness.
const (
	// readyMost is how many ranges are asked each time: all of them, or where there are more the first, which has the system's
	// records, and others in turn.
	readyMost = 64
	// readyAtOnce is how many are asked side by side.
	readyAtOnce = 16
)

// ready returns nil when this node can serve a linearizable read of the ranges and a durable write of any size, else the
// reason why not. Of many ranges it tries some, others each time: whether each has its leader is the status's to say.
func (n *Node) ready(ctx context.Context) error {
	if !n.settled.Load() {
		return errors.New("starting")
	}
	if !n.registered() {
		return errors.New("the disks of this node are not in the cluster map yet")
	}
	m := n.topology.Map()
	if err := n.readableAll(ctx, n.someRanges(m)); err != nil {
		return err
	}
	policy, err := placement.ParsePolicy(m.Policy)
	if err != nil {
		return err
	}
	if _, err := placement.Pick(placement.Request{Map: m, Alive: n.writable, Policy: policy}); err != nil {
		return fmt.Errorf("no place for large objects: %w", err)
	}
	return nil
}

// someRanges returns the ranges that are to be asked this time.
func (n *Node) someRanges(m *clustermap.Map) []clustermap.Range {
	if len(m.Ranges) <= readyMost {
		return m.Ranges
	}
	some := make([]clustermap.Range, 0, readyMost)
	some = append(some, m.Ranges[0])
	rest := m.Ranges[1:]
	from := int(n.readied.Add(readyMost-1) % uint64(len(rest)))
	for i := range readyMost - 1 {
		some = append(some, rest[(from+i)%len(rest)])
	}
	return some
}

// readableAll tries to read of each of some ranges, and returns what the first one said that could not be read.
func (n *Node) readableAll(ctx context.Context, ranges []clustermap.Range) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *clustermap.Range)
	var all sync.WaitGroup
	for range min(readyAtOnce, len(ranges)) {
		all.Go(func() {
			for r := range next {
				if err := n.readable(ctx, r); err != nil {
					cancel(fmt.Errorf("range %d: %w", r.ID, err))
				}
			}
		})
	}
	for i := range ranges {
		if ctx.Err() != nil {
			break
		}
		next <- &ranges[i]
	}
	close(next)
	all.Wait()
	return context.Cause(ctx)
}

// readable reads something at the start of a range; what the answer says does not matter. A leader that can serve a
// linearizable read has a majority, so it can commit, too.
func (n *Node) readable(ctx context.Context, r *clustermap.Range) error {
	q, err := atStart(r.Start)
	if err != nil {
		return err
	}
	q.Op = &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{}}
	_, err = n.meta.Query(ctx, q)
	return err
}
