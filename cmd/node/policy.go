package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/compress"
	"github.com/contender/contender/objectlayer/placement"
)

var _ admin.Keeper = (*Node)(nil)

// checkPolicy sees to it that a bucket's bytes can be kept by a policy, and says why they cannot. One that asks for more slots than
// the placement groups have gets groups of its own, if there are enough domains for it.
func (n *Node) checkPolicy(ctx context.Context, text string) error {
	p, err := placement.ParsePolicy(text)
	if err != nil || p.IsAuto() {
		return err
	}
	m := n.topology.Map()
	c, err := p.Coding(m)
	if err != nil {
		return err
	}
	if placement.Widest(m) >= c.K+c.M || slices.Contains(m.Wide, p.String()) {
		return nil
	}
	full := false
	err = n.changeMap(ctx, func(m *clustermap.Map) (bool, error) {
		if full = len(m.Wide) >= clustermap.WideMost; full || slices.Contains(m.Wide, p.String()) {
			return false, nil
		}
		m.Wide = append(m.Wide, p.String())
		grown, more, err := placement.GrowGroups(m)
		if err == nil && more {
			n.env.Log.Info("placement groups are laid for a policy", "policy", p.String(), "groups", len(grown.Groups)-len(m.Groups))
			*m = *grown
		}
		return true, nil // the planner lays what could not be laid now
	})
	switch {
	case err != nil:
		return &objectlayer.Error{Op: "lay placement groups", Kind: objectlayer.KindUnavailable, Err: err}
	case full:
		return fmt.Errorf("policy %v needs placement groups of its own, and %d policies have such already", p, clustermap.WideMost)
	}
	return nil
}

// Bucket implements admin.Keeper.
func (n *Node) Bucket(ctx context.Context, name string) (admin.Bucket, error) {
	b, err := n.keeping.Get(ctx, name)
	if err != nil {
		return admin.Bucket{}, keeperError(err, name)
	}
	v, err := n.keeping.Versioning(ctx, name)
	if err != nil {
		return admin.Bucket{}, keeperError(err, name)
	}
	out := admin.Bucket{
		Name: b.Name, ID: b.ID, Created: b.Created, Owner: b.Owner, Region: b.Region, Policy: "auto", Short: b.Short, Compress: cmp.Or(b.Compress, compress.None),
		Versioning: map[objectlayer.Versioning]string{
			objectlayer.VersioningNever: "never", objectlayer.VersioningEnabled: "enabled", objectlayer.VersioningSuspended: "suspended",
		}[v],
	}
	p := n.policy()
	if b.Policy != "" && b.Policy != "auto" {
		out.Policy = b.Policy
		if p, err = placement.ParsePolicy(b.Policy); err != nil {
			return admin.Bucket{}, err
		}
	}
	if c, err := p.Coding(n.topology.Map()); err == nil {
		out.Coding = c.String()
	}
	return out, nil
}

// SetBucket implements admin.Keeper.
func (n *Node) SetBucket(ctx context.Context, q admin.BucketRequest) (admin.Bucket, error) {
	b, err := n.keeping.Get(ctx, q.Name)
	if err != nil {
		return admin.Bucket{}, keeperError(err, q.Name)
	}
	p := b.Placement
	if q.Policy != "" {
		p.Policy = q.Policy
	}
	if q.Short != nil {
		p.Short = *q.Short
	}
	if q.Compress != "" {
		p.Compress = q.Compress
	}
	if err := n.keeping.SetPlacement(ctx, q.Name, p); err != nil {
		return admin.Bucket{}, keeperError(err, q.Name)
	}
	return n.Bucket(ctx, q.Name)
}

// keeperError says what an operator can do about.
func keeperError(err error, name string) error {
	var o *objectlayer.Error
	if errors.As(err, &o) {
		switch o.Kind {
		case objectlayer.KindNoSuchBucket:
			return noBucket(name)
		case objectlayer.KindInvalidArgument:
			return &admin.RequestError{Kind: admin.Invalid, Text: "Not changed: " + o.Detail + "."}
		}
	}
	return err
}
