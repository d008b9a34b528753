package stripe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/placement"
)

// window is some verified bytes of a blob, in order.
type window struct {
	pieces [][]byte
	bufs   []*buffer
	err    error
}

func (w *window) release() {
	for _, b := range w.bufs {
		b.put()
	}
	w.pieces, w.bufs = nil, nil
}

// condition is what a reader thinks of a shard.
type condition uint8

const (
	good   condition = iota
	doubt            // slow, or on a disk that is thought dead: taken only if nothing else is left
	broken           // failed once: not asked again
)

// extentReader reads the bytes a ≤ offset < b of one extent, window by window. One goroutine uses it; those that it
// starts are counted in running.
type extentReader struct {
	store   *Store
	running *sync.WaitGroup
	layout  layout
	codec   *codec
	ids     []disk.ShardID
	disks   []disk.ID // by shard; zero: unknown
	state   []condition
	streams []*stream // open ones, where the last window ended
	a, b    int64
	next    int64 // first row of the next window
	end     int64 // after the last row that is needed of any shard
	damaged int   // shards that are missing or corrupt
	last    error // why a shard could not be read
}

// newExtentReader prepares reading. disks names the owner of each shard, zero if it has none.
func (s *Store) newExtentReader(running *sync.WaitGroup, blob disk.BlobID, e *metapb.Extent, disks []disk.ID, a, b int64) (*extentReader, error) {
	l, err := layoutOf(e)
	if err != nil {
		return nil, readError(objectlayer.KindDamaged, err)
	}
	c, err := s.codecs.get(placement.Coding{K: l.k, M: l.m}, l.unit)
	if err != nil {
		return nil, readError(objectlayer.KindDamaged, err)
	}
	n := l.k + l.m
	x := &extentReader{
		store: s, running: running, layout: l, codec: c, disks: disks, a: a, b: b,
		ids: make([]disk.ShardID, n), state: make([]condition, n), streams: make([]*stream, n),
	}
	for i := range n {
		x.ids[i] = disk.ShardID{Group: disk.GroupID(e.GetGroup()), Blob: blob, Extent: e.GetNumber(), Slot: e.GetSlots()[i]}
		switch {
		case disks[i] == 0:
			x.state[i] = broken
		case s.o.Alive != nil && !s.o.Alive(disks[i]):
			x.state[i] = doubt
		}
	}
	stripe, _, _ := l.at(a)
	x.next = stripe * l.unit
	for i := range l.k {
		if lo, hi := l.need(i, a, b); hi > lo {
			x.end = max(x.end, hi)
		}
	}
	return x, nil
}

// more reports whether there is another window.
func (x *extentReader) more() bool { return x.next < x.end }

// close gives up what is open. No fill is under way.
func (x *extentReader) close() {
	for i, s := range x.streams {
		s.close()
		x.streams[i] = nil
	}
}

// fill reads the next window.
func (x *extentReader) fill(ctx context.Context) (*window, error) {
	f := &filling{
		x: x, base: x.next, to: min(x.next+x.codec.stripes*x.layout.unit, x.layout.rows()),
		got: make([]*fetch, len(x.ids)), pending: make([]*fetch, len(x.ids)),
		done: make(chan *fetch, len(x.ids)), // a shard has one fetch at a time: none ever waits here
	}
	defer f.release()
	if err := f.run(ctx); err != nil {
		return nil, err
	}
	x.next = f.to
	return f.window()
}

// filling is the work on one window, of the rows base ≤ row < to.
type filling struct {
	x        *extentReader
	base, to int64
	got      []*fetch // finished well
	pending  []*fetch
	done     chan *fetch
	hedged   bool
	desire   bool // shards in doubt are taken, too
}

// need returns the rows of a data shard that this window wants.
func (f *filling) need(i int) (lo, hi int64) {
	lo, hi = f.x.layout.need(i, f.x.a, f.x.b)
	lo, hi = max(lo, f.base), min(hi, f.to)
	return lo, max(lo, hi)
}

