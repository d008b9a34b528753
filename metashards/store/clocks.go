package store

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/promise"
)

// Wall clocks are compared with each beat. A store judges its own, and those of others, by the median of all that it knows,
// its own among them; of an even number that is the lower one of the two in the middle, since a clock that is behind does no
// harm: range time never goes back, and goes on as fast as boot clocks do. So with two nodes whose clocks are apart the one
// that is ahead leads nothing, right or wrong; of three the one is off that is apart from the other two. Who hears of nobody
// judges nothing.
//
// A store whose clock is off hands its leaderships over and lets others campaign first. Where nobody else can lead it leads
// all the same, with a range time that begins at the median.

const (
	// clockMost is how far a wall clock may be off the median; once it was further it must come back to within half of that.
	clockMost = 10 * time.Second
	// clockRoundTrip is the longest round trip of a beat by which a clock is judged: that is wrong by half of it at most.
	clockRoundTrip = 2 * time.Second
	// clockMemory is for how long a clock is known that nothing more is heard of.
	clockMemory = 30 * time.Second
	// yieldTicks is how long a replica that should not lead lets others campaign first.
	yieldTicks = 50
	// handMost is how many leaderships are handed over in a tick, and handTicks how long it takes until one is tried again.
	handMost  = 64
	handTicks = 20
)

var errClockOff = errors.New("the clock of that disk's node is far off")

// clocks is what a store knows of wall clocks.
type clocks struct {
	own    uint64        // which clock is read here
	heard  []heardClock  // ascending by disk, those of stores that read the own clock among them
	off    bool          // the own is
	ahead  time.Duration // by so much, of the median; behind if below zero
	told   time.Duration // ahead, as it was shown last; zero unless off
	median time.Duration // wall clock less own boot clock
	known  bool          // there is a median
}

// heardClock is the clock of another store.
type heardClock struct {
	disk disk.ID
	id   uint64
	base time.Duration // wall clock, since 1970, less the boot clock here
	at   time.Duration // on that
}

// hearClock takes in what a store tells of its clock along with a promise.
func (c *Core) hearClock(a *promise.Answer) {
	now := c.opt.BootClock()
	trip := now - a.Asked
	if a.Wall == 0 || a.To != c.opt.Disk.ID() || a.ToBoot != c.opt.Boot || trip < 0 || trip > clockRoundTrip {
		return
	}
	x := heardClock{disk: a.From, id: a.Clock, base: time.Duration(a.Wall) + trip/2 - now, at: now}
	i, found := slices.BinarySearchFunc(c.clocks.heard, a.From, func(h heardClock, id disk.ID) int { return cmp.Compare(h.disk, id) })
	if found {
		c.clocks.heard[i] = x
		return
	}
	c.clocks.heard = slices.Insert(c.clocks.heard, i, x)
}

// judge finds the median, with the own clock at base.
func (k *clocks) judge(base, now time.Duration) {
	k.heard = slices.DeleteFunc(k.heard, func(h heardClock) bool { return now-h.at > clockMemory })
	newest := slices.DeleteFunc(slices.Clone(k.heard), func(h heardClock) bool { return h.id == k.own })
	if k.known = len(newest) > 0; !k.known {
		k.off, k.ahead = false, 0
		return
	}
	slices.SortFunc(newest, func(a, b heardClock) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(b.at, a.at)) })
	newest = slices.CompactFunc(newest, func(a, b heardClock) bool { return a.id == b.id })
	all := []time.Duration{base}
	for _, h := range newest {
		all = append(all, h.base)
	}
	slices.Sort(all)
	k.median = all[(len(all)-1)/2]
	k.ahead = base - k.median
	most := clockMost
	if k.off {
		most /= 2
	}
	k.off = k.ahead.Abs() > most
}

// isOff reports whether the clock of another disk's store is known to be off.
func (k *clocks) isOff(id disk.ID) bool {
	i, found := slices.BinarySearchFunc(k.heard, id, func(h heardClock, id disk.ID) int { return cmp.Compare(h.disk, id) })
	switch {
	case !found || !k.known:
		return false
	case k.heard[i].id == k.own:
		return k.off
	}
	return (k.heard[i].base - k.median).Abs() > clockMost
}

// judgeClocks judges the own clock, and tells where that changes.
func (c *Core) judgeClocks() {
	k, now := &c.clocks, c.opt.BootClock()
	was := k.off
	k.judge(time.Duration(c.opt.Now().UnixNano())-now, now)
	told := time.Duration(0)
	if k.off {
		told = k.ahead.Round(time.Second)
	}
	if told != k.told {
		k.told, c.stirred = told, true
	}
	switch {
	case k.off && !was:
		c.opt.Logger.Warn("the wall clock is far off those of other nodes: this disk leads nothing where another can", "disk", c.opt.Disk.ID(), "ahead", k.ahead)
	case was && !k.off:
		c.opt.Logger.Info("the wall clock is right again", "disk", c.opt.Disk.ID(), "ahead", k.ahead)
	}
	if k.off != was {
		c.stirred = true
	}
}

// wall returns the time with which range time may begin: the wall clock's, unless that is off.
func (c *Core) wall() time.Time {
	if c.judgeClocks(); c.clocks.off && !mutantSickLeads {
		return c.opt.Now().Add(-c.clocks.ahead)
	}
	return c.opt.Now()
}

// yields reports whether a replica that may campaign lets others go first for now: the clock here is off, or its rows are not
// those of most. After a while without a leader it campaigns all the same.
func (c *Core) yields(m *member) bool {
	if mutantSickLeads || !c.clocks.off && !m.remade.odd || m.yielded >= yieldTicks || m.replica.Only() {
		return false
	}
	m.yielded++
	return true
}

// giveUpLeading hands leaderships over, some with each tick, if the clock here is off: to stores that live and whose clocks
// are not. Where there is none, this one goes on leading.
func (c *Core) giveUpLeading() {
	if !c.clocks.off || mutantSickLeads {
		return
	}
	n := 0
	for _, m := range c.members {
		if m.term == 0 || m.replica == nil || !m.replica.CanRead() || m.handed > 0 && c.ticks-m.handed < handTicks {
			continue
		}
		to := m.replica.Successor(func(id disk.ID) bool { return c.table.Stands(id) && !c.clocks.isOff(id) })
		if to == 0 {
			continue
		}
		m.handed = c.ticks
		if err := c.TransferLeadership(m.rangeID, to); err != nil {
			c.opt.Logger.Debug("leadership is not handed over", "range", m.rangeID, "to", to, "error", err)
		}
		if n++; n == handMost {
			return
		}
	}
}
