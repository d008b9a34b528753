package stripe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/placement"
)

// extent is one extent while it is written, and afterwards until the blob is done.
type extent struct {
	choice  placement.Choice
	codec   *codec
	blob    disk.BlobID
	number  uint32
	off     int64 // of its first byte in the blob
	length  int64 // dispatched so far
	members []*member
	failed  atomic.Int32
	running sync.WaitGroup

	// What the members do at the end; set before their queues are closed.
	commit bool
	owner  []byte
}

// member is the shard of an extent on one disk. Its goroutine creates it, appends what comes and ends it.
type member struct {
	queue   chan *chunk
	started bool // a commit may have happened
	err     error
}

// errStalled is why a disk is given up that does not answer.
var errStalled = errors.New("the disk has not answered in time")

// begin starts the members.
func (e *extent) begin(ctx context.Context, o *Options) {
	e.members = make([]*member, len(e.choice.Slots))
	for i := range e.members {
		m := &member{queue: make(chan *chunk, chunksMax)}
		e.members[i] = m
		e.running.Go(func() {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			e.run(ctx, o, i, m, func() { cancel(errStalled) })
		})
	}
}

func (e *extent) shard(i int) disk.ShardID {
	return disk.ShardID{Group: e.choice.Group, Blob: e.blob, Extent: e.number, Slot: e.choice.Slots[i]}
}

// run is the goroutine of member i. It takes every chunk off its queue, even after it has failed. stalled ends ctx.
func (e *extent) run(ctx context.Context, o *Options, i int, m *member, stalled func()) {
	call := func(fn func() error) {
		if m.err != nil {
			return
		}
		stop := o.AfterFunc(o.StallTimeout, stalled)
		defer stop()
		if m.err = fn(); m.err != nil {
			if context.Cause(ctx) == errStalled {
				m.err = fmt.Errorf("%w: %w", errStalled, m.err)
			}
			e.failed.Add(1)
		}
	}
	var w disk.Writer
	call(func() error {
		store, err := o.Fleet.Disk(e.choice.Disks[i])
		if err != nil {
			return err
		}
		w, err = store.Create(ctx, e.shard(i), e.choice.Epoch)
		return err
	})
	for c := range m.queue {
		call(func() error { return w.Append(ctx, c.shards[i]) })
		c.sending.Done()
	}
	if w == nil {
		return
	}
	if e.commit {
		m.started = m.err == nil
		call(func() error { return w.Commit(ctx, e.owner) })
	}
	w.Abort() // does nothing after a commit
}

// dispatch sends a coded chunk to all members. The chunk's sending ends when all have taken it.
func (e *extent) dispatch(c *chunk) {
	c.sending.Add(len(e.members))
	e.length += c.data
	for _, m := range e.members {
		m.queue <- c
	}
}

// end closes the members' queues and waits for them.
func (e *extent) end() {
	for _, m := range e.members {
		close(m.queue)
	}
	e.running.Wait()
}

// live returns how many members have not failed.
func (e *extent) live() int { return len(e.choice.Slots) - int(e.failed.Load()) }

// hurt reports whether a member has failed.
func (e *extent) hurt() bool { return e.failed.Load() > 0 }

// record returns the extent as it stands in metadata.
func (e *extent) record() *metapb.Extent {
	return &metapb.Extent{
		Length: uint64(e.length),
		Group:  uint32(e.choice.Group),
		Epoch:  uint64(e.choice.Epoch),
		Coding: &metapb.Coding{
			Codec: codecReedSolomon, K: uint32(e.codec.K), M: uint32(e.codec.M), UnitBytes: uint32(e.codec.unit),
			Copies: e.choice.Copies,
		},
		Slots:  e.choice.Slots,
		Number: e.number,
	}
}
