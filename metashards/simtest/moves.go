package simtest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/store"
)

// Moves counts what happened to ranges and their members.
type Moves struct {
	Adds, Exchanges, Leaves, Removes int // steps that took effect
	Demoted                          int // voters that became learners
	LeaderDemoted                    int // exchanges asked for while the leader's own vote was to go
	Destroys                         int // replicas taken off their disks
	Returns                          int // disks that became members again after that
	Broken                           int // crashes amid the first snapshot of a replica
	Splits                           int // ranges that were split off
	Learning                         int // splits asked for while the range had a learner
}

// mover exchanges a range's replicas, and splits it, while clients work: it reads the descriptor, takes the next step of its
// plan, and does not care whether it took effect, since it reads again.
type mover struct {
	c       *Cluster
	rangeID uint64
	seen    *metapb.RangeDescriptor // read last
	plan    *exchange
	ends    bool // no new plans
	moves   Moves

	destroyed map[disk.ID]uint64 // by disk: the highest replica id that was destroyed there; looked up only
}

// exchange is a plan: who becomes a voter and who ceases to be one.
type exchange struct{ promote, demote []disk.ID }

func newMover(c *Cluster, rangeID uint64) *mover {
	m := &mover{c: c, rangeID: rangeID, destroyed: map[disk.ID]uint64{}}
	c.after(c.between(0, time.Second), -1, "move", m.look)
	return m
}

// look reads the descriptor from whoever leads, and goes on with it when it comes.
func (m *mover) look() {
	c := m.c
	c.after(c.between(20*time.Millisecond, 150*time.Millisecond), -1, "move", m.look)
	c.discover()
	n := c.leaderOf(m.rangeID)
	if n < 0 {
		return
	}
	node := c.nodes[n]
	node.mail(node.life, func() {
		node.core.Read(&store.Read{Range: m.rangeID, Done: func(v *store.View, err error) {
			if err != nil {
				return
			}
			q := &metapb.Query{Format: 1, Op: &metapb.Query_GetRange{GetRange: &metapb.GetRange{}}}
			q.Bucket, q.Key = machine.First(v.Descriptor())
			a, err := v.Answer(context.Background(), q)
			middle := m.middle(v, q.Bucket, q.Key)
			if e := v.Close(); err == nil {
				err = e
			}
			if err != nil || a.GetRange().GetRange() == nil {
				c.fail("the descriptor can't be read: %v %v", a, err)
				return
			}
			d := a.Range.Range
			c.after(c.between(10*time.Microsecond, time.Millisecond), -1, "descriptor", func() { m.went(n, d, middle) })
		}})
	})
}

// went takes a descriptor in, and where the range is to be split because it has grown too large, if it has.
func (m *mover) went(leader int, d *metapb.RangeDescriptor, middle []byte) {
	if m.seen != nil && d.Generation < m.seen.Generation {
		return // an older answer that was under way for longer
	}
	if m.seen != nil {
		m.count(m.seen, d)
	}
	m.seen = d
	m.c.learn(d)
	m.destroy(d)
	if len(middle) > 0 {
		m.splitAt(leader, d, middle)
		return
	}
	if m.split(leader, d) || !m.c.opt.Moves {
		return
	}
	if step := m.next(leader, d); step != nil {
		m.propose(leader, d, &metapb.Command{Op: &metapb.Command_ChangeReplicas{ChangeReplicas: step}})
	}
}

// count finds out which steps have taken effect. Steps may have been missed between two looks; then they are not counted.
func (m *mover) count(old, d *metapb.RangeDescriptor) {
	if d.Generation != old.Generation+1 {
		return
	}
	switch {
	case !bytes.Equal(old.End, d.End): // it was split
	case machine.Joint(old):
		m.moves.Leaves++
	case machine.Joint(d):
		m.moves.Exchanges++
		for _, r := range d.Replicas {
			if r.Outgoing {
				m.moves.Demoted++
			}
		}
	case len(d.Replicas) > len(old.Replicas):
		m.moves.Adds++
		if m.destroyed[disk.ID(d.Replicas[len(d.Replicas)-1].Disk)] > 0 {
			m.moves.Returns++
		}
	default:
		m.moves.Removes++
	}
}

// next returns the next step, nil if there is nothing to do now.
func (m *mover) next(leader int, d *metapb.RangeDescriptor) *metapb.ChangeReplicas {
	step := &metapb.ChangeReplicas{IfGeneration: d.Generation}
	if machine.Joint(d) {
		step.Leave = true
		return step
	}
	if m.plan != nil && m.done(d) {
		m.plan = nil
	}
	switch learners := disksOf(d, func(r *metapb.Replica) bool { return r.Learner }); {
	case m.plan != nil:
	case len(learners) > 0:
		step.Remove = []uint64{uint64(learners[0])}
		return step
	case m.ends:
		return nil
	default:
		m.plan = m.draw(d)
	}
	ready := true
	for _, p := range m.plan.promote {
		r := replicaOf(d, p)
		if r == nil {
			step.Add = []uint64{uint64(p)}
			return step
		}
		ready = ready && (!r.Learner || m.caughtUp(leader, p))
	}
	if !ready {
		if m.ends {
			m.plan = nil
		}
		return nil
	}
	for _, p := range m.plan.promote {
		if r := replicaOf(d, p); r.Learner {
			step.Promote = append(step.Promote, uint64(p))
		}
	}
	for _, p := range m.plan.demote {
		if r := replicaOf(d, p); r != nil && !r.Learner {
			step.Demote = append(step.Demote, uint64(p))
			if m.c.nodes[leader].id == p {
				m.moves.LeaderDemoted++
			}
		}
	}
	return step
}

