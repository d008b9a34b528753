package local

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
)

type truncation struct{ rangeID, through uint64 }

// event is one thing that was asked of the disk, in order: a record of the log, or a batch of the state.
type event struct {
	kind     string // payload, entry, hard, put, delete, batch
	acked    bool
	group    int // records of one Append
	pid      disk.PayloadID
	entry    disk.Entry
	hard     disk.HardState
	shard    int
	data     []byte
	sum      string // of data, or of the entry's data
	batch    int
	truncate *truncation
	drop     []disk.PayloadID
}

// model is the history of a disk and what may be left of it.
type model struct {
	mu      sync.Mutex
	events  []event
	flushed int // batches up to this number are durable
	batches int
	groups  int
}

// world is what a history comes to.
type world struct {
	entries  map[uint64]map[uint64]disk.Entry
	payloads map[disk.PayloadID]string
	hard     map[uint64]disk.HardState
	shards   map[int]string
}

func newWorld() *world {
	return &world{map[uint64]map[uint64]disk.Entry{}, map[disk.PayloadID]string{}, map[uint64]disk.HardState{}, map[int]string{}}
}

func sum(b []byte) string { return fmt.Sprintf("%d-%x", len(b), xxh3.Hash(b)) }

func (w *world) apply(e *event, all []event) {
	switch e.kind {
	case "payload":
		w.payloads[e.pid] = e.sum
	case "entry":
		lg := w.entries[e.entry.Range]
		if lg == nil {
			lg = map[uint64]disk.Entry{}
			w.entries[e.entry.Range] = lg
		}
		for i, old := range maps.Clone(lg) {
			if i < e.entry.Index {
				continue
			}
			delete(lg, i)
			again := slices.ContainsFunc(all, func(x event) bool {
				return x.kind == "entry" && x.group == e.group && x.entry.Range == old.Range && x.entry.Index == i && x.entry.Term == old.Term
			})
			if again {
				continue
			}
			for p := range maps.Clone(w.payloads) {
				if p.Range == old.Range && p.Index == i && p.Term == old.Term {
					delete(w.payloads, p)
				}
			}
		}
		lg[e.entry.Index] = e.entry
	case "hard":
		w.hard[e.hard.Range] = e.hard
	case "put":
		if _, ok := w.shards[e.shard]; !ok {
			w.shards[e.shard] = e.sum
		}
	case "delete":
		delete(w.shards, e.shard)
	case "batch":
		for _, p := range e.drop {
			delete(w.payloads, p)
		}
		if t := e.truncate; t != nil {
			for i := range w.entries[t.rangeID] {
				if i <= t.through {
					delete(w.entries[t.rangeID], i)
				}
			}
		}
	}
}

func (w *world) String() string {
	var b strings.Builder
	for _, r := range slices.Sorted(maps.Keys(w.entries)) {
		for _, i := range slices.Sorted(maps.Keys(w.entries[r])) {
			e := w.entries[r][i]
			fmt.Fprintf(&b, "e %d/%d t%d %s\n", r, i, e.Term, sum(e.Data))
		}
	}
	var ps []string
	for p, s := range w.payloads {
		ps = append(ps, fmt.Sprintf("p %v %s\n", p, s))
	}
	slices.Sort(ps)
	b.WriteString(strings.Join(ps, ""))
	for _, r := range slices.Sorted(maps.Keys(w.hard)) {
		fmt.Fprintf(&b, "h %v\n", w.hard[r])
	}
	for _, s := range slices.Sorted(maps.Keys(w.shards)) {
		fmt.Fprintf(&b, "s %d %s\n", s, w.shards[s])
	}
	return b.String()
}

