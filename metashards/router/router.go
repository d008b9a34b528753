package router

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// Target is a store as a Router sees it: *store.Store here, a connection for the stores of other nodes. Its errors are
// *store.Refusal where the store gave no answer, and anything else where it could not read its rows.
type Target interface {
	Propose(ctx context.Context, rangeID uint64, c *metapb.Command, payload []byte) (*metapb.Result, error)
	Query(ctx context.Context, rangeID uint64, q *metapb.Query) (*metapb.Answer, error)
}

// Options are what a Router stands on, and its measures. The zero value of a measure means its default.
type Options struct {
	Topology metashards.Topology
	// Target returns the store of a disk, false if it can't be reached now.
	Target func(disk.ID) (Target, bool)
	Clock  Clock
	// Jitter returns a duration between nothing and d, at random. Nil: d.
	Jitter func(d time.Duration) time.Duration
	// Timeout bounds requests whose context has no deadline. Default 10 s.
	Timeout time.Duration
	// AttemptTimeout bounds one attempt at one store. Default 3 s.
	AttemptTimeout time.Duration
	// PauseLeast and PauseMost bound the pause between attempts. Default 5 ms and 200 ms.
	PauseLeast, PauseMost time.Duration
}

// Router implements metashards.Store. It is safe for concurrent use and starts no goroutine.
type Router struct {
	opt Options

	mu      sync.Mutex
	leaders map[uint64]disk.ID // by range: who answered last
}

var _ metashards.Store = (*Router)(nil)

// New returns a Router.
func New(opt Options) *Router {
	orDefault := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	orDefault(&opt.Timeout, 10*time.Second)
	orDefault(&opt.AttemptTimeout, 3*time.Second)
	orDefault(&opt.PauseLeast, 5*time.Millisecond)
	orDefault(&opt.PauseMost, 200*time.Millisecond)
	return &Router{opt: opt, leaders: map[uint64]disk.ID{}}
}

func (r *Router) leader(rangeID uint64) disk.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaders[rangeID]
}

func (r *Router) setLeader(rangeID uint64, id disk.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaders[rangeID] = id
}

// find returns the range that owns a position, nil if the map has none.
func find(m *clustermap.Map, bucket uint64, key []byte) *clustermap.Range {
	position := keys.Position(bucket, key)
	n := sort.Search(len(m.Ranges), func(i int) bool { return bytes.Compare(m.Ranges[i].Start, position) > 0 })
	if n == 0 {
		return nil
	}
	g := &m.Ranges[n-1]
	if !keys.Contains(g.Start, g.End, bucket, key) {
		return nil
	}
	return g
}

// Apply implements metashards.Store.
func (r *Router) Apply(ctx context.Context, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	key, err := commandKey(c)
	if err != nil {
		return nil, &metashards.Error{Op: "apply", Kind: metashards.KindInvalid, Err: err}
	}
	var result *metapb.Result
	j := r.journey("apply", c.GetBucket(), key)
	j.repeatable = repeatable(c)
	err = j.run(ctx, func(ctx context.Context, t Target, rangeID uint64) (metapb.Status, error) {
		var err error
		result, err = t.Propose(ctx, rangeID, asRetry(c, j.uncertain), payload)
		return result.GetStatus(), err
	})
	if err != nil {
		return nil, err
	}
	if result.GetStatus() == metapb.Status_UNKNOWN_OUTCOME {
		return nil, j.fail(metashards.KindIndeterminate, errors.New("an earlier attempt is no longer remembered"))
	}
	return result, nil
}

// commandKey returns the key of a command's position. The commands of a batch must lie in the range of the first.
func commandKey(c *metapb.Command) ([]byte, error) {
	switch op := c.GetOp().(type) {
	case nil:
		return nil, errors.New("no command")
	case *metapb.Command_CreateBucket:
		return metapb.BucketKey(op.CreateBucket.GetBucket().GetName()), nil
	case *metapb.Command_UpdateBucket:
		return metapb.BucketKey(op.UpdateBucket.GetBucket().GetName()), nil
	case *metapb.Command_RemoveBucket:
		return metapb.BucketKey(op.RemoveBucket.GetName()), nil
	case *metapb.Command_PutSystem:
		return metapb.RecordKey(op.PutSystem.GetName()), nil
	}
	return c.GetKey(), nil
}

