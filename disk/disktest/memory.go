package disktest

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/contender/contender/disk"
)

// memoryEvents is how many changes a Memory remembers since its last flush. Past it, it flushes by itself, as a real
// disk does.
const memoryEvents = 1 << 16

// DefaultCapacityBytes is the capacity of a new Memory.
const DefaultCapacityBytes = 1 << 40

// Memory is a disk.Disk in memory and the reference model of its contract. It is simple rather than fast, but nothing
// in it is slower than logarithmic in what it holds. It is safe for concurrent use and starts no goroutine.
//
// Where the contract leaves a choice, Memory takes the stricter one: a change that is not synced is never seen, and a
// writer whose epoch grew old between Create and Commit is refused.
type Memory struct {
	id     disk.ID
	fenced chan struct{}

	mu       sync.Mutex
	err      error // why it is fenced
	closed   bool
	capacity int64
	hook     func(ctx context.Context, op string) error

	now     image                       // what is visible
	flushed image                       // what the last flush kept
	events  []event                     // what came since then, in order
	pending []disk.Append               // appended, not yet synced
	waiting int64                       // bytes in pending
	seen    map[disk.GroupID]disk.Epoch // newest epoch that a writer of the group showed; not kept over a crash
	syncs   int64
}

var _ disk.Disk = (*Memory)(nil)

// image is everything that a disk holds, as a value: to copy it is to take a snapshot.
type image struct {
	rows     tree[[]byte]
	shards   tree[memoryShard]
	epochs   tree[disk.Epoch]
	entries  tree[disk.Entry]
	payloads tree[memoryPayload]
	hard     tree[disk.HardState]
	bytes    int64 // data of shards, payloads and entries
}

// event is one change. Those of the log are durable once they are here, those of the state are not before a flush.
type event struct {
	state bool
	apply func(*image)
}

// NewMemory returns an empty disk.
func NewMemory(id disk.ID) *Memory {
	return &Memory{
		id:       id,
		fenced:   make(chan struct{}),
		capacity: DefaultCapacityBytes,
		seen:     map[disk.GroupID]disk.Epoch{},
	}
}

// ID returns the disk's id.
func (m *Memory) ID() disk.ID { return m.id }

// Log returns the disk's log.
func (m *Memory) Log() disk.Log { return memoryLog{m} }

// State returns the disk's rows.
func (m *Memory) State() disk.State { return memoryState{m} }

// Crash returns the disk as a power cut at this moment would leave it; m itself stays as it is, so that one moment can
// be crashed many times. Records that were not synced are gone. The state is a prefix of the order of its commits,
// drawn from r, which holds at least everything up to the last Flush; with a nil r it holds exactly that. The new disk
// is neither fenced nor closed and has no hook.
func (m *Memory) Crash(r *rand.Rand) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := 0
	if r != nil {
		keep = r.IntN(m.unflushed() + 1)
	}
	return m.crash(keep)
}

// unflushed returns how many changes of the state a crash may lose. The mutex is held.
func (m *Memory) unflushed() (n int) {
	for _, e := range m.events {
		if e.state {
			n++
		}
	}
	return n
}

// crash keeps a number of those. The mutex is held.
func (m *Memory) crash(keep int) *Memory {
	c := NewMemory(m.id)
	c.capacity = m.capacity
	c.flushed = m.flushed
	c.now = m.flushed
	for _, e := range m.events {
		if e.state {
			if keep == 0 {
				continue
			}
			keep--
		}
		e.apply(&c.now)
		c.events = append(c.events, e)
	}
	return c
}

// SetCapacity sets how many bytes the disk may fill. Shards are refused from 95 % on, log records at 100 %.
func (m *Memory) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// SetHook has fn called at the start of every operation that takes a context, of Batch.Commit and of Ingest, outside of
// any lock: it may wait, and an error that it returns fails the operation, which then has changed nothing. Operations
// are named create, append, commit, get, info, delete, list, verify, log append, sync, entries, payload, batch commit,
// flush and ingest. A nil fn ends it.
func (m *Memory) SetHook(fn func(ctx context.Context, op string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = fn
}

// Fence makes the disk fail for good, as a failed sync would. Only the first call counts.
func (m *Memory) Fence(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return
	}
	m.err = disk.Errorf("fence", disk.KindFenced, m.id.String(), cause)
	close(m.fenced)
}

// Err returns nil while the disk works and why it is fenced afterwards.
func (m *Memory) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Fenced is closed when the disk is fenced.
func (m *Memory) Fenced() <-chan struct{} { return m.fenced }

// Syncs returns how many syncs of the log had something to do.
func (m *Memory) Syncs() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.syncs
}

// Usage returns the room on the disk.
func (m *Memory) Usage() disk.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return disk.Usage{CapacityBytes: m.capacity, UsedBytes: m.now.bytes + m.waiting, LiveBytes: m.now.bytes}
}

// Close syncs and flushes, unless the disk is fenced, and ends it. Crash(nil) then gives what a clean restart finds.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	if m.err != nil {
		return nil
	}
	m.sync()
	m.flush()
	return nil
}

// enter is the first thing that an operation does. On success the mutex is held.
func (m *Memory) enter(ctx context.Context, op, what string) error {
	if err := ctx.Err(); err != nil {
		return disk.Errorf(op, disk.KindIO, what, err)
	}
	m.mu.Lock()
	if hook := m.hook; hook != nil {
		m.mu.Unlock()
		if err := hook(ctx, op); err != nil {
			return disk.Errorf(op, disk.KindOf(err), what, err)
		}
		m.mu.Lock()
	}
	if err := m.usable(op, what); err != nil {
		m.mu.Unlock()
		return err
	}
	return nil
}

// usable says why the disk can't be used. The mutex is held.
func (m *Memory) usable(op, what string) error {
	switch {
	case m.closed:
		return disk.Errorf(op, disk.KindClosed, what, nil)
	case m.err != nil:
		return disk.Errorf(op, disk.KindFenced, what, m.err)
	}
	return nil
}

// record applies a change and remembers it for a crash. The mutex is held.
func (m *Memory) record(state bool, apply func(*image)) {
	apply(&m.now)
	m.events = append(m.events, event{state, apply})
	if len(m.events) >= memoryEvents {
		m.flush()
	}
}

// flush makes everything visible durable. The mutex is held.
func (m *Memory) flush() {
	m.flushed = m.now
	m.events = nil
}
