package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/record"
	"github.com/contender/contender/objectlayer/stripe"
)

// Bounds of a worker.
const (
	pageRows = 100 // rows that are read, done and acknowledged together

	// IntervalDefault is how often a worker looks without being kicked.
	IntervalDefault = 10 * time.Second

	backoffMin = 100 * time.Millisecond
	backoffMax = time.Minute
)

// Bytes deletes blobs; package stripe does it. A nil error means that every disk that holds a shard of them has deleted
// it for good.
type Bytes interface {
	Drop(ctx context.Context, blobs ...*metapb.Blob) error
}

// Position is a place in the metadata space, and the range that it lies in.
type Position struct {
	Bucket uint64
	Key    []byte
	// Range is the range's id, and Sequence how many rows its outbox was ever given. A range whose outbox was found empty is
	// not asked again until it was given another. Zero: unknown.
	Range, Sequence uint64
}

// Options are what a Worker is made from. Store, Bytes, Now and Led must be set.
type Options struct {
	Store metashards.Store
	Bytes Bytes
	Now   func() time.Time
	// Led returns a position in each range whose outbox this node should empty now: those that it leads. It may leave out
	// ranges whose outbox is known to be empty. It must not block.
	Led func() []Position
	// Alive says whether a disk is believed to answer; nil: all are. A deletion does not wait for a disk that does not: it
	// learns of it when it comes back and its inventory is compared. It must not block.
	Alive func(disk.ID) bool
	// Kick wakes the worker before its interval is over; nil: nothing does.
	Kick     <-chan struct{}
	Interval time.Duration // 0: IntervalDefault
	Log      *slog.Logger  // nil: nothing is logged
}

// Worker empties the outboxes of ranges. Two workers on one outbox do no harm but double work.
type Worker struct {
	o       Options
	backoff time.Duration     // 0: the last pass went well
	emptied map[uint64]uint64 // how many rows ranges had been given when their outboxes were found empty
}

// New returns a Worker.
func New(o Options) *Worker {
	if o.Alive == nil {
		o.Alive = func(disk.ID) bool { return true }
	}
	if o.Interval == 0 {
		o.Interval = IntervalDefault
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{o: o, emptied: map[uint64]uint64{}}
}

// Run works until ctx ends. The caller owns its goroutine.
func (w *Worker) Run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.o.Kick:
		case <-t.C:
		}
		w.pass(ctx)
		t.Reset(w.pause())
	}
}

// pass is Pass with what follows from its outcome.
func (w *Worker) pass(ctx context.Context) {
	done, err := w.Pass(ctx)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		w.backoff = 0
	default:
		w.backoff = min(max(2*w.backoff, backoffMin), backoffMax)
		w.o.Log.Warn("an outbox is not empty", "rows_done", done, "retry_in", w.backoff, "err", err)
	}
}

func (w *Worker) pause() time.Duration {
	if w.backoff > 0 {
		return min(w.backoff, w.o.Interval)
	}
	return w.o.Interval
}

// Pass carries out every row that is due now and returns how many it did. A row or a range that fails does not hold up
// the others, and the row stays; the error joins what failed.
func (w *Worker) Pass(ctx context.Context) (done int, err error) {
	var failed []error
	emptied := map[uint64]uint64{} // of those that are led now only
	defer func() { w.emptied = emptied }()
	for _, at := range w.o.Led() {
		if ctx.Err() != nil {
			return done, errors.Join(append(failed, ctx.Err())...)
		}
		if at.Sequence != 0 && (w.emptied[at.Range] == at.Sequence || mutantOutboxAsleep && w.emptied[at.Range] != 0) {
			emptied[at.Range] = at.Sequence
			continue
		}
		n, rest, err := w.empty(ctx, at)
		done += n
		if err != nil {
			failed = append(failed, err)
		} else if n == 0 && !rest {
			emptied[at.Range] = at.Sequence
		}
	}
	return done, errors.Join(failed...)
}

// empty carries out the rows of the range at a position, page by page. The range may be split meanwhile: what lies beyond
// its new end is the next pass's, once this node knows that it leads that range, too. It reports whether rows are left.
func (w *Worker) empty(ctx context.Context, at Position) (done int, rest bool, err error) {
	var after []byte
	var failed []error
	for {
		a, err := w.page(ctx, at, after)
		if err != nil {
			return done, true, errors.Join(append(failed, err)...)
		}
		rest = rest || a.Waits
		items, bad := w.carryOut(ctx, a.Outbox)
		failed = append(failed, bad...)
		n, err := w.acknowledge(ctx, at, items)
		done, rest = done+n, rest || n < len(a.Outbox)
		if err != nil {
			return done, true, errors.Join(append(failed, err)...)
		}
		if !a.Truncated || bytes.Compare(a.Next, after) <= 0 {
			return done, rest, errors.Join(failed...)
		}
		after = a.Next
	}
}

