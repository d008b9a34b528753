//go:build mutant_listend

package router

import (
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// after makes a broken router: a list goes on where the range is believed to end.
func (r *Router) after(l *listing, at []byte, a *metapb.Answer) []byte {
	if _, end, err := keys.ParsePosition(r.lookup(l.query.Bucket, at).End); err == nil {
		a.Next = end
	}
	return l.goOn(a)
}
