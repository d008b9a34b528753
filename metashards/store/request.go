package store

import (
	"sync/atomic"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
)

// Proposal is one command on its way into a range. It is used once.
type Proposal struct {
	Range   uint64
	Command *metapb.Command // not changed any more
	// Done is called once: with the result, or with a *Refusal. It must not wait.
	Done func(*metapb.Result, error)

	payloads [][]byte
	sums     []uint64
	bytes    int
	state    atomic.Uint32
}

// States of a Proposal.
const (
	waiting   = iota
	taken     // by the core: its outcome depends on Raft
	abandoned // by its caller, before it was taken
)

// NewProposal makes a proposal of a command and the bytes that ride beside it. Neither may be changed afterwards. The
// error is a *Refusal with Invalid.
func NewProposal(rangeID uint64, c *metapb.Command, payload []byte, done func(*metapb.Result, error)) (*Proposal, error) {
	p := &Proposal{Range: rangeID, Command: c, Done: done}
	var err error
	if p.payloads, err = replica.SplitPayload(c, payload); err != nil {
		return nil, &Refusal{Reason: Invalid, Range: rangeID, Err: err}
	}
	for _, b := range p.payloads {
		p.sums = append(p.sums, replica.Sum(b))
	}
	p.bytes = len(payload) + c.SizeVT()
	return p, nil
}

// Abandon gives the proposal up. If it returns true, the command was not proposed and never will be, and Done is not
// called; otherwise Done is or was called. It is safe at any time.
func (p *Proposal) Abandon() bool { return p.state.CompareAndSwap(waiting, abandoned) }

func (p *Proposal) take() bool { return p.state.CompareAndSwap(waiting, taken) }

// refuse answers a proposal that was not proposed, unless its caller has gone.
func (p *Proposal) refuse(r Reason, leader disk.ID, cause error) {
	if p.take() {
		p.Done(nil, &Refusal{Reason: r, Range: p.Range, Leader: leader, Err: cause})
	}
}

// Read is one linearizable read of a range.
type Read struct {
	Range uint64
	// Bucket and Key are the position that is read, for the range's load to be known by position.
	Bucket uint64
	Key    []byte
	// Done is called once: with a view of the range that holds everything acknowledged before the read was handed in,
	// or with a *Refusal. It must not wait. The view must be closed.
	Done func(*View, error)
}

func (r *Read) refuse(reason Reason, leader disk.ID, cause error) {
	r.Done(nil, &Refusal{Reason: reason, Range: r.Range, Leader: leader, Err: cause})
}