// wants reports whether the window still waits for a data shard, and whether in vain: its own rows won't come, or are
// not waited for any more.
func (f *filling) wants(i int) (waiting, lost bool) {
	lo, hi := f.need(i)
	if lo == hi || f.got[i].covers(lo, hi) {
		return false, false
	}
	return true, f.hedged || !f.pending[i].covers(lo, hi)
}

// lost returns which rows have to be decoded, as far as is known now, from = to if none; and whether the window waits
// for anything.
func (f *filling) lost() (from, to int64, waiting bool) {
	for i := range f.x.layout.k {
		wait, lost := f.wants(i)
		waiting = waiting || wait
		if !lost {
			continue
		}
		lo, hi := f.need(i)
		if from == to {
			from, to = lo, hi
		}
		from, to = min(from, lo), max(to, hi)
	}
	return from, to, waiting
}

// run fetches until the window can be put together.
func (f *filling) run(ctx context.Context) error {
	for i := range f.x.layout.k {
		if lo, hi := f.need(i); hi > lo && f.x.state[i] == good {
			f.launch(ctx, i, lo, hi)
		}
	}
	slow := make(chan struct{}, 1)
	tick := func() { slow <- struct{}{} } // it is started anew only after it was taken: there is room
	stop := f.x.store.o.AfterFunc(f.x.store.o.HedgeDelay, tick)
	defer func() { stop() }()
	for {
		from, to, waiting := f.lost()
		if !waiting {
			return nil
		}
		if from < to {
			if f.ready(from, to) >= f.x.layout.k {
				if err := f.decode(from, to); err != nil {
					return err
				}
				continue
			}
			if !f.spread(ctx, from, to) {
				return f.hopeless()
			}
		}
		select {
		case g := <-f.done:
			f.arrived(g)
		case <-slow:
			f.doubtful()
			stop = f.x.store.o.AfterFunc(f.x.store.o.HedgeDelay, tick)
		case <-ctx.Done():
			return readError(objectlayer.KindUnavailable, context.Cause(ctx))
		}
	}
}

// ready counts the shards that have all these rows.
func (f *filling) ready(from, to int64) (n int) {
	for _, g := range f.got {
		if g.covers(from, to) {
			n++
		}
	}
	return n
}

// spread asks as many further shards for rows as are missing for decoding them. It reports whether there is anything
// left to wait for.
func (f *filling) spread(ctx context.Context, from, to int64) bool {
	for {
		coming, waiting := f.ready(from, to), false
		for i, p := range f.pending {
			waiting = waiting || p != nil
			if p.covers(from, to) && (f.x.state[i] == good || f.desire) {
				coming++
			}
		}
		for i := range f.x.ids {
			if coming >= f.x.layout.k {
				return true
			}
			if f.pending[i] != nil || f.got[i].covers(from, to) || f.x.state[i] == broken || f.x.state[i] == doubt && !f.desire {
				continue
			}
			lo, hi := from, to
			if i < f.x.layout.k {
				if l, h := f.need(i); h > l {
					lo, hi = min(lo, l), max(hi, h)
				}
			}
			f.launch(ctx, i, lo, hi)
			coming++
		}
		if coming >= f.x.layout.k || waiting {
			return true
		}
		if f.desire {
			return coming > f.ready(from, to) // some were started just now
		}
		f.desire = true // nothing good is left
	}
}

// launch starts to fetch rows of a shard.
func (f *filling) launch(ctx context.Context, i int, from, to int64) {
	x := f.x
	s := x.streams[i]
	x.streams[i] = nil
	end := x.end
	if i < x.layout.k {
		if _, hi := x.layout.need(i, x.a, x.b); hi >= to {
			end = hi
		}
	}
	if s == nil || s.at != from || s.end < to {
		s.close()
		s = &stream{at: from, end: max(end, to)}
		ctx, s.cancel = context.WithCancel(ctx)
	}
	g := &fetch{shard: i, from: from, to: to, base: from, stream: s, buf: x.codec.buffer(to - from)}
	f.pending[i] = g
	x.running.Go(func() { g.run(ctx, x.store.o.Fleet, x.disks[i], x.ids[i], f.done) })
}

