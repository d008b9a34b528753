package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/placement"
	"github.com/contender/contender/objectlayer/record"
)

var _ admin.Explainer = (*Node)(nil)

// Forms of a version's bytes, as an explanation names them.
const (
	formInline  = "inline"
	formExtents = "extents"
	formNone    = "none"
)

// Explain implements admin.Explainer.
func (n *Node) Explain(ctx context.Context, bucket, key, version string) (admin.Explanation, error) {
	a, b, err := n.buckets.Query(ctx, "explain", bucket, key, &metapb.Query{Op: &metapb.Query_Get{Get: &metapb.GetVersion{VersionId: version}}})
	if err == nil && a.Version == nil {
		err = record.StatusError("explain", bucket, key, a.Status, a.Detail)
	}
	if err != nil {
		return admin.Explanation{}, explainError(err, bucket, key)
	}
	v := record.Version(bucket, key, a.Version, a.IsLatest, b.Versioning != 0)
	m := n.topology.Map()
	e := explaining{n: n, m: m, shower: newShower(m, map[uint64]string{b.Id: bucket}), Explanation: admin.Explanation{
		Bucket: bucket, Key: key, VersionID: v.ID, Latest: v.Latest, DeleteMarker: v.DeleteMarker, Size: v.Size, Modified: v.Modified,
		Form: formNone, Whole: true, Readable: true,
	}}
	e.inRange(keys.Position(b.Id, []byte(key)))
	e.bytes(a.Version)
	e.Survives = admin.Tolerates(placement.ToleratesOf(m, n.alive, e.placed...))
	return e.Explanation, nil
}

// explainError says what is not there.
func explainError(err error, bucket, key string) error {
	var o *objectlayer.Error
	if errors.As(err, &o) {
		switch o.Kind {
		case objectlayer.KindNoSuchBucket:
			return noBucket(bucket)
		case objectlayer.KindNoSuchKey, objectlayer.KindNoSuchVersion:
			return &admin.RequestError{Kind: admin.NotFound, Text: fmt.Sprintf("There is no such version of %q in bucket %q.", key, bucket)}
		case objectlayer.KindInvalidArgument:
			return &admin.RequestError{Kind: admin.Invalid, Text: "That is no version id."}
		}
	}
	return err
}

// explaining is an explanation in the making.
type explaining struct {
	admin.Explanation
	*shower
	n      *Node
	m      *clustermap.Map
	placed []placement.Placed
}

// add takes something into account that the version needs.
func (e *explaining) add(p placement.Placed) {
	e.placed = append(e.placed, p)
	live := 0
	for _, d := range p.Disks {
		if e.n.alive(d) {
			live++
		}
	}
	e.Whole = e.Whole && live == len(p.Disks)
	e.Readable = e.Readable && live >= p.Need
}

// inRange tells which range keeps the metadata.
func (e *explaining) inRange(position []byte) {
	r := e.m.RangeOf(position)
	if r == nil {
		e.Readable, e.Whole = false, false
		return
	}
	e.Range = e.show(r)
	for _, p := range placement.PlacedRange(r) {
		e.add(p)
	}
	e.Whole = e.Whole && len(r.Replicas) >= placement.Replicas(e.m)
}

// bytes tells where the bytes lie.
func (e *explaining) bytes(v *metapb.Version) {
	switch {
	case v.GetInline() != nil:
		e.Form = formInline
	case v.GetBlob() != nil:
		e.Form = formExtents
		e.blob(v.GetBlob(), 0)
	}
	for _, p := range v.Parts {
		e.Form = formExtents
		e.blob(p.Blob, int(p.Number))
	}
}

func (e *explaining) blob(b *metapb.Blob, part int) {
	for _, x := range b.GetExtents() {
		e.ExtentCount++
		p, ok := placement.PlacedExtent(e.m, x)
		if !ok {
			e.Readable, e.Whole = false, false
			continue
		}
		e.add(p)
		if len(e.Extents) < admin.ExtentsMax {
			out := e.extent(x, p.Disks, part)
			out.Compressed = b.GetCompression() != nil
			e.Extents = append(e.Extents, out)
		}
	}
}

// extent makes the operator's form of an extent.
func (e *explaining) extent(x *metapb.Extent, disks []disk.ID, part int) admin.Extent {
	out := admin.Extent{
		Part: part, Length: int64(x.Length), Group: x.Group, Epoch: x.Epoch,
		Coding: placement.Coding{K: int(x.GetCoding().GetK()), M: int(x.GetCoding().GetM())}.String(),
	}
	for i, id := range disks {
		s := admin.Shard{Slot: int(x.Slots[i]), Member: e.member(id)}
		_, s.State = e.n.diskOf(id)
		if d := e.m.Disk(id); d != nil {
			if c := e.m.Node(d.Node); c != nil {
				s.Rack, s.Site = c.Rack, c.Site
			}
		}
		out.Shards = append(out.Shards, s)
	}
	return out
}
