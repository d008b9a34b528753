package replica_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

const rangeID = 7

// load founds a range of three replicas on a disk in memory and loads the one of disk 2.
func load(t *testing.T) (*replica.Replica, *disktest.Memory) {
	t.Helper()
	m := disktest.NewMemory(2)
	d := &metapb.RangeDescriptor{Id: rangeID}
	for i := range uint64(3) {
		d.Replicas = append(d.Replicas, &metapb.Replica{Id: i + 1, Disk: i + 1})
	}
	b := m.State().NewBatch()
	if err := machine.Bootstrap(b, d, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	return reload(t, m), m
}

func reload(t *testing.T, m *disktest.Memory) *replica.Replica {
	t.Helper()
	r, err := replica.Load(replica.Env{
		Context: t.Context(), Disk: 2, Log: m.Log(), State: m.State(), Logger: slog.New(slog.DiscardHandler),
		Proposer: 99, Snapshots: replica.NewSnapshots(1, 2),
	}, rangeID)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// round does what the owner of a replica does, and returns what was written and sent.
func round(t *testing.T, r *replica.Replica, m *disktest.Memory) (a disk.Append, sent []*transport.Message) {
	t.Helper()
	for r.HasReady() {
		var b disk.Append
		sent = append(sent, r.Collect(&b)...)
		if err := m.Log().Append(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		if err := m.Log().Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, r.Late()...)
		if _, err := r.Apply(); err != nil {
			t.Fatal(err)
		}
		r.Advance()
		a.Payloads = append(a.Payloads, b.Payloads...)
		a.Entries = append(a.Entries, b.Entries...)
		a.HardStates = append(a.HardStates, b.HardStates...)
	}
	return a, sent
}

// appendOf is a leader's append of one entry with payloads, at index 11.
func appendOf(t *testing.T, commit uint64, payloads ...[]byte) *transport.Message {
	t.Helper()
	p := &metapb.Proposal{Format: 1, Proposer: 1, Sequence: 1}
	for _, b := range payloads {
		p.Commands = append(p.Commands, &metapb.Command{
			Format: 1, Bucket: 3, Key: []byte("k"), Generation: 1, Time: 1, PayloadLength: uint64(len(b)),
			Op: &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{Format: 1, Size: uint64(len(b))}}},
		})
		p.PayloadLengths = append(p.PayloadLengths, uint64(len(b)))
		p.PayloadSums = append(p.PayloadSums, replica.Sum(b))
	}
	data, err := p.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return &transport.Message{
		Range: rangeID, From: 1, To: 2, Payloads: payloads,
		Raft: &raftpb.Message{
			Type: raftpb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(6)),
			Index: new(uint64(10)), LogTerm: new(uint64(5)), Commit: new(commit),
			Entries: []*raftpb.Entry{{Term: new(uint64(6)), Index: new(uint64(11)), Data: data}},
		},
	}
}

// TestAppendNeedsItsPayloads: an append is accepted with all its payloads or not at all.
func TestAppendNeedsItsPayloads(t *testing.T) {
	one, two := []byte("the first payload"), []byte("the second")
	tests := []struct {
		name     string
		payloads [][]byte
		taken    bool
	}{
		{"all", [][]byte{one, two}, true},
		{"none", nil, false},
		{"one missing", [][]byte{one}, false},
		{"exchanged", [][]byte{two, one}, false},
		{"flipped", [][]byte{one, []byte("the secone")}, false},
		{"short", [][]byte{one, two[:5]}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, m := load(t)
			msg := appendOf(t, 10, one, two)
			msg.Payloads = test.payloads
			r.Step(msg)
			a, sent := round(t, r, m)
			acked := false
			for _, s := range sent {
				acked = acked || s.Raft.GetType() == raftpb.MsgAppResp && s.Raft.GetIndex() == 11
			}
			if !test.taken {
				if len(a.Entries)+len(a.Payloads) > 0 || acked {
					t.Errorf("taken: %+v %v", a, sent)
				}
				return
			}
			if len(a.Entries) != 1 || len(a.Payloads) != 2 || !acked {
				t.Fatalf("not taken: %+v %v", a, sent)
			}
			for n, want := range test.payloads {
				id := disk.PayloadID{Range: rangeID, Term: 6, Index: 11, N: uint32(n)}
				if b, err := m.Log().Payload(t.Context(), id); err != nil || !bytes.Equal(b, want) {
					t.Errorf("payload %d: %q %v", n, b, err)
				}
			}
		})
	}
}

