package stripe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/placement"
)

const (
	// chunksMax is how many chunks of a blob are in memory at once while it is written.
	chunksMax = 2
	// attemptsMax is how many extents in a row may fail before a write gives up.
	attemptsMax = 8
	// roundsMax is how often hurt extents are copied out before a write gives up.
	roundsMax = 4
)

// Write reads r to its end and stores it. When it returns nil, every shard of every extent is durable on a full set of
// disks of the policy (or of its shrunk form, where disks are missing). On an error nothing is left behind but what a
// disk that does not answer may hold. Errors of r and of Finish are returned as they are, those of Hashes wrapped; all
// others are *objectlayer.Error: KindUnavailable (too few disks; try again) or KindFull. An empty body gives a blob
// without extents. r and Hashes are not used after Write has returned.
func (s *Store) Write(ctx context.Context, q Request, r io.Reader) (*metapb.Blob, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &writing{store: s, request: q}
	defer w.release()
	done, err := w.stream(ctx, &source{r: r}, true)
	for round := 0; err == nil && slices.ContainsFunc(done, (*extent).hurt); round++ {
		if round == roundsMax {
			err = w.unavailable(errors.New("disks fail faster than bytes can be moved"))
			break
		}
		done, err = w.copyOut(ctx, done)
	}
	if err != nil {
		cancel()
		s.discard(ctx, w.left...)
		return nil, err
	}
	b := &metapb.Blob{Id: slices.Clone(q.Blob[:])}
	for _, e := range done {
		b.Length += uint64(e.length)
		b.Extents = append(b.Extents, e.record())
	}
	return b, nil
}

// writing is the state of one Write.
type writing struct {
	store    *Store
	request  Request
	number   uint32   // of the next extent
	free     []*chunk // of one codec
	sending  []*chunk // in the order in which they were dispatched
	hashed   int64
	finished bool
	full     bool // a disk had no room
	cause    error
	left     []*extent // that may have left something on disks and belong to no blob yet
	badDisks []disk.ID
	badGroup []disk.GroupID
}

// stream writes a stream to its end in as many extents as it takes. Hurt extents are among those that it returns: they
// can be read, but have fewer shards than they should. body tells whether it is the body itself that is written.
func (w *writing) stream(ctx context.Context, src *source, body bool) ([]*extent, error) {
	var done []*extent
	attempts := 0
	for !src.eof() {
		e, err := w.next(src.off)
		if err != nil {
			return nil, err
		}
		whole, err := w.fill(ctx, e, src, body)
		if err != nil {
			return nil, err
		}
		if e.length == 0 {
			break
		}
		switch {
		case !e.hurt():
			done, attempts = append(done, e), 0
			continue
		case ctx.Err() != nil:
			return nil, w.unavailable(ctx.Err())
		}
		w.learn(e)
		if attempts++; attempts > attemptsMax {
			return nil, w.unavailable(errors.New("too many disks failed"))
		}
		switch {
		case whole != nil:
			src.back(whole)
			w.store.discard(ctx, e)
			w.left = slices.DeleteFunc(w.left, func(x *extent) bool { return x == e })
		case e.live() >= e.codec.K:
			done = append(done, e)
		default:
			return nil, w.unavailable(fmt.Errorf("%d of %d disks failed in the middle of an extent", e.failed.Load(), len(e.members)))
		}
	}
	if body && !w.finished {
		return done, w.finish() // an empty body, or one that ended with an extent
	}
	return done, nil
}

// next picks a place for an extent that begins at offset off.
func (w *writing) next(off int64) (*extent, error) {
	o := &w.store.o
	m := o.Topology.Map()
	policy := w.request.Policy
	if policy.IsAuto() {
		p, err := placement.ParsePolicy(m.Policy)
		if err != nil {
			return nil, w.unavailable(err)
		}
		policy = p
	}
	choice, err := placement.Pick(placement.Request{
		Map: m, Alive: o.Writable, Blob: w.request.Blob, Extent: w.number, Policy: policy,
		Copies: w.request.Copies, Short: w.request.Short, ExcludeDisks: w.badDisks, ExcludeGroups: w.badGroup,
	})
	if err != nil {
		return nil, w.unavailable(err)
	}
	codec, err := w.store.codecs.get(choice.Coding, int64(o.UnitBytes))
	if err != nil {
		return nil, w.unavailable(err)
	}
	e := &extent{choice: choice, codec: codec, blob: w.request.Blob, number: w.number, off: off}
	w.number++
	return e, nil
}

