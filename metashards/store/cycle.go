package store

import (
	"context"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/transport"
)

// Begin is the first half of a round: it gathers what the replicas want written, sends what need not wait, and appends.
// It reports whether the disk's log must be synced before Finish.
func (c *Core) Begin(ctx context.Context) (sync bool) {
	if c.stopped != nil {
		return false
	}
	c.active, c.append = c.active[:0], disk.Append{}
	dirty := c.dirty
	c.dirty = nil
	slices.SortFunc(dirty, func(a, b *member) int { return int(int64(a.rangeID - b.rangeID)) })
	for _, m := range dirty {
		m.dirty = false
		if m.replica == nil {
			continue
		}
		c.collect(m)
	}
	c.keepCommits()
	c.keepBallots()
	c.appendRepairs(ctx)
	if len(c.append.Payloads)+len(c.append.Entries)+len(c.append.HardStates) == 0 {
		return false
	}
	if err := c.opt.Disk.Log().Append(ctx, c.append); err != nil {
		c.appendFailed(err)
		return false
	}
	c.parents = nil
	return true
}

// collect begins a member's round.
func (c *Core) collect(m *member) {
	m.askReads()
	m.propose()
	if !m.replica.HasReady() {
		c.check(m)
		return
	}
	c.stir(m)
	early := m.replica.Collect(&c.append)
	if c.check(m) {
		return
	}
	if m.replica.Unapplied() && !mutantOpenKept {
		m.shut()
	}
	m.noteLeadership()
	m.lead()
	m.refuseUnproposed(m.replica.Refused())
	c.sendOf(m, early)
	c.active = append(c.active, m)
}

// check answers everybody who waits for a replica that has failed, and reports whether it has.
func (c *Core) check(m *member) bool {
	err := m.replica.Failed()
	if err == nil {
		return false
	}
	c.stir(m)
	c.farewell(m)
	m.refusePending(Unavailable, err)
	m.refuseReads(Unavailable, err)
	m.dismiss(Unavailable, Indeterminate, err)
	m.shut()
	m.term = 0
	if disk.Is(err, disk.KindFenced) || disk.Is(err, disk.KindClosed) {
		c.Stop(err)
	}
	return true
}

// sendOf sends a replica's messages.
func (c *Core) sendOf(m *member, messages []*transport.Message) {
	for _, msg := range messages {
		c.acknowledge(m, msg)
		c.opt.Sender.Send(msg)
	}
}

// appendFailed ends a round whose records could not be written. Where there is no room, nothing was written, and the
// replicas concerned are loaded again after a rest, as if the process had crashed. Any other failure ends the store.
func (c *Core) appendFailed(err error) {
	if !disk.Is(err, disk.KindFull) {
		c.Stop(err)
		return
	}
	c.opt.Logger.Warn("disk full: replicas rest", "disk", c.opt.Disk.ID(), "error", err)
	c.full, c.ballots = true, nil
	for _, m := range c.active {
		m.replica.Fail(err)
		m.shut()
		c.farewell(m)
		m.replica, m.rest = nil, c.opt.RetryTicks
		c.watch(m)
		c.stir(m)
		m.term = 0
		m.refusePending(Full, err)
		m.refuseReads(Unavailable, err)
		m.dismiss(Unavailable, Indeterminate, err)
	}
	c.active = c.active[:0]
}

// Finish is the second half of a round, after the sync and with its error, or at once if there was nothing to sync.
func (c *Core) Finish(syncErr error) {
	if syncErr != nil {
		c.Stop(syncErr)
		return
	}
	c.sendBallots()
	for _, m := range c.active {
		if c.stopped != nil {
			return
		}
		c.finish(m)
	}
	c.active = c.active[:0]
	c.append = disk.Append{}
}

// finish ends a member's round.
func (c *Core) finish(m *member) {
	r := m.replica
	if r == nil {
		return
	}
	c.stir(m)
	c.sendOf(m, r.Late())
	if mutantAckBeforeQuorum {
		for _, s := range r.Proposed() {
			if i := slices.IndexFunc(m.batches, func(b batch) bool { return b.sequence == s }); i >= 0 {
				if results := unconfirmed(m.batches[i].proposals); results != nil {
					m.finish(i, results)
				}
			}
		}
	}
	before := r.Machine().Descriptor()
	index := r.Machine().State().AppliedIndex
	applied, err := r.Apply()
	if (r.Machine().State().AppliedIndex != index || err != nil) && !mutantOldView {
		c.unshare()
	}
	m.noteMoved()
	if err == nil {
		if r.Machine().Descriptor() != before {
			c.owners.changed()
			m.lead()
		}
		c.born(m, r.Born())
		m.answer(applied)
		m.confirm(r.ReadStates())
		m.release()
		c.compare(m)
		r.Advance()
	}
	if c.check(m) {
		return
	}
	for _, id := range r.Rotten() {
		c.mendLogged(m, id)
	}
	if r.HasReady() || len(m.reads) > 0 && r.CanRead() {
		c.touch(m)
	}
}
