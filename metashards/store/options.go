package store

import (
	"context"
	"log/slog"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// Options are what a store stands on, and its measures. The zero value of a measure means its default.
type Options struct {
	Disk   disk.Disk
	Sender transport.Sender
	Puller transport.Puller
	Logger *slog.Logger
	// Now is the wall clock. Range time begins with it where a leadership begins, and goes on with BootClock.
	Now func() time.Time
	// Boot is the store's life: higher than in every life before, as the disk's boot count is. Fresh says that nobody can hold
	// a promise of an earlier life, since there was none, or nobody else is there.
	Boot  uint64
	Fresh bool
	// BootClock goes on while the process is paused, and never steps. Nil: Now, which must not step then.
	BootClock func() time.Duration
	// ClockID names the clock that Now reads: stores of one node share it, so that it counts once where clocks are compared.
	// Default: the disk's id.
	ClockID uint64
	// PromiseTime is how long promises between stores hold, the same in all of them. Default promise.DefaultD.
	PromiseTime time.Duration
	// ReadByIndex asks a majority for every read, for machines whose clocks can't be trusted. By default a leader under
	// promises of a majority answers by itself.
	ReadByIndex bool
	// Proposer is a number that no other store and no other life of this one uses: a random one.
	Proposer uint64
	// Go runs long work beside the core and returns at once. Context ends the work.
	Go func(func())
	// Post has the core call a function, later, on its own goroutine. It never waits and loses nothing.
	Post func(func())
	// Context ends work on the disk.
	Context context.Context

	Replica replica.Options
	// BatchCommands and BatchBytes bound the commands of one Raft entry; bytes count payloads. Default 256 and 1 MiB.
	BatchCommands int
	BatchBytes    int
	// FullPercent is how full the disk may be before commands with payloads are refused. Default 97.
	FullPercent int
	// Snapshots is how many snapshots may be open at once. Default 4.
	Snapshots int
	// CompareTicks is how many ticks pass at least before the replicas of a range are compared again. Default 36,000: an hour.
	CompareTicks int
	// RetryTicks is how long a replica rests that could not write for want of room. Default 20.
	RetryTicks int
	// DeleteDelay is how long the bytes of replaced versions stay. Default: the range machine's.
	DeleteDelay time.Duration
}

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.BatchCommands, 256)
	set(&o.BatchBytes, 1<<20)
	set(&o.FullPercent, 97)
	set(&o.Snapshots, 4)
	set(&o.RetryTicks, 20)
	set(&o.CompareTicks, 36_000)
	o.Replica = o.Replica.WithDefaults()
	if o.ClockID == 0 {
		o.ClockID = uint64(o.Disk.ID())
	}
	if o.BootClock == nil {
		begin := o.Now()
		o.BootClock = func() time.Duration { return o.Now().Sub(begin) }
	}
	return o
}
