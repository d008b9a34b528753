package simtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/store"
)

// RangeID is the range that a cluster begins with, over the whole space.
const RangeID = 7

// Options say what is simulated. The zero value of a measure means its default.
type Options struct {
	Seed   uint64
	Stores int // default 3
	// Replicas is on how many of the stores the range lies. Default: all.
	Replicas int
	// NewDisk makes the disk of a store and Crash what a power cut leaves of it. Default: disktest.Memory.
	NewDisk func(id disk.ID) (disk.Disk, error)
	Crash   func(d disk.Disk, r *rand.Rand) (disk.Disk, error)
	Logger  *slog.Logger
	Replica replica.Options
	// BatchCommands is as in store.Options.
	BatchCommands int
	// Loss loses one message in so many, while there are faults; 0: none.
	Loss int
	// Clients is how many clients work, Operations how many things each does, Keys on how many keys.
	Clients, Operations, Keys int
	// Crashes and Cuts say about how often in a second a store crashes and a link is cut, while there are faults.
	Crashes, Cuts float64
	// Pauses says about how often in a second a store's process stands still for a while, though clocks go on.
	Pauses float64
	// Moves has the ranges' replicas exchanged among the stores meanwhile.
	Moves bool
	// Splits is about how many ranges are split off meanwhile, at keys.
	Splits int
	// RangeBytes is how much a range keeps before it is split in its middle; 0: as much as there is.
	RangeBytes uint64
	// Puts has clients put without conditions, and nothing else, one soon after the other.
	Puts bool
	// MessageTime is the least and the most time that a message between stores, and what a client is told, is under way
	// without faults. Default: less than a millisecond.
	MessageTime [2]time.Duration
	// JobTime is the most time that a store's work in the background takes. Default 5 ms.
	JobTime time.Duration
	// PromiseTime and ReadByIndex are as in store.Options.
	PromiseTime time.Duration
	ReadByIndex bool
	// Rot is about how often in a second a payload rots on one of its replicas. It needs disks that know how.
	Rot float64
	// Wrong is about how often in a second a row goes wrong on one of the stores, always the same one. It needs three replicas,
	// which stay.
	Wrong float64
}

type link struct{ from, to int }

// Cluster is stores, network, clients and virtual time. One goroutine.
type Cluster struct {
	*queue
	opt       Options
	nodes     []*node
	clients   []*client
	movers    []*mover                  // one for each range, in the order of their discovery; none: members and ranges stay
	known     []*metapb.RangeDescriptor // what clients know of ranges, ascending, without gaps; it may be old
	nextRange uint64
	working   int           // clients that have not come to their end
	cut       map[link]bool // looked up only, never walked
	faults    bool
	snapshots int
	broken    int // crashes amid a pull
	glances   int // reads from views that were open
	history   *history
	failure   error
}

