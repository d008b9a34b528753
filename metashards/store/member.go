package store

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
)

// member is a replica with its clients.
type member struct {
	core    *Core
	rangeID uint64
	replica *replica.Replica        // nil while a snapshot is being installed, or while it rests
	err     error                   // why there is no replica: it could not be loaded
	rest    int                     // ticks until it is loaded again
	span    *metapb.RangeDescriptor // what it was, or is to be, known to own last; nil: not known
	dirty   bool

	pending  []*Proposal // not proposed yet
	batches  []batch     // proposed, in order of sequence
	reads    []*Read     // not yet behind a round of Raft
	asked    []round     // behind a round, in order of mark
	released []round     // confirmed, waiting for their index to be applied
	term     uint64      // term in which it leads, 0 if it doesn't

	begun     time.Duration // when it became leader, on the boot clock, and range time then
	rangeTime uint64

	told    *replica.Status // last
	stirred bool            // it may stand otherwise now

	asleep  bool                    // it is not ticked
	watched bool                    // it is in the core's list of those that are
	idle    int                     // ticks since anything came
	unheard int                     // ticks, while promises bind it, since its leader spoke
	lulled  lullaby                 // by which the leader went to sleep
	shown   *metapb.RangeDescriptor // what the promises know of the members, as leader

	open     *open // the view that others read; nil: none
	compared compared
	remade   remaking
	yielded  int // ticks in which it would campaign, and lets others go first
	handed   int // the tick in which it was handed over last
	load     load

	uncounted bool // buckets whose usage is halved may be there
	counting  bool // they are being counted, or what came of it is under way
}

// batch is the proposals of one entry.
type batch struct {
	sequence  uint64
	proposals []*Proposal
}

// round is reads that share one answer of Raft.
type round struct {
	mark  uint64
	index uint64
	reads []*Read
}

// propose puts the pending commands into entries.
func (m *member) propose() {
	for len(m.pending) > 0 {
		if _, ok := m.replica.Leads(); !ok {
			m.refusePending(NotLeader, nil)
			return
		}
		if mutantSplitHold && m.counting {
			return
		}
		p := replica.Proposal{Sequence: m.core.sequence + 1, Time: m.now(), DeleteDelay: uint64(m.core.opt.DeleteDelay.Microseconds())}
		var taken []*Proposal
		n, bytes := 0, 0
		for _, q := range m.pending {
			if len(taken) == m.core.opt.BatchCommands || len(taken) > 0 && bytes+q.bytes > m.core.opt.BatchBytes {
				break
			}
			n++
			if m.core.full && len(q.payloads) > 0 {
				q.refuse(Full, 0, nil)
				continue
			}
			alone := machine.Alone(q.Command)
			if alone && len(taken) > 0 {
				n--
				break
			}
			if !q.take() {
				continue
			}
			taken = append(taken, q)
			bytes += q.bytes
			p.Commands = append(p.Commands, q.Command)
			p.Payloads = append(p.Payloads, q.payloads...)
			p.Sums = append(p.Sums, q.sums...)
			if alone {
				break
			}
		}
		m.pending = slices.Delete(m.pending, 0, n)
		if len(taken) == 0 {
			continue
		}
		m.core.sequence++
		if err := m.replica.Propose(p); err != nil {
			m.refuseTaken(taken, err)
			continue
		}
		m.batches = append(m.batches, batch{p.Sequence, taken})
	}
}

// refuseTaken answers proposals that Raft did not take.
func (m *member) refuseTaken(taken []*Proposal, err error) {
	reason, leader := Unavailable, m.replica.LeaderDisk()
	if errors.Is(err, replica.ErrNotLeader) {
		reason = NotLeader
	}
	for _, q := range taken {
		q.Done(nil, &Refusal{Reason: reason, Range: m.rangeID, Leader: leader, Err: err})
	}
}

// refusePending answers everything that was not handed to Raft.
func (m *member) refusePending(reason Reason, cause error) {
	leader := disk.ID(0)
	if m.replica != nil {
		leader = m.replica.LeaderDisk()
	}
	pending := m.pending
	m.pending = nil
	for _, p := range pending {
		p.refuse(reason, leader, cause)
	}
}

// now returns range time as this leader may raise it: as fast as its boot clock runs, whatever steps the wall clock makes.
func (m *member) now() uint64 {
	if mutantWallTime {
		return max(m.rangeTime, uint64(max(0, m.core.opt.Now().UnixMicro())))
	}
	return m.rangeTime + uint64(max(0, (m.core.opt.BootClock()-m.begun).Microseconds()))
}

// noteLeadership answers those who relied on a leadership that is gone, and begins a new one.
func (m *member) noteLeadership() {
	term, leads := uint64(0), false
	if m.replica != nil {
		term, leads = m.replica.Leads()
	}
	if !leads {
		term = 0
	}
	if term == m.term {
		return
	}
	m.shut()
	m.core.table.Release(m.rangeID, m.term)
	m.dismiss(NotLeader, Indeterminate, nil)
	m.term, m.shown = term, nil
	m.compared = compared{applied: m.compared.applied, moved: m.compared.moved, at: m.compared.at}
	if leads {
		m.begun = m.core.opt.BootClock()
		m.rangeTime = max(uint64(max(0, m.core.wall().UnixMicro())), m.replica.Machine().State().Time)
		m.uncounted = true
	}
}

