package simtest

import (
	"context"
	"fmt"
	"time"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// Deposed plays one scene: the leader is cut off from the other stores, or its process is paused, clients go on reading from
// it and writing through the others. It returns how many reads were asked of the old leader while another store led, and an
// error if one of them was answered with less than had been acknowledged before.
func Deposed(opt Options, pause bool) (asked int, err error) {
	opt.Clients = 0
	c, err := New(opt)
	if err != nil {
		return 0, err
	}
	if ok, err := c.Run(time.Minute, func() bool { return c.Leader() >= 0 }); !ok {
		return 0, fmt.Errorf("no leader (%w)", err)
	}
	defer func() {
		if e := c.Close(); err == nil {
			err = e
		}
	}()
	old := c.Leader()
	var acked, sent uint64 // values written
	var write, read func()
	write = func() {
		sent++
		value := sent
		n := c.Leader()
		command := &metapb.Command{
			Format: 1, RequestId: fmt.Sprint(value), Bucket: bucketID, Key: []byte("k"), Generation: 1,
			Time: uint64(c.wall().UnixMicro()),
			Op:   &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{Format: 1, Nonce: value}}},
		}
		p, err := store.NewProposal(RangeID, command, nil, func(_ *metapb.Result, err error) {
			if err == nil {
				acked = max(acked, value)
			}
		})
		if err != nil {
			c.fail("%v", err)
		}
		if n >= 0 {
			c.nodes[n].mail(c.nodes[n].life, func() { c.nodes[n].core.Propose(p) })
		}
		c.after(c.between(0, 20*time.Millisecond), -1, "write", write)
	}
	read = func() {
		before := acked
		if c.Leader() != old {
			if s, _ := c.Status(old); s.Role == "leader" {
				asked++
			}
		}
		n := c.nodes[old]
		n.read(RangeID, func(v *store.View, err error) {
			if err == nil {
				c.atLeast(v, before)
			}
		})
		c.after(c.between(0, 20*time.Millisecond), -1, "read", read)
	}
	c.after(0, -1, "write", write)
	c.after(0, -1, "read", read)
	if _, err := c.Run(time.Second, nil); err != nil {
		return 0, err
	}
	if pause {
		c.Pause(old, 4*time.Second)
	} else {
		c.Isolate(old, true)
	}
	if _, err = c.Run(4*time.Second, nil); err != nil {
		return asked, err
	}
	c.Isolate(old, false)
	_, err = c.Run(time.Second, nil)
	return asked, err
}

// atLeast checks that a view shows a value that is not older.
func (c *Cluster) atLeast(v *store.View, value uint64) {
	a, err := v.Answer(context.Background(), &metapb.Query{
		Format: 1, Bucket: bucketID, Key: []byte("k"), Generation: 1, Op: &metapb.Query_Get{Get: &metapb.GetVersion{}},
	})
	if e := v.Close(); err == nil {
		err = e
	}
	if err != nil || a.GetVersion().GetNonce() < value {
		c.fail("a read gave %d (%v) after %d was acknowledged", a.GetVersion().GetNonce(), err, value)
	}
}
