package simtest

import (
	"fmt"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// Outcome is what a whole run came to.
type Outcome struct {
	Trace   uint64
	Acked   int // operations whose outcome is known
	Unknown int
	Crashes int
	Cuts    int
	Pauses  int
	Rotten  int
	// Wrong is how often a row went wrong, and Remade how often a replica was remade because it differed.
	Wrong  int
	Remade uint64
	// Glances is how many reads were answered from views that stores had left open.
	Glances int
	// Snapshots is how many Raft messages with a snapshot were sent.
	Snapshots int
	// Broken is how many crashes came amid the pulls of a snapshot or a payload.
	Broken   int
	Moves    Moves
	Duration time.Duration // virtual
}

// Run founds a cluster, lets its clients work under faults, stops the faults, and checks everything.
func Run(opt Options) (out Outcome, err error) {
	c, err := New(opt)
	if err != nil {
		return out, err
	}
	defer func() {
		if e := c.Close(); err == nil {
			err = e
		}
	}()
	c.faults = true
	c.after(0, -1, "chaos", func() { c.chaos(&out) })
	finished := func() bool { return c.working == 0 }
	if ok, err := c.Run(10*time.Minute, finished); !ok {
		return out, fmt.Errorf("clients do not come to an end (%w)", err)
	}
	c.faults = false
	clear(c.cut)
	for i := range c.nodes {
		c.Start(i)
	}
	if len(c.movers) > 0 {
		if ok, err := c.Run(4*time.Minute, c.settled); !ok {
			return out, fmt.Errorf("seed %d: ranges and members do not settle (%w): %s", opt.Seed, err, c.describe())
		}
	}
	if opt.Wrong > 0 {
		if ok, err := c.Run(time.Hour, c.right()); !ok {
			return out, fmt.Errorf("seed %d: a replica that differs stays so (%w): %s", opt.Seed, err, c.describe())
		}
	}
	if ok, err := c.Run(time.Minute, c.equalSoon()); !ok {
		return out, fmt.Errorf("seed %d: no convergence (%w): %s", opt.Seed, err, c.describe())
	}
	for _, m := range c.movers {
		out.Moves.Add(m.moves)
	}
	out.Glances = c.glances
	for _, n := range c.nodes {
		out.Remade += n.remade + n.core.Status().Remade
	}
	for _, o := range c.history.ops {
		if o.outcome == outcomeUnknown {
			out.Unknown++
		} else {
			out.Acked++
		}
	}
	out.Trace, out.Duration, out.Snapshots, out.Broken = c.Trace(), c.now, c.snapshots, c.broken
	if err := c.history.check(opt.Keys); err != nil {
		return out, fmt.Errorf("seed %d: %w", opt.Seed, err)
	}
	return out, c.failure
}

func (c *Cluster) describe() (s string) {
	for i := range c.nodes {
		for _, r := range c.ranges() {
			st, _ := c.status(i, r)
			s += fmt.Sprintf("\n  store %d: %+v", i, st)
		}
	}
	for _, m := range c.movers {
		s += fmt.Sprintf("\n  range %d: %v, plan %v", m.rangeID, m.seen, m.plan)
	}
	return s
}

// equalSoon looks at the replicas from time to time only: comparing is dear.
func (c *Cluster) equalSoon() func() bool {
	next := c.now + time.Second
	return func() bool {
		if c.now < next {
			return false
		}
		next = c.now + 500*time.Millisecond
		return c.Leader() >= 0 && c.Equal() && c.counted()
	}
}

// compared fails the run if a leader has found that replicas differ.
func (c *Cluster) compared() {
	for _, n := range c.nodes {
		if n.core == nil || c.opt.Wrong > 0 {
			continue
		}
		for _, s := range n.core.Status().Replicas {
			if len(s.Differ) > 0 {
				c.fail("the replicas of range %d on disks %v differ from the leader's on store %d", s.Range, s.Differ, n.n)
			}
		}
	}
}

// chaos makes the next fault.
func (c *Cluster) chaos(out *Outcome) {
	if !c.faults {
		return
	}
	c.compared()
	const step = 100 * time.Millisecond
	if c.rand.Float64() < c.opt.Crashes*step.Seconds() {
		n := c.rand.IntN(len(c.nodes))
		if c.nodes[n].core != nil {
			out.Crashes++
			c.crashFor(n)
		}
	}
	if c.rand.Float64() < c.opt.Cuts*step.Seconds() {
		l := link{c.rand.IntN(len(c.nodes)), c.rand.IntN(len(c.nodes))}
		out.Cuts++
		c.cut[l] = true
		c.after(c.between(100*time.Millisecond, 4*time.Second), l.from, "mend", func() { c.cut[l] = false })
	}
	if n := c.Leader(); n >= 0 && c.rand.Float64() < c.opt.Cuts/4*step.Seconds() {
		out.Cuts++
		c.Isolate(n, true)
		c.after(c.between(time.Second, 5*time.Second), n, "mend", func() { c.Isolate(n, false) })
	}
	if c.rand.Float64() < c.opt.Pauses*step.Seconds() {
		n := c.rand.IntN(len(c.nodes))
		if l := c.Leader(); l >= 0 && c.chance(2) {
			n = l
		}
		out.Pauses++
		c.Pause(n, c.between(100*time.Millisecond, 5*time.Second))
	}
	if c.rand.Float64() < c.opt.Rot*step.Seconds() && c.rot() {
		out.Rotten++
	}
	if c.opt.Wrong > 0 && c.rand.Float64() < c.opt.Wrong*step.Seconds() && c.goWrong() {
		out.Wrong++
	}
	c.after(step, -1, "chaos", func() { c.chaos(out) })
}

// crashFor crashes a store and starts it again after a while.
func (c *Cluster) crashFor(n int) {
	c.Crash(n)
	away := 3 * time.Second
	if c.chance(2) {
		away = 50 * time.Millisecond
	}
	c.after(c.between(time.Millisecond, away), n, "start", func() { c.Start(n) })
}

// rot lets a payload rot. Each payload rots on one disk only: the others have it still.
func (c *Cluster) rot() bool {
	n := c.rand.IntN(c.opt.Replicas)
	d, ok := c.nodes[n].disk.(interface{ CorruptPayload(disk.PayloadID) bool })
	if !ok {
		return false
	}
	var ids []disk.PayloadID
	s := c.nodes[n].disk.State().Snapshot()
	err := machine.Payloads(s, &metapb.RangeDescriptor{Id: RangeID}, func(id disk.PayloadID, _ uint64) error {
		if int(id.Index)%c.opt.Replicas == n {
			ids = append(ids, id)
		}
		return nil
	})
	if e := s.Close(); err == nil {
		err = e
	}
	if err != nil {
		c.fail("payloads of store %d: %v", n, err)
	}
	return len(ids) > 0 && d.CorruptPayload(ids[c.rand.IntN(len(ids))])
}
