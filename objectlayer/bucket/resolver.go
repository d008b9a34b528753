package bucket

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

// Bounds of the retries of a command or query that a range refuses because it and the caller know different
// generations of the bucket. Together they last some seconds, as long as the longest change of a bucket may.
const (
	attemptsMax = 20
	pauseMin    = 4 * time.Millisecond
	pauseMax    = 500 * time.Millisecond
)

// cacheMax bounds how many buckets a Resolver remembers.
const cacheMax = 100_000

// Resolver carries commands and queries on named buckets to the metadata space. It remembers each bucket's id and
// generation; that is safe because every command and query carries the generation and the range judges it: a refusal
// makes the Resolver read the record again and retry. Names that do not exist are not remembered.
//
// It is also where the layer gets its clock and its randomness: ids carry range time, so the Resolver keeps the
// latest range time that any answer brought. It is safe for concurrent use.
type Resolver struct {
	store metashards.Store
	now   func() time.Time
	seen  atomic.Uint64 // latest range time of an answer, microseconds

	randomMu sync.Mutex
	random   io.Reader

	mu    sync.Mutex
	known map[string]*metapb.Bucket // never changed once they are here
	// finishing holds, by id, the buckets whose deletion is carried on here; the channel is closed when that ends.
	finishing map[uint64]chan struct{}
}

// NewResolver returns a Resolver over store. now is the wall clock; random gives unpredictable bytes without end.
func NewResolver(store metashards.Store, now func() time.Time, random io.Reader) *Resolver {
	return &Resolver{
		store: store, now: now, random: random,
		known: map[string]*metapb.Bucket{}, finishing: map[uint64]chan struct{}{},
	}
}

// Micros returns the time for commands: the clock, but never before a range time that was seen; microseconds.
func (r *Resolver) Micros() uint64 { return max(record.Micros(r.now()), r.seen.Load()) }

func (r *Resolver) see(micros uint64) {
	for {
		old := r.seen.Load()
		if micros <= old || r.seen.CompareAndSwap(old, micros) {
			return
		}
	}
}

// NewBlobID returns an id for a blob or upload that begins now.
func (r *Resolver) NewBlobID() (disk.BlobID, error) {
	var b [10]byte
	if err := r.draw(b[:]); err != nil {
		return disk.BlobID{}, err
	}
	return disk.NewBlobID(r.Micros()/1000, b), nil
}

// NewNonce returns the random part of a version id.
func (r *Resolver) NewNonce() (uint64, error) {
	var b [8]byte
	err := r.draw(b[:])
	return binary.BigEndian.Uint64(b[:]), err
}

// NewRequestID returns a name for a request: 128 random bits.
func (r *Resolver) NewRequestID() (string, error) {
	var b [16]byte
	err := r.draw(b[:])
	return hex.EncodeToString(b[:]), err
}

func (r *Resolver) draw(b []byte) error {
	r.randomMu.Lock()
	defer r.randomMu.Unlock()
	if _, err := io.ReadFull(r.random, b); err != nil {
		return &objectlayer.Error{Op: "draw random bytes", Kind: objectlayer.KindInternal, Err: err}
	}
	return nil
}

// Lookup returns the record of a bucket, which may be older than the last change. It is shared: read only. The error
// is *objectlayer.Error, of KindNoSuchBucket if there is none.
func (r *Resolver) Lookup(ctx context.Context, name string) (*metapb.Bucket, error) {
	r.mu.Lock()
	b := r.known[name]
	r.mu.Unlock()
	if b != nil {
		return b, nil
	}
	return r.fetch(ctx, name)
}

// fetch reads a bucket's record, linearizably, and remembers it.
func (r *Resolver) fetch(ctx context.Context, name string) (*metapb.Bucket, error) {
	a, err := r.store.Query(ctx, &metapb.Query{
		Format: record.Format, Bucket: metashards.SystemBucket, Key: metapb.BucketKey(name),
		Op: &metapb.Query_GetBucket_{GetBucket_: &metapb.GetBucket{Name: name}},
	})
	if err != nil {
		return nil, record.Error("look up bucket", name, "", err)
	}
	r.see(a.Time)
	if a.Status != metapb.Status_OK {
		r.forget(name)
		return nil, record.StatusError("look up bucket", name, "", a.Status, a.Detail)
	}
	r.remember(a.Bucket)
	return a.Bucket, nil
}