// repeatable reports whether a command may be tried again although an attempt may have taken effect.
func repeatable(c *metapb.Command) bool {
	switch op := c.GetOp().(type) {
	case *metapb.Command_OutboxDone, *metapb.Command_RaiseFloor, *metapb.Command_Fence, *metapb.Command_ChangeReplicas:
		// A change of replicas that has taken effect is refused the second time, by its generation.
		return true
	case *metapb.Command_Batch:
		for _, s := range op.Batch.GetCommands() {
			if !repeatable(s) {
				return false
			}
		}
		return true
	}
	return c.GetRequestId() != ""
}

// asRetry marks a command, and the commands in it, as a retry if an attempt may have taken effect.
func asRetry(c *metapb.Command, uncertain bool) *metapb.Command {
	if !uncertain {
		return c
	}
	c = c.CloneVT()
	c.Retry = true
	for _, s := range c.GetBatch().GetCommands() {
		s.Retry = true
	}
	return c
}

// Query implements metashards.Store.
func (r *Router) Query(ctx context.Context, q *metapb.Query) (*metapb.Answer, error) {
	if q.GetOp() == nil {
		return nil, &metashards.Error{Op: "query", Kind: metashards.KindInvalid, Err: errors.New("no query")}
	}
	if l := newListing(q); l != nil {
		return r.list(ctx, l)
	}
	a, _, err := r.ask(ctx, q, queryKey(q))
	return a, err
}

// ask queries the range that owns a position, and returns it with the answer.
func (r *Router) ask(ctx context.Context, q *metapb.Query, key []byte) (a *metapb.Answer, g *clustermap.Range, err error) {
	j := r.journey("query", q.GetBucket(), key)
	j.repeatable = true
	err = j.run(ctx, func(ctx context.Context, t Target, rangeID uint64) (metapb.Status, error) {
		var err error
		a, err = t.Query(ctx, rangeID, q)
		return a.GetStatus(), err
	})
	if err != nil {
		return nil, nil, err
	}
	return a, j.at, nil
}

// queryKey returns the key of a query's position.
func queryKey(q *metapb.Query) []byte {
	switch op := q.GetOp().(type) {
	case *metapb.Query_GetBucket_:
		return metapb.BucketKey(op.GetBucket_.GetName())
	case *metapb.Query_ListBuckets:
		return metapb.BucketKey(max(op.ListBuckets.GetPrefix(), op.ListBuckets.GetAfter()))
	case *metapb.Query_GetSystem:
		return metapb.RecordKey(op.GetSystem.GetName())
	}
	return q.GetKey()
}

// journey is one request on its way.
type journey struct {
	r      *Router
	op     string
	bucket uint64
	key    []byte

	repeatable bool
	uncertain  bool // an attempt may have taken effect, or may yet
	at         *clustermap.Range
	last       error // why the last attempt failed
	pause      time.Duration
	next       disk.ID // where to try next; zero: in turn
	asked      bool    // whoever led last was tried
	turn       int     // of the replicas
	hops       int     // times that an answer's pointer was followed since the last miss
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

var errNoRange = errors.New("the cluster map has no range there")

// run makes attempts until one is answered, or ctx or the time ends.
func (j *journey) run(ctx context.Context, attempt func(context.Context, Target, uint64) (metapb.Status, error)) error {
	opt := &j.r.opt
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = opt.Clock.WithTimeout(ctx, opt.Timeout)
		defer cancel()
	}
	for {
		if err := ctx.Err(); err != nil {
			return j.fail(metashards.KindUnavailable, errors.Join(err, j.last))
		}
		changed := opt.Topology.Changed()
		j.at = find(opt.Topology.Map(), j.bucket, j.key)
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
			j.last = errors.New("the range's span has changed")
			j.rest(ctx, changed)
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
