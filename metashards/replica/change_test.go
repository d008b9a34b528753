package replica_test

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// founded loads the replica of disk 2 of a range with a descriptor.
func founded(t *testing.T, d *metapb.RangeDescriptor) (*replica.Replica, *disktest.Memory) {
	t.Helper()
	m := disktest.NewMemory(2)
	b := m.State().NewBatch()
	if err := machine.Bootstrap(b, d, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	return reload(t, m), m
}

// alone is a range whose only replica leads.
func alone(t *testing.T) (*replica.Replica, *disktest.Memory) {
	t.Helper()
	r, m := founded(t, &metapb.RangeDescriptor{Id: rangeID, Generation: 1, NextReplica: 2, Replicas: []*metapb.Replica{{Id: 1, Disk: 2}}})
	r.Campaign()
	round(t, r, m)
	if !r.CanRead() {
		t.Fatalf("does not lead: %+v", r.Status())
	}
	return r, m
}

func changeOf(generation uint64, c *metapb.ChangeReplicas) *metapb.Command {
	c.IfGeneration = generation
	return &metapb.Command{Format: 1, Bucket: 3, Key: []byte("k"), Time: 1, Op: &metapb.Command_ChangeReplicas{ChangeReplicas: c}}
}

func propose(r *replica.Replica, sequence uint64, c *metapb.Command) error {
	return r.Propose(replica.Proposal{Sequence: sequence, Commands: []*metapb.Command{c}})
}

// outcomes does rounds and returns the first result of each proposal by sequence.
func outcomes(t *testing.T, r *replica.Replica, m *disktest.Memory) map[uint64]*metapb.Result {
	t.Helper()
	out := map[uint64]*metapb.Result{}
	for r.HasReady() {
		var b disk.Append
		r.Collect(&b)
		if err := r.Failed(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(m.Log().Append(t.Context(), b), m.Log().Sync(t.Context())); err != nil {
			t.Fatal(err)
		}
		r.Late()
		applied, err := r.Apply()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range applied {
			out[a.Sequence] = a.Results[0]
		}
		r.Advance()
	}
	return out
}

func putOf(key string) *metapb.Command {
	return &metapb.Command{
		Format: 1, Bucket: 3, Key: []byte(key), Generation: 1, Time: 1,
		Op: &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{Format: 1}}},
	}
}

// TestOneChangeAtATime: while one change is under way another is refused, the range's other commands go on, and the
// replica lives.
func TestOneChangeAtATime(t *testing.T) {
	r, m := alone(t)
	if err := propose(r, 1, changeOf(1, &metapb.ChangeReplicas{Add: []uint64{3}})); err != nil {
		t.Fatal(err)
	}
	if err := propose(r, 2, changeOf(1, &metapb.ChangeReplicas{Add: []uint64{4}})); !errors.Is(err, replica.ErrBusy) {
		t.Errorf("a second change: %v", err)
	}
	if err := propose(r, 3, putOf("a")); err != nil {
		t.Fatal(err)
	}
	got := outcomes(t, r, m)
	if got[1].GetStatus() != metapb.Status_OK || got[1].GetRange() == nil || got[3] == nil || got[2] != nil {
		t.Fatalf("%v", got)
	}
	if d := r.Machine().Descriptor(); len(d.Replicas) != 2 || d.Replicas[1].Disk != 3 || !d.Replicas[1].Learner {
		t.Errorf("%v", d)
	}
	if err := propose(r, 4, changeOf(2, &metapb.ChangeReplicas{Add: []uint64{4}})); err != nil {
		t.Fatal(err)
	}
	if got := outcomes(t, r, m); got[4].GetStatus() != metapb.Status_OK {
		t.Errorf("the next change: %v", got)
	}
}