// dismiss answers all reads with one reason and all that was proposed with another.
func (m *member) dismiss(reads, proposed Reason, cause error) {
	leader := disk.ID(0)
	if m.replica != nil {
		leader = m.replica.LeaderDisk()
	}
	batches, rounds := m.batches, slices.Concat(m.asked, m.released)
	m.batches, m.asked, m.released = nil, nil, nil
	for _, b := range batches {
		for _, p := range b.proposals {
			p.Done(nil, &Refusal{Reason: proposed, Range: m.rangeID, Leader: leader, Err: cause})
		}
	}
	for _, r := range rounds {
		for _, q := range r.reads {
			q.refuse(reads, leader, cause)
		}
	}
}

// askReads puts the reads that came since the last cycle behind one round of Raft. A new leader lets them wait until it
// has applied an entry of its own.
func (m *member) askReads() {
	if len(m.reads) == 0 {
		return
	}
	if _, ok := m.replica.Leads(); !ok {
		m.refuseReads(NotLeader, nil)
		return
	}
	if !m.replica.CanRead() {
		return
	}
	if mutantStaleReads {
		m.released = append(m.released, round{reads: m.reads})
		m.reads = nil
		m.release()
		return
	}
	if m.readUnderLease() {
		return
	}
	m.awake()
	m.core.mark++
	m.asked = append(m.asked, round{mark: m.core.mark, reads: m.reads})
	m.reads = nil
	m.replica.ReadIndex(binary.BigEndian.AppendUint64(nil, m.core.mark))
}

func (m *member) refuseReads(reason Reason, cause error) {
	leader := disk.ID(0)
	if m.replica != nil {
		leader = m.replica.LeaderDisk()
	}
	reads := m.reads
	m.reads = nil
	for _, r := range reads {
		r.refuse(reason, leader, cause)
	}
}

// confirm takes in the rounds that Raft has answered.
func (m *member) confirm(states []replica.ReadState) {
	for _, s := range states {
		if len(s.Mark) != 8 {
			continue
		}
		mark := binary.BigEndian.Uint64(s.Mark)
		i := slices.IndexFunc(m.asked, func(r round) bool { return r.mark == mark })
		if i < 0 {
			continue
		}
		r := m.asked[i]
		r.index = s.Index
		m.asked = slices.Delete(m.asked, i, i+1)
		m.released = append(m.released, r)
	}
}

// release answers the reads whose index is applied.
func (m *member) release() {
	applied := m.replica.Machine().State().AppliedIndex
	var due []round
	m.released = slices.DeleteFunc(m.released, func(r round) bool {
		if r.index > applied {
			return false
		}
		due = append(due, r)
		return true
	})
	if len(due) == 0 {
		return
	}
	n := 0
	for _, r := range due {
		n += len(r.reads)
	}
	snapshot := m.core.share(n)
	for _, r := range due {
		m.show(r.reads, snapshot)
	}
}

// show answers reads with a view of now.
func (m *member) show(reads []*Read, snapshot *shared) {
	for _, q := range reads {
		v := m.view(snapshot)
		q.Done(&v, nil)
	}
}

// view returns a view of now, which a snapshot shows.
func (m *member) view(snapshot *shared) View {
	mach := m.replica.Machine()
	return View{core: m.core, machine: mach, descriptor: mach.Descriptor(), snapshot: snapshot, moment: mach.Moment()}
}

// refuseUnproposed answers proposals that Raft did not take although it had said so.
func (m *member) refuseUnproposed(sequences []uint64) {
	for _, s := range sequences {
		i := slices.IndexFunc(m.batches, func(b batch) bool { return b.sequence == s })
		if i < 0 {
			continue
		}
		b := m.batches[i]
		m.batches = slices.Delete(m.batches, i, i+1)
		for _, q := range b.proposals {
			q.Done(nil, &Refusal{Reason: Unavailable, Range: m.rangeID, Leader: m.replica.LeaderDisk()})
		}
	}
}

// answer hands out the results of applied entries.
func (m *member) answer(applied []replica.Applied) {
	for _, a := range applied {
		i, ok := slices.BinarySearchFunc(m.batches, a.Sequence, func(b batch, s uint64) int {
			return int(int64(b.sequence - s))
		})
		if !ok {
			continue // its leadership was lost meanwhile, and its waiters told so
		}
		m.finish(i, a.Results)
	}
}

// finish answers a batch.
func (m *member) finish(i int, results []*metapb.Result) {
	b := m.batches[i]
	m.batches = slices.Delete(m.batches, i, i+1)
	for n, p := range b.proposals {
		p.Done(m.core.pointed(p.Command, results[n]), nil)
	}
}
