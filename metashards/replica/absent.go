package replica

import (
	"bytes"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/transport"
)

// Absent returns how a replica that is not here yet answers a message, nil if it does not: it has nothing, so that the
// leader sends a snapshot. A leader that is behind the term that the disk keeps hears of it, and gives up.
func Absent(env Env, m *transport.Message) *transport.Message {
	h, _ := env.Log.HardState(m.Range)
	answer := &raftpb.Message{From: new(m.Raft.GetTo()), To: new(m.Raft.GetFrom()), Term: new(max(h.Term, m.Raft.GetTerm()))}
	switch m.Raft.GetType() {
	case raftpb.MsgApp:
		answer.Type, answer.Reject = raftpb.MsgAppResp.Enum(), new(true)
		answer.Index = new(m.Raft.GetIndex())
	case raftpb.MsgHeartbeat:
		answer.Type = raftpb.MsgHeartbeatResp.Enum()
	default:
		return nil
	}
	return &transport.Message{Range: m.Range, From: env.Disk, To: m.From, Raft: answer}
}

// Ballot is the answer to a candidate of a range that has no replica here.
type Ballot struct {
	Answer *transport.Message
	// Hard is to be kept, synced, before the answer leaves, if Keep is true.
	Hard disk.HardState
	Keep bool
	// Transfer: the leader itself wants the candidate to win.
	Transfer bool
}

// campaignTransfer is what Raft writes into the votes of a candidate that its leader has called.
var campaignTransfer = []byte("CampaignTransfer")

// ByTransfer reports whether a vote request is of a candidate that its leader has called.
func ByTransfer(m *raftpb.Message) bool { return bytes.Equal(m.GetContext(), campaignTransfer) }

// AbsentVote returns how a replica that is not here yet answers a candidate: it has an empty log, so it votes like any other
// member, by what the disk keeps of its term and vote. No answer: the message is not of a candidate, or the disk's log keeps
// entries of the range, whose rows are about to come again.
func AbsentVote(env Env, m *transport.Message) (b Ballot, candidate bool) {
	t := m.Raft.GetType()
	if t != raftpb.MsgPreVote && t != raftpb.MsgVote {
		return b, false
	}
	if _, _, ok := env.Log.Bounds(m.Range); ok {
		return b, true
	}
	h, _ := env.Log.HardState(m.Range)
	h.Range = m.Range
	term, from := m.Raft.GetTerm(), m.Raft.GetFrom()
	granted := term > h.Term || t == raftpb.MsgVote && term == h.Term && (h.Vote == 0 || h.Vote == from)
	// A range begins with its first entries applied: nobody who lacks them can lead it.
	granted = granted && m.Raft.GetIndex() >= machine.FirstIndex
	answer := &raftpb.Message{To: new(from), From: new(m.Raft.GetTo()), Term: new(max(term, h.Term)), Reject: new(!granted)}
	switch t {
	case raftpb.MsgPreVote:
		answer.Type = raftpb.MsgPreVoteResp.Enum()
		if !granted {
			answer.Term = new(h.Term)
		}
	default:
		answer.Type = raftpb.MsgVoteResp.Enum()
		if term > h.Term {
			h.Term, h.Vote, b.Keep = term, 0, true
		}
		if granted && h.Vote != from {
			h.Vote, b.Keep = from, true
		}
	}
	b.Hard = h
	b.Transfer = ByTransfer(m.Raft)
	b.Answer = &transport.Message{Range: m.Range, From: env.Disk, To: m.From, Raft: answer}
	return b, true
}
