package router

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
)

// batchParallel is how many groups of one batch are under way at the same time.
const batchParallel = 8

// part is one command of a batch.
type part struct {
	command *metapb.Command
	key     []byte // of its position
	payload []byte
	// uncertain: an attempt may have taken effect, or may yet.
	uncertain bool
	refused   *clustermap.Range // who said last that it does not own the position
	result    *metapb.Result    // nil: not answered yet
}

// applyBatch carries out the commands of a batch, each on the range that owns its position: those of one range together, as a
// batch of their own. A group may come too late, because its range was split: those of its commands that the range refused
// are grouped again. Commands that are answered are never sent again.
func (r *Router) applyBatch(ctx context.Context, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	parts, err := partsOf(c, payload)
	if err != nil {
		return nil, invalid(err)
	}
	if len(parts) == 0 {
		return new(metapb.Result), nil
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	pace := r.journey("apply", parts[0].command.GetBucket(), parts[0].key)
	for {
		changed := r.opt.Topology.Changed()
		if err := r.round(ctx, c, parts); err != nil {
			return nil, err
		}
		left := unanswered(parts)
		switch {
		case len(left) == 0:
			return gather(parts), nil
		case r.wiser(left) && pace.taught < taughtMost:
			pace.taught++
		default:
			pace.taught = 0
			pace.rest(ctx, changed)
		}
	}
}

// partsOf splits a batch and the payloads that ride with its commands, one after the other.
func partsOf(c *metapb.Command, payload []byte) ([]*part, error) {
	if c.GetPayloadLength() > 0 {
		return nil, errors.New("a batch with a payload of its own")
	}
	var parts []*part
	rest := payload
	for i, s := range c.GetBatch().GetCommands() {
		if s.GetBatch() != nil {
			return nil, errors.New("a batch within a batch")
		}
		key, err := commandKey(s)
		if err != nil {
			return nil, fmt.Errorf("command %d of a batch: %w", i, err)
		}
		n := s.GetPayloadLength()
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("%d bytes of payload, the batch speaks of more", len(payload))
		}
		parts = append(parts, &part{command: s, key: key, payload: rest[:n:n]})
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes of payload, the batch speaks of %d", len(payload), len(payload)-len(rest))
	}
	return parts, nil
}

func unanswered(parts []*part) (left []*part) {
	for _, p := range parts {
		if p.result == nil {
			left = append(left, p)
		}
	}
	return left
}

// gather returns the answers in the order of the commands.
func gather(parts []*part) *metapb.Result {
	out := new(metapb.Result)
	for _, p := range parts {
		out.Results = append(out.Results, p.result)
		out.Time = max(out.Time, p.result.GetTime())
	}
	return out
}

// wiser reports whether something newer is believed by now of a position whose command was refused.
func (r *Router) wiser(left []*part) bool {
	for _, p := range left {
		if g := r.lookup(p.command.GetBucket(), p.key); g != nil && !same(g, p.refused) {
			return true
		}
	}
	return false
}

// round sends what is not answered yet, once. The error says that something may have been changed if any command of the batch
// may have been carried out, in this round or before.
func (r *Router) round(ctx context.Context, c *metapb.Command, parts []*part) error {
	groups := r.groups(unanswered(parts))
	if len(groups) == 1 {
		return joined(parts, r.send(ctx, c, groups[0]))
	}
	errs := make([]error, len(groups))
	free := make(chan struct{}, batchParallel)
	var all sync.WaitGroup
	for i, g := range groups {
		free <- struct{}{}
		all.Go(func() {
			errs[i] = r.send(ctx, c, g)
			<-free
		})
	}
	all.Wait()
	return joined(parts, errs...)
}

// groups puts commands together that one range is believed to own, in their order. Those that may have taken effect already
// are kept apart from the others, because they are sent as retries.
func (r *Router) groups(left []*part) (groups [][]*part) {
	type kind struct {
		rangeID   uint64
		uncertain bool
	}
	index := map[kind]int{}
	for _, p := range left {
		k := kind{uncertain: p.uncertain}
		if g := r.lookup(p.command.GetBucket(), p.key); g != nil {
			k.rangeID = g.ID
		}
		i, ok := index[k]
		if !ok {
			i = len(groups)
			index[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// send carries out a group. Commands that the range refused because it does not own their positions stay unanswered.
func (r *Router) send(ctx context.Context, c *metapb.Command, group []*part) error {
	j := r.journey("apply", group[0].command.GetBucket(), group[0].key)
	j.uncertain = group[0].uncertain
	if group[0].refused != nil {
		j.last = errWrongRange
	}
	own, payload := together(c, group)
	result, err := j.propose(ctx, own, payload)
	for _, p := range group {
		p.uncertain = j.uncertain && !mutantBatchRetry
	}
	if err != nil {
		return err
	}
	if result.GetStatus() == metapb.Status_OK && len(result.GetResults()) != len(group) {
		return j.fail(metashards.KindIndeterminate, fmt.Errorf("%d answers to %d commands", len(result.GetResults()), len(group)))
	}
	for i, p := range group {
		answer := result // to the batch as a whole
		if result.GetStatus() == metapb.Status_OK {
			answer = result.Results[i]
		}
		if answer.GetStatus() == metapb.Status_WRONG_RANGE {
			p.refused = j.at
		} else {
			p.result = answer
		}
	}
	return nil
}

// together makes a batch of a group, at the position of its first command, and puts its payloads in a row.
func together(c *metapb.Command, group []*part) (*metapb.Command, []byte) {
	batch, payload := new(metapb.Batch), []byte(nil)
	for _, p := range group {
		batch.Commands = append(batch.Commands, p.command)
		payload = append(payload, p.payload...)
	}
	first := group[0].command
	return &metapb.Command{
		Format: c.Format, RequestId: c.RequestId, Bucket: first.GetBucket(), Key: group[0].key, Generation: first.GetGeneration(),
		Time: c.Time, Begun: c.Begun, Retry: c.Retry, Op: &metapb.Command_Batch{Batch: batch},
	}, payload
}

// joined makes one error of those of a batch's groups, nil if there are none.
func joined(parts []*part, errs ...error) error {
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	var first error
	perhaps := false
	for _, p := range parts {
		perhaps = perhaps || p.result != nil && !refusal(p.result.GetStatus())
	}
	for _, e := range errs {
		if first == nil {
			first = e
		}
		perhaps = perhaps || metashards.Is(e, metashards.KindIndeterminate)
	}
	if !perhaps || metashards.Is(first, metashards.KindIndeterminate) {
		return first
	}
	return &metashards.Error{Op: "apply", Kind: metashards.KindIndeterminate, What: "a part of a batch", Err: err}
}

// refusal reports whether an answer says that nothing was changed and nothing is remembered.
func refusal(s metapb.Status) bool {
	return s >= metapb.Status_STALE_GENERATION && s != metapb.Status_UNKNOWN_OUTCOME
}