// epoch is when virtual time begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// New founds a cluster and starts its stores.
func New(opt Options) (*Cluster, error) {
	if opt.Stores == 0 {
		opt.Stores = 3
	}
	if opt.Replicas == 0 {
		opt.Replicas = opt.Stores
	}
	if opt.NewDisk == nil {
		opt.NewDisk = func(id disk.ID) (disk.Disk, error) { return disktest.NewMemory(id), nil }
		opt.Crash = func(d disk.Disk, r *rand.Rand) (disk.Disk, error) { return d.(*disktest.Memory).Crash(r), nil }
	}
	if opt.JobTime == 0 {
		opt.JobTime = 5 * time.Millisecond
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Cluster{queue: newQueue(opt.Seed), opt: opt, cut: map[link]bool{}, history: new(history)}
	d := &metapb.RangeDescriptor{Id: RangeID, Generation: 1, NextReplica: uint64(opt.Replicas) + 1}
	for i := range opt.Stores {
		n := &node{c: c, n: i, id: disk.ID(100 + i)}
		if i < opt.Replicas {
			d.Replicas = append(d.Replicas, &metapb.Replica{Id: uint64(i + 1), Disk: uint64(n.id)})
		}
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		var err error
		if n.disk, err = opt.NewDisk(n.id); err != nil {
			return nil, fmt.Errorf("disk of store %d: %w", n.n, err)
		}
		if n.n < opt.Replicas {
			if err := store.Bootstrap(context.Background(), n.disk, d, c.wall()); err != nil {
				return nil, err
			}
		}
		n.start()
	}
	c.known, c.nextRange = []*metapb.RangeDescriptor{d}, RangeID+1
	if opt.Moves || opt.Splits > 0 || opt.RangeBytes > 0 {
		c.movers = []*mover{newMover(c, RangeID)}
	}
	for i := range opt.Clients {
		c.clients = append(c.clients, newClient(c, i))
	}
	return c, c.failure
}

// underWay draws how long something is under way, between bounds or as MessageTime says.
func (c *Cluster) underWay(lo, hi time.Duration) time.Duration {
	if t := c.opt.MessageTime; t[1] > 0 {
		lo, hi = t[0], t[1]
	}
	return c.between(lo, hi)
}

func (c *Cluster) wall() time.Time { return epoch.Add(c.now) }

func (c *Cluster) byDisk(id disk.ID) *node {
	if i := int(id) - 100; i >= 0 && i < len(c.nodes) {
		return c.nodes[i]
	}
	return nil
}

func (c *Cluster) fail(format string, args ...any) {
	if c.failure == nil {
		c.failure = fmt.Errorf("seed %d at %v: %w", c.opt.Seed, c.now, fmt.Errorf(format, args...))
	}
}

// Trace is a hash over everything that happened so far.
func (c *Cluster) Trace() uint64 { return c.trace.Sum64() }

// Run lets events happen until one of these holds: done returns true, the time is over, something has failed.
func (c *Cluster) Run(d time.Duration, done func() bool) (ok bool, err error) {
	end := c.now + d
	for c.failure == nil {
		if done != nil && done() {
			return true, nil
		}
		if !c.step(end) {
			return false, c.failure
		}
	}
	return false, c.failure
}

// Cut cuts a link one way, or mends it.
func (c *Cluster) Cut(from, to int, cut bool) { c.cut[link{from, to}] = cut }

// Isolate cuts all links of a store, or mends them.
func (c *Cluster) Isolate(n int, cut bool) {
	for i := range c.nodes {
		if i != n {
			c.Cut(n, i, cut)
			c.Cut(i, n, cut)
		}
	}
}

// Crash ends a store; Start starts it again.
func (c *Cluster) Crash(n int) {
	if c.nodes[n].core != nil {
		c.nodes[n].crash(c.rand)
	}
}

// Pause lets a store's process stand still for a while.
func (c *Cluster) Pause(n int, d time.Duration) { c.nodes[n].paused = c.now + d }

// Start starts a store that has crashed.
func (c *Cluster) Start(n int) {
	if c.nodes[n].core == nil {
		c.nodes[n].start()
	}
}

// Close closes the disks.
func (c *Cluster) Close() error {
	var errs []error
	for _, n := range c.nodes {
		if n.core != nil {
			n.core.Drop()
			n.cancel()
		}
		if n.disk != nil {
			errs = append(errs, n.disk.Close())
		}
	}
	return errors.Join(errs...)
}

// Core returns the core of a store, nil while it is down. Wake must be called after it was given something to do.
func (c *Cluster) Core(n int) *store.Core { return c.nodes[n].core }

// Wake has a store work.
func (c *Cluster) Wake(n int) { c.nodes[n].wake() }

// Disk returns the disk of a store as it is now.
func (c *Cluster) Disk(n int) disk.Disk { return c.nodes[n].disk }

// Status returns how the first range's replica on a store stands.
func (c *Cluster) Status(n int) (s replica.Status, ok bool) { return c.status(n, RangeID) }

func (c *Cluster) status(n int, rangeID uint64) (s replica.Status, ok bool) {
	if c.nodes[n].core == nil {
		return s, false
	}
	for _, s := range c.nodes[n].core.Status().Replicas {
		if s.Range == rangeID {
			return *s, true
		}
	}
	return s, false
}

// Leader returns the store that leads the first range with the highest term, -1 if none does.
func (c *Cluster) Leader() int { return c.leaderOf(RangeID) }

func (c *Cluster) leaderOf(rangeID uint64) int {
	leader, term := -1, uint64(0)
	for i := range c.nodes {
		if s, ok := c.status(i, rangeID); ok && s.Role == "leader" && s.Term > term {
			leader, term = i, s.Term
		}
	}
	return leader
}

// Equal reports whether all replicas of all ranges are up and have applied the same, and compares their rows if so.
func (c *Cluster) Equal() bool {
	for _, r := range c.ranges() {
		if !c.equal(r) {
			return false
		}
	}
	return c.failure == nil
}

// ranges lists the ranges that are known to be there.
func (c *Cluster) ranges() (ids []uint64) {
	for _, m := range c.movers {
		ids = append(ids, m.rangeID)
	}
	if len(ids) == 0 {
		ids = []uint64{RangeID}
	}
	return ids
}

func (c *Cluster) equal(rangeID uint64) bool {
	var first uint64
	members := c.members(rangeID)
	for n, i := range members {
		s, ok := c.status(i, rangeID)
		if !ok || s.Role != "leader" && s.Role != "follower" {
			return false
		}
		if n == 0 {
			first = s.Applied
		} else if s.Applied != first {
			return false
		}
	}
	if !slices.Contains(members, c.leaderOf(rangeID)) {
		return false
	}
	var rows []disk.Row
	for n, i := range members {
		r, err := c.rows(i, rangeID)
		switch {
		case err != nil:
			c.fail("rows of range %d on store %d: %v", rangeID, i, err)
		case n == 0:
			rows = r
		case !slices.EqualFunc(rows, r, func(a, b disk.Row) bool {
			return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
		}):
			c.fail("range %d on stores %d and %d differs at index %d", rangeID, members[0], i, first)
		}
	}
	return c.failure == nil
}

// rows returns the rows of a range on a store, without what is each replica's own affair, and checks that every payload
// that they refer to is there, and that its usage is what the rows say.
func (c *Cluster) rows(n int, rangeID uint64) (out []disk.Row, err error) {
	d := c.nodes[n].disk
	s := d.State().Snapshot()
	defer func() { _ = s.Close() }()
	m, err := machine.Load(s, rangeID)
	if err != nil {
		return nil, err
	}
	if err := machine.CheckUsage(s, rangeID, bucketID); err != nil {
		return nil, err
	}
	for _, span := range machine.Spans(m.Descriptor()) {
		it, err := s.Iter(span.Lower, span.Upper)
		if err != nil {
			return nil, err
		}
		for ok := it.First(); ok; ok = it.Next() {
			row := disk.Row{Key: bytes.Clone(it.Key()), Value: bytes.Clone(it.Value())}
			if err := c.plain(d, rangeID, &row); err != nil {
				return nil, err
			}
			out = append(out, row)
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plain takes from a row what is each replica's own affair, and checks that the payload that it refers to is there.
func (c *Cluster) plain(d disk.Disk, rangeID uint64, row *disk.Row) error {
	if bytes.Equal(row.Key, keys.StateRow(rangeID)) {
		state := new(metapb.RangeState)
		if err := state.UnmarshalVT(row.Value); err != nil {
			return err
		}
		state.TruncatedIndex, state.TruncatedTerm = 0, 0
		var err error
		row.Value, err = state.MarshalVT()
		return err
	}
	id, _, ok, err := machine.PayloadOf(*row)
	if err != nil || !ok {
		return err
	}
	_, err = d.Log().Payload(context.Background(), id)
	if err != nil && c.opt.Rot > 0 && disk.Is(err, disk.KindCorrupt) {
		return nil
	}
	return err
}
