package promise

import (
	"errors"
	"slices"
	"time"

	"github.com/contender/contender/disk"
)

// DefaultD is how long a promise holds.
const DefaultD = 2 * time.Second

// Options are what a Table stands on.
type Options struct {
	// Self is the store's disk.
	Self disk.ID
	// Boot is the store's life: higher than in every life before. The boot count of the disk is such a number.
	Boot uint64
	// D is how long a promise holds. It must be the same in all stores, and in all their lives. Default DefaultD.
	D time.Duration
	// Now is the boot-time clock: it never steps and goes on while the process is paused. Any two stores' clocks run
	// within 5 % of each other.
	Now func() time.Duration
	// Fresh says that the disk had no life before this one, so nothing was ever promised: there is no quiet period.
	Fresh bool
}

// Table is one store's side of all promises, those that it has given and those that it holds. One goroutine at a time:
// the one that steps the store's replicas.
type Table struct {
	opt       Options
	quiet     time.Duration // it neither votes nor campaigns before
	stretches uint64        // the last one that was begun
	peers     map[disk.ID]*peer
	order     []*peer // ascending by id
	groups    map[uint64]*group
	events    []Event
}

// peer is another store.
type peer struct {
	id disk.ID

	// The promise that this store has given it.
	boot     uint64        // its highest life that was heard of
	sequence uint64        // of its last request in that life
	stretch  uint64        // 0: there is no promise
	until    time.Duration // the promise holds before this
	doubts   []Claim

	// The promise that this store holds from it.
	stand    Stand
	held     time.Duration // it is relied on before this
	asked    uint64        // the last request's sequence
	released []release     // not known to have arrived, in order of first
}

// release is a leadership that this store has let go of.
type release struct {
	Claim
	first uint64 // the first request that had it; 0: none yet
}

// group is what the store knows of a Raft group.
type group struct {
	// As follower: what it has acknowledged last.
	leader  disk.ID
	term    uint64
	stretch uint64 // the promise to leader at that time
	freed   uint64 // the leader of this term has let go

	// As leader.
	led     uint64 // the term in which it leads; 0: it doesn't, or has let go
	over    uint64 // no lease in this term and before, ever
	members Members
	acks    []ack
}

// ack says that a store has acknowledged the term that is led.
type ack struct {
	from  disk.ID
	stand Stand
}

// New begins a life of a store. Nothing of an earlier one is needed.
func New(o Options) (*Table, error) {
	if o.Self == 0 || o.Boot == 0 || o.Now == nil {
		return nil, errors.New("promise: disk, boot and clock must be given")
	}
	if o.D == 0 {
		o.D = DefaultD
	}
	t := &Table{opt: o, peers: map[disk.ID]*peer{}, groups: map[uint64]*group{}}
	if !o.Fresh && !mutantQuiet {
		t.quiet = o.Now() + o.D
	}
	return t, nil
}

// peer returns what is known of another store, which may be nothing.
func (t *Table) peer(id disk.ID) *peer {
	p := t.peers[id]
	if p == nil {
		p = &peer{id: id}
		t.peers[id] = p
		i, _ := slices.BinarySearchFunc(t.order, id, func(p *peer, id disk.ID) int {
			if p.id < id {
				return -1
			}
			return 1
		})
		t.order = slices.Insert(t.order, i, p)
	}
	return p
}

// group returns what is known of a group, which may be nothing.
func (t *Table) group(id uint64) *group {
	g := t.groups[id]
	if g == nil {
		g = new(group)
		t.groups[id] = g
	}
	return g
}

// Forget does away with a group whose replica is destroyed here, after its removal was committed: whoever comes after it has
// another id, and acknowledges anew. A replica that only rests, or failed and will be loaded again in this life, must not be
// forgotten.
func (t *Table) Forget(id uint64) {
	if g := t.groups[id]; g != nil {
		t.Release(id, g.led)
		delete(t.groups, id)
	}
}

// pick returns the groups that fn chooses, ascending.
func (t *Table) pick(fn func(*group) bool) (ids []uint64) {
	for id, g := range t.groups {
		if fn(g) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