// TestChangesAreJudgedAtApply: a stale or illegal change is answered by the range, not left to be tried again, and Raft's
// configuration stays.
func TestChangesAreJudgedAtApply(t *testing.T) {
	r, m := alone(t)
	tests := []struct {
		generation uint64
		change     *metapb.ChangeReplicas
		want       metapb.Status
	}{
		{1, &metapb.ChangeReplicas{Add: []uint64{3}}, metapb.Status_OK},
		{1, &metapb.ChangeReplicas{Add: []uint64{3}}, metapb.Status_REVISION_MISMATCH}, // a repetition
		{2, &metapb.ChangeReplicas{Add: []uint64{3}}, metapb.Status_INVALID_REQUEST},
		{2, &metapb.ChangeReplicas{Leave: true}, metapb.Status_INVALID_REQUEST},
		{9, &metapb.ChangeReplicas{Leave: true}, metapb.Status_REVISION_MISMATCH},
		{2, &metapb.ChangeReplicas{Promote: []uint64{3}}, metapb.Status_OK}, // and needs both from now on
	}
	for n, test := range tests {
		if err := propose(r, uint64(n+1), changeOf(test.generation, test.change)); err != nil {
			t.Fatalf("change %d: %v", n, err)
		}
		if got := outcomes(t, r, m)[uint64(n+1)]; got == nil || got.Status != test.want {
			t.Fatalf("change %d: %v, want %v", n, got, test.want)
		}
	}
	if d := r.Machine().Descriptor(); d.Generation != 3 || !machine.Joint(d) {
		t.Fatalf("%v", d)
	}
	if err := propose(r, 99, putOf("a")); err != nil {
		t.Fatal(err)
	}
	if got := outcomes(t, r, m); len(got) != 0 {
		t.Errorf("committed without the new voter: %v", got)
	}
}

// TestJointSurvivesRestart: after a restart, what counts is what the descriptor says: learners do not vote, and both halves
// of a joint configuration count. It is the test that catches the mutant learnervotes.
func TestJointSurvivesRestart(t *testing.T) {
	tests := []struct {
		name     string
		replicas []*metapb.Replica
		votes    []uint64 // of whom, besides replica 1 itself
		wins     bool
	}{
		{"one of two, the other a learner", []*metapb.Replica{{Id: 1, Disk: 2}, {Id: 2, Disk: 3, Learner: true}}, nil, true},
		{"learners", []*metapb.Replica{
			{Id: 1, Disk: 2}, {Id: 2, Disk: 3}, {Id: 3, Disk: 4}, {Id: 4, Disk: 5, Learner: true}, {Id: 5, Disk: 6, Learner: true},
		}, []uint64{4, 5}, false},
		{"two of three", []*metapb.Replica{{Id: 1, Disk: 2}, {Id: 2, Disk: 3}, {Id: 3, Disk: 4}, {Id: 4, Disk: 5, Learner: true}}, []uint64{3}, true},
		{"the old half only", []*metapb.Replica{
			{Id: 1, Disk: 2}, {Id: 2, Disk: 3, Outgoing: true}, {Id: 3, Disk: 4, Incoming: true},
		}, []uint64{2}, false},
		{"the new half only", []*metapb.Replica{
			{Id: 1, Disk: 2}, {Id: 2, Disk: 3, Outgoing: true}, {Id: 3, Disk: 4, Incoming: true},
		}, []uint64{3}, false},
		{"both halves", []*metapb.Replica{
			{Id: 1, Disk: 2}, {Id: 2, Disk: 3, Outgoing: true}, {Id: 3, Disk: 4, Incoming: true},
		}, []uint64{2, 3}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, m := founded(t, &metapb.RangeDescriptor{Id: rangeID, Generation: 1, NextReplica: 9, Replicas: test.replicas})
			r.Campaign()
			for range 2 { // would vote, votes
				_, sent := round(t, r, m)
				for _, s := range sent {
					answer, ok := voteFor(s.Raft, test.votes)
					if ok {
						r.Step(&transport.Message{Range: rangeID, From: s.To, To: 2, Raft: answer})
					}
				}
			}
			round(t, r, m)
			if _, leads := r.Leads(); leads != test.wins {
				t.Errorf("leads: %v, want %v", leads, test.wins)
			}
		})
	}
}

