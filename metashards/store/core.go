package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/promise"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// Core is all replicas of one disk. One goroutine at a time, but for ServeRows, ServePayload and ServeRelease, and the
// views that it hands out.
type Core struct {
	opt       Options
	snapshots *replica.Snapshots
	members   []*member // ascending by range
	watched   []*member // those that ticks look at
	byRange   map[uint64]*member
	dirty     []*member

	sequence  uint64 // of proposals
	mark      uint64 // of rounds of reads
	full      bool
	stopped   error // why the store takes no part any more
	repairs   []repair
	mending   map[disk.PayloadID]bool
	absent    map[uint64]absence   // ranges without a replica here that are spoken to
	troubled  map[*member]struct{} // that are compared sooner
	ballots   []replica.Ballot     // votes for them, to be kept with the next append and then sent
	parents   []*member            // that were split, since the last append
	owners    owners
	loaded    map[*member]struct{} // that something was asked of lately
	table     *promise.Table
	told      Status    // last
	stirred   bool      // something has changed since
	moved     []*member // that have
	restaffed bool      // members have come or gone since
	opens     sync.Map  // of *open, by range; it is changed by the core alone
	current   *shared   // snapshot, while nothing has changed since
	beats     int       // ticks until the next
	ticks     int       // so far
	turns     replica.Turns
	counts    int // ranges in which buckets are being counted
	clocks    clocks
	differed  uint64    // comparisons that found replicas to differ
	remakes   uint64    // of replicas that differed
	remadeAt  time.Time // the last

	// The round that is under way.
	active []*member
	append disk.Append
}

// Open loads the replicas of a disk. A replica that is damaged does not stop the others: Status tells of it.
func Open(opt Options) (*Core, error) {
	opt = opt.withDefaults()
	c := &Core{
		opt: opt, snapshots: replica.NewSnapshots(opt.Proposer, opt.Snapshots),
		stirred: true, restaffed: true, byRange: map[uint64]*member{}, mending: map[disk.PayloadID]bool{},
		troubled: map[*member]struct{}{}, loaded: map[*member]struct{}{},
		absent: map[uint64]absence{}, clocks: clocks{own: opt.ClockID},
	}
	var err error
	c.table, err = promise.New(promise.Options{
		Self: opt.Disk.ID(), Boot: opt.Boot, D: opt.PromiseTime, Now: opt.BootClock, Fresh: opt.Fresh,
	})
	if err != nil {
		return nil, err
	}
	ranges, err := rangesOf(opt.Disk.State())
	if err != nil {
		return nil, fmt.Errorf("open store of disk %s: %w", opt.Disk.ID(), err)
	}
	for _, id := range ranges {
		c.add(id)
	}
	return c, nil
}

// rangesOf lists the ranges that have a replica on a disk.
func rangesOf(state disk.State) (ids []uint64, err error) {
	s := state.Snapshot()
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	span := disk.Span{Lower: []byte{byte(keys.Local)}, Upper: []byte{byte(keys.Local) + 1}}
	it, err := s.Iter(span.Lower, span.Upper)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	for ok := it.First(); ok; {
		row, err := keys.ParseLocal(it.Key())
		if err != nil {
			return nil, err
		}
		ids = append(ids, row.Range)
		ok = it.SeekGE(keys.LocalSpan(row.Range).Upper)
	}
	return ids, it.Err()
}

// add makes the member of a range that is on the disk, and has it campaign if it is the one that does so at once.
func (c *Core) add(rangeID uint64) {
	m := c.enrol(rangeID)
	c.load(m)
	if m.replica != nil && m.replica.First() && c.mayCampaign(m, c.table.Now()) {
		m.replica.Campaign()
	}
}

// load makes a member's replica from the disk.
func (c *Core) load(m *member) {
	c.stir(m)
	c.unshare()
	m.replica, m.err = replica.Load(c.env(), m.rangeID)
	if m.err == nil {
		m.span = m.replica.Machine().Descriptor()
	} else {
		m.replica = nil
		c.opt.Logger.Error("replica can't be loaded", "range", m.rangeID, "disk", c.opt.Disk.ID(), "error", m.err)
		return
	}
	c.owners.changed()
	m.noteMoved()
	m.awake()
	c.touch(m)
}

func (c *Core) env() replica.Env {
	return replica.Env{
		Context: c.opt.Context, Disk: c.opt.Disk.ID(), Log: c.opt.Disk.Log(), State: c.opt.Disk.State(),
		Logger: c.opt.Logger, Proposer: c.opt.Proposer, Snapshots: c.snapshots, Options: c.opt.Replica,
		LetGo: c.letGo,
	}
}

