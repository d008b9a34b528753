package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
)

// presplitAtOnce is how many ranges are split at the same time when many are asked for.
const presplitAtOnce = 16

// Presplit implements admin.Arranger. The middle is split first, so that the halves can be split at the same time.
func (n *Node) Presplit(ctx context.Context, q admin.PresplitRequest) (a admin.PresplitAnswer, err error) {
	id, err := n.bucketID(ctx, q.Bucket)
	if err != nil {
		return a, err
	}
	at := make([][]byte, 0, len(q.Keys))
	for _, key := range q.Keys {
		at = append(at, keys.Position(id, []byte(key)))
	}
	slices.SortFunc(at, bytes.Compare)
	at = slices.CompactFunc(at, bytes.Equal)
	first, err := n.newRangeIDs(ctx, uint64(len(at)))
	if err != nil {
		return a, err
	}
	p := presplit{node: n, slots: make(chan struct{}, presplitAtOnce)}
	p.split(ctx, at, first)
	err = errors.Join(errors.Join(p.failed...), n.showRanges(ctx, p.parts...))
	return admin.PresplitAnswer{Split: len(p.parts) / 2, Refused: p.refused}, err
}

// presplit is the state of one Presplit.
type presplit struct {
	node  *Node
	slots chan struct{}

	mu      sync.Mutex
	parts   []clustermap.Range // what became of what was split
	refused int
	failed  []error
}

// split splits at all of some positions, and returns when that is done.
func (p *presplit) split(ctx context.Context, at [][]byte, first uint64) {
	if len(at) == 0 {
		return
	}
	middle := len(at) / 2
	p.one(ctx, at[middle], first+uint64(middle))
	var halves sync.WaitGroup
	halves.Go(func() { p.split(ctx, at[:middle], first) })
	p.split(ctx, at[middle+1:], first+uint64(middle)+1)
	halves.Wait()
}

// one splits at a position.
func (p *presplit) one(ctx context.Context, at []byte, id uint64) {
	p.slots <- struct{}{}
	r, err := p.node.splitAt(ctx, at, id)
	<-p.slots
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.parts = append(p.parts, rangeOf(r.Range), rangeOf(r.Split))
	case errors.Is(err, errNoSplit):
		p.refused++
	default:
		p.failed = append(p.failed, err)
	}
}
