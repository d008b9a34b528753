package store_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/promise"
	"github.com/contender/contender/metashards/transport"
)

const bornID = rangeID + 1

// split splits the group's range before a key, and waits until every store has the new range, with a leader.
func (g *group) split(key string) (leader int) {
	g.t.Helper()
	leader = g.leader()
	g.proposeSplit(leader, key)
	for range 1000 {
		ready := true
		for _, s := range g.stores {
			st := s.Status()
			ready = ready && len(st.Replicas) == 2 && st.Replicas[1].Leader != 0
		}
		if ready {
			return leader
		}
		time.Sleep(10 * time.Millisecond) // virtual
	}
	g.t.Fatal("the new range has no leader")
	return -1
}

// proposeSplit splits the group's range before a key by the store that leads.
func (g *group) proposeSplit(leader int, key string) {
	g.t.Helper()
	r, err := g.stores[leader].Propose(g.t.Context(), rangeID, &metapb.Command{
		Format: 1, Bucket: 3, Key: []byte("a"), Time: 1,
		Op: &metapb.Command_Split{Split: &metapb.SplitRange{At: keys.Position(3, []byte(key)), NewRange: bornID}},
	}, nil)
	if err != nil || r.Status != metapb.Status_OK {
		g.t.Fatalf("split: %v %v", r, err)
	}
}

// TestSplitIsKept catches the mutant splitcommit: when a range that was split off has spoken, the log of each of its disks
// keeps that its parent's split is committed.
func TestSplitIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		leader := g.split("m")
		at := g.stores[leader].Status().Replicas[0].Applied
		for i, d := range g.disks {
			if _, ok := d.Log().HardState(bornID); !ok {
				t.Errorf("disk %d keeps nothing of the new range", i)
			}
			if h, _ := d.Log().HardState(rangeID); h.Commit < at {
				t.Errorf("disk %d keeps that %d is committed, the split is %d", i, h.Commit, at)
			}
		}
	})
}

// TestSplitOffRangesServe: the range on either side takes writes at once, led from where the parent was, and says whose the
// other's keys are. All of it is there after every disk has lost what it had not synced.
func TestSplitOffRangesServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3, nil)
		defer g.close()
		g.mustPut("z", 1, []byte("before"))
		leader := g.split("m")
		s := g.stores[leader]
		if st := s.Status().Replicas[1]; st.Leader != disk.ID(leader+1) {
			t.Errorf("the new range is led by %v", st.Leader)
		}
		for key, id := range map[string]uint64{"b": rangeID, "x": bornID} {
			if r, err := s.Propose(t.Context(), id, put(key, 2, []byte(key)), []byte(key)); err != nil || r.Status != metapb.Status_OK {
				t.Errorf("put %s: %v %v", key, r, err)
			}
		}
		r, err := s.Propose(t.Context(), rangeID, put("y", 3, nil), nil)
		if err != nil || r.Status != metapb.Status_WRONG_RANGE || r.Range.GetId() != bornID {
			t.Errorf("a key of the new range: %v %v", r, err)
		}
		a, err := s.Query(t.Context(), bornID, get("c"))
		if err != nil || a.Status != metapb.Status_WRONG_RANGE || a.Range.GetRange().GetId() != rangeID {
			t.Errorf("a key of the old range: %v %v", a, err)
		}
		for i := range g.stores {
			g.crash(i)
		}
		for i := range g.stores {
			g.restart(i)
		}
		for key, value := range map[string]string{"z": "before", "x": "x"} {
			g.eventually(key, bornID, value)
		}
		g.eventually("b", rangeID, "b")
	})
}

// eventually waits until some store answers a get.
func (g *group) eventually(key string, id uint64, value string) {
	g.t.Helper()
	for range 300 {
		for _, s := range g.stores {
			if a, err := s.Query(g.t.Context(), id, get(key)); err == nil {
				if a.Status != metapb.Status_OK || string(a.Payload) != value {
					g.t.Errorf("get %s: %v %q", key, a.Status, a.Payload)
				}
				return
			}
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	g.t.Errorf("get %s: nobody answers", key)
}

// asked hands a store a vote request for a replica that is not here, again and again for a second, and returns the last
// answer; nil if there was none.
func (g *group) asked(i int, from, term uint64) *raftpb.Message {
	g.t.Helper()
	heard := new(recorder)
	g.local.Register(99, heard)
	defer g.local.Unregister(99)
	for range 10 {
		g.stores[i].Receive(&transport.Message{Range: rangeID, From: 99, To: disk.ID(i + 1), Raft: &raftpb.Message{
			Type: raftpb.MsgVote.Enum(), From: new(from), To: new(uint64(4)), Term: new(term), Index: new(uint64(machine.FirstIndex)), LogTerm: new(uint64(machine.FirstTerm)),
		}})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	if len(heard.got) == 0 {
		return nil
	}
	return heard.got[len(heard.got)-1].Raft
}

// TestAbsentReplicaVotes: a member that has nothing of its range yet votes, once in a term, and remembers it; one whose log
// keeps entries of the range does not.
func TestAbsentReplicaVotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 1, nil)
		defer g.close()
		spare := g.spare()
		if m := g.asked(spare, 1, 9); m == nil || m.GetReject() || m.GetTerm() != 9 || m.GetType() != raftpb.MsgVoteResp {
			t.Fatalf("the first candidate: %v", m)
		}
		g.crash(spare)
		g.restart(spare)
		if m := g.asked(spare, 2, 9); m != nil {
			t.Errorf("it votes although it may have promised not to, before the crash: %v", m)
		}
		time.Sleep(promise.DefaultD) // virtual
		if m := g.asked(spare, 2, 9); m == nil || !m.GetReject() {
			t.Errorf("another candidate of the term: %v", m)
		}
		if m := g.asked(spare, 1, 9); m == nil || m.GetReject() {
			t.Errorf("the first one again: %v", m)
		}
		if m := g.asked(spare, 2, 8); m == nil || !m.GetReject() || m.GetTerm() != 9 {
			t.Errorf("an older term: %v", m)
		}
		if m := g.asked(spare, 2, 10); m == nil || m.GetReject() {
			t.Errorf("a later term: %v", m)
		}
		err := g.disks[spare].Log().Append(t.Context(), disk.Append{Entries: []disk.Entry{{Range: rangeID, Term: 10, Index: 11}}})
		if err == nil {
			err = g.disks[spare].Log().Sync(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if m := g.asked(spare, 3, 11); m != nil {
			t.Errorf("its log keeps entries: %v", m)
		}
	})
}
