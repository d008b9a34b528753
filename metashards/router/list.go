package router

import (
	"bytes"
	"context"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// listing is a query for a page that may lie in several ranges.
type listing struct {
	query *metapb.Query // a copy
	// limit is the limit of what is still wanted, prefix the whole common prefix that was returned last.
	limit  *uint32
	prefix *[]byte
	start  []byte // no line of the page lies below
}

// newListing returns the listing that a query is, nil if it is none.
func newListing(q *metapb.Query) *listing {
	switch q.GetOp().(type) {
	case *metapb.Query_ListKeys, *metapb.Query_ListVersions, *metapb.Query_ListUploads:
	default:
		return nil
	}
	l := &listing{query: q.CloneVT()}
	var bounds [][]byte
	switch op := l.query.Op.(type) {
	case *metapb.Query_ListKeys:
		o := op.ListKeys
		l.limit, l.prefix, bounds = &o.Limit, &o.AfterPrefix, [][]byte{o.Prefix, o.After, o.AfterPrefix}
	case *metapb.Query_ListVersions:
		o := op.ListVersions
		l.limit, l.prefix, bounds = &o.Limit, &o.AfterPrefix, [][]byte{o.Prefix, o.KeyMarker, o.AfterPrefix}
	case *metapb.Query_ListUploads:
		o := op.ListUploads
		l.limit, l.prefix, bounds = &o.Limit, &o.AfterPrefix, [][]byte{o.Prefix, o.KeyMarker, o.AfterPrefix}
	}
	for _, b := range append(bounds, q.Key) {
		if bytes.Compare(b, l.start) > 0 {
			l.start = b
		}
	}
	return l
}

// list gathers a page from range to range. Each range's part is linearizable by itself.
func (r *Router) list(ctx context.Context, l *listing) (*metapb.Answer, error) {
	var out *metapb.Answer
	at := l.start
	for {
		l.query.Key = at
		a, g, err := r.ask(ctx, l.query, at)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = a
		} else {
			out.Items = append(out.Items, a.Items...)
			out.Status, out.Detail, out.Truncated, out.Next, out.Generation = a.Status, a.Detail, a.Truncated, a.Next, a.Generation
			out.Time = max(out.Time, a.Time)
		}
		*l.limit -= min(*l.limit, uint32(len(a.Items)))
		if a.Status != metapb.Status_OK || *l.limit == 0 || !endsAt(g, l.query.Bucket, a) {
			return out, nil
		}
		if n := len(a.Items); n > 0 && a.Items[n-1].CommonPrefix {
			*l.prefix = a.Items[n-1].Key
		}
		at = a.Next
	}
}

// endsAt reports whether a page was cut short by the end of its range.
func endsAt(g *clustermap.Range, bucket uint64, a *metapb.Answer) bool {
	return a.Truncated && len(g.End) > 0 && bytes.Equal(g.End, keys.Position(bucket, a.Next))
}