// fill writes one extent: until it is full, the stream ends or a member fails, and commits it. If a member has failed
// while all of the extent was still in memory, it returns those bytes, and nothing of the extent is to be used.
func (w *writing) fill(ctx context.Context, e *extent, src *source, body bool) (whole []byte, err error) {
	stripe := e.codec.unit * int64(e.codec.K)
	limit := max(1, w.store.o.ExtentBytes/stripe)
	var inMemory []*chunk // all chunks of the extent, nil once one was reused
	began := false
	defer func() {
		if began && err != nil {
			e.end()
		}
	}()
	for !e.hurt() && !src.eof() && e.length < limit*stripe {
		c := w.chunk(e.codec, src.off)
		if slices.Contains(inMemory, c) {
			inMemory = nil
		}
		if err := c.read(src, limit-e.length/stripe); err != nil || c.data == 0 {
			w.free = append(w.free, c)
			if err != nil {
				return nil, err
			}
			break
		}
		if !began {
			w.left = append(w.left, e)
			e.begin(ctx, &w.store.o)
		}
		if !began || inMemory != nil {
			inMemory = append(inMemory, c)
		}
		began = true
		e.dispatch(c)
		w.sending = append(w.sending, c)
		if err := w.hash(c, body); err != nil {
			return nil, err
		}
		if body && src.off == w.request.Size {
			if err := src.peek(); err != nil {
				return nil, err
			}
		}
	}
	if body && src.eof() {
		if err := w.finish(); err != nil {
			return nil, err
		}
	}
	if !began {
		return nil, nil
	}
	owner, err := w.owner(e)
	if err != nil {
		return nil, err
	}
	e.owner = owner
	e.commit = e.live() >= e.codec.K && !(e.hurt() && inMemory != nil)
	e.end()
	if e.hurt() && inMemory != nil {
		whole = make([]byte, 0, e.length)
		for _, c := range inMemory {
			_ = c.each(0, func(p []byte) error { whole = append(whole, p...); return nil })
		}
	}
	return whole, nil
}

// chunk returns memory for the next stripes: a new chunk, or the oldest one as soon as it has been sent.
func (w *writing) chunk(c *codec, off int64) *chunk {
	if len(w.free)+len(w.sending) > 0 && w.any().codec != c {
		w.release() // the extent before is over: nobody uses them
	}
	for len(w.sending) >= chunksMax {
		w.sending[0].sending.Wait()
		w.free = append(w.free, w.sending[0])
		w.sending = w.sending[1:]
	}
	if n := len(w.free); n > 0 {
		k := w.free[n-1]
		w.free = w.free[:n-1]
		return k
	}
	stripes := c.stripes
	if rest := w.request.Size - off; w.request.Size >= 0 && rest > 0 && rest <= c.unit*int64(c.K) {
		stripes = 1
	}
	k := newChunk(c, stripes)
	w.free = append(w.free, k)
	return w.chunk(c, off)
}

func (w *writing) any() *chunk {
	if len(w.free) > 0 {
		return w.free[0]
	}
	return w.sending[0]
}

// release gives all memory back. No extent is being written.
func (w *writing) release() {
	for _, c := range slices.Concat(w.free, w.sending) {
		c.sending.Wait()
		c.release()
	}
	w.free, w.sending = nil, nil
}

// hash feeds the hashes what they have not seen yet.
func (w *writing) hash(c *chunk, body bool) error {
	if !body {
		return nil
	}
	err := c.each(w.hashed, func(p []byte) error {
		for _, h := range w.request.Hashes {
			if _, err := h.Write(p); err != nil {
				return fmt.Errorf("hash: %w", err)
			}
		}
		return nil
	})
	w.hashed = max(w.hashed, c.off+c.data)
	return err
}

func (w *writing) finish() error {
	if w.finished || w.request.Finish == nil {
		w.finished = true
		return nil
	}
	w.finished = true
	return w.request.Finish()
}

func (w *writing) owner(e *extent) ([]byte, error) {
	o := w.request.Owner.CloneVT()
	if o == nil {
		o = &metapb.ShardOwner{}
	}
	o.Format = 1
	o.Extent = e.record()
	o.Blob = w.request.Blob[:]
	o.Offset = uint64(e.off)
	b, err := o.MarshalVT()
	if err != nil {
		return nil, &objectlayer.Error{Op: "write shards", Kind: objectlayer.KindInternal, Err: err}
	}
	return b, nil
}

// learn remembers which disks and groups to leave out from now on.
func (w *writing) learn(e *extent) {
	for i, m := range e.members {
		switch {
		case m.err == nil:
			continue
		case disk.Is(m.err, disk.KindStaleEpoch):
			w.badGroup = append(w.badGroup, e.choice.Group)
		default:
			w.full = w.full || disk.Is(m.err, disk.KindFull)
			w.badDisks = append(w.badDisks, e.choice.Disks[i])
		}
		w.cause = m.err
		w.store.o.Log.Warn("a disk failed while a shard was written", "disk", e.choice.Disks[i].String(), "shard", e.shard(i).String(), "err", m.err)
	}
}

// unavailable makes the error of a write that found too few disks.
func (w *writing) unavailable(err error) error {
	kind := objectlayer.KindUnavailable
	if w.full {
		kind = objectlayer.KindFull
	}
	if w.cause != nil {
		err = fmt.Errorf("%w (last: %w)", err, w.cause)
	}
	return &objectlayer.Error{Op: "write shards", Kind: kind, Err: err}
}

// copyOut writes what hurt extents hold to full sets of disks, and drops the hurt ones.
func (w *writing) copyOut(ctx context.Context, done []*extent) ([]*extent, error) {
	var out []*extent
	for _, e := range done {
		if !e.hurt() {
			out = append(out, e)
			continue
		}
		r, err := w.store.openExtent(ctx, e)
		if err != nil {
			return nil, w.unavailable(err)
		}
		src := &source{r: r, off: e.off}
		copies, err := w.stream(ctx, src, false)
		r.Close()
		if err != nil {
			return nil, err
		}
		if n := src.off - e.off; n != e.length {
			return nil, w.unavailable(fmt.Errorf("%d of %d bytes came back", n, e.length))
		}
		out = append(out, copies...)
		w.store.discard(ctx, e)
		w.left = slices.DeleteFunc(w.left, func(x *extent) bool { return x == e })
	}
	return out, nil
}
