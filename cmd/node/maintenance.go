package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
)

// isWorkedOn reports whether somebody has said to be working on a node; it may be nil.
func (n *Node) isWorkedOn(c *clustermap.Node) bool {
	return c != nil && n.env.Clock().Unix() < c.Maintenance
}

// Maintain implements admin.Operator.
func (n *Node) Maintain(ctx context.Context, q admin.MaintenanceRequest) error {
	until := int64(0)
	if q.ForSeconds > 0 {
		until = n.env.Clock().Add(time.Duration(q.ForSeconds) * time.Second).Unix()
	}
	return n.changeMap(ctx, func(m *clustermap.Map) (bool, error) {
		i := slices.IndexFunc(m.Nodes, func(c clustermap.Node) bool {
			return c.Name == q.Node && c.ReplacedBy == 0 || c.ID.String() == q.Node
		})
		if i < 0 {
			return false, &admin.RequestError{Kind: admin.NotFound, Text: fmt.Sprintf("There is no node %q.", q.Node)}
		}
		changed := m.Nodes[i].Maintenance != until
		m.Nodes[i].Maintenance = until
		return changed, nil
	})
}