// voteFor answers a request for a vote if its receiver is among those who answer.
func voteFor(m *raftpb.Message, who []uint64) (*raftpb.Message, bool) {
	t := raftpb.MsgVoteResp
	switch m.GetType() {
	case raftpb.MsgPreVote:
		t = raftpb.MsgPreVoteResp
	case raftpb.MsgVote:
	default:
		return nil, false
	}
	for _, id := range who {
		if id == m.GetTo() {
			return &raftpb.Message{Type: t.Enum(), From: new(id), To: new(m.GetFrom()), Term: new(m.GetTerm())}, true
		}
	}
	return nil, false
}

// TestWhoCampaigns: a replica that was just loaded looks for a leader only if it is to go on voting.
func TestWhoCampaigns(t *testing.T) {
	tests := []struct {
		name     string
		self     *metapb.Replica
		campaign bool
	}{
		{"voter", &metapb.Replica{Id: 1, Disk: 2}, true},
		{"incoming", &metapb.Replica{Id: 1, Disk: 2, Incoming: true}, true},
		{"learner", &metapb.Replica{Id: 1, Disk: 2, Learner: true}, false},
		{"outgoing", &metapb.Replica{Id: 1, Disk: 2, Outgoing: true}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, m := founded(t, &metapb.RangeDescriptor{
				Id: rangeID, NextReplica: 4, Replicas: []*metapb.Replica{{Id: 2, Disk: 3}, test.self, {Id: 3, Disk: 4}}, // its turn is first, by the range's id
			})
			if r.First() != test.campaign {
				t.Errorf("first: %v", r.First())
			}
			asked := false
			for range 9 { // less than an election timeout
				r.Tick(&replica.Turns{Ticks: 3, Alive: func(disk.ID) bool { return true }, Left: 1})
				_, sent := round(t, r, m)
				for _, s := range sent {
					asked = asked || s.Raft.GetType() == raftpb.MsgPreVote
				}
			}
			if asked != test.campaign {
				t.Errorf("campaigned: %v", asked)
			}
		})
	}
}

// TestTurns: the second of three replicas waits for its turn, and no longer where the first is not alive, or has campaigned and
// can't win since its log is shorter.
func TestTurns(t *testing.T) {
	const turn = 5
	tests := []struct {
		name    string
		dead    disk.ID
		index   uint64 // up to where the first one's log goes, if it campaigns
		waits   int
		attempt bool
	}{
		{"it waits", 0, 0, turn, false},
		{"the first is dead", 3, 0, 0, false},
		{"the last is dead", 4, 0, turn, false},
		{"the first can't win", 0, 1, 0, true},
		{"the first may win", 0, 1 << 40, turn, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, m := founded(t, &metapb.RangeDescriptor{ // the range's id makes the second one the first
				Id: rangeID, NextReplica: 4, Replicas: []*metapb.Replica{{Id: 3, Disk: 4}, {Id: 2, Disk: 3}, {Id: 1, Disk: 2}},
			})
			if test.attempt {
				r.Step(&transport.Message{Range: rangeID, From: 3, To: 2, Raft: &raftpb.Message{
					Type: raftpb.MsgPreVote.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(100)),
					LogTerm: new(uint64(machine.FirstTerm)), Index: new(test.index),
				}})
			}
			for ticks := 0; ticks < 3*turn; ticks++ {
				r.Tick(&replica.Turns{Ticks: turn, Alive: func(d disk.ID) bool { return d != test.dead }, Left: 1})
				_, sent := round(t, r, m)
				if !slices.ContainsFunc(sent, func(s *transport.Message) bool { return s.Raft.GetType() == raftpb.MsgPreVote }) {
					continue
				}
				if ticks != test.waits {
					t.Errorf("it waited %d ticks, want %d", ticks, test.waits)
				}
				return
			}
			t.Error("it did not campaign")
		})
	}
}