// Request is a command on a key of a bucket.
type Request struct {
	Op          string // for errors
	Bucket, Key string
	// BucketID, if not 0, demands that the bucket is still that one: the command names bytes that were written for it.
	BucketID uint64
	// Command needs its operation and, where it names new blobs or uploads, Begun. The rest is filled in.
	Command *metapb.Command
	Payload []byte
}

// Apply carries out a command and returns the range's final answer, which may be a failure such as NO_SUCH_KEY, with the
// bucket's record that the range judged it by. An error is *objectlayer.Error; Undone tells whether it leaves the outcome
// open.
func (r *Resolver) Apply(ctx context.Context, q Request) (res *metapb.Result, by *metapb.Bucket, err error) {
	c := q.Command
	c.Format, c.Key, c.PayloadLength, c.Time = record.Format, []byte(q.Key), uint64(len(q.Payload)), r.Micros()
	if c.RequestId == "" {
		if c.RequestId, err = r.NewRequestID(); err != nil {
			return nil, nil, err
		}
	}
	err = r.retry(ctx, q.Op, q.Bucket, q.Key, func(b *metapb.Bucket) (refusal, error) {
		if q.BucketID != 0 && b.Id != q.BucketID {
			return refusal{}, record.Fail(q.Op, objectlayer.KindUnavailable, q.Bucket, q.Key, "the bucket was replaced during the request")
		}
		by, c.Bucket, c.Generation = b, b.Id, b.Generation
		var err error
		if res, err = r.apply(ctx, q, c, q.Payload); err != nil {
			return refusal{}, err
		}
		r.see(res.Time)
		// A part is remembered by its own row only, so its refusal is not certain: should an attempt below have been
		// applied and replaced since, a retry must say so, else it would name bytes that are gone.
		c.Retry = c.GetPutPart() != nil
		return refusal{res.Status, res.Generation, c.Key}, nil
	})
	if err != nil && c.Retry {
		kind := objectlayer.KindOf(err)
		if kind == objectlayer.KindUnavailable { // which says that nothing was changed
			kind = objectlayer.KindInternal
		}
		err = &objectlayer.Error{Op: q.Op, Kind: kind, Bucket: q.Bucket, Key: q.Key, Err: &unknownError{err}}
	}
	if err != nil {
		return nil, nil, err
	}
	return res, by, nil
}

// apply hands a command to the metadata space once.
func (r *Resolver) apply(ctx context.Context, q Request, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	res, err := r.store.Apply(ctx, c, payload)
	switch {
	case err == nil:
		return res, nil
	case record.Undone(err):
		return nil, record.Error(q.Op, q.Bucket, q.Key, err)
	}
	return nil, &objectlayer.Error{
		Op: q.Op, Kind: objectlayer.KindInternal, Bucket: q.Bucket, Key: q.Key, Err: &unknownError{err},
	}
}

// Query reads a key's range. versioned tells whether the bucket is or was versioned. A refusal that does not pass is
// an error; other failures, such as NO_SUCH_KEY, are the answer's status.
func (r *Resolver) Query(ctx context.Context, op, bucket, key string, q *metapb.Query) (a *metapb.Answer, b *metapb.Bucket, err error) {
	q.Format, q.Key = record.Format, []byte(key)
	err = r.retry(ctx, op, bucket, key, func(known *metapb.Bucket) (refusal, error) {
		b, q.Bucket, q.Generation = known, known.Id, known.Generation
		var err error
		if a, err = r.store.Query(ctx, q); err != nil {
			return refusal{}, err
		}
		r.see(a.Time)
		return refusal{a.Status, a.Generation, q.Key}, nil
	})
	return a, b, err
}

// refusal is the answer to an attempt that may have been made with old knowledge.
type refusal struct {
	status     metapb.Status // none, if it is no refusal (see record.Refused)
	generation uint64        // that the range holds
	key        []byte        // a position in the range
}

// retry calls do with what is known of a bucket until its answer is no refusal, mending its knowledge, or the range's,
// after each.
func (r *Resolver) retry(ctx context.Context, op, bucket, key string, do func(*metapb.Bucket) (refusal, error)) error {
	b, err := r.Lookup(ctx, bucket)
	if err != nil {
		return err
	}
	pause := time.Duration(0)
	for attempt := 1; ; attempt++ {
		refused, err := do(b)
		if err != nil {
			return record.Error(op, bucket, key, err)
		}
		if !record.Refused(refused.status) {
			return nil
		}
		if attempt == attemptsMax {
			return record.StatusError(op, bucket, key, refused.status, fmt.Sprintf("after %d attempts", attempt))
		}
		if err := wait(ctx, pause); err != nil {
			return record.Error(op, bucket, key, err)
		}
		pause = min(max(2*pause, pauseMin), pauseMax)
		if b, err = r.mend(ctx, bucket, refused); err != nil {
			return undone(op, bucket, key, err)
		}
	}
}