// TestHardStateComesAlong: a new commit index alone is no record, and what was applied is never forgotten.
func TestHardStateComesAlong(t *testing.T) {
	r, m := load(t)
	r.Step(appendOf(t, 10, []byte("payload")))
	round(t, r, m)
	r.Step(&transport.Message{Range: rangeID, From: 1, To: 2, Raft: &raftpb.Message{
		Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(6)), Commit: new(uint64(11)),
	}})
	a, _ := round(t, r, m)
	if len(a.HardStates) != 0 {
		t.Errorf("a commit index was written: %+v", a.HardStates)
	}
	if s := r.Status(); s.Applied != 11 || s.Commit != 11 {
		t.Fatalf("%+v", s)
	}
	if h, _ := m.Log().HardState(rangeID); h.Commit != 10 || h.Term != 6 {
		t.Errorf("kept: %+v", h)
	}
	if s := reload(t, m).Status(); s.Applied != 11 || s.Commit != 11 || s.Term != 6 {
		t.Errorf("after a restart: %+v", s)
	}
}

// TestVoteIsKept: a vote leaves only after it is in the log, and holds after a restart.
func TestVoteIsKept(t *testing.T) {
	r, m := load(t)
	vote := func(from uint64) *transport.Message {
		return &transport.Message{Range: rangeID, From: disk.ID(from), To: 2, Raft: &raftpb.Message{
			Type: raftpb.MsgVote.Enum(), From: new(from), To: new(uint64(2)), Term: new(uint64(6)),
			Index: new(uint64(10)), LogTerm: new(uint64(5)),
		}}
	}
	r.Step(vote(1))
	var a disk.Append
	if early := r.Collect(&a); len(early) != 0 {
		t.Fatalf("left before the sync: %v", early[0].Raft)
	}
	if len(a.HardStates) != 1 || a.HardStates[0] != (disk.HardState{Range: rangeID, Term: 6, Vote: 1, Commit: 10}) {
		t.Fatalf("%+v", a.HardStates)
	}
	if err := m.Log().Append(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := m.Log().Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = reload(t, m)
	r.Step(vote(3))
	_, sent := round(t, r, m)
	if len(sent) != 1 || sent[0].Raft.GetType() != raftpb.MsgVoteResp || !sent[0].Raft.GetReject() {
		t.Errorf("a second vote in one term: %v", sent)
	}
}

// TestLogShorterThanApplied: a log that lost what was applied is damage, not a shorter history.
func TestLogShorterThanApplied(t *testing.T) {
	r, m := load(t)
	r.Step(appendOf(t, 11, []byte("payload")))
	round(t, r, m)
	b := m.State().NewBatch()
	if err := b.TruncateLog(rangeID, 11); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	_, err := replica.Load(replica.Env{
		Context: t.Context(), Disk: 2, Log: m.Log(), State: m.State(), Logger: slog.New(slog.DiscardHandler),
	}, rangeID)
	if !disk.Is(err, disk.KindCorrupt) {
		t.Errorf("loaded: %v", err)
	}
}

func TestSplitPayload(t *testing.T) {
	three := &metapb.Command{PayloadLength: 3}
	two := &metapb.Command{PayloadLength: 2}
	none := &metapb.Command{}
	batch := func(c ...*metapb.Command) *metapb.Command {
		return &metapb.Command{Op: &metapb.Command_Batch{Batch: &metapb.Batch{Commands: c}}}
	}
	tests := []struct {
		command *metapb.Command
		payload string
		want    []string
		bad     bool
	}{
		{none, "", nil, false},
		{none, "x", nil, true},
		{three, "abc", []string{"abc"}, false},
		{three, "ab", nil, true},
		{three, "abcd", nil, true},
		{batch(three, none, two), "abcde", []string{"abc", "de"}, false},
		{batch(three, two), "abcd", nil, true},
		{batch(none), "", nil, false},
	}
	for _, test := range tests {
		got, err := replica.SplitPayload(test.command, []byte(test.payload))
		if (err != nil) != test.bad || len(got) != len(test.want) {
			t.Errorf("%v %q: %q %v", test.command, test.payload, got, err)
			continue
		}
		for i := range got {
			if string(got[i]) != test.want[i] {
				t.Errorf("%v %q: %q", test.command, test.payload, got)
			}
		}
	}
}
