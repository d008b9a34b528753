package simtest

import (
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// bucketID is the bucket that all clients use.
const bucketID = 3

// client does one thing after another. It waits for each and, like package router, tries again elsewhere.
type client struct {
	c      *Cluster
	n      int
	left   int
	number int            // of the operation
	hint   map[uint64]int // by range: store that is thought to lead; looked up only
}

func newClient(c *Cluster, n int) *client {
	cl := &client{c: c, n: n, left: c.opt.Operations, hint: map[uint64]int{}}
	c.working++
	c.after(c.between(0, time.Second), -1, "client", cl.next)
	return cl
}

// attempt is one operation over all its attempts.
type attempt struct {
	op        *operation
	command   *metapb.Command
	payload   []byte
	query     *metapb.Query
	deadline  time.Duration
	uncertain bool // an attempt may take effect
	round     int
	rangeID   uint64 // where the attempt goes
}

// next begins the next operation.
func (cl *client) next() {
	if cl.left == 0 {
		cl.c.working--
		return
	}
	cl.left--
	cl.number++
	c := cl.c
	a := &attempt{op: &operation{client: cl.n, call: c.now, ret: math.MaxInt64}, deadline: c.now + 5*time.Second}
	key := fmt.Sprintf("k%d", c.rand.IntN(c.opt.Keys))
	switch k := c.rand.IntN(10); {
	case k < 3 || c.opt.Puts:
		cl.put(a, key, false)
	case k < 5:
		cl.put(a, key, true)
	case k < 6:
		a.op.kind, a.op.key = opDelete, key
		a.command = cl.command(key)
		a.command.Op = &metapb.Command_Delete{Delete: &metapb.DeleteVersion{}}
	case k < 9:
		a.op.kind, a.op.key = opGet, key
		a.query = &metapb.Query{
			Format: 1, Bucket: bucketID, Key: []byte(key), Generation: 1,
			Op: &metapb.Query_Get{Get: &metapb.GetVersion{Payload: true}},
		}
	default:
		a.op.kind = opList
		a.query = &metapb.Query{
			Format: 1, Bucket: bucketID, Generation: 1, Op: &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Limit: 1000}},
		}
	}
	c.history.add(a.op)
	cl.try(a)
}

func (cl *client) command(key string) *metapb.Command {
	return &metapb.Command{
		Format: 1, RequestId: fmt.Sprintf("c%d-%d", cl.n, cl.number), Bucket: bucketID, Key: []byte(key), Generation: 1,
		Time: uint64(cl.c.wall().UnixMicro()),
	}
}

// put writes a value that names its writer; the bytes and the ETag follow from it.
func (cl *client) put(a *attempt, key string, ifAbsent bool) {
	value := uint64(cl.n)<<32 | uint64(cl.number)
	a.op.kind, a.op.key, a.op.value = opPut, key, value
	if ifAbsent {
		a.op.kind = opPutAbsent
	}
	a.payload = bytesOf(value)
	sum := md5.Sum(a.payload)
	a.command = cl.command(key)
	a.command.PayloadLength = uint64(len(a.payload))
	a.command.Op = &metapb.Command_Put{Put: &metapb.PutVersion{
		Version:   &metapb.Version{Format: 1, Size: uint64(len(a.payload)), Etag: sum[:], Nonce: value},
		Condition: &metapb.Condition{IfAbsent: ifAbsent},
	}}
}

// bytesOf returns the bytes of a value, of a length that depends on it.
func bytesOf(value uint64) []byte {
	b := make([]byte, 8+value%200)
	for i := range b {
		b[i] = byte(value>>(i%8*8)) + byte(i)
	}
	binary.BigEndian.PutUint64(b, value)
	return b
}

// try makes one attempt at the store that is thought to lead.
func (cl *client) try(a *attempt) {
	c := cl.c
	if c.now > a.deadline {
		cl.end(a, outcomeUnknown)
		return
	}
	a.round++
	a.rangeID = c.find(a.position()).Id
	if a.round > 1 && c.chance(3) {
		cl.hint[a.rangeID] = c.anyStore()
	}
	round := a.round
	n := c.nodes[cl.hint[a.rangeID]]
	if n.core == nil {
		cl.hint[a.rangeID] = c.anyStore()
		cl.again(a)
		return
	}
	answered := false
	var given *store.Proposal
	finish := func(fn func()) {
		// The answer travels, and may be lost with its store.
		answered = true
		c.after(c.underWay(10*time.Microsecond, 100*time.Microsecond), -1, "answer", func() {
			if a.round == round {
				a.round++
				fn()
			}
		})
	}
	if a.command != nil {
		given = cl.propose(a, n, finish)
	} else {
		cl.read(a, n, finish)
	}
	c.after(c.between(500*time.Millisecond, 3*time.Second), -1, "timeout", func() {
		if a.round != round || answered {
			return
		}
		// The attempt is given up: it can't take effect unless the store has taken it.
		if given != nil && !given.Abandon() {
			a.uncertain = true
		}
		a.round++
		cl.hint[a.rangeID] = c.anyStore()
		cl.try(a)
	})
}

func (cl *client) again(a *attempt) {
	cl.c.after(cl.c.between(time.Millisecond, 50*time.Millisecond), -1, "again", func() { cl.try(a) })
}

