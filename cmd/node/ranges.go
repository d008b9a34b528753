package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
)

// How many bytes a range keeps, and for how many requests in a second it is asked, before it is split, by default.
const (
	RangeBytesDefault = 256 << 20
	RangeRateDefault  = 5000
)

// Measures of tending.
const (
	// loadPause is how long a range is not split by its load after it was: until requests were counted anew.
	loadPause = 25 * time.Second
	// splitTries is how often a split is tried again when somebody else has changed the range.
	splitTries = 20
)

// tending is what a node remembers of the ranges that it leads, between two looks.
type tending struct {
	glance  glance
	due     map[uint64]*replica.Status // to be looked at: they have changed, or something is waited for
	leaders map[uint64]leaderSince
	hot     map[uint64]time.Time // when ranges were split by their load
	sizing  *sizing
}

func newTending() *tending {
	return &tending{due: map[uint64]*replica.Status{}, leaders: map[uint64]leaderSince{}, hot: map[uint64]time.Time{}, sizing: newSizing()}
}

// leaderSince is whose replica leads a range, and since when it is known to.
type leaderSince struct {
	disk  disk.ID
	since time.Time
}

// led lists the replicas on this node's disks that lead their ranges.
func (n *Node) led() (list []*replica.Status) {
	for _, s := range n.stores {
		for _, r := range s.Status().Replicas {
			if leads(r) {
				list = append(list, r)
			}
		}
	}
	return list
}

// tend looks after the ranges that this node leads: it lets the map show them as they are, and splits those that have grown
// too large or that are asked for too much. It does not look at ranges that have not changed since nothing was to be done.
func (n *Node) tend(ctx context.Context, t *tending) {
	ctx, cancel := context.WithTimeout(ctx, growTimeout)
	defer cancel()
	t.takeIn(n.changes(&t.glance))
	n.lookOver(ctx, t)
	for _, r := range t.sizing.next(n.env.Clock()) {
		n.noteFailed(ctx, r, n.splitLarge(ctx, r.Descriptor))
	}
}

// takeIn has the ranges that are led here looked at that have changed, and drops what is remembered of those that are not any more.
func (t *tending) takeIn(list []change) {
	for _, c := range list {
		if c.before != nil && !leads(c.now) && t.leaders[c.before.Range].disk == c.before.Disk {
			t.forget(c.before.Range)
		}
	}
	for _, c := range list {
		if leads(c.now) {
			t.due[c.now.Range] = c.now
		}
	}
}

func (t *tending) forget(rangeID uint64) {
	delete(t.due, rangeID)
	delete(t.leaders, rangeID)
	delete(t.hot, rangeID)
	t.sizing.forget(rangeID)
}

// lookOver looks at the ranges that are due. Those stay due for which something is waited for.
func (n *Node) lookOver(ctx context.Context, t *tending) {
	if len(t.due) == 0 {
		return
	}
	due := slices.SortedFunc(maps.Values(t.due), func(a, b *replica.Status) int { return cmp.Compare(a.Range, b.Range) })
	clear(t.due)
	if err := n.showLed(ctx, t, due); err != nil {
		for _, r := range due {
			t.due[r.Range] = r
		}
		if ctx.Err() == nil {
			n.env.Log.Warn("the map cannot show ranges as they are now", "error", err)
		}
	}
	for _, r := range due {
		n.noteFailed(ctx, r, n.splitHot(ctx, t, r))
		t.sizing.note(r)
	}
}

func (n *Node) noteFailed(ctx context.Context, r *replica.Status, err error) {
	if err != nil && ctx.Err() == nil {
		n.env.Log.Warn("a range cannot be split now", "range", r.Range, "error", err)
	}
}

// splitHot splits a range that is asked for too much.
func (n *Node) splitHot(ctx context.Context, t *tending, r *replica.Status) error {
	if r.Rate <= n.cfg.RangeRate || r.Middle == nil {
		return nil
	}
	if !n.mayBeHot(t, r) {
		t.due[r.Range] = r
		return nil
	}
	n.env.Log.Info("a range is asked for much and is split", "range", r.Range, "requests_per_second", r.Rate)
	_, err := n.splitRange(ctx, r.Middle)
	return err
}

// mayBeHot reports whether a range was asked for much already before it was split last, and since: the count of requests is
// of a while ago.
func (n *Node) mayBeHot(t *tending, r *replica.Status) bool {
	now := n.env.Clock()
	if now.Sub(t.hot[r.Range]) < loadPause {
		return false
	}
	t.hot[r.Range] = now
	return true
}

// showLed lets the map show the ranges of some that it does not show as they are: all of them in one change.
func (n *Node) showLed(ctx context.Context, t *tending, led []*replica.Status) error {
	m, now := n.topology.Map(), n.env.Clock()
	var news []clustermap.Range
	for _, r := range led {
		old := m.RangeAt(r.Descriptor.Start)
		if old == nil || old.ID != r.Range {
			old = &clustermap.Range{ID: r.Range}
		}
		leader := t.hint(old, r.Disk, now)
		if leader != r.Disk {
			t.due[r.Range] = r
		}
		if d := r.Descriptor; d.Generation > old.Generation || d.Generation == old.Generation && leader != old.Leader {
			shown := rangeOf(d)
			shown.Leader = leader
			news = append(news, shown)
		}
	}
	return n.showRanges(ctx, news...)
}

