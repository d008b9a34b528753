package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// Env is what a replica stands on.
type Env struct {
	// Context ends the replica's reads of the disk.
	Context context.Context
	Disk    disk.ID
	Log     disk.Log
	State   disk.State
	Logger  *slog.Logger
	// Proposer names the store, in this life of the process, in the proposals that it makes. Never the same twice.
	Proposer uint64
	// Snapshots keeps the snapshots that followers pull from.
	Snapshots *Snapshots
	// LetGo is called before the replica lets go of its leadership in a term, by a transfer or because it fails: whatever
	// relies on that leadership ends before others may be elected. Nil: nothing does.
	LetGo   func(rangeID, term uint64)
	Options Options
}

// Errors of Propose and Load.
var (
	// ErrNotLeader: only the leader proposes.
	ErrNotLeader = errors.New("not the leader")
	// ErrBusy: too much is proposed and not yet committed, or leadership is being handed over.
	ErrBusy = errors.New("too much is under way")
	// ErrNotMember: the range's descriptor names no replica on this disk.
	ErrNotMember = errors.New("the range has no replica on this disk")
)

// Replica is one member of one range. One goroutine at a time.
type Replica struct {
	env   Env
	opt   Options
	id    uint64 // of the range
	self  uint64 // Raft's id
	node  *raft.RawNode
	mach  *machine.Machine
	store *storage
	cache cache

	hard      disk.HardState // what Raft wants kept
	synced    disk.HardState // term and vote that are kept
	role      raft.StateType
	lead      uint64
	ticks     int
	campaigns bool   // still looks for a first leader
	tries     int    // how often it has campaigned for that
	passed    uint64 // the replica that campaigned last without being able to win
	inherits  bool   // and should be that leader

	proposed    []cached  // handed to Raft and not seen in a Ready yet, in order
	refused     []uint64  // sequences of proposals that Raft did not take after all
	change      uint64    // index of the last change of configuration in the log, as far as it is known here
	changing    bool      // a change of configuration was handed to Raft and not seen in a Ready yet
	changed     []changed // applied in this round, and not told to Raft yet, in order
	born        []uint64  // ranges that were split off this one, and not asked for yet
	staged      map[entryID]cached
	uncommitted []entryBytes // proposed as leader and not yet applied, payloads only
	waiting     int          // sum of uncommitted
	inflight    map[uint64]*inflight
	heard       map[uint64]disk.ID // from where replicas spoke, which may be newer than the descriptor here; looked up only

	comparing  bool // the entry that is applied last in this batch compares replicas
	comparison *Comparison

	ready    raft.Ready
	late     []*raftpb.Message
	logBytes int // slim bytes appended since the last truncation
	truncate uint64
	rotten   []disk.PayloadID
	lastTime uint64
	failed   error
	farewell *transport.Message
}

type entryID struct{ term, index uint64 }

type entryBytes struct {
	index uint64
	bytes int
}

// Load makes the replica of a range from what its disk holds. A damaged log or damaged rows are an error.
func Load(env Env, rangeID uint64) (r *Replica, err error) {
	snapshot := env.State.Snapshot()
	defer func() {
		if e := snapshot.Close(); err == nil {
			err = e
		}
	}()
	m, err := machine.Load(snapshot, rangeID)
	if err != nil {
		return nil, err
	}
	r = &Replica{
		env: env, opt: env.Options.WithDefaults(), id: rangeID, mach: m, campaigns: true,
		staged: map[entryID]cached{}, inflight: map[uint64]*inflight{}, heard: map[uint64]disk.ID{},
	}
	// A replica that was removed can come about once more: where the split that once made it is applied again, after a crash.
	least, err := Tombstone(snapshot, rangeID)
	if err != nil {
		return nil, err
	}
	p := machine.ReplicaOn(m.Descriptor(), uint64(env.Disk))
	if p == nil || p.Id < least {
		return nil, fmt.Errorf("range %d: %w", rangeID, ErrNotMember)
	}
	r.self = p.Id
	s := m.State()
	r.store = &storage{
		ctx: env.Context, log: env.Log, rangeID: rangeID, cache: &r.cache, conf: confState(m.Descriptor()),
		truncated: s.TruncatedIndex, truncatedTerm: s.TruncatedTerm, snapshot: r.openSnapshot,
	}
	if err := r.store.bounds(s.AppliedIndex); err != nil {
		return nil, fmt.Errorf("range %d: %w", rangeID, err)
	}
	r.loadHardState(s)
	r.guard(func() { r.node, err = raft.NewRawNode(r.config(s.AppliedIndex)) })
	if r.failed != nil {
		err = r.failed
	}
	if err != nil {
		return nil, fmt.Errorf("range %d: %w", rangeID, err)
	}
	return r, nil
}