// observe reads everything that the history names from a disk.
func (m *model) observe(d *Disk) (w *world, batch int, err error) {
	w = newWorld()
	ctx := context.Background()
	for _, e := range m.events {
		switch e.kind {
		case "payload":
			b, err := d.Log().Payload(ctx, e.pid)
			if err == nil {
				w.payloads[e.pid] = sum(b)
			} else if !disk.Is(err, disk.KindNotFound) {
				return nil, 0, err
			}
		case "entry":
			r := e.entry.Range
			w.entries[r] = map[uint64]disk.Entry{}
			if first, last, ok := d.Log().Bounds(r); ok {
				es, err := d.Log().Entries(ctx, r, first, last+1, 1<<30)
				if err != nil || len(es) != int(last-first+1) {
					return nil, 0, fmt.Errorf("entries %d [%d,%d]: %d %w", r, first, last, len(es), err)
				}
				for _, x := range es {
					w.entries[r][x.Index] = x
				}
			}
		case "hard":
			if h, ok := d.Log().HardState(e.hard.Range); ok {
				w.hard[e.hard.Range] = h
			}
		case "put":
			i, err := d.Info(ctx, shard(e.shard))
			if disk.Is(err, disk.KindNotFound) {
				continue
			}
			if err != nil {
				return nil, 0, err
			}
			b, err := get(d, shard(e.shard), 0, i.Length)
			if err != nil {
				return nil, 0, err
			}
			w.shards[e.shard] = sum(b)
		}
	}
	v, ok, err := d.State().Get([]byte("batch"))
	if err != nil {
		return nil, 0, err
	}
	if ok {
		_, err = fmt.Sscan(string(v), &batch)
	}
	return w, batch, err
}

// check compares a disk after a crash with what the history allows, and takes over what has become of it.
func (m *model) check(d *Disk) error {
	got, batch, err := m.observe(d)
	if err != nil {
		return err
	}
	if batch < m.flushed {
		return fmt.Errorf("batch %d is the last, %d was flushed", batch, m.flushed)
	}
	for i := range min(batch, 10) {
		v, _, err := d.State().Get(fmt.Appendf(nil, "k%d", (batch-i)%10))
		if err != nil || string(v) != fmt.Sprint(batch-i) {
			return fmt.Errorf("state is no prefix: batch %d, k%d is %s, %v", batch, (batch-i)%10, v, err)
		}
	}
	var kept []event
	for _, e := range m.events {
		if e.kind != "batch" || e.batch <= batch {
			kept = append(kept, e)
		}
	}
	want := ""
	for n := pendingFrom(kept); n <= len(kept); n++ {
		w := newWorld()
		for i := range kept[:n] {
			w.apply(&kept[i], kept[:n])
		}
		if w.String() == got.String() {
			for i := range kept[:n] {
				kept[i].acked = true
			}
			m.events, m.batches, m.flushed = kept[:n], batch, 0
			return nil
		}
		want += fmt.Sprintf("--- first %d of %d:\n%s", n, len(kept), diff(w.String(), got.String()))
		if n > 0 {
			e := kept[n-1]
			want += fmt.Sprintf("after %s %v e%d/%d t%d batch %d trunc %v acked %v\n", e.kind, e.pid, e.entry.Range, e.entry.Index, e.entry.Term, e.batch, e.truncate, e.acked)
		}
	}
	return fmt.Errorf("batch %d of %d, difference to the least that must be here:\n%s", batch, m.batches, want)
}

// diff returns the lines that only one of two texts has.
func diff(want, got string) string {
	var b strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, l := range w {
		if !slices.Contains(g, l) {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			fmt.Fprintf(&b, "+ %s\n", l)
		}
	}
	return b.String()
}

// pendingFrom returns the index of the first record behind the last acknowledged one.
func pendingFrom(events []event) int {
	n := 0
	for i, e := range events {
		if e.acked {
			n = i + 1
		}
	}
	return n
}

// ack marks everything up to now as acknowledged.
func (m *model) ack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.events {
		m.events[i].acked = true
	}
}

func (m *model) begin(es ...event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.groups++
	for i := range es {
		es[i].group, es[i].sum = m.groups, sum(es[i].data)
	}
	m.events = append(m.events, es...)
}

// truncated returns up to where the log of each range was truncated.
func (m *model) truncated() map[uint64]uint64 {
	top := map[uint64]uint64{}
	for _, e := range m.events {
		if t := e.truncate; t != nil {
			top[t.rangeID] = max(top[t.rangeID], t.through)
		}
	}
	return top
}

// now is what the disk holds at this moment if everything survives.
func (m *model) now() *world {
	w := newWorld()
	for i := range m.events {
		w.apply(&m.events[i], m.events)
	}
	return w
}

func (m *model) clone() *model {
	return &model{events: slices.Clone(m.events), flushed: m.flushed, batches: m.batches, groups: m.groups}
}