// TestLeaderHandsOver: a leader whose vote is to go hands over to a voter that stays, and the change is not carried out.
func TestLeaderHandsOver(t *testing.T) {
	three := func(flags ...string) *metapb.RangeDescriptor {
		d := &metapb.RangeDescriptor{Id: rangeID, Generation: 1, NextReplica: 4}
		for i := range uint64(3) {
			d.Replicas = append(d.Replicas, &metapb.Replica{Id: i + 1, Disk: i + 2})
		}
		if len(flags) > 0 { // joint: the leader is on its way out
			d.Replicas[0].Outgoing, d.Replicas[1].Incoming = true, true
		}
		return d
	}
	tests := []struct {
		name   string
		from   *metapb.RangeDescriptor
		change *metapb.ChangeReplicas
	}{
		{"demotion", three(), &metapb.ChangeReplicas{Demote: []uint64{2}}},
		{"demotion with another", three(), &metapb.ChangeReplicas{Demote: []uint64{2, 4}}},
		{"leaving", three("joint"), &metapb.ChangeReplicas{Leave: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, m := founded(t, test.from)
			r.Campaign()
			for range 2 {
				_, sent := round(t, r, m)
				for _, s := range sent {
					if a, ok := voteFor(s.Raft, []uint64{2, 3}); ok {
						r.Step(&transport.Message{Range: rangeID, From: s.To, To: 2, Raft: a})
					}
				}
			}
			_, sent := round(t, r, m)
			acknowledge(r, sent)
			round(t, r, m)
			if !r.CanRead() {
				t.Fatalf("%+v", r.Status())
			}
			if err := propose(r, 1, changeOf(1, test.change)); !errors.Is(err, replica.ErrBusy) {
				t.Fatalf("taken: %v", err)
			}
			_, sent = round(t, r, m)
			to := disk.ID(0)
			for _, s := range sent {
				if s.Raft.GetType() == raftpb.MsgTimeoutNow {
					to = s.To
				}
			}
			if to != 3 {
				t.Errorf("handed over to %v, want disk 3", to)
			}
		})
	}
}

// acknowledge has the followers acknowledge what was sent to them.
func acknowledge(r *replica.Replica, sent []*transport.Message) {
	for _, s := range sent {
		if n := len(s.Raft.GetEntries()); s.Raft.GetType() == raftpb.MsgApp && n > 0 {
			r.Step(&transport.Message{Range: rangeID, From: s.To, To: 2, Raft: &raftpb.Message{
				Type: raftpb.MsgAppResp.Enum(), From: new(s.Raft.GetTo()), To: new(uint64(1)), Term: new(s.Raft.GetTerm()),
				Index: new(s.Raft.GetEntries()[n-1].GetIndex()),
			}})
		}
	}
}

// TestRemovedReplicaIsNoMember: a replica that has applied its own removal is not loaded again.
func TestRemovedReplicaIsNoMember(t *testing.T) {
	_, m := founded(t, &metapb.RangeDescriptor{Id: rangeID, Replicas: []*metapb.Replica{{Id: 1, Disk: 2}}})
	b := m.State().NewBatch()
	mach, err := machine.Load(b, rangeID)
	if err != nil {
		t.Fatal(err)
	}
	if err := mach.SetDescriptor(b, &metapb.RangeDescriptor{Id: rangeID, Replicas: []*metapb.Replica{{Id: 2, Disk: 3}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	_, err = replica.Load(replica.Env{
		Context: t.Context(), Disk: 2, Log: m.Log(), State: m.State(), Logger: slog.New(slog.DiscardHandler),
	}, rangeID)
	if !errors.Is(err, replica.ErrNotMember) {
		t.Errorf("%v", err)
	}
}
