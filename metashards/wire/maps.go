package wire

import (
	"context"
	"errors"
	"log/slog"

	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/metapb"
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

func (p *Peers) fetchMap(node clustermap.NodeID) error {
	revision, b, err := p.FetchMap(p.ctx, node)
	if err != nil {
		return err
	}
	if !p.opt.Maps.Take(node, revision, 0, b) {
		return errMapNotTaken
	}
	return nil
}

// FetchMap asks a node for the whole cluster map that it holds.
func (p *Peers) FetchMap(ctx context.Context, node clustermap.NodeID) (revision uint64, b []byte, err error) {
	ctx, cancel := p.opt.Clock.WithTimeout(ctx, p.opt.PullTimeout)
	defer cancel()
	f, err := p.call(ctx, node, kindFetchMap, nil, nil)
	if err != nil {
		return 0, nil, err
	}
	var m metapb.MapOffer
	if err := decodeAnswer(node, &f, kindMapAnswer, &m); err != nil {
		return 0, nil, err
	}
	return m.Revision, f.payload, nil
}

// OfferMap tells all nodes that can be reached of a revision of the cluster map: b is the whole map if base is 0,
// otherwise what changed since base. It never waits; an offer that was not written yet gives way to the next. Whoever
// misses it learns of the revision by the next beat, and fetches the map. b must not change afterwards.
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
func (s *session) fetchMap() answer {
	if s.peers.opt.Maps == nil {
		return answer{err: errNoMaps}
	}
	revision, b, err := s.peers.opt.Maps.Encoded()
	return answer{kind: kindMapAnswer, message: &metapb.MapOffer{Revision: revision}, tail: b, err: err}
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

// MapCopy is the Maps that a mapcopy.Copy is: whole maps and clustermap.Deltas, each judged before it is taken. It is safe
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
func (c *MapCopy) Encoded() (uint64, []byte, error) {
	m := c.copy.Map()
	b, err := m.Marshal()
	return m.Revision, b, err
}

// Offerable returns what is to be offered, by OfferMap, to those who hold the map of a revision: what changed since then,
// if that is still known and shorter than the map, else the whole map and base 0.
func (c *MapCopy) Offerable(since uint64) (revision, base uint64, b []byte, err error) {
	m := c.copy.Map()
	if b, err = m.Marshal(); err != nil {
		return 0, 0, nil, err
	}
	before := c.copy.At(since)
	if before == nil || since == 0 || since >= m.Revision {
		return m.Revision, 0, b, nil
	}
	d, err := clustermap.Diff(before, m)
	if err != nil {
		return 0, 0, nil, err
	}
	delta, err := d.Marshal()
	if err != nil {
		return 0, 0, nil, err
	}
	if len(delta) >= len(b) {
		return m.Revision, 0, b, nil
	}
	return m.Revision, since, delta, nil
}

// Take implements Maps. It takes what changed since the map that is held, and wants the whole map where that was another.
func (c *MapCopy) Take(from clustermap.NodeID, revision, base uint64, b []byte) bool {
	held := c.copy.Map()
	if revision <= held.Revision {
		return true
	}
	if base != 0 && base != held.Revision {
		return false
	}
	m, err := decodeMap(held, base, b)
	if err == nil {
		err = m.Validate()
	}
	if err == nil && (m.Cluster != held.Cluster || m.Revision != revision) {
		err = errors.New("it is of another cluster or revision")
	}
	if err != nil {
		c.logger.Warn("cluster map refused", "from", from, "revision", revision, "base", base, "error", err)
		return false
	}
	c.copy.Offer(m)
	return true
}

// decodeMap reads a whole map if base is 0, otherwise what changed since the map that is held.
func decodeMap(held *clustermap.Map, base uint64, b []byte) (*clustermap.Map, error) {
	if base == 0 {
		return clustermap.Unmarshal(b)
	}
	d, err := clustermap.UnmarshalDelta(b)
	if err != nil {
		return nil, err
	}
	return held.Apply(d)
}
