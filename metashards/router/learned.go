package router

import (
	"bytes"
	"slices"
	"sort"
	"sync"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// learnedMost is how many pieces of learned ranges a router remembers; the oldest go first.
const learnedMost = 256

// learned is what a router was told of ranges by the stores that keep them and the cluster map does not say yet.
//
// A range's descriptor comes from one other by a change of its replicas or by a split, and its generation is higher by one. So
// two that overlap are never of one generation, and the one with the higher is right about what both contain. About the rest
// the other may still be the best that is known: it is kept in pieces.
type learned struct {
	mu     sync.Mutex
	pieces []piece // ascending; they do not overlap
	count  uint64  // of the ranges that were learned
	seen   *clustermap.Map
}

// piece is an interval of positions that a range is believed to own. An empty end is none.
type piece struct {
	start, end []byte
	owner      *clustermap.Range // never changed
	age        uint64            // when it was learned: less is earlier
}

// find returns the newest learned range with a position, nil if there is none.
func (l *learned) find(m *clustermap.Map, bucket uint64, key []byte) *clustermap.Range {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(m)
	n := sort.Search(len(l.pieces), func(i int) bool { return keys.ComparePosition(bucket, key, l.pieces[i].start) < 0 })
	if n == 0 || !keys.Contains(nil, l.pieces[n-1].end, bucket, key) {
		return nil
	}
	return l.pieces[n-1].owner
}

// learn takes a range in, as far as nothing newer is known.
func (l *learned) learn(m *clustermap.Map, d *metapb.RangeDescriptor) {
	if d.GetId() == 0 || len(d.GetReplicas()) == 0 || tells(m, d.GetId(), d.GetGeneration(), d.GetStart()) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(m)
	l.count++
	l.lay(rangeOf(d))
	for len(l.pieces) > learnedMost {
		oldest := 0
		for i, p := range l.pieces {
			if p.age < l.pieces[oldest].age {
				oldest = i
			}
		}
		l.pieces = slices.Delete(l.pieces, oldest, oldest+1)
	}
}

// lay lays a range over the older pieces and under the newer ones.
func (l *learned) lay(g *clustermap.Range) {
	var out []piece
	from, open := g.Start, true // what newer pieces do not cover begins here, unless they reach to the end
	for _, p := range l.pieces {
		switch {
		case !keys.Overlap(p.start, p.end, g.Start, g.End):
			out = append(out, p)
		case p.owner.Generation >= g.Generation:
			if bytes.Compare(from, p.start) < 0 {
				out = append(out, piece{from, p.start, g, l.count})
			}
			out = append(out, p)
			from, open = p.end, len(p.end) > 0
		default:
			if bytes.Compare(p.start, g.Start) < 0 {
				out = append(out, piece{p.start, g.Start, p.owner, p.age})
			}
			if len(g.End) > 0 && (len(p.end) == 0 || bytes.Compare(g.End, p.end) < 0) {
				out = append(out, piece{g.End, p.end, p.owner, p.age})
			}
		}
	}
	if open && (len(g.End) == 0 || bytes.Compare(from, g.End) < 0) {
		out = append(out, piece{from, g.End, g, l.count})
	}
	slices.SortFunc(out, func(a, b piece) int { return bytes.Compare(a.start, b.start) })
	l.pieces = out
}

// prune forgets what a map tells as well, once for each map.
func (l *learned) prune(m *clustermap.Map) {
	if l.seen == m {
		return
	}
	l.seen = m
	l.pieces = slices.DeleteFunc(l.pieces, func(p piece) bool {
		return tells(m, p.owner.ID, p.owner.Generation, p.owner.Start)
	})
}

// tells reports whether a map knows as much as a descriptor: it has that range in this or a later generation, where the range
// begins. A later range further on proves nothing: the map may show what was split off before it shows where that came from.
func tells(m *clustermap.Map, id, generation uint64, start []byte) bool {
	n := above(m, start)
	if n == 0 {
		return false
	}
	g := &m.Ranges[n-1]
	return (len(g.End) == 0 || bytes.Compare(start, g.End) < 0) &&
		(g.Generation > generation || g.ID == id && g.Generation == generation)
}

// above returns the index of the first range of a map that starts above a position.
func above(m *clustermap.Map, position []byte) int {
	return sort.Search(len(m.Ranges), func(i int) bool { return bytes.Compare(m.Ranges[i].Start, position) > 0 })
}

// rangeOf returns a descriptor as the map would have it; nothing is shared.
func rangeOf(d *metapb.RangeDescriptor) *clustermap.Range {
	g := &clustermap.Range{ID: d.Id, Generation: d.Generation, Start: bytes.Clone(d.Start), End: bytes.Clone(d.End)}
	for _, x := range d.Replicas {
		g.Replicas = append(g.Replicas, clustermap.Replica{
			ID: x.Id, Disk: disk.ID(x.Disk), Learner: x.Learner, Incoming: x.Incoming, Outgoing: x.Outgoing,
		})
	}
	return g
}

// learnFrom learns from the ranges that a result names.
func (r *Router) learnFrom(result *metapb.Result) {
	if d := result.GetRange(); d != nil {
		r.learned.learn(r.opt.Topology.Map(), d)
	}
	if d := result.GetSplit(); d != nil {
		r.learned.learn(r.opt.Topology.Map(), d)
	}
	for _, nested := range result.GetResults() {
		r.learnFrom(nested)
	}
}

// lookup returns the range that is believed to own a position: of the map's and what was learned, the newest. Nil: none is
// known.
func (r *Router) lookup(bucket uint64, key []byte) *clustermap.Range {
	m := r.opt.Topology.Map()
	g, l := find(m, bucket, key), r.learned.find(m, bucket, key)
	if l != nil && (g == nil || l.Generation > g.Generation) && !(mutantStaleOwner && g != nil) {
		return l
	}
	return g
}

// RangeOf returns the range that this router believes to own a position: from the cluster map, or from an answer that knew
// more. Its Leader is who answered for it last, as far as that is known. It is a copy; false if no range is known there.
func (r *Router) RangeOf(bucket uint64, key []byte) (clustermap.Range, bool) {
	g := r.lookup(bucket, key)
	if g == nil {
		return clustermap.Range{}, false
	}
	out := *g
	out.Start, out.End, out.Replicas = bytes.Clone(g.Start), bytes.Clone(g.End), slices.Clone(g.Replicas)
	if id := r.leader(g.ID); id != 0 {
		out.Leader = id
	}
	return out, true
}