// mend returns a bucket's record as it is now, after it ended a deletion that is under way and brought the record's
// generation to the range that refused, if that is behind.
func (r *Resolver) mend(ctx context.Context, name string, refused refusal) (*metapb.Bucket, error) {
	b, err := r.fetch(ctx, name)
	if err != nil {
		return nil, err
	}
	if b.Deleting {
		if _, err := r.finish(ctx, b); err != nil {
			return nil, err
		}
		return r.fetch(ctx, name)
	}
	if refused.status == metapb.Status_WRONG_RANGE || refused.generation >= b.Generation {
		return b, nil
	}
	// A range that knows a later generation by now is left alone: the next attempt tells.
	res, err := r.bring(ctx, b, refused.key, opening(b))
	if err == nil && res.Status != metapb.Status_STALE_GENERATION && res.Status != metapb.Status_WRONG_RANGE {
		err = record.StatusError(opFence, name, "", res.Status, res.Detail)
	}
	return b, err
}

// undone returns the error of mending as that of a command that was refused before: its outcome is known.
func undone(op, bucket, key string, err error) error {
	if Undone(err) {
		return record.About(err, op, bucket, key)
	}
	return &objectlayer.Error{
		Op: op, Kind: objectlayer.KindUnavailable, Bucket: bucket, Key: key,
		Detail: "a change of the bucket is under way", Err: errors.New(err.Error()),
	}
}

// ApplyEach carries out commands on keys of one bucket, each judged and answered by itself, in as few rounds as the
// ranges allow. Each command needs its key and operation. The answers are in the order of the commands; of a command
// that was not answered, because of the error that is returned, the answer is nil.
func (r *Resolver) ApplyEach(ctx context.Context, op, bucket string, commands []*metapb.Command) ([]*metapb.Result, error) {
	results := make([]*metapb.Result, len(commands))
	now := r.Micros()
	left := make([]int, len(commands))
	for i, c := range commands {
		left[i] = i
		c.Format, c.Time = record.Format, now
		var err error
		if c.RequestId, err = r.NewRequestID(); err != nil {
			return results, err
		}
	}
	for len(left) > 0 {
		before := len(left)
		err := r.retry(ctx, op, bucket, "", func(b *metapb.Bucket) (refusal, error) {
			at := commands[left[0]].Key
			batch := &metapb.Batch{}
			for _, i := range left {
				c := commands[i]
				c.Bucket, c.Generation = b.Id, b.Generation
				batch.Commands = append(batch.Commands, c)
			}
			res, err := r.apply(ctx, Request{Op: op, Bucket: bucket}, &metapb.Command{
				Format: record.Format, Bucket: b.Id, Key: at, Generation: b.Generation, Time: now,
				Op: &metapb.Command_Batch{Batch: batch},
			}, nil)
			if err != nil {
				return refusal{}, err
			}
			r.see(res.Time)
			if res.Status != metapb.Status_OK || len(res.Results) != len(left) {
				return refusal{res.Status, res.Generation, at}, record.StatusError(op, bucket, "", metapb.Status_INVALID_REQUEST, res.Detail)
			}
			var refused *metapb.Result
			left, refused = sortOut(left, res.Results, results)
			if refused == nil || len(left) < before {
				return refusal{}, nil
			}
			return refusal{refused.Status, refused.Generation, at}, nil
		})
		if err != nil {
			return results, err
		}
	}
	return results, nil
}

// sortOut keeps the final answers to the commands left and returns those that were refused, with the first refusal: the
// first command is the one that the range was chosen for.
func sortOut(left []int, answers, results []*metapb.Result) (refused []int, one *metapb.Result) {
	for n, i := range left {
		if a := answers[n]; record.Refused(a.Status) {
			refused, one = append(refused, i), cmp.Or(one, a)
		} else {
			results[i] = a
		}
	}
	return refused, one
}

// wait returns after d, or with the context's error when that ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// unknownError marks the error of a command whose outcome is not known.
type unknownError struct{ err error }

func (u *unknownError) Error() string { return u.err.Error() }
func (u *unknownError) Unwrap() error { return u.err }

// Undone reports whether err, from Apply, tells for certain that the command was not and will not be applied. Only
// then may the bytes that it named be deleted.
func Undone(err error) bool {
	var u *unknownError
	return !errors.As(err, &u)
}
