package simtest

import (
	"errors"
	"time"

	"github.com/contender/contender/metashards/keys"
)

// wrongRow is a row that no client reads and no command writes: some have it and some do not. As there are only these two
// states, most replicas always agree. It can spread: the wrong store may lead, and send snapshots, before it is found out.
var wrongRow = keys.KeyRow(keys.Current, 1<<40, []byte("wrong"))

// wrongStore is the store whose replicas go wrong: always the same, so that most are right.
func (c *Cluster) wrongStore() *node { return c.nodes[int(c.opt.Seed)%c.opt.Replicas] }

// goWrong adds the row to what the wrong store has, behind its replica's back, or takes it away.
func (c *Cluster) goWrong() bool {
	n := c.wrongStore()
	if n.core == nil || n.busy {
		return false
	}
	b := n.disk.State().NewBatch()
	_, has, err := b.Get(wrongRow)
	if has {
		err = errors.Join(err, b.Delete(wrongRow))
	} else {
		err = errors.Join(err, b.Set(wrongRow, []byte{1}))
	}
	if err = errors.Join(err, b.Commit(), b.Close()); err != nil {
		c.fail("store %d does not go wrong: %v", n.n, err)
	}
	return true
}

// right reports whether all have the row, or none, and nobody is told to differ. A leader
// that has not changed does not compare, so others are made to lead from time to time.
func (c *Cluster) right() func() bool {
	next, again := c.now, c.now
	return func() bool {
		if c.now < next {
			return false
		}
		next = c.now + time.Second
		wrong, have := false, 0
		for i, n := range c.nodes {
			view := n.disk.State().Snapshot()
			_, has, err := view.Get(wrongRow)
			if err = errors.Join(err, view.Close()); err != nil {
				c.fail("store %d: %v", n.n, err)
			}
			if has {
				have++
			}
			s, ok := c.Status(i)
			wrong = wrong || !ok || len(s.Differ) > 0
		}
		wrong = wrong || have%len(c.nodes) != 0
		if n := c.Leader(); wrong && n >= 0 && c.now > again {
			again = c.now + 5*time.Minute
			c.Crash(n)
			c.Start(n)
		}
		return !wrong
	}
}