// loadHardState reads what Raft must not forget. The commit index may be older than what was applied, since it is
// written only along with other records; and it is never beyond the log.
func (r *Replica) loadHardState(s *metapb.RangeState) {
	h, ok := r.env.Log.HardState(r.id)
	if !ok {
		h = disk.HardState{Range: r.id, Term: s.AppliedTerm}
	}
	h.Commit = min(max(h.Commit, s.AppliedIndex), r.store.last)
	h.Term = max(h.Term, s.AppliedTerm)
	r.hard, r.synced = h, h
	r.store.hard = &raftpb.HardState{Term: new(h.Term), Vote: new(h.Vote), Commit: new(h.Commit)}
}

func (r *Replica) config(applied uint64) *raft.Config {
	return &raft.Config{
		ID:                        r.self,
		ElectionTick:              r.opt.ElectionTicks,
		HeartbeatTick:             r.opt.HeartbeatTicks,
		Storage:                   r.store,
		Applied:                   applied,
		MaxSizePerMsg:             uint64(r.opt.MessageBytes),
		MaxCommittedSizePerReady:  uint64(r.opt.ApplyBytes),
		MaxUncommittedEntriesSize: uint64(r.opt.UncommittedBytes),
		MaxInflightMsgs:           r.opt.InflightMessages,
		MaxInflightBytes:          uint64(max(r.opt.InflightBytes, r.opt.MessageBytes)),
		StepDownOnRemoval:         true,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    raftLogger{r.env.Logger.With("range", r.id, "disk", r.env.Disk)},
		DisableProposalForwarding: true,
	}
}

// guard calls fn and lets the replica fail if Raft can't go on.
func (r *Replica) guard(fn func()) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *storageError:
			r.fail(p.err)
		case *raftPanic:
			r.fail(p)
		default:
			panic(p)
		}
	}()
	fn()
}

// fail ends the replica's part in the range, and tells the log.
func (r *Replica) fail(err error) {
	if r.failed == nil {
		r.env.Logger.Error("replica failed", "range", r.id, "disk", r.env.Disk, "error", err)
	}
	r.Fail(err)
}

// Fail ends the replica's part in the range, for a reason of its owner, who tells the log of it.
func (r *Replica) Fail(err error) {
	if r.failed != nil {
		return
	}
	if r.role == raft.StateLeader {
		r.letGo()
		r.farewell = r.handOver()
	}
	r.failed = err
	r.dropComparison()
	r.role, r.lead = raft.StateFollower, 0
}

// handOver returns a message that has the successor campaign at once, so that nobody need wait until it misses the leader;
// nil if there is none. It is a hint: it may be lost, and the election too.
func (r *Replica) handOver() *transport.Message {
	p := r.successor(func(disk.ID) bool { return true })
	if p == nil {
		return nil
	}
	return &transport.Message{Range: r.id, From: r.env.Disk, To: disk.ID(p.Disk), Raft: &raftpb.Message{
		Type: raftpb.MsgTimeoutNow.Enum(), From: new(r.self), To: new(p.Id), Term: new(r.hard.Term),
	}}
}

