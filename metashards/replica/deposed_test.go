package replica_test

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/transport"
)

// TestDeposedInOneRound: a leader proposes an entry with a payload, and before that is kept another leader replaces it. What
// it was about to send of it is not sent, and it goes on as a follower.
func TestDeposedInOneRound(t *testing.T) {
	r, m := load(t)
	step := func(from uint64, msg *raftpb.Message) {
		msg.From, msg.To = new(from), new(uint64(2))
		r.Step(&transport.Message{Range: rangeID, From: disk.ID(from), To: 2, Raft: msg})
	}
	r.Campaign()
	round(t, r, m)
	step(1, &raftpb.Message{Type: raftpb.MsgPreVoteResp.Enum(), Term: new(uint64(6))})
	round(t, r, m)
	step(1, &raftpb.Message{Type: raftpb.MsgVoteResp.Enum(), Term: new(uint64(6))})
	round(t, r, m)
	step(1, &raftpb.Message{Type: raftpb.MsgAppResp.Enum(), Term: new(uint64(6)), Index: new(uint64(11))})
	round(t, r, m)
	if _, ok := r.Leads(); !ok || !r.CanRead() {
		t.Fatalf("it does not lead: %+v", r.Status())
	}
	payload := []byte("payload")
	err := r.Propose(replica.Proposal{
		Sequence: 1, Time: 1, Payloads: [][]byte{payload}, Sums: []uint64{replica.Sum(payload)},
		Commands: []*metapb.Command{{
			Format: 1, Bucket: 3, Key: []byte("k"), Generation: 1, Time: 1, PayloadLength: uint64(len(payload)),
			Op: &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{Format: 1, Size: uint64(len(payload))}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	step(3, &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), Term: new(uint64(7)), Index: new(uint64(11)), LogTerm: new(uint64(6)), Commit: new(uint64(11)),
		Entries: []*raftpb.Entry{{Term: new(uint64(7)), Index: new(uint64(12))}},
	})
	_, sent := round(t, r, m)
	for _, s := range sent {
		if s.Raft.GetType() == raftpb.MsgApp {
			t.Errorf("sent: %v", s.Raft)
		}
	}
	if s := r.Status(); s.Err != nil || s.Role != "follower" || s.Last != 12 || s.Term != 7 {
		t.Errorf("%+v", s)
	}
}
