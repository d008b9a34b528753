package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/fence"
)

// Open opens the disk in a folder, making its files if they are absent, and replays its log. ctx bounds the opening
// only. The boot count must be higher than that of every Open before on this folder.
func Open(ctx context.Context, o Options) (*Disk, error) {
	if err := o.complete(); err != nil {
		return nil, disk.Errorf("open", disk.KindInvalid, o.Dir, err)
	}
	d := &Disk{
		o: o, fenced: make(chan struct{}), closing: make(chan struct{}), kicked: make(chan struct{}, 1),
		compacting: make(turn, 1), flushing: make(turn, 1), ingests: make(turn, 1), commits: make(turn, commitsWidth),
		cancel: func() {}, dense: newDense(o.MemTableBytes / flushPrice),
	}
	d.t, d.w = newTable(d), newWAL(d)
	d.fs = fence.New(o.FS, d.failed, fence.WithWait(d.throttle))
	var claimed atomic.Bool // by who comes first: the opening that ends, or the caller who leaves
	err := d.leave(ctx, "open", func() error {
		if err := d.open(ctx); err != nil {
			return err
		}
		if claimed.Swap(true) {
			return d.abandon()
		}
		return nil
	})
	if err != nil && claimed.Swap(true) {
		err = errors.Join(err, d.abandon())
	}
	if err != nil {
		close(d.closing)
		return nil, ioError("open", o.Dir, err)
	}
	d.w.start()
	if !o.Manual {
		d.background(ctx, d.housekeep, d.thinning)
		d.wake()
	}
	return d, nil
}

// background starts what goes on until the disk closes or fails.
func (d *Disk) background(ctx context.Context, work ...func(context.Context)) {
	bg, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.cancel = cancel
	for _, fn := range work {
		d.bg.Go(func() { fn(bg) })
	}
}

func (d *Disk) open(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.makeDirs(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.abandon())
		}
	}()
	unclear, err := d.t.load()
	if err != nil {
		return err
	}
	known, live, err := d.openState()
	if err != nil {
		return err
	}
	if err := d.recover(known, live, unclear); err != nil {
		return err
	}
	d.refreshRoom()
	if len(d.t.segs) == 0 && d.t.readyCount() == 0 {
		return d.t.create()
	}
	return nil
}

// abandon closes what a failed Open had opened.
func (d *Disk) abandon() error {
	err := d.t.closeAll()
	if d.db != nil && d.Err() == nil {
		err = errors.Join(err, d.db.Close())
	}
	return err
}

func (d *Disk) makeDirs() error {
	fs := d.o.FS
	for _, p := range []string{d.o.Dir, d.t.dir, d.stateDir()} {
		if err := fs.MkdirAll(p, 0o755); err != nil {
			return err
		}
	}
	if err := syncDir(fs, d.o.Dir); err != nil {
		return err
	}
	parent := fs.PathDir(d.o.Dir)
	if parent == d.o.Dir {
		return nil
	}
	err := syncDir(fs, parent)
	if parent == "." && errors.Is(err, os.ErrNotExist) {
		return nil // a file system in memory that has no name for its root
	}
	return err
}

func (d *Disk) stateDir() string { return d.o.FS.PathJoin(d.o.Dir, "state") }

// openState opens Pebble and loads the index. A state that cannot be read is taken away, for the index can be rebuilt.
func (d *Disk) openState() (known bool, live map[uint64]int64, err error) {
	for range 2 {
		if d.db, err = pebble.Open(d.stateDir(), d.pebbleOptions()); err == nil {
			d.x = newIndex(d, d.db)
			if known, live, err = d.x.load(); err == nil {
				return known, live, nil
			}
		}
		lost := pebble.IsCorruptionError(err) || errors.Is(err, errBadRow) || errors.Is(err, os.ErrNotExist)
		if d.db != nil {
			err = errors.Join(err, d.db.Close())
			d.db = nil
		}
		if !lost {
			return false, nil, err
		}
		d.o.Logger.Error("state unreadable, the index is rebuilt", "disk", d.o.ID.String(), "err", err)
		d.damage = nil
		if rerr := d.o.FS.RemoveAll(d.stateDir()); rerr != nil {
			return false, nil, errors.Join(err, rerr)
		}
		if rerr := d.makeDirs(); rerr != nil {
			return false, nil, errors.Join(err, rerr)
		}
	}
	return false, nil, fmt.Errorf("state cannot be made anew: %w", err)
}

// usualMemTables is how many write buffers there are as a rule: one that fills and one that is being flushed. Pebble
// takes them all off the size of its block cache, which would leave nothing of it.
const usualMemTables = 2

func (d *Disk) pebbleOptions() *pebble.Options {
	p := &pebble.Options{
		FS:                          d.fs,
		Logger:                      d.fs.Logger(d.o.Logger),
		CacheSize:                   d.o.CacheBytes + usualMemTables*int64(d.o.MemTableBytes), // they are taken off
		DisableWAL:                  true,
		MemTableSize:                d.o.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		FormatMajorVersion:          pebble.FormatNewest,
		MaxOpenFiles:                1000,
		DisableAutomaticCompactions: d.o.Manual,
	}
	if d.o.Manual {
		p.L0StopWritesThreshold = 1 << 30
	}
	p.Experimental.DisableIngestAsFlushable = func() bool { return true }
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return p
}