// Successor returns the disk of the replica that should lead instead of this one, which leads: of the voters that were heard
// of lately, and whose disks are fit, the one that is furthest; zero if there is none.
func (r *Replica) Successor(fit func(disk.ID) bool) disk.ID {
	if p := r.successor(fit); p != nil {
		return disk.ID(p.Disk)
	}
	return 0
}

func (r *Replica) successor(fit func(disk.ID) bool) (best *metapb.Replica) {
	var match uint64
	r.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id == r.self || !p.RecentActive || best != nil && p.Match <= match {
			return
		}
		if x := r.voting(id); x != nil && fit(disk.ID(x.Disk)) {
			best, match = x, p.Match
		}
	})
	return best
}

// voting returns the replica of an id if it votes, nil if not.
func (r *Replica) voting(id uint64) *metapb.Replica {
	for _, p := range r.mach.Descriptor().Replicas {
		if p.Id == id && votes(p) {
			return p
		}
	}
	return nil
}

// Farewell returns, once, the last message of a leader that has failed, nil if there is none.
func (r *Replica) Farewell() *transport.Message {
	m := r.farewell
	r.farewell = nil
	return m
}

// Failed returns why the replica takes no part any more, nil while it does.
func (r *Replica) Failed() error { return r.failed }

// HardState returns what Raft wants kept, with the newest commit index, which is kept only along with other records.
func (r *Replica) HardState() disk.HardState { return r.hard }

// Born returns, once, the ranges that were split off this one by what was applied. Their rows are on the disk.
func (r *Replica) Born() []uint64 {
	out := r.born
	r.born = nil
	return out
}

// ID returns the replica's id.
func (r *Replica) ID() uint64 { return r.self }

// Range returns the range's id.
func (r *Replica) Range() uint64 { return r.id }

// Machine returns the applied state of the range.
func (r *Replica) Machine() *machine.Machine { return r.mach }

// Leads reports whether this replica is the leader, and in which term.
func (r *Replica) Leads() (term uint64, ok bool) {
	return r.hard.Term, r.failed == nil && r.role == raft.StateLeader
}

// CanRead reports whether the replica leads and has applied an entry of its own term: only then does it know of
// everything that was ever acknowledged.
func (r *Replica) CanRead() bool {
	term, ok := r.Leads()
	return ok && r.mach.State().AppliedTerm == term
}

// LeaderDisk returns the disk of the leader as far as this replica knows, zero if it knows none.
func (r *Replica) LeaderDisk() disk.ID {
	if r.failed != nil {
		return 0
	}
	return r.diskOf(r.lead)
}

// Follows reports whether the replica takes another, by its id, for the leader of its term.
func (r *Replica) Follows(id uint64) bool {
	return r.failed == nil && r.role == raft.StateFollower && id != 0 && r.lead == id
}

// diskOf returns the disk of a replica, zero if it is not known.
func (r *Replica) diskOf(replica uint64) disk.ID {
	for _, p := range r.mach.Descriptor().Replicas {
		if p.Id == replica {
			return disk.ID(p.Disk)
		}
	}
	return r.heard[replica]
}

// heardMost bounds how many replicas are remembered.
const heardMost = 64

// hear remembers where a replica is: a member that was away for long must be able to answer a leader that it never knew.
func (r *Replica) hear(m *transport.Message) {
	if len(r.heard) >= heardMost {
		clear(r.heard)
	}
	r.heard[m.Raft.GetFrom()] = m.From
}

// noteRole takes in a change of role.
func (r *Replica) noteRole(s *raft.SoftState) {
	if s == nil || r.failed != nil {
		return
	}
	r.role, r.lead = s.RaftState, s.Lead
	if r.role != raft.StateLeader {
		r.uncommitted, r.waiting = nil, 0
		clear(r.inflight)
	}
}

// turnsMost is for how many election timeouts replicas take turns.
const turnsMost = 2

// Turns is how the replicas of a store that look for a leader take turns with those of others, so that the voters of a range do
// not hinder each other, and the ranges of a store do not all begin at once. It is for one tick.
type Turns struct {
	// Ticks is how many ticks after one replica the next one of a range campaigns.
	Ticks int
	// Alive reports whether a disk's store may be thought to live: the replicas of others are passed over.
	Alive func(disk.ID) bool
	// Left is how many replicas may campaign yet.
	Left int
}

