package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// receiveFirst takes in a message for a range that has no replica here: a leader has made this disk a member, or a split
// that was not applied here yet. The disk answers that it has nothing, until a snapshot comes, and it votes: others may need
// its vote for there to be a leader that sends one. Ids below the range's tombstone are of replicas that were removed:
// nobody answers for them. Nor for a replica that was here and is lost with the disk's state: it would forget what it
// has acknowledged, so it is for others to remove it.
func (c *Core) receiveFirst(msg *transport.Message) {
	least, err := c.tombstone(msg.Range)
	if err != nil || msg.Raft.GetTo() < max(least, 1) || c.forgot(msg.Range) || !c.answersFor(msg.Range) {
		return
	}
	if answer := replica.Absent(c.env(), msg); answer != nil {
		c.heardLeader(msg.Range)
		if mutantNoBirth || !c.mayBeBorn(msg) {
			c.opt.Sender.Send(answer)
		}
		return
	}
	if c.vote(msg) {
		return
	}
	in, err := replica.InstallFirst(c.env(), msg)
	if err == nil && in != nil {
		err = c.judgeSpan(in.Descriptor)
	}
	if err != nil {
		c.absent[msg.Range] = absence{silent: refusedTicks}
		c.refuseSnapshot(msg, err)
		return
	}
	if in != nil {
		m := c.enrol(msg.Range)
		m.span = in.Descriptor
		c.install(m, in)
	}
}

// mayBeBorn reports whether the replica that an append is for may come about by a split that the others have applied and this
// store has not: the replica of another range still has the position where the range begins. A snapshot would be refused while
// it has, and where it came in between, the ranges that were split off meanwhile would need one as well.
func (c *Core) mayBeBorn(msg *transport.Message) bool {
	if len(msg.Begins) == 0 {
		return false
	}
	bucket, key, err := keys.ParsePosition(msg.Begins)
	return err == nil && c.owners.of(bucket, key) != nil
}

// forgot reports whether the disk may have had a replica of a range and lost it with its state: hard states are left.
func (c *Core) forgot(rangeID uint64) bool {
	d, ok := c.opt.Disk.(interface{ RaftLost() bool })
	if !ok || !d.RaftLost() {
		return false
	}
	_, had := c.opt.Disk.Log().HardState(rangeID)
	return had
}

// enrol makes a member without a replica.
func (c *Core) enrol(rangeID uint64) *member {
	m := &member{core: c, rangeID: rangeID}
	i, _ := slices.BinarySearchFunc(c.members, rangeID, func(m *member, id uint64) int { return int(int64(m.rangeID - id)) })
	c.members = slices.Insert(c.members, i, m)
	c.byRange[rangeID] = m
	c.restaff()
	c.stir(m)
	delete(c.absent, rangeID)
	return m
}

// strike takes a member off.
func (c *Core) strike(m *member) {
	delete(c.byRange, m.rangeID)
	c.owners.changed()
	c.restaff()
	c.members = slices.DeleteFunc(c.members, func(o *member) bool { return o == m })
}

// Destroy takes a replica that is no member of its range any more off the disk; done is called when it is gone, durably,
// or with the reason why it is not. least is the least replica id of the range that may come to this disk again, such as
// the next id of the range's descriptor: the replica's own must be below it. A replica that is not here is no error, and does not come.
func (c *Core) Destroy(rangeID, least uint64, done func(error)) {
	m := c.byRange[rangeID]
	switch {
	case c.stopped != nil:
		done(c.stopped)
		return
	case m != nil && m.replica == nil && m.err == nil:
		done(fmt.Errorf("range %d: its replica is not in use now", rangeID))
		return
	}
	d, err := c.destruction(m, rangeID, least)
	if err != nil || d == nil {
		done(err)
		return
	}
	c.opt.Logger.Info("replica goes", "range", rangeID, "disk", c.opt.Disk.ID(), "least", least)
	first := m == nil
	switch {
	case first:
		m = c.enrol(rangeID) // nothing of it comes meanwhile
	case m.replica != nil:
		m.leave()
	default:
		m.err, m.span = nil, d.Descriptor()
		c.stir(m)
	}
	c.opt.Go(func() {
		err := d.Run(c.opt.Context)
		c.opt.Post(func() {
			c.after(m, err != nil && !first)
			done(err)
		})
	})
}

// after goes on with a member whose replica was to be destroyed. There may be one still, or one that came about meanwhile,
// by a split.
func (c *Core) after(m *member, still bool) {
	if c.stopped != nil {
		return
	}
	if !still {
		s := c.opt.Disk.State().Snapshot()
		_, err := machine.Load(s, m.rangeID)
		if e := s.Close(); err == nil {
			err = e
		}
		if errors.Is(err, machine.ErrNoRange) {
			c.table.Forget(m.rangeID)
			c.strike(m)
			return
		}
	}
	c.load(m)
}

// replaced reports whether a message is for a later replica of this disk than the one that is here, which goes then: a
// leader speaks to replicas of descriptors that it has applied, and these have one replica on each disk.
func (c *Core) replaced(m *member, msg *transport.Message) bool {
	if msg.Raft.GetTo() <= m.replica.ID() {
		return false
	}
	c.Destroy(m.rangeID, msg.Raft.GetTo(), func(err error) {
		if err != nil && c.stopped == nil {
			c.opt.Logger.Warn("a replica that was removed stays for now", "range", m.rangeID, "disk", c.opt.Disk.ID(), "error", err)
		}
	})
	return true
}

// destruction begins the destruction of what is here of a range; nil if nothing is to be done.
func (c *Core) destruction(m *member, rangeID, least uint64) (*replica.Destruction, error) {
	if m != nil && m.replica != nil {
		return m.replica.Destroy(least)
	}
	return replica.DestroyRemains(c.env(), rangeID, least)
}

// leave gives the replica up and answers everybody who waits for it.
func (m *member) leave() {
	m.span = m.replica.Machine().Descriptor()
	m.replica = nil
	m.core.stir(m)
	m.noteLeadership()
	m.refusePending(Unavailable, nil)
	m.refuseReads(Unavailable, nil)
}

// Destroy is Core.Destroy.
func (s *Store) Destroy(ctx context.Context, rangeID, least uint64) error {
	answer := make(chan error, 1)
	s.box.post(func() { s.core.Destroy(rangeID, least, func(err error) { answer <- err }) })
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errClosed
	}
}

// tombstone reads the least replica id of a range that may come to this disk.
func (c *Core) tombstone(rangeID uint64) (least uint64, err error) {
	s := c.opt.Disk.State().Snapshot()
	least, err = replica.Tombstone(s, rangeID)
	if e := s.Close(); err == nil {
		err = e
	}
	if mutantTombstone {
		least = 0
	}
	return least, err
}