func (cl *client) propose(a *attempt, n *node, finish func(func())) *store.Proposal {
	command := a.command.CloneVT()
	command.Retry = a.uncertain
	p, err := store.NewProposal(a.rangeID, command, a.payload, func(r *metapb.Result, err error) {
		finish(func() { cl.result(a, r, err) })
	})
	if err != nil {
		cl.c.fail("proposal: %v", err)
		return nil
	}
	n.mail(n.life, func() { n.core.Propose(p) })
	return p
}

// read has a store read a range: from the view that is open, if there is one, whatever its core is doing, or where the process is
// paused as soon as it goes on; else by the core.
func (n *node) read(rangeID uint64, done func(*store.View, error)) {
	glance := func() bool {
		v, ok := n.core.Glance(rangeID)
		if ok {
			n.c.glances++
			done(v, nil)
		}
		return ok
	}
	if n.core != nil && n.paused <= n.c.now && glance() {
		return
	}
	n.mail(n.life, func() {
		if glance() {
			return
		}
		n.core.Read(&store.Read{Range: rangeID, Done: done})
	})
}

func (cl *client) read(a *attempt, n *node, finish func(func())) {
	n.read(a.rangeID, func(v *store.View, err error) {
		if err != nil {
			finish(func() { cl.refused(a, err) })
			return
		}
		answer, err := v.Answer(context.Background(), a.query)
		if e := v.Close(); err == nil {
			err = e
		}
		finish(func() { cl.answer(a, answer, err) })
	})
}

// refused takes in a refusal and tries again.
func (cl *client) refused(a *attempt, err error) {
	var r *store.Refusal
	if !errors.As(err, &r) {
		cl.c.fail("client %d: %v", cl.n, err)
		return
	}
	if r.Reason == store.Indeterminate {
		a.uncertain = true
	}
	cl.hint[a.rangeID] = cl.c.anyStore()
	if n := cl.c.byDisk(r.Leader); r.Leader != 0 && n != nil {
		cl.hint[a.rangeID] = n.n
	}
	cl.again(a)
}

func (cl *client) result(a *attempt, r *metapb.Result, err error) {
	if err != nil {
		cl.refused(a, err)
		return
	}
	switch r.Status {
	case metapb.Status_OK:
		cl.end(a, outcomeDone)
	case metapb.Status_NO_SUCH_KEY:
		cl.end(a, outcomeDone)
	case metapb.Status_PRECONDITION_FAILED:
		cl.end(a, outcomeRefused)
	case metapb.Status_UNKNOWN_OUTCOME:
		cl.end(a, outcomeUnknown)
	case metapb.Status_WRONG_RANGE:
		cl.misled(a, r.Range)
	default:
		cl.c.fail("client %d: %v %s to %v", cl.n, r.Status, r.Detail, a.command)
	}
}

func (cl *client) answer(a *attempt, answer *metapb.Answer, err error) {
	switch {
	case disk.Is(err, disk.KindIO), disk.Is(err, disk.KindCorrupt):
		cl.again(a) // a payload could not be had from elsewhere
	case err != nil:
		cl.c.fail("client %d: query: %v", cl.n, err)
	case answer.Status == metapb.Status_WRONG_RANGE:
		cl.misled(a, answer.GetRange().GetRange())
	case a.op.kind == opList:
		cl.listed(a, answer)
	case answer.Status == metapb.Status_NO_SUCH_KEY:
		cl.end(a, outcomeDone)
	case answer.Status != metapb.Status_OK:
		cl.c.fail("client %d: %v %s to %v", cl.n, answer.Status, answer.Detail, a.query)
	default:
		a.op.value = answer.Version.Nonce
		if string(answer.Payload) != string(bytesOf(a.op.value)) {
			cl.c.fail("client %d: the bytes of %s are not those of version %x", cl.n, a.op.key, a.op.value)
		}
		cl.end(a, outcomeDone)
	}
}

// misled goes on where the answer of a range that does not own the position points to.
func (cl *client) misled(a *attempt, to *metapb.RangeDescriptor) {
	if to != nil {
		cl.c.learn(to)
	}
	cl.again(a)
}

// listed takes in a page, and goes on where its range ends before the list does.
func (cl *client) listed(a *attempt, answer *metapb.Answer) {
	if answer.Status != metapb.Status_OK {
		cl.c.fail("client %d: list: %v %s", cl.n, answer.Status, answer.Detail)
		return
	}
	if a.op.listed == nil {
		a.op.listed = map[string]uint64{}
	}
	for _, item := range answer.Items {
		a.op.listed[string(item.Key)] = item.Current.Nonce
	}
	if answer.Truncated {
		a.query = a.query.CloneVT()
		a.query.Key = answer.Next
		cl.again(a)
		return
	}
	cl.end(a, outcomeDone)
}

// end closes the operation in the history and goes on.
func (cl *client) end(a *attempt, o outcome) {
	a.op.outcome = o
	if o != outcomeUnknown {
		a.op.ret = cl.c.now
	}
	cl.c.note("end", uint64(cl.n), uint64(cl.number), uint64(o), a.op.value)
	think := 20 * time.Millisecond
	if !cl.c.opt.Puts && cl.c.chance(3) {
		think = 500 * time.Millisecond
	}
	cl.c.after(cl.c.between(0, think), -1, "client", cl.next)
}