// arrived takes a fetch that has ended.
func (f *filling) arrived(g *fetch) {
	i := g.shard
	f.pending[i] = nil
	if g.err == nil {
		if old := f.got[i]; old != nil {
			old.clean()
		}
		f.got[i] = g
		if g.stream.at < g.stream.end {
			f.x.streams[i] = g.stream
		} else {
			g.stream.close()
		}
		g.stream = nil
		return
	}
	f.x.state[i] = broken
	f.x.last = g.err
	if damage(g.err) {
		f.x.damaged++
		f.x.report(i, g.err)
	}
	g.clean()
}

// damage reports whether an error says that the shard itself is bad: missing, corrupt or too short.
func damage(err error) bool {
	var unreached *fleetError
	if errors.As(err, &unreached) {
		return false
	}
	return disk.Is(err, disk.KindCorrupt) || disk.Is(err, disk.KindNotFound) || disk.Is(err, disk.KindInvalid) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (x *extentReader) report(i int, err error) {
	o := &x.store.o
	o.Log.Warn("a shard is damaged", "disk", x.disks[i].String(), "shard", x.ids[i].String(), "err", err)
	if o.Damage != nil {
		o.Damage.Report(objectlayer.Damage{Disk: x.disks[i].String(), Shard: x.ids[i].String(), Err: err})
	}
}

// doubtful is called when the window takes too long: unless so many shards are late that parity can't help, those that
// are late are not waited for any more.
func (f *filling) doubtful() {
	late := 0
	for _, p := range f.pending {
		if p != nil {
			late++
		}
	}
	if late > f.x.layout.m {
		return
	}
	f.hedged = true
	for i, p := range f.pending {
		if p != nil && f.x.state[i] == good {
			f.x.state[i] = doubt
		}
	}
}

func (f *filling) hopeless() error {
	x := f.x
	kind := objectlayer.KindUnavailable
	if x.damaged > x.layout.m {
		kind = objectlayer.KindDamaged
	}
	err := fmt.Errorf("extent %d of blob %v: fewer than %d shards can be read", x.ids[0].Extent, x.ids[0].Blob, x.layout.k)
	if x.last != nil {
		err = fmt.Errorf("%w (last: %w)", err, x.last)
	}
	return readError(kind, err)
}

// decode computes the rows that are lost and puts them in place of a fetch.
func (f *filling) decode(from, to int64) error {
	k := f.x.layout.k
	shards := make([][]byte, len(f.x.ids))
	want := make([]bool, k)
	for i, g := range f.got {
		if g.covers(from, to) {
			shards[i] = g.rows(from, to)
		}
	}
	for i := range k {
		if _, lost := f.wants(i); !lost {
			continue
		}
		if p := f.pending[i]; p != nil {
			p.abandon()
			f.pending[i] = nil
		}
		buf := f.x.codec.buffer(to - from)
		f.got[i] = &fetch{shard: i, from: from, to: to, base: from, buf: buf}
		want[i], shards[i] = true, buf.b[:0:to-from]
	}
	if k == 1 { // plain copies: any of them will do
		copy(f.got[0].rows(from, to), shards[slices.IndexFunc(shards, func(b []byte) bool { return len(b) > 0 })])
		return nil
	}
	if err := f.x.codec.reconstruct(shards, want); err != nil {
		return readError(objectlayer.KindDamaged, err)
	}
	return nil
}

// window puts together what was fetched and takes over the memory that holds it.
func (f *filling) window() (*window, error) {
	w := &window{}
	l := f.x.layout
	l.pieces(f.x.a, f.x.b, f.base, f.to, func(shard int, row, n int64) {
		w.pieces = append(w.pieces, f.got[shard].rows(row, row+n))
	})
	for i, g := range f.got[:l.k] {
		if lo, hi := f.need(i); g != nil && hi > lo {
			w.bufs = append(w.bufs, g.buf)
			f.got[i] = nil
		}
	}
	return w, nil
}

// release gives up what the window does not hold.
func (f *filling) release() {
	for i := range f.got {
		if p := f.pending[i]; p != nil {
			p.abandon()
		}
		if g := f.got[i]; g != nil {
			g.clean()
		}
	}
}

func readError(kind objectlayer.Kind, err error) error {
	return &objectlayer.Error{Op: "read shards", Kind: kind, Err: err}
}