// Tick tells of the passing of one tick. A replica that has just been loaded, or that has lost its leader, and knows no other
// campaigns early, when it is its turn, so that nobody need wait for an election timeout. Raft's own begins after a while in
// which that has not helped.
func (r *Replica) Tick(t *Turns) {
	if r.failed != nil {
		return
	}
	if r.campaigns = r.campaigns && r.lead == 0 && r.ticks < turnsMost*r.opt.ElectionTicks; !r.campaigns {
		r.guard(r.node.Tick)
		return
	}
	r.ticks++
	switch {
	case r.inherits:
		if r.voter() {
			r.Campaign()
		}
	case t.Left > 0:
		before, voters, votes := r.turn(t.Alive)
		if votes && r.ticks > t.Ticks*(before+r.tries*voters) {
			r.tries++
			t.Left--
			r.Campaign()
		}
	}
}

// Inherit has the replica of a range that was split off campaign until somebody leads: at once, and with each tick, since
// the others may not have come to the split yet. The replica beside that of the parent's leader is the one to do so.
func (r *Replica) Inherit() {
	r.inherits = true
	if r.voter() {
		r.Campaign()
	}
}

// Wait has the replica of a range that was split off leave it to others, for some ticks, to campaign first.
func (r *Replica) Wait(ticks int) { r.ticks = -ticks }

// votes reports whether a replica votes in the configuration that is to stay.
func votes(p *metapb.Replica) bool { return !p.Learner && !p.Outgoing }

// turn returns how many voters are to campaign before this one, how many there are, those that are not alive left out of both,
// and whether this one votes. Which is the first follows from the range's id, so that each store begins with some of the ranges.
func (r *Replica) turn(alive func(disk.ID) bool) (before, voters int, voter bool) {
	all := r.mach.Descriptor().Replicas
	first := int(r.id % uint64(max(1, len(all))))
	for i := range all {
		p := all[(first+i)%len(all)]
		switch {
		case !votes(p):
		case p.Id == r.self:
			before, voter = voters, true
			voters++
		case p.Id != r.passed && alive(disk.ID(p.Disk)):
			voters++
		}
	}
	return before, voters, voter
}

// voter reports whether this replica votes.
func (r *Replica) voter() bool { return r.voting(r.self) != nil }

// First reports whether it is this replica's turn before all others: it campaigns at once when it was loaded.
func (r *Replica) First() bool {
	before, _, voter := r.turn(func(disk.ID) bool { return true })
	return before == 0 && voter
}

// Campaign starts an election, after asking whether it can be won.
func (r *Replica) Campaign() {
	if r.failed == nil {
		r.guard(func() { _ = r.node.Campaign() })
	}
}

// TransferLeadership asks the leader to hand over to the replica on a disk. It may fail silently.
func (r *Replica) TransferLeadership(to disk.ID) error {
	if _, ok := r.Leads(); !ok {
		return ErrNotLeader
	}
	p := machine.ReplicaOn(r.mach.Descriptor(), uint64(to))
	if p == nil || !votes(p) {
		return ErrNotMember
	}
	r.transfer(p.Id)
	return r.failed
}

// transfer has Raft hand over to a replica.
func (r *Replica) transfer(to uint64) {
	r.letGo()
	r.guard(func() { r.node.TransferLeader(to) })
}

func (r *Replica) letGo() {
	if r.env.LetGo != nil {
		r.env.LetGo(r.id, r.hard.Term)
	}
}

// Unreachable tells that messages to a replica on a disk are being lost.
func (r *Replica) Unreachable(to disk.ID) {
	if p := machine.ReplicaOn(r.mach.Descriptor(), uint64(to)); p != nil && r.failed == nil {
		r.guard(func() { r.node.ReportUnreachable(p.Id) })
	}
}

