package router

import (
	"bytes"
	"context"
	"fmt"

	"github.com/contender/contender/metashards"
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
	l.start = later(l.start, *l.prefix)
	return l
}

// list gathers a page from range to range. Each range's part is linearizable by itself. Where a range other than the first
// refuses, the page ends before it: who asks for the rest meets the refusal, and knows which range it came from.
func (r *Router) list(ctx context.Context, l *listing) (*metapb.Answer, error) {
	var out *metapb.Answer
	at := l.start
	for {
		l.query.Key = at
		a, err := r.ask(ctx, l.query, at)
		if err != nil {
			return nil, err
		}
		switch {
		case out == nil:
			out = a
		case a.Status != metapb.Status_OK:
			out.Truncated, out.Next = true, at
			return out, nil
		default:
			out.Items = append(out.Items, a.Items...)
			out.Status, out.Detail, out.Truncated, out.Next, out.Generation = a.Status, a.Detail, a.Truncated, a.Next, a.Generation
			out.Time = max(out.Time, a.Time)
		}
		*l.limit -= min(*l.limit, uint32(len(a.Items)))
		if a.Status != metapb.Status_OK || *l.limit == 0 || !endOfRange(a) {
			return out, nil
		}
		if bytes.Compare(a.Next, at) <= 0 {
			return nil, &metashards.Error{
				Op: "list", Kind: metashards.KindDamaged, Err: fmt.Errorf("the range with %q says that it ends at %q", at, a.Next),
			}
		}
		at = r.after(l, at, a)
	}
}

// endOfRange reports whether a page was cut short by the end of its range, as the range itself says, which knows where it
// ends: its cursor is that end, which is above all its keys. A page that is full, because of the limit or because the store
// gives no more at once, has its last line as its cursor.
func endOfRange(a *metapb.Answer) bool {
	n := len(a.Items)
	return a.Truncated && (n == 0 || !bytes.Equal(a.Next, a.Items[n-1].Key))
}

// goOn returns where to go on after a page that a range's end cut short: there, or after the common prefix that was the last
// line. The ranges between hold nothing but keys with that prefix.
func (l *listing) goOn(a *metapb.Answer) []byte {
	if n := len(a.Items); n > 0 && a.Items[n-1].CommonPrefix {
		*l.prefix = a.Items[n-1].Key
	}
	return later(a.Next, *l.prefix)
}

// later returns the greater of a key and the first key above all that begin with a prefix.
func later(key, prefix []byte) []byte {
	if end := keys.PrefixEnd(prefix); bytes.Compare(end, key) > 0 {
		return end
	}
	return key
}
