package wire

import (
	"context"
	"errors"
	"log/slog"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// newerMap says who has a newer map.
type newerMap struct {
	node     clustermap.NodeID
	revision uint64
}

func (p *Peers) revision() uint64 {
	if p.opt.Maps == nil {
		return 0
	}
	return p.opt.Maps.Revision()
}

// heardRevision notes which map a peer holds. A newer one is fetched; if one is being fetched, the next beat tells again.
func (p *Peers) heardRevision(node clustermap.NodeID, revision uint64) {
	if p.opt.Maps == nil || revision <= p.opt.Maps.Revision() {
		return
	}
	select {
	case p.behind <- newerMap{node, revision}:
	default:
	}
}

// followMaps fetches newer maps, one after the other.
func (p *Peers) followMaps() {
	for {
		select {
		case <-p.ctx.Done():
			return
		case n := <-p.behind:
			if n.revision <= p.opt.Maps.Revision() {
				continue
			}
			if err := p.fetchMap(n.node); err != nil && p.ctx.Err() == nil {
				p.opt.Logger.Warn("a newer cluster map could not be fetched", "node", n.node, "revision", n.revision, "error", err)
			}
		}
	}
}

var errMapNotTaken = errors.New("the map was not taken")

// fetchMap brings a peer's map here: what changed, or all of it where that does not do.
func (p *Peers) fetchMap(node clustermap.NodeID) error {
	for _, since := range []uint64{p.opt.Maps.Revision(), 0} {
		revision, base, b, err := p.FetchMap(p.ctx, node, since)
		if err != nil {
			return err
		}
		if p.opt.Maps.Take(node, revision, base, b) {
			return nil
		}
	}
	return errMapNotTaken
}

// FetchMap asks a node for the cluster map that it holds: what changed since a revision if it knows that, with that revision as
// base, otherwise the whole map with base 0.
func (p *Peers) FetchMap(ctx context.Context, node clustermap.NodeID, since uint64) (revision, base uint64, b []byte, err error) {
	ctx, cancel := p.opt.Clock.WithTimeout(ctx, p.opt.PullTimeout)
	defer cancel()
	f, err := p.call(ctx, node, kindFetchMap, &metapb.MapOffer{Base: since}, nil)
	if err != nil {
		return 0, 0, nil, err
	}
	var m metapb.MapOffer
	if err := decodeAnswer(node, &f, kindMapAnswer, &m); err != nil {
		return 0, 0, nil, err
	}
	return m.Revision, m.Base, f.payload, nil
}

// OfferMap tells all nodes that can be reached of a revision of the cluster map: b is the whole map if base is 0,
// otherwise what changed since base. It never waits; an offer that was not written yet gives way to the next. Whoever
// misses it learns of the revision by the next beat, and fetches what it lacks. b must not change afterwards.
func (p *Peers) OfferMap(revision, base uint64, b []byte) error {
	head, err := appendFrame(nil, header{kind: kindOfferMap}, &metapb.MapOffer{Revision: revision, Base: base}, len(b))
	if err != nil {
		return err
	}
	for _, x := range p.known() {
		x.mu.Lock()
		if x.link != nil {
			x.link.out.putOffer(&packet{bytes: head, tail: b})
		}
		x.mu.Unlock()
	}
	return nil
}

// fetchMap answers a peer.
func (s *session) fetchMap(j *job) answer {
	var asked metapb.MapOffer
	if err := asked.UnmarshalVT(j.frame.body); err != nil {
		return answer{err: &store.Refusal{Reason: store.Invalid, Err: err}}
	}
	if s.peers.opt.Maps == nil {
		return answer{err: errNoMaps}
	}
	revision, base, b, err := s.peers.opt.Maps.Encoded(asked.Base)
	return answer{kind: kindMapAnswer, message: &metapb.MapOffer{Revision: revision, Base: base}, tail: b, err: err}
}

// takeMap takes in what a peer offers.
func (s *session) takeMap(j *job) {
	var m metapb.MapOffer
	if err := m.UnmarshalVT(j.frame.body); err != nil || s.peers.opt.Maps == nil {
		return
	}
	if !s.peers.opt.Maps.Take(s.peer.node, m.Revision, m.Base, j.frame.payload) && m.Base != 0 {
		s.peers.heardRevision(s.peer.node, m.Revision)
	}
}

// MapCopy is the Maps that a mapcopy.Copy is: whole maps and clustermap.Tails, each judged before it is taken. It is safe
// for concurrent use.
type MapCopy struct {
	copy   *mapcopy.Copy
	logger *slog.Logger
}

var _ Maps = (*MapCopy)(nil)

// NewMapCopy returns the Maps of a copy.
func NewMapCopy(c *mapcopy.Copy, logger *slog.Logger) *MapCopy {
	return &MapCopy{copy: c, logger: logger}
}

// Revision implements Maps.
func (c *MapCopy) Revision() uint64 { return c.copy.Map().Revision }

// Encoded implements Maps.
func (c *MapCopy) Encoded(since uint64) (revision, base uint64, b []byte, err error) {
	m, changes := c.copy.Since(since)
	if len(changes) == 0 {
		b, err = m.Marshal()
		return m.Revision, 0, b, err
	}
	b, err = (&clustermap.Tail{Format: clustermap.Format, Deltas: changes}).Marshal()
	return m.Revision, since, b, err
}

var errOtherMap = errors.New("it is of another cluster or revision")

// Take implements Maps. It takes what changed since the map that is held, and nothing else where that was another.
func (c *MapCopy) Take(from clustermap.NodeID, revision, base uint64, b []byte) bool {
	held := c.copy.Map()
	if revision <= held.Revision {
		return true
	}
	if base != 0 && base != held.Revision {
		return false
	}
	m, changes, err := decodeMap(held, revision, base, b)
	if err == nil {
		err = m.Validate()
	}
	if err == nil && (m.Cluster != held.Cluster || m.Revision != revision) {
		err = errOtherMap
	}
	if err != nil {
		c.logger.Warn("cluster map refused", "from", from, "revision", revision, "base", base, "error", err)
		return false
	}
	c.copy.Offer(m, changes...)
	return true
}

// decodeMap reads a whole map if base is 0, otherwise what changed since the map that is held.
func decodeMap(held *clustermap.Map, revision, base uint64, b []byte) (*clustermap.Map, []*clustermap.Delta, error) {
	if base == 0 {
		m, err := clustermap.Unmarshal(b)
		return m, nil, err
	}
	t, err := clustermap.UnmarshalTail(b)
	if err != nil {
		return nil, nil, err
	}
	m, err := t.Bring(held, revision)
	return m, t.Since(held.Revision), err
}