// Proposal is commands that go into one entry.
type Proposal struct {
	Sequence uint64
	Commands []*metapb.Command
	Payloads [][]byte // as SplitPayload gives them, of all commands
	Sums     []uint64 // of Payloads
	Time     uint64   // range time, microseconds
	// DeleteDelay is how long the bytes of replaced versions stay, microseconds; 0: the range machine's default.
	DeleteDelay uint64
}

// Propose hands a proposal to Raft. Nothing in it may change afterwards. An error means that it will not be carried out.
func (r *Replica) Propose(p Proposal) error {
	if _, ok := r.Leads(); !ok {
		return ErrNotLeader
	}
	size := 0
	lengths := make([]uint64, len(p.Payloads))
	for i, b := range p.Payloads {
		lengths[i] = uint64(len(b))
		size += len(b)
	}
	if r.waiting > 0 && size > 0 && r.waiting+size > r.opt.UncommittedPayloadBytes {
		return ErrBusy
	}
	r.lastTime = max(r.lastTime, p.Time)
	mp := &metapb.Proposal{
		Format: proposalFormat, Proposer: r.env.Proposer, Sequence: p.Sequence, Commands: p.Commands,
		PayloadLengths: lengths, PayloadSums: p.Sums, Time: r.lastTime, DeleteDelay: p.DeleteDelay,
	}
	data, err := mp.MarshalVT()
	if err != nil {
		return fmt.Errorf("encode proposal: %w", err)
	}
	if c := changeIn(mp); c != nil {
		data, err = r.proposeChange(c, data)
	} else {
		r.guard(func() { err = r.node.Propose(data) })
	}
	switch {
	case r.failed != nil:
		return r.failed
	case err != nil:
		return ErrBusy
	}
	r.proposed = append(r.proposed, newCached(&raftpb.Entry{Data: data}, mp, p.Payloads))
	return nil
}

// ReadIndex asks Raft for an index at which a read of now is linearizable; the answer carries the same mark, which must
// never have been used before. Only a replica that CanRead is asked.
func (r *Replica) ReadIndex(mark []byte) {
	if r.CanRead() {
		r.guard(func() { r.node.ReadIndex(mark) })
	}
}

// Step takes in a message from another replica. A message that can't be used is dropped.
func (r *Replica) Step(m *transport.Message) {
	if r.failed != nil || m.Raft.GetTo() != r.self {
		return
	}
	if m.Raft.GetType() == raftpb.MsgApp && !r.stage(m) {
		return
	}
	r.hear(m)
	r.pass(m.Raft)
	r.settleInflight(m.Raft)
	r.guard(func() { _ = r.node.Step(m.Raft) })
}

// pass notes a candidate that can't win, because it lacks entries that this replica has: others need not wait for it.
func (r *Replica) pass(m *raftpb.Message) {
	if m.GetType() != raftpb.MsgPreVote || !r.campaigns || r.lead != 0 {
		return
	}
	term, err := r.store.Term(r.store.last)
	if err == nil && (m.GetLogTerm() < term || m.GetLogTerm() == term && m.GetIndex() < r.store.last) {
		r.passed = m.GetFrom()
	}
}

// stage takes the payloads off an append and keeps them until Raft has taken its entries. It reports whether all of them
// are there and right.
func (r *Replica) stage(m *transport.Message) bool {
	rest := m.Payloads
	for _, e := range m.Raft.GetEntries() {
		p, err := proposalIn(e)
		n := 0
		if err == nil && p != nil {
			n = min(len(p.PayloadLengths), len(rest))
			if err = verifyPayloads(p, rest[:n]); mutantPayloadMissing {
				err = nil
			}
		}
		if err != nil {
			r.env.Logger.Warn("append dropped", "range", r.id, "from", m.From, "index", e.GetIndex(), "error", err)
			return false
		}
		c := newCached(e, p, rest[:n:n])
		rest = rest[n:]
		r.staged[entryID{e.GetTerm(), e.GetIndex()}] = c
	}
	return true
}
