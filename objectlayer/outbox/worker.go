package outbox

import (
	"context"
	"errors"
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

// Options are what a Worker is made from. Store, Bytes and Now must be set.
type Options struct {
	Store metashards.Store
	Bytes Bytes
	Now   func() time.Time
	// Bucket and Key are a position in the range whose outbox this is.
	Bucket uint64
	Key    []byte
	// Leads reports whether this node should do the work now; nil: always. It must not block.
	Leads func() bool
	// Alive says whether a disk is believed to answer; nil: all are. A deletion does not wait for a disk that does not: it
	// learns of it when it comes back and its inventory is compared. It must not block.
	Alive func(disk.ID) bool
	// Kick wakes the worker before its interval is over; nil: nothing does.
	Kick     <-chan struct{}
	Interval time.Duration // 0: IntervalDefault
	Log      *slog.Logger  // nil: nothing is logged
}

// Worker empties the outbox of one range. Two workers on one outbox do no harm but double work.
type Worker struct {
	o       Options
	backoff time.Duration // 0: the last pass went well
}

// New returns a Worker.
func New(o Options) *Worker {
	if o.Leads == nil {
		o.Leads = func() bool { return true }
	}
	if o.Alive == nil {
		o.Alive = func(disk.ID) bool { return true }
	}
	if o.Interval == 0 {
		o.Interval = IntervalDefault
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{o: o}
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
		if w.o.Leads() {
			w.pass(ctx)
		}
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
		w.o.Log.Warn("the outbox is not empty", "rows_done", done, "retry_in", w.backoff, "err", err)
	}
}

func (w *Worker) pause() time.Duration {
	if w.backoff > 0 {
		return min(w.backoff, w.o.Interval)
	}
	return w.o.Interval
}

// Pass carries out every row that is due now and returns how many it did. A row that fails stays and does not hold up
// the others; the error joins what failed.
func (w *Worker) Pass(ctx context.Context) (done int, err error) {
	var after []byte
	var failed []error
	for {
		a, err := w.page(ctx, after)
		if err != nil {
			return done, errors.Join(append(failed, err)...)
		}
		rows, bad := w.carryOut(ctx, a.Outbox)
		failed = append(failed, bad...)
		if err := w.acknowledge(ctx, rows); err != nil {
			return done, errors.Join(append(failed, err)...)
		}
		done += len(rows)
		if !a.Truncated || len(a.Next) == 0 {
			return done, errors.Join(failed...)
		}
		after = a.Next
	}
}

// page reads rows that are due.
func (w *Worker) page(ctx context.Context, after []byte) (*metapb.Answer, error) {
	a, err := w.o.Store.Query(ctx, &metapb.Query{
		Format: record.Format, Bucket: w.o.Bucket, Key: w.o.Key,
		Op: &metapb.Query_ListOutbox{ListOutbox: &metapb.ListOutbox{
			Due: record.Micros(w.o.Now()), After: after, Limit: pageRows,
		}},
	})
	if err == nil {
		err = record.StatusError("list outbox", "", "", a.Status, a.Detail)
	}
	return a, err
}

// carryOut does what rows ask for and returns the keys of those that are done. All blobs go in one call, which is
// cheaper; if it fails, the rows are tried one by one.
func (w *Worker) carryOut(ctx context.Context, items []*metapb.OutboxItem) (done [][]byte, failed []error) {
	var blobs []*metapb.Blob
	for _, it := range items {
		blobs = append(blobs, it.Value.GetDeleteBlobs().GetBlobs()...)
	}
	if w.drop(ctx, blobs) == nil {
		for _, it := range items {
			if known(it) {
				done = append(done, it.Row)
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
		done = append(done, it.Row)
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

// acknowledge removes rows that are done.
func (w *Worker) acknowledge(ctx context.Context, rows [][]byte) error {
	if len(rows) == 0 {
		return nil
	}
	res, err := w.o.Store.Apply(ctx, &metapb.Command{
		Format: record.Format, Bucket: w.o.Bucket, Key: w.o.Key, Time: record.Micros(w.o.Now()),
		Op: &metapb.Command_OutboxDone{OutboxDone: &metapb.OutboxDone{Rows: rows}},
	}, nil)
	if err == nil {
		err = record.StatusError("acknowledge outbox rows", "", "", res.Status, res.Detail)
	}
	return err
}
