package simtest

import (
	"fmt"
	"time"
)

// Steadiness is what a scene of steady writing came to.
type Steadiness struct {
	Puts    int
	Splits  int
	Longest time.Duration // that a put took, from its first attempt to its answer, in virtual time
}

// Steady plays one scene: clients put without pause, without any fault, while ranges that have grown too large are split. It
// returns an error if a put was not acknowledged or if the replicas are not equal in the end.
func Steady(opt Options) (out Steadiness, err error) {
	clients := opt.Clients
	opt.Clients, opt.Puts = 0, true
	c, err := New(opt)
	if err != nil {
		return out, err
	}
	defer func() {
		if e := c.Close(); err == nil {
			err = e
		}
	}()
	if ok, err := c.Run(time.Minute, func() bool { return c.Leader() >= 0 }); !ok {
		return out, fmt.Errorf("no leader (%w)", err)
	}
	for i := range clients {
		c.clients = append(c.clients, newClient(c, i))
	}
	if ok, err := c.Run(10*time.Minute, func() bool { return c.working == 0 }); !ok {
		return out, fmt.Errorf("clients do not come to an end (%w)", err)
	}
	for _, o := range c.history.ops {
		if o.outcome != outcomeDone {
			return out, fmt.Errorf("seed %d: the put of %s at %v was not acknowledged", opt.Seed, o.key, o.call)
		}
		out.Puts++
		out.Longest = max(out.Longest, o.ret-o.call)
	}
	if ok, err := c.Run(4*time.Minute, c.settled); !ok {
		return out, fmt.Errorf("seed %d: ranges do not settle (%w): %s", opt.Seed, err, c.describe())
	}
	if ok, err := c.Run(time.Minute, c.equalSoon()); !ok {
		return out, fmt.Errorf("seed %d: no convergence (%w): %s", opt.Seed, err, c.describe())
	}
	for _, m := range c.movers {
		out.Splits += m.moves.Splits
	}
	return out, c.failure
}
