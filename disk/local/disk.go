package local

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/fence"
	"github.com/contender/contender/disk/segment"
)

// Disk is a disk over one folder. It implements disk.Disk. All methods are safe for concurrent use.
type Disk struct {
	o  Options
	t  *table
	w  *wal
	x  *index
	db *pebble.DB
	fs *fence.FS // Pebble's file system; its failure is the disk's

	fenced  chan struct{}
	cause   atomic.Pointer[error] // set before fenced is closed
	closing chan struct{}
	once    sync.Once
	down    error // what Close answered
	life    life
	bg      sync.WaitGroup
	cancel  context.CancelFunc // ends the work in the background
	kicked  chan struct{}

	flushing   turn // one flush at a time
	ingests    turn // one ingest at a time
	commits    turn // of width commitsWidth: each commit of the state takes one, an ingest all; before index.turn
	compacting turn // one compaction at a time
	dense      *dense

	damageMu sync.Mutex
	damage   []Damage
	raftLost atomic.Bool
	shards   atomic.Bool // this disk takes shards: their reserve is kept ahead of need

	buffers buffers

	room  room
	stats counters
}

var _ disk.Disk = (*Disk)(nil)

// ID returns the disk's id.
func (d *Disk) ID() disk.ID { return d.o.ID }

// Log returns the door to the log.
func (d *Disk) Log() disk.Log { return logDoor{d} }

// State returns the door to the rows of the metadata ranges.
func (d *Disk) State() disk.State { return stateDoor{d} }

// Err returns nil while the disk works and why it is fenced afterwards.
func (d *Disk) Err() error {
	select {
	case <-d.fenced:
		return *d.cause.Load()
	default:
		return nil
	}
}

// Fenced is closed when the disk fails.
func (d *Disk) Fenced() <-chan struct{} { return d.fenced }

// Fence fails the disk for good, for a reason that its owner has found. It returns once the disk takes nothing any more.
func (d *Disk) Fence(err error) { _ = d.fence(err) }

// fence fails the disk for good and returns the error that callers get.
func (d *Disk) fence(err error) error {
	d.fs.Fail(err)
	<-d.fenced
	return d.ok("fence")
}

// failed is called once, by whoever meets the failure.
func (d *Disk) failed(err error) {
	err = disk.Errorf("disk", disk.KindFenced, d.o.ID.String(), err)
	d.cause.Store(&err)
	d.o.Logger.Error("disk fenced", "disk", d.o.ID.String(), "err", err)
	close(d.fenced)
}

// ok returns nil if the disk may be used, else the error for an operation.
func (d *Disk) ok(op string) error {
	select {
	case <-d.fenced:
		return disk.Errorf(op, disk.KindFenced, d.o.ID.String(), *d.cause.Load())
	default:
	}
	select {
	case <-d.closing:
		return disk.Errorf(op, disk.KindClosed, d.o.ID.String(), nil)
	default:
		return nil
	}
}

// use lets a short call into Pebble or a segment file; leave it by d.life.exit.
func (d *Disk) use(op string) error {
	if err := d.ok(op); err != nil {
		return err
	}
	if !d.life.enter() {
		return disk.Errorf(op, disk.KindClosed, d.o.ID.String(), nil)
	}
	return nil
}

// life counts who uses Pebble and the segment files, so that they are closed under nobody. Calls may nest.
type life struct {
	mu   sync.Mutex
	n    int
	over bool
	idle chan struct{}
}

func (l *life) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.n++
	return true
}

func (l *life) exit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n--; l.n == 0 && l.over {
		close(l.idle)
	}
}

// end lets nobody in any more and waits until all are out.
func (l *life) end() {
	l.mu.Lock()
	l.over, l.idle = true, make(chan struct{})
	busy := l.n > 0
	l.mu.Unlock()
	if busy {
		<-l.idle
	}
}

// turn lets as many in as it is wide. Unlike a mutex it lets go of those who wait when the disk is fenced, for whoever is
// in may then stay for ever.
type turn chan struct{}

const commitsWidth = 64

// take enters t n times.
func (d *Disk) take(t turn, n int) error {
	for i := range n {
		select {
		case t <- struct{}{}:
		case <-d.fenced:
			t.give(i)
			return d.ok("wait")
		}
	}
	return nil
}

func (t turn) give(n int) {
	for range n {
		<-t
	}
}

// leave runs fn, which may hang on a failing disk, and comes back at the latest when ctx ends or the disk is fenced. fn
// then goes on alone.
func (d *Disk) leave(ctx context.Context, op string, fn func() error) error {
	if err := d.use(op); err != nil {
		return err
	}
	ch := make(chan error, 1)
	go func() {
		defer d.life.exit()
		ch <- fn()
	}()
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return disk.Errorf(op, disk.KindIO, "", ctx.Err())
	case <-d.fenced:
		return d.ok(op)
	}
}

// ioError wraps an error of Pebble or of a file.
func ioError(op, what string, err error) error {
	if err == nil {
		return nil
	}
	var e *disk.Error
	if errors.As(err, &e) {
		return err
	}
	return disk.Errorf(op, disk.KindIO, what, err)
}

// flush makes the index and the metadata rows durable, and with them the position from which the log is replayed.
func (d *Disk) flush() error {
	if err := d.take(d.flushing, 1); err != nil {
		return err
	}
	defer d.flushing.give(1)
	if err := d.take(d.x.turn, 1); err != nil {
		return err
	}
	pos, n := d.x.pos, d.x.count // of changes that are wholly in
	d.x.turn.give(1)
	if err := d.db.Flush(); err != nil {
		return ioError("flush", "", err)
	}
	d.flushedTo(pos, n)
	return nil
}

