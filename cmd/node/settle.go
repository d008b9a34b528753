package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/trust"
)

// settlePause is the time between two tries to reach the system range.
const settlePause = 200 * time.Millisecond

// settle sees to it that the system records that every cluster has are there, and learns the root key. Before that no
// request can be authenticated.
func (n *Node) settle(ctx context.Context) {
	for {
		err := n.settleMap(ctx)
		if err == nil {
			err = n.settleRootKey(ctx)
		}
		if err == nil && !n.cfg.FrontEnd {
			err = n.settleAuthority(ctx)
		}
		if err == nil && !n.cfg.FrontEnd {
			err = n.register(ctx)
		}
		if err == nil {
			n.settled.Store(true)
			return
		}
		var refusal *trust.Refusal
		if errors.Is(err, errOtherRootKey) || errors.As(err, &refusal) {
			n.refused <- err
			return
		}
		if ctx.Err() != nil {
			return
		}
		n.env.Log.Warn("the system records cannot be settled yet", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(settlePause):
		}
	}
}

// settleMap brings the map of the system range here, or puts the founding's there.
func (n *Node) settleMap(ctx context.Context) error {
	known, err := n.readMap(ctx)
	if err != nil {
		return err
	}
	if known == nil {
		first := n.topology.Map()
		if first.Revision != 1 {
			return errNoMap
		}
		value, err := first.Marshal()
		if err != nil {
			return err
		}
		if err := n.putSystem(ctx, metashards.RecordMap, value); err != nil {
			return err
		}
		if value, err = (&clustermap.Tail{Format: clustermap.Format, Base: 1}).Marshal(); err != nil {
			return err
		}
		if err := n.putSystem(ctx, metashards.RecordMapTail, value); err != nil {
			return err
		}
		return n.settleMap(ctx)
	}
	return nil
}

// getSystem reads a system record; nil if there is none.
func (n *Node) getSystem(ctx context.Context, name string) (*metapb.SystemRecord, error) {
	a, err := n.meta.Query(ctx, &metapb.Query{
		Format: 1, Key: metapb.RecordKey(name), Op: &metapb.Query_GetSystem{GetSystem: &metapb.GetSystem{Name: name}},
	})
	if err != nil {
		return nil, fmt.Errorf("read system record %s: %w", name, err)
	}
	if a.Record.GetRevision() == 0 {
		return nil, nil
	}
	return a.Record, nil
}

// putSystem writes a system record that is absent so far; losing that race is no error.
func (n *Node) putSystem(ctx context.Context, name string, value []byte) error {
	_, err := n.putSystemAt(ctx, name, value, 0)
	return err
}