// touch has the next cycle look at a member, and the next Status, too.
func (c *Core) touch(m *member) {
	c.stir(m)
	c.queue(m)
}

// queue has the next cycle look at a member.
func (c *Core) queue(m *member) {
	if !m.dirty {
		m.dirty = true
		c.dirty = append(c.dirty, m)
	}
}

// Dirty reports whether there is anything for a cycle to do.
func (c *Core) Dirty() bool {
	return c.stopped == nil && (len(c.dirty) > 0 || len(c.repairs) > 0 || len(c.ballots) > 0)
}

// usageTicks is how many ticks pass between two looks at the room on the disk, which is dear.
const usageTicks = 5

// Tick tells of the passing of one tick.
func (c *Core) Tick() {
	if c.stopped != nil {
		return
	}
	if err := c.opt.Disk.Err(); err != nil {
		c.Stop(err)
		return
	}
	c.unshare()
	if c.ticks%usageTicks == 0 {
		u := c.opt.Disk.Usage()
		c.full = u.CapacityBytes > 0 && u.UsedBytes > u.CapacityBytes/100*int64(c.opt.FullPercent)
	}
	c.tickAll()
	c.beat()
	c.giveUpLeading()
	c.compareDue()
	c.weigh()
	c.tickAbsent()
	for _, e := range c.snapshots.Tick(c.opt.Replica.SnapshotTicks) {
		if m := c.byRange[e.Range]; m != nil && m.replica != nil {
			m.replica.SnapshotEnded(e.To)
			c.touch(m)
		}
	}
}

// Receive takes in a message of another store.
func (c *Core) Receive(msg *transport.Message) {
	m := c.byRange[msg.Range]
	switch {
	case c.stopped != nil:
		return
	case msg.Sum != nil:
		if m != nil && m.replica != nil {
			c.takeSum(m, msg.From, msg.Sum)
		}
		return
	case msg.Remake != nil:
		c.receiveRemake(m, msg.From, msg.Remake)
		return
	case msg.Raft == nil:
		c.receiveBeat(msg)
		return
	case !c.mayVote(msg):
		return
	case m == nil:
		c.receiveFirst(msg)
		return
	case m.replica == nil || c.replaced(m, msg) || c.holdsBack(m, msg):
		return
	}
	m.hear(msg)
	c.touch(m)
	in, err := m.replica.Install(msg)
	if err == nil && in != nil {
		err = c.judgeSpan(in.Descriptor)
	}
	if err == nil && in != nil && msg.Anew {
		err = c.judgeSpan(m.replica.Machine().Descriptor()) // which may be what is wrong
	}
	switch {
	case err != nil:
		c.refuseSnapshot(msg, err)
	case in != nil:
		c.install(m, in)
	case msg.Anew:
		c.giveBack(msg)
	default:
		m.replica.Step(msg)
		c.acknowledged(m, msg)
	}
}

var errOverlap = errors.New("its span overlaps that of another replica here")

// judgeSpan refuses a descriptor whose span belongs, in part, to another replica of this disk, one that is being installed
// or that can't be read among them.
func (c *Core) judgeSpan(d *metapb.RangeDescriptor) error {
	for _, m := range c.members {
		if m.rangeID == d.Id {
			continue
		}
		o := m.span
		if m.replica != nil {
			o = m.replica.Machine().Descriptor()
		}
		if o == nil && m.replica == nil && m.err == nil {
			continue // it only gets its tombstone
		}
		if o == nil || keys.Overlap(d.Start, d.End, o.Start, o.End) {
			return fmt.Errorf("%w: range %d", errOverlap, m.rangeID)
		}
	}
	return nil
}

// install replaces a replica by a snapshot, beside the core.
func (c *Core) install(m *member, in *replica.Installation) {
	c.opt.Logger.Info("snapshot comes", "range", m.rangeID, "disk", c.opt.Disk.ID(), "from", in.Message.From)
	if m.replica != nil {
		m.leave()
	}
	c.opt.Go(func() {
		err := in.Run(c.opt.Context, c.opt.Puller)
		c.opt.Post(func() { c.installed(m, in, err) })
	})
}

