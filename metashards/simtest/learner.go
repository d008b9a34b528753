package simtest

import (
	"fmt"
	"time"

	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// Learner plays one scene: a range of two voters gets a learner, which catches up; then the voter that does not lead is cut
// off, and the leader is asked to write. It returns whether the write was acknowledged while the voter was cut off, and
// whether it was afterwards.
func Learner(opt Options) (without, with bool, err error) {
	opt.Clients, opt.Stores, opt.Replicas = 0, 3, 2
	c, err := New(opt)
	if err != nil {
		return false, false, err
	}
	defer func() {
		if e := c.Close(); err == nil {
			err = e
		}
	}()
	if ok, err := c.Run(time.Minute, func() bool { return c.Leader() >= 0 && c.Core(c.Leader()) != nil }); !ok {
		return false, false, fmt.Errorf("no leader (%w)", err)
	}
	leader := c.Leader()
	added := false
	if ok, err := c.Run(time.Minute, func() bool { return c.nodes[leader].reads() }); !ok {
		return false, false, fmt.Errorf("the leader does not come to work (%w)", err)
	}
	c.propose(leader, &metapb.Command{Format: 1, Op: &metapb.Command_ChangeReplicas{ChangeReplicas: &metapb.ChangeReplicas{
		IfGeneration: 1, Add: []uint64{uint64(c.nodes[2].id)},
	}}}, &added)
	caughtUp := func() bool {
		s, _ := c.Status(leader)
		return added && len(s.Followers) == 2 && s.Followers[1].Active && s.Followers[1].Lag == 0
	}
	if ok, err := c.Run(time.Minute, caughtUp); !ok {
		return false, false, fmt.Errorf("the learner does not catch up: %s (%w)", c.describe(), err)
	}
	c.Isolate(1-leader, true)
	c.propose(leader, &metapb.Command{
		Format: 1, RequestId: "write", Bucket: bucketID, Key: []byte("k"), Generation: 1, Time: uint64(c.wall().UnixMicro()),
		Op: &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{Format: 1, Nonce: 1}}},
	}, &with)
	if _, err := c.Run(500*time.Millisecond, nil); err != nil { // the leader has not noticed yet that it is alone
		return false, false, err
	}
	without = with
	c.Isolate(1-leader, false)
	_, err = c.Run(time.Minute, func() bool { return with })
	return without, with, err
}

// reads reports whether the node's replica leads and has applied an entry of its term: only then it takes a change.
func (n *node) reads() bool {
	s, _ := n.c.Status(n.n)
	return s.Role == "leader" && s.Applied == s.Last && s.Last > machine.FirstIndex
}

// propose hands a command to a store and notes when it is acknowledged.
func (c *Cluster) propose(n int, command *metapb.Command, acked *bool) {
	node := c.nodes[n]
	p, err := store.NewProposal(RangeID, command, nil, func(r *metapb.Result, err error) {
		*acked = *acked || err == nil && r.Status == metapb.Status_OK
	})
	if err != nil {
		c.fail("%v", err)
		return
	}
	node.mail(node.life, func() { node.core.Propose(p) })
}