// page reads rows of a range that are due.
func (w *Worker) page(ctx context.Context, at Position, after []byte) (*metapb.Answer, error) {
	a, err := w.o.Store.Query(ctx, &metapb.Query{
		Format: record.Format, Bucket: at.Bucket, Key: at.Key,
		Op: &metapb.Query_ListOutbox{ListOutbox: &metapb.ListOutbox{
			Due: record.Micros(w.o.Now()), After: after, Limit: pageRows,
		}},
	})
	if err == nil {
		err = record.StatusError("list outbox", "", "", a.Status, a.Detail)
	}
	return a, err
}

// carryOut does what rows ask for and returns those that are done. All blobs go in one call, which is cheaper; if it fails,
// the rows are tried one by one.
func (w *Worker) carryOut(ctx context.Context, items []*metapb.OutboxItem) (done []*metapb.OutboxItem, failed []error) {
	var blobs []*metapb.Blob
	for _, it := range items {
		blobs = append(blobs, it.Value.GetDeleteBlobs().GetBlobs()...)
	}
	if w.drop(ctx, blobs) == nil {
		for _, it := range items {
			if known(it) {
				done = append(done, it)
			}
		}
		return done, nil
	}
	for _, it := range items {
		if !known(it) {
			continue
		}
		if err := w.drop(ctx, it.Value.GetDeleteBlobs().GetBlobs()); err != nil {
			failed = append(failed, err)
			continue
		}
		done = append(done, it)
	}
	return done, failed
}

// known reports whether this program knows what a row asks for. Others are left to a newer program.
func known(it *metapb.OutboxItem) bool {
	return it.Value.GetFormat() <= record.Format && it.Value.GetDeleteBlobs() != nil
}

func (w *Worker) drop(ctx context.Context, blobs []*metapb.Blob) error {
	if mutantOutboxLost || len(blobs) == 0 {
		return nil
	}
	err := w.o.Bytes.Drop(ctx, blobs...)
	var absent *stripe.AbsentError
	if errors.As(err, &absent) && !slices.ContainsFunc(absent.Disks, w.o.Alive) {
		return nil
	}
	return err
}

// acknowledge removes rows that are done from the ranges that own them now, which need not be the one at the position
// where they were read. It returns how many it removed for certain.
func (w *Worker) acknowledge(ctx context.Context, at Position, items []*metapb.OutboxItem) (removed int, err error) {
	if len(items) == 0 {
		return 0, nil
	}
	const op = "acknowledge outbox rows"
	commands := w.acknowledgements(at, items)
	first := commands[0]
	res, err := w.o.Store.Apply(ctx, &metapb.Command{
		Format: record.Format, Bucket: first.Bucket, Key: first.Key, Time: first.Time,
		Op: &metapb.Command_Batch{Batch: &metapb.Batch{Commands: commands}},
	}, nil)
	if err == nil {
		err = record.StatusError(op, "", "", res.Status, res.Detail)
	}
	if err != nil {
		return 0, err
	}
	if len(res.Results) != len(commands) {
		return 0, fmt.Errorf("%s: %d answers to %d commands", op, len(res.Results), len(commands))
	}
	var failed []error
	for i, r := range res.Results {
		if r.Status == metapb.Status_OK {
			removed += len(commands[i].GetOutboxDone().Rows)
		} else {
			failed = append(failed, record.StatusError(op, "", string(commands[i].Key), r.Status, r.Detail))
		}
	}
	return removed, errors.Join(failed...)
}

// acknowledgements returns a command for each position that the rows are of. Rows of one position come one after the other.
func (w *Worker) acknowledgements(at Position, items []*metapb.OutboxItem) (commands []*metapb.Command) {
	now := record.Micros(w.o.Now())
	for _, it := range items {
		own := Position{Bucket: it.Bucket, Key: it.Key}
		if mutantOutboxOwner {
			own = at
		}
		n := len(commands)
		if n == 0 || commands[n-1].Bucket != own.Bucket || !bytes.Equal(commands[n-1].Key, own.Key) {
			commands = append(commands, &metapb.Command{
				Format: record.Format, Bucket: own.Bucket, Key: own.Key, Time: now,
				Op: &metapb.Command_OutboxDone{OutboxDone: new(metapb.OutboxDone)},
			})
		}
		rows := commands[len(commands)-1].GetOutboxDone()
		rows.Rows = append(rows.Rows, it.Row)
	}
	return commands
}