// done reports whether a plan has come to its end.
func (m *mover) done(d *metapb.RangeDescriptor) bool {
	for _, p := range m.plan.promote {
		if r := replicaOf(d, p); r == nil || r.Learner {
			return false
		}
	}
	return !slices.ContainsFunc(m.plan.demote, func(p disk.ID) bool {
		r := replicaOf(d, p)
		return r != nil && !r.Learner
	})
}

// draw makes a plan: one for one, two more, or two fewer.
func (m *mover) draw(d *metapb.RangeDescriptor) *exchange {
	c := m.c
	voters := disksOf(d, func(*metapb.Replica) bool { return true })
	var spare []disk.ID
	for _, n := range c.nodes {
		if !slices.Contains(voters, n.id) {
			spare = append(spare, n.id)
		}
	}
	c.rand.Shuffle(len(spare), func(i, j int) { spare[i], spare[j] = spare[j], spare[i] })
	c.rand.Shuffle(len(voters), func(i, j int) { voters[i], voters[j] = voters[j], voters[i] })
	switch {
	case len(voters) >= 5 && c.chance(2):
		return &exchange{demote: voters[:2]}
	case len(voters) == 3 && len(spare) >= 2 && c.chance(3):
		return &exchange{promote: spare[:2]}
	}
	return &exchange{promote: spare[:1], demote: voters[:1]}
}

// caughtUp asks the leader's store about a follower.
func (m *mover) caughtUp(leader int, id disk.ID) bool {
	s, _ := m.c.status(leader, m.rangeID)
	return slices.ContainsFunc(s.Followers, func(f replica.Follower) bool {
		return f.Disk == id && f.Active && f.Lag < 5
	})
}

// propose hands a step to a store. Its answer is of no interest.
func (m *mover) propose(n int, d *metapb.RangeDescriptor, command *metapb.Command) {
	c, node := m.c, m.c.nodes[n]
	command.Format, command.Time = 1, uint64(c.wall().UnixMicro())
	command.Bucket, command.Key = machine.First(d)
	p, err := store.NewProposal(m.rangeID, command, nil, func(r *metapb.Result, err error) {
		if err == nil && r.Status != metapb.Status_OK && r.Status != metapb.Status_REVISION_MISMATCH {
			c.fail("a step was refused: %v: %v %s", command, r.Status, r.Detail)
		}
	})
	if err != nil {
		c.fail("step: %v", err)
		return
	}
	node.mail(node.life, func() { node.core.Propose(p) })
}

// destroy takes replicas off disks that are no members, most of the time late.
func (m *mover) destroy(d *metapb.RangeDescriptor) {
	for i, n := range m.c.nodes {
		if replicaOf(d, n.id) != nil || n.core == nil || !m.ends && !m.c.chance(4) {
			continue
		}
		switch s, _ := m.c.status(i, m.rangeID); s.Role {
		case "leader", "follower", "candidate", "removed":
		default:
			continue
		}
		n.mail(n.life, func() {
			n.core.Destroy(m.rangeID, d.NextReplica, func(err error) {
				if err == nil {
					m.destroyed[n.id] = d.NextReplica - 1
					m.moves.Destroys++
				}
			})
		})
	}
}

// settled reports whether the range has come to a plain configuration that stays.
func (m *mover) settled() bool {
	return m.ends && m.plan == nil && m.seen != nil && !machine.Joint(m.seen) &&
		len(disksOf(m.seen, func(r *metapb.Replica) bool { return r.Learner })) == 0
}

// members returns the stores that keep a range, in order.
func (c *Cluster) members(rangeID uint64) (list []int) {
	v := c.moverOf(rangeID)
	for i, n := range c.nodes {
		if v == nil && i < c.opt.Replicas || v != nil && v.seen != nil && replicaOf(v.seen, n.id) != nil {
			list = append(list, i)
		}
	}
	return list
}

// anyStore draws a store that may lead the range.
func (c *Cluster) anyStore() int {
	if c.opt.Moves {
		return c.rand.IntN(len(c.nodes))
	}
	return c.rand.IntN(c.opt.Replicas)
}

func disksOf(d *metapb.RangeDescriptor, is func(*metapb.Replica) bool) (list []disk.ID) {
	for _, r := range d.Replicas {
		if is(r) {
			list = append(list, disk.ID(r.Disk))
		}
	}
	return list
}

func replicaOf(d *metapb.RangeDescriptor, id disk.ID) *metapb.Replica {
	for _, r := range d.Replicas {
		if disk.ID(r.Disk) == id {
			return r
		}
	}
	return nil
}
