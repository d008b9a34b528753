package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// taughtMost is how many times in a row a request goes on at once because an answer knew more about the ranges, so that
// two stores whose knowledge contradicts each other cannot keep it busy.
const taughtMost = 8

// journey is one request on its way.
type journey struct {
	r      *Router
	op     string
	bucket uint64
	key    []byte

	repeatable bool
	uncertain  bool              // an attempt may have taken effect, or may yet
	at         *clustermap.Range // where it is tried now
	last       error             // why the last attempt failed
	pause      time.Duration
	next       disk.ID // where to try next; zero: in turn
	asked      bool    // whoever led last was tried
	turn       int     // of the replicas
	hops       int     // times that an answer's pointer was followed since the last miss
	taught     int     // times that an answer's knowledge of ranges was followed since the last rest
	closed     map[disk.ID]bool
}

func (r *Router) journey(op string, bucket uint64, key []byte) *journey {
	return &journey{r: r, op: op, bucket: bucket, key: key}
}

func (j *journey) fail(k metashards.Kind, cause error) error {
	if j.uncertain && (k == metashards.KindUnavailable || k == metashards.KindFull || k == metashards.KindClosed) {
		k = metashards.KindIndeterminate
	}
	return &metashards.Error{Op: j.op, Kind: k, What: fmt.Sprintf("position %d %q", j.bucket, j.key), Err: cause}
}

// Why an attempt failed.
var (
	errNoRange    = errors.New("the cluster map has no range there")
	errWrongRange = errors.New("the range's span has changed")
)

// run makes attempts until one is answered or ctx ends, which is bounded.
func (j *journey) run(ctx context.Context, attempt func(context.Context, Target, uint64) (metapb.Status, error)) error {
	opt := &j.r.opt
	for {
		if err := ctx.Err(); err != nil {
			return j.fail(metashards.KindUnavailable, errors.Join(err, j.last))
		}
		changed := opt.Topology.Changed()
		j.goTo(j.r.lookup(j.bucket, j.key))
		if j.at == nil || len(j.at.Replicas) == 0 {
			j.last = errNoRange
			j.rest(ctx, changed)
			continue
		}
		id := j.choose()
		t, ok := opt.Target(id)
		if !ok {
			j.last = fmt.Errorf("disk %s can't be reached", id)
			j.miss(ctx)
			continue
		}
		once, cancel := opt.Clock.WithTimeout(ctx, opt.AttemptTimeout)
		status, err := attempt(once, t, j.at.ID)
		cancel()
		switch {
		case err == nil && status == metapb.Status_WRONG_RANGE:
			j.wrongRange(ctx, id, changed)
		case err == nil:
			j.r.setLeader(j.at.ID, id)
			return nil
		default:
			if err := j.judge(ctx, id, err); err != nil {
				return err
			}
		}
	}
}

// bounded gives a request the time that it may take: a caller that has hours, as one with a large body has, is told soon that
// there is no majority.
func (r *Router) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return r.opt.Clock.WithTimeout(ctx, r.opt.Timeout)
}

// goTo sets the range to try. With another one the search for its leader begins anew.
func (j *journey) goTo(g *clustermap.Range) {
	if j.at != nil && g != nil && g.ID != j.at.ID {
		j.asked, j.turn, j.hops, j.closed = false, 0, 0, nil
	}
	j.at = g
}

// wrongRange goes on after the disk's store said that the range does not own the position: at once if something newer is
// believed by now, else after a pause or when a newer map comes.
func (j *journey) wrongRange(ctx context.Context, id disk.ID, changed <-chan struct{}) {
	j.last = errWrongRange
	now := j.r.lookup(j.bucket, j.key)
	if now == nil || same(now, j.at) || j.taught == taughtMost {
		j.taught = 0
		j.rest(ctx, changed)
		return
	}
	j.taught++
	// The halves of a range that was split have the same replicas, and at first the same leader.
	onIt := func(x clustermap.Replica) bool { return x.Disk == id }
	if now.ID != j.at.ID && j.r.leader(now.ID) == 0 && slices.ContainsFunc(now.Replicas, onIt) {
		j.next = id
	}
}

// same reports whether two beliefs about the owner of a position are one.
func same(a, b *clustermap.Range) bool {
	return a == b || a != nil && b != nil && a.ID == b.ID && a.Generation == b.Generation
}

// choose returns the disk to try now: where the last answer pointed, at first who led last, as this router saw it or else as
// the map says, then the replicas in turn. What the router saw may be newer than the map.
func (j *journey) choose() disk.ID {
	id := j.next
	if id == 0 && !j.asked {
		id = cmp.Or(j.r.leader(j.at.ID), j.at.Leader)
	}
	j.next, j.asked = 0, true
	if id != 0 {
		return id
	}
	id = j.at.Replicas[j.turn%len(j.at.Replicas)].Disk
	j.turn++
	return id
}

// judge decides what an error of an attempt means: nil to go on.
func (j *journey) judge(ctx context.Context, id disk.ID, err error) error {
	j.last = err
	var refusal *store.Refusal
	if !errors.As(err, &refusal) {
		if disk.Is(err, disk.KindFenced) || disk.Is(err, disk.KindClosed) || disk.Is(err, disk.KindIO) {
			j.miss(ctx)
			return nil
		}
		return j.fail(metashards.KindDamaged, err)
	}
	switch refusal.Reason {
	case store.Invalid:
		return j.fail(metashards.KindInvalid, err)
	case store.Full:
		return j.fail(metashards.KindFull, err)
	case store.Indeterminate:
		j.uncertain = true
		if !j.repeatable {
			return j.fail(metashards.KindIndeterminate, err)
		}
	case store.Closed:
		if j.closed == nil {
			j.closed = map[disk.ID]bool{}
		}
		j.closed[id] = true
		if len(j.closed) >= len(j.at.Replicas) {
			return j.fail(metashards.KindClosed, err)
		}
	}
	if refusal.Leader != 0 && refusal.Leader != id && j.hops < 2 {
		j.hops++
		j.next = refusal.Leader
		return nil
	}
	j.miss(ctx)
	return nil
}

// miss goes on with the next replica, after a pause once all were tried.
func (j *journey) miss(ctx context.Context) {
	j.hops = 0
	if j.turn > 0 && j.turn%len(j.at.Replicas) == 0 {
		j.rest(ctx, nil)
	}
}

// rest pauses, longer each time.
func (j *journey) rest(ctx context.Context, changed <-chan struct{}) {
	opt := &j.r.opt
	j.pause = min(max(2*j.pause, opt.PauseLeast), opt.PauseMost)
	d := j.pause
	if opt.Jitter != nil {
		d = d/2 + opt.Jitter(d/2)
	}
	opt.Clock.Sleep(ctx, d, changed)
}
