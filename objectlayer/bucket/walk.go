package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

// Bounds of how long ranges are waited for.
const (
	// freezePatience is how long a deletion waits for one range, while others are frozen.
	freezePatience = 10 * time.Second
	// askTime bounds one request to a range. After each, whoever waits looks whether it still has to.
	askTime = 2 * time.Second
	// spreadTime and spreadWidth bound the telling of ranges that nobody waits for: time in all, and how many at once.
	spreadTime  = 2 * time.Second
	spreadWidth = 16
)

// endless is the patience of whoever waits until its context ends.
const endless time.Duration = math.MaxInt64

// errOvertaken says that the record on which a walk was decided is no longer the bucket's.
var errOvertaken = errors.New("the bucket was changed meanwhile")

// span is an interval of a bucket's keys, as a range answered for it; a nil end is the bucket's.
type span struct{ start, end []byte }

// walk brings a fence to all ranges of a bucket, in order, until one answers that it is neither OK nor, where later says
// so, at a later generation already. It returns that answer (else the last one) and the intervals that took the fence. It
// waits for each range as long as patience says; errOvertaken if the record is another meanwhile.
//
// It misses no range. After each step this holds: all ranges that own a position of the bucket below the cursor have taken
// the fence, or a later one. It holds after the step that brought the fence to a range and moved the cursor to the end of
// that range, as it was when the fence was applied; and it goes on to hold, because a range's fence is part of its state,
// which moves with it, both halves of a split have the fences of the whole, and a fence is only ever replaced by a later
// one. An answer may be late: then the range may own less than it says, and the rest is owned by ranges split from it
// after it took the fence. What is frozen stays empty for the same reasons.
func (r *Resolver) walk(ctx context.Context, b *metapb.Bucket, f *metapb.FenceBucket, patience time.Duration, later bool) ([]span, *metapb.Result, error) {
	var taken []span
	for at := []byte{}; ; {
		res, err := r.take(ctx, b, at, f, patience)
		if err != nil {
			return taken, nil, err
		}
		passed := later && res.Status == metapb.Status_STALE_GENERATION
		if res.Status != metapb.Status_OK && !passed {
			return taken, res, nil
		}
		next, err := endIn(b.Id, at, res.Range)
		if err != nil {
			return taken, nil, &objectlayer.Error{Op: opFence, Kind: objectlayer.KindInternal, Bucket: b.Name, Err: err}
		}
		taken = append(taken, span{at, next})
		if next == nil || later && mutantRollEarly || !later && mutantDeleteEarly {
			return taken, res, nil
		}
		at = next
	}
}

// endIn returns the key of a bucket where the range of a key ends, nil if it reaches to the bucket's end.
func endIn(bucket uint64, key []byte, d *metapb.RangeDescriptor) ([]byte, error) {
	if d == nil || !keys.Contains(d.Start, d.End, bucket, key) {
		return nil, fmt.Errorf("a range that does not own position %d %q answered for it", bucket, key)
	}
	if len(d.End) == 0 {
		return nil, nil
	}
	other, end, err := keys.ParsePosition(d.End)
	if err != nil || other != bucket {
		return nil, err
	}
	return end, nil
}

// take brings a fence to the range of a key and returns its answer. A range that does not answer is asked again until the
// patience or ctx ends, or the bucket's record is another than b.
func (r *Resolver) take(ctx context.Context, b *metapb.Bucket, key []byte, f *metapb.FenceBucket, patience time.Duration) (*metapb.Result, error) {
	if patience != endless {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		once, done := context.WithTimeout(ctx, askTime)
		res, err := r.bring(once, b, key, f)
		done()
		if err == nil && res.Status != metapb.Status_WRONG_RANGE {
			return res, nil
		}
		if err == nil {
			err = record.StatusError(opFence, b.Name, "", res.Status, res.Detail)
		}
		if !passes(err) || wait(ctx, pause) != nil {
			return nil, err
		}
		if r.overtaken(ctx, b) {
			return nil, errOvertaken
		}
	}
}

// bring brings a fence to the range of a key, once.
func (r *Resolver) bring(ctx context.Context, b *metapb.Bucket, key []byte, f *metapb.FenceBucket) (*metapb.Result, error) {
	return r.once(ctx, opFence, b.Name, &metapb.Command{
		Bucket: b.Id, Key: key, Generation: b.Generation, Op: &metapb.Command_Fence{Fence: f},
	})
}

// passes reports whether the failure to bring a fence may pass by itself: the range did not answer, or has no room now.
func passes(err error) bool {
	switch objectlayer.KindOf(err) {
	case objectlayer.KindUnavailable, objectlayer.KindFull:
		return !metashards.Is(err, metashards.KindClosed)
	}
	return metashards.Is(err, metashards.KindIndeterminate)
}

// overtaken reports whether a bucket's record is surely no longer the given one.
func (r *Resolver) overtaken(ctx context.Context, b *metapb.Bucket) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	now, err := r.fetch(ctx, b.Name)
	if err != nil {
		return objectlayer.KindOf(err) == objectlayer.KindNoSuchBucket
	}
	return now.Id != b.Id || now.Generation != b.Generation
}

// spread tells ranges that took a fence of a later one, many at a time. Those that do not answer soon are left to whoever
// comes to them, so there is no error.
func (r *Resolver) spread(ctx context.Context, b *metapb.Bucket, f *metapb.FenceBucket, taken []span) {
	ctx, cancel := context.WithTimeout(ctx, spreadTime)
	defer cancel()
	var all sync.WaitGroup
	free := make(chan struct{}, spreadWidth)
	for _, s := range taken {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			r.tell(ctx, b, f, s)
		})
	}
	all.Wait()
}

// tell brings a fence to the ranges of an interval, which may have been split since it was walked.
func (r *Resolver) tell(ctx context.Context, b *metapb.Bucket, f *metapb.FenceBucket, s span) {
	for at := s.start; ; {
		res, err := r.bring(ctx, b, at, f)
		if err != nil || res.Range == nil {
			return
		}
		next, err := endIn(b.Id, at, res.Range)
		if err != nil || next == nil || s.end != nil && bytes.Compare(next, s.end) >= 0 {
			return
		}
		at = next
	}
}