func (c *Core) installed(m *member, in *replica.Installation, err error) {
	if err != nil {
		c.opt.Logger.Warn("snapshot did not arrive", "range", m.rangeID, "disk", c.opt.Disk.ID(), "error", err)
	}
	if c.stopped != nil {
		return
	}
	if err != nil && in.First() {
		c.strike(m) // the leader sends another
		return
	}
	c.load(m)
	if err == nil && m.replica != nil {
		c.remadeNow(m)
		m.replica.Step(in.Message)
	}
}

// refuseSnapshot gives a snapshot back, so that its sender can use its place for another.
func (c *Core) refuseSnapshot(msg *transport.Message, why error) {
	c.opt.Logger.Warn("snapshot refused", "range", msg.Range, "disk", c.opt.Disk.ID(), "from", msg.From, "error", why)
	c.giveBack(msg)
}

// giveBack gives a snapshot back without a word.
func (c *Core) giveBack(msg *transport.Message) {
	c.opt.Go(func() { replica.Refuse(msg, c.opt.Puller) })
}

// Propose takes in a command. Its Done may be called at once.
func (c *Core) Propose(p *Proposal) {
	m, reason := c.find(p.Range)
	if m == nil {
		p.refuse(reason, 0, c.stopped)
		return
	}
	m.pending = append(m.pending, p)
	c.noteLoad(m, p.Command.GetBucket(), p.Command.GetKey())
	m.awake()
	c.touch(m)
}

// Read takes in a read. Its Done may be called at once.
func (c *Core) Read(r *Read) {
	m, reason := c.find(r.Range)
	if m == nil {
		r.refuse(reason, 0, c.stopped)
		return
	}
	m.reads = append(m.reads, r)
	c.noteLoad(m, r.Bucket, r.Key)
	c.queue(m)
}

func (c *Core) find(rangeID uint64) (*member, Reason) {
	m := c.byRange[rangeID]
	switch {
	case c.stopped != nil:
		return nil, Closed
	case m == nil:
		return nil, NoReplica
	case m.replica == nil || m.replica.Failed() != nil:
		return nil, Unavailable
	}
	return m, 0
}

// TransferLeadership asks for the leadership of a range to go to another disk. It may fail silently. A disk whose clock is far
// off does not get it.
func (c *Core) TransferLeadership(rangeID uint64, to disk.ID) error {
	m, reason := c.find(rangeID)
	if m == nil {
		return &Refusal{Reason: reason, Range: rangeID, Err: c.stopped}
	}
	if c.clocks.isOff(to) && !mutantSickLeads {
		return &Refusal{Reason: Unavailable, Range: rangeID, Err: errClockOff}
	}
	m.awake()
	c.touch(m)
	if err := m.replica.TransferLeadership(to); err != nil {
		return &Refusal{Reason: NotLeader, Range: rangeID, Leader: m.replica.LeaderDisk(), Err: err}
	}
	return nil
}

// Stop ends the store's part in all ranges, for good: its disk is fenced, or it is being closed. Everybody who waits is
// answered.
func (c *Core) Stop(cause error) {
	if c.stopped != nil {
		return
	}
	c.stopped, c.stirred = cause, true
	c.unshare()
	if !errors.Is(cause, errClosed) && !errors.Is(cause, context.Canceled) {
		c.opt.Logger.Error("the store of a disk ends", "disk", c.opt.Disk.ID(), "error", cause)
	}
	for _, m := range c.members {
		m.shut()
		m.refusePending(Closed, cause)
		m.refuseReads(Closed, cause)
		m.dismiss(Closed, Indeterminate, cause)
		if m.replica != nil {
			m.replica.Fail(cause)
			c.farewell(m)
		}
	}
	c.snapshots.Close()
	c.active, c.dirty, c.repairs = nil, nil, nil
}

// farewell sends the last word of a leader that has failed: another replica need not wait until it is missed.
func (c *Core) farewell(m *member) {
	if msg := m.replica.Farewell(); msg != nil {
		c.opt.Sender.Send(msg)
	}
}

// Drop lets go of the disk without a word to anybody, as the end of the process would. It is for simulations.
func (c *Core) Drop() {
	c.unshare()
	c.snapshots.Close()
}

// Stopped returns why the store takes no part any more, nil while it does.
func (c *Core) Stopped() error { return c.stopped }

// Cycle does everything that is to be done now: it goes through rounds until nothing is left.
func (c *Core) Cycle(ctx context.Context) {
	for c.Dirty() {
		if !c.Begin(ctx) {
			c.Finish(nil)
			continue
		}
		c.Finish(c.opt.Disk.Log().Sync(ctx))
	}
}