// flushedTo takes note that index changes up to number n, and the position pos, are durable.
func (d *Disk) flushedTo(pos segment.Pos, n uint64) {
	d.t.mu.Lock()
	d.t.flushed, d.t.flushedN = pos, max(n, d.t.flushedN)
	d.t.mu.Unlock()
	d.stats.flushes.Add(1)
	d.refreshRoom()
}

// wake tells the housekeeper that there may be something to do.
func (d *Disk) wake() {
	select {
	case d.kicked <- struct{}{}:
	default:
	}
}

// housekeep flushes, compacts and prepares segments when there is need, until the disk closes or fails.
func (d *Disk) housekeep(ctx context.Context) {
	for {
		select {
		case <-d.kicked:
		case <-d.closing:
			return
		case <-d.fenced:
			return
		}
		if err := d.tidy(ctx); err != nil {
			d.o.Logger.Warn("housekeeping", "disk", d.o.ID.String(), "err", err)
		}
	}
}

// tidy does what is due.
func (d *Disk) tidy(ctx context.Context) error {
	d.w.mu.Lock()
	low := d.w.head == nil || d.w.off > d.o.SegmentBytes/2
	d.w.mu.Unlock()
	ahead := 1 + reserveRaft
	if d.shards.Load() {
		ahead = 1 + reserveSegments
	}
	var err error
	if low && d.t.readyCount() < ahead {
		if e := d.t.ensure(ctx, ahead); e != nil && !errors.Is(e, errNoRoom) {
			err = e
		}
	}
	if d.unflushed() > d.o.ReplayBytes {
		err = errors.Join(err, d.leave(ctx, "flush", d.flush))
	}
	for err == nil && d.worthCompacting() {
		did, e := d.Compact(ctx)
		if disk.Is(e, disk.KindFull) || disk.Is(e, disk.KindClosed) {
			return nil
		}
		if err = e; !did {
			break
		}
	}
	return err
}

// worthCompacting reports whether a step of compaction brings something that is not better left for later.
func (d *Disk) worthCompacting() bool {
	if d.t.waitingCount() >= lazySegments {
		return true
	}
	s := d.t.victim(d.applied(), d.share())
	if s != nil {
		s.unpin()
	}
	return s != nil
}

// unflushed returns how many bytes of log a restart would replay.
func (d *Disk) unflushed() int64 {
	pos := d.applied()
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	return int64(pos.Seq-d.t.flushed.Seq)*d.o.SegmentBytes + pos.Off - d.t.flushed.Off
}

// Close flushes what can be flushed and releases the folder. On a fenced disk it releases what it can: goroutines that
// hang in the failed device stay. Later calls return what the first did.
func (d *Disk) Close() error {
	d.once.Do(func() { d.down = d.close() })
	return d.down
}

func (d *Disk) close() error {
	close(d.closing)
	d.cancel()
	close(d.w.stop)
	gone := make(chan error, 1)
	go func() { gone <- d.wind() }()
	select {
	case err := <-gone:
		return err
	case <-d.fenced:
		return d.ok("close")
	}
}

// wind lets everything under way come to its end, flushes and closes.
func (d *Disk) wind() error {
	d.bg.Wait()
	d.w.done.Wait()
	if d.Err() != nil {
		return d.ok("close")
	}
	err := d.flush()
	d.life.end()
	return errors.Join(err, d.closePebble(), d.t.closeAll())
}

// closePebble closes the database. Pebble panics when iterators or snapshots are still open; that is an error here.
func (d *Disk) closePebble() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = disk.Errorf("close", disk.KindInvalid, "state still in use", nil)
		}
	}()
	return d.db.Close()
}

// throttle is how Pebble waits before it tries again on a full disk.
func (d *Disk) throttle(wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-d.closing:
	case <-d.fenced:
	}
}

// room is what is known of the space, refreshed when it changes in large steps.
type room struct {
	state    atomic.Int64 // bytes of Pebble's files
	capacity atomic.Int64
}

// Stuck returns for how long the write or sync of the log has been going on that is under way; 0: none is. It never waits.
func (d *Disk) Stuck() time.Duration {
	if since := d.w.since.Load(); since != 0 {
		return time.Since(d.w.opened) - time.Duration(since)
	}
	return 0
}

// unlimited is the capacity where the file system can't tell.
const unlimited = 1 << 50

// refreshRoom asks the file system and Pebble for their sizes.
func (d *Disk) refreshRoom() {
	if d.db != nil {
		d.room.state.Store(int64(d.db.Metrics().DiskSpaceUsage()))
	}
	c := d.o.CapacityBytes
	if c == 0 {
		c = unlimited
		if u, err := d.o.FS.GetDiskUsage(d.o.Dir); err == nil {
			c = int64(u.AvailBytes) + d.used()
		}
	}
	d.room.capacity.Store(c)
}

func (d *Disk) used() int64 {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	return int64(d.t.files)*d.o.SegmentBytes + d.room.state.Load()
}

// Usage returns the room on the disk.
func (d *Disk) Usage() disk.Usage {
	if d.use("usage") == nil {
		d.refreshRoom()
		d.life.exit()
	}
	return d.Room()
}

// Room returns what Usage last found, with the live bytes of now. It asks neither Pebble nor the file system and may be
// called for every write.
func (d *Disk) Room() disk.Usage {
	u := disk.Usage{CapacityBytes: d.room.capacity.Load(), UsedBytes: d.used()}
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	u.LiveBytes = d.t.live
	return u
}
