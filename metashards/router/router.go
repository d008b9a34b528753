package router

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
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
	// Timeout bounds requests, those of callers that have more time as well. Default 10 s.
	Timeout time.Duration
	// AttemptTimeout bounds one attempt at one store. Default 3 s.
	AttemptTimeout time.Duration
	// PauseLeast and PauseMost bound the pause between attempts. Default 5 ms and 200 ms.
	PauseLeast, PauseMost time.Duration
}

// Router implements metashards.Store. It is safe for concurrent use and leaves no goroutine behind.
type Router struct {
	opt     Options
	learned learned

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

// find returns the range that owns a position according to a map, nil if it has none.
func find(m *clustermap.Map, bucket uint64, key []byte) *clustermap.Range {
	n := above(m, keys.Position(bucket, key))
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
	if c.GetBatch() != nil {
		return r.applyBatch(ctx, c, payload)
	}
	key, err := commandKey(c)
	if err != nil {
		return nil, invalid(err)
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	return r.journey("apply", c.GetBucket(), key).propose(ctx, c, payload)
}

func invalid(cause error) error {
	return &metashards.Error{Op: "apply", Kind: metashards.KindInvalid, Err: cause}
}

// propose carries a command, or the commands of a batch, out on the range that owns the journey's position.
func (j *journey) propose(ctx context.Context, c *metapb.Command, payload []byte) (result *metapb.Result, err error) {
	j.repeatable = repeatable(c)
	err = j.run(ctx, func(ctx context.Context, t Target, rangeID uint64) (metapb.Status, error) {
		var err error
		result, err = t.Propose(ctx, rangeID, asRetry(c, j.uncertain), payload)
		j.r.learnFrom(result)
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

// commandKey returns the key of a command's position.
func commandKey(c *metapb.Command) ([]byte, error) {
	if c.GetOp() == nil {
		return nil, errors.New("no command")
	}
	if key, ok := metapb.SystemKey(c); ok {
		return key, nil
	}
	return c.GetKey(), nil
}

// repeatable reports whether a command may be tried again although an attempt may have taken effect.
func repeatable(c *metapb.Command) bool {
	switch op := c.GetOp().(type) {
	case *metapb.Command_OutboxDone, *metapb.Command_RaiseFloor, *metapb.Command_Fence, *metapb.Command_HoldBlob:
		return true
	case *metapb.Command_ChangeReplicas, *metapb.Command_Split, *metapb.Command_CorrectUsage:
		// What has taken effect is refused the second time, by its generation.
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
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	if l := newListing(q); l != nil {
		return r.list(ctx, l)
	}
	return r.ask(ctx, q, queryKey(q))
}

// ask queries the range that owns a position.
func (r *Router) ask(ctx context.Context, q *metapb.Query, key []byte) (a *metapb.Answer, err error) {
	j := r.journey("query", q.GetBucket(), key)
	j.repeatable = true
	err = j.run(ctx, func(ctx context.Context, t Target, rangeID uint64) (metapb.Status, error) {
		var err error
		a, err = t.Query(ctx, rangeID, q)
		if d := a.GetRange().GetRange(); d != nil {
			r.learned.learn(r.opt.Topology.Map(), d)
		}
		return a.GetStatus(), err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// queryKey returns the key of a query's position.
func queryKey(q *metapb.Query) []byte {
	switch op := q.GetOp().(type) {
	case *metapb.Query_GetBucket_:
		return metapb.BucketKey(op.GetBucket_.GetName())
	case *metapb.Query_ListBuckets:
		first := metapb.BucketKey(max(op.ListBuckets.GetPrefix(), op.ListBuckets.GetAfter()))
		if bytes.Compare(first, q.GetKey()) > 0 { // else it goes on where another range ended
			return first
		}
	case *metapb.Query_GetSystem:
		return metapb.RecordKey(op.GetSystem.GetName())
	}
	return q.GetKey()
}