// showRanges lets the map show ranges as they are, unless it knows better.
func (n *Node) showRanges(ctx context.Context, news ...clustermap.Range) error {
	if len(news) == 0 {
		return nil
	}
	return n.changeMap(ctx, func(m *clustermap.Map) (changed bool, err error) {
		for _, r := range news {
			changed = m.ShowRange(r) || changed
		}
		return changed, nil
	})
}

// hint returns which leader the map should name: the one that it names, until another has led for a while.
func (t *tending) hint(r *clustermap.Range, leads disk.ID, now time.Time) disk.ID {
	if t.leaders[r.ID].disk != leads {
		t.leaders[r.ID] = leaderSince{leads, now}
	}
	if now.Sub(t.leaders[r.ID].since) < leaderPause {
		return r.Leader
	}
	return leads
}

// splitLarge splits a range in two halves if it keeps more than it may.
func (n *Node) splitLarge(ctx context.Context, d *metapb.RangeDescriptor) error {
	a, err := n.askRange(ctx, d, &metapb.Query{Op: &metapb.Query_GetUsage{GetUsage: &metapb.GetUsage{All: true}}})
	if err != nil || a.Usage.GetHalved() != 0 || a.Usage.GetKeptBytes() <= uint64(n.cfg.RangeBytes) {
		return err // what was just split is counted first
	}
	kept := a.Usage.KeptBytes
	a, err = n.askRange(ctx, d, &metapb.Query{Op: &metapb.Query_FindSplit{FindSplit: &metapb.FindSplit{}}})
	if err != nil || len(a.Split) == 0 {
		return err // one key that is larger than a range
	}
	n.env.Log.Info("a range has grown large and is split", "range", d.Id, "bytes", kept)
	_, err = n.splitRange(ctx, a.Split)
	return err
}

// askRange asks the range that begins where a descriptor says.
func (n *Node) askRange(ctx context.Context, d *metapb.RangeDescriptor, q *metapb.Query) (*metapb.Answer, error) {
	at, err := atStart(d.Start)
	if err != nil {
		return nil, err
	}
	at.Op = q.Op
	a, err := n.meta.Query(ctx, at)
	if err == nil && a.Status != metapb.Status_OK {
		err = fmt.Errorf("range %d: %v %s", d.Id, a.Status, a.Detail)
	}
	return a, err
}

// errNoSplit says that a range can't be cut there.
var errNoSplit = errors.New("the range cannot be split there")

// splitRange splits the range that owns a position before it, lets the map show both parts, and returns them. The error is
// errNoSplit where a range begins already, or while its replicas are being exchanged.
func (n *Node) splitRange(ctx context.Context, at []byte) (*metapb.Result, error) {
	id, err := n.newRangeIDs(ctx, 1)
	if err != nil {
		return nil, err
	}
	r, err := n.splitAt(ctx, at, id)
	if err != nil {
		return nil, err
	}
	return r, n.showRanges(ctx, rangeOf(r.Range), rangeOf(r.Split))
}

// splitAt is splitRange with the id of the range to come, and does not let the map show anything.
func (n *Node) splitAt(ctx context.Context, at []byte, id uint64) (*metapb.Result, error) {
	bucket, key, err := keys.ParsePosition(at)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		a, err := n.meta.Query(ctx, &metapb.Query{Format: 1, Bucket: bucket, Key: key, Op: &metapb.Query_GetRange{GetRange: &metapb.GetRange{}}})
		if err != nil {
			return nil, err
		}
		d := a.GetRange().GetRange()
		r, err := n.meta.Apply(ctx, &metapb.Command{
			Format: 1, Bucket: bucket, Key: key, Time: uint64(n.env.Clock().UnixMicro()),
			Op: &metapb.Command_Split{Split: &metapb.SplitRange{IfGeneration: d.GetGeneration(), At: at, NewRange: id}},
		}, nil)
		switch {
		case err != nil:
			return nil, err
		case r.Status == metapb.Status_OK:
			return r, nil
		case try == splitTries || r.Status != metapb.Status_REVISION_MISMATCH:
			return nil, fmt.Errorf("%w: range %d: %v %s", errNoSplit, d.GetId(), r.Status, r.Detail)
		}
	}
}

// newRangeIDs returns the first of so many ids, one after the other, that no range has ever had.
func (n *Node) newRangeIDs(ctx context.Context, count uint64) (first uint64, err error) {
	for {
		rec, err := n.getSystem(ctx, metashards.RecordRangeIDs)
		if err != nil {
			return 0, err
		}
		last := uint64(dataRange)
		if len(rec.GetValue()) == 8 {
			last = binary.BigEndian.Uint64(rec.Value)
		}
		won, err := n.putSystemAt(ctx, metashards.RecordRangeIDs, binary.BigEndian.AppendUint64(nil, last+count), rec.GetRevision())
		if err != nil || won {
			return last + 1, err
		}
	}
}
