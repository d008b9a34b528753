package promise_test

import (
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/promise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tables are stores 1 to n on one clock, with a network by call.
type tables struct {
	t   *testing.T
	now time.Duration
	of  map[disk.ID]*promise.Table
}

func newTables(t *testing.T, n int) *tables {
	s := &tables{t: t, of: map[disk.ID]*promise.Table{}}
	for id := range disk.ID(n) {
		s.start(id+1, 1)
	}
	return s
}

func (s *tables) start(id disk.ID, boot uint64) {
	s.t.Helper()
	table, err := promise.New(promise.Options{
		Self: id, Boot: boot, Now: func() time.Duration { return s.now }, Fresh: boot == 1,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.of[id] = table
}

// beat has a store ask others.
func (s *tables) beat(from disk.ID, to ...disk.ID) {
	s.t.Helper()
	for _, id := range to {
		a, ok := s.of[id].Answer(s.of[from].Ask(id))
		if !ok {
			s.t.Fatalf("store %d does not answer store %d", id, from)
		}
		s.of[from].Hear(a)
	}
}

// acknowledge has stores acknowledge a leader.
func (s *tables) acknowledge(group, term uint64, leader disk.ID, from ...disk.ID) {
	for _, id := range from {
		s.of[leader].Acknowledged(group, term, id, s.of[id].Acknowledge(group, leader, term))
	}
}

func halves(h ...[]disk.ID) promise.Members { return promise.Members{Halves: h} }

// lead has store 1 lead groups 1 to n in term 5, with all acknowledgements of stores 2 and 3.
func (s *tables) lead(groups uint64) {
	s.beat(1, 2, 3)
	for g := range groups {
		s.of[1].Lead(g+1, 5, halves([]disk.ID{1, 2, 3}))
		s.acknowledge(g+1, 5, 1, 2, 3)
	}
}

func (s *tables) events(id disk.ID, want ...promise.Event) {
	s.t.Helper()
	if got := s.of[id].Tick(); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		s.t.Errorf("events of store %d: %v, want %v", id, got, want)
	}
}

func (s *tables) mayVote(id disk.ID, group uint64, candidate disk.ID, want bool) {
	s.t.Helper()
	if got := s.of[id].MayVote(group, candidate, false); got != want {
		s.t.Errorf("at %v store %d may vote for store %d: %v", s.now, id, candidate, got)
	}
}

func TestOptions(t *testing.T) {
	now := func() time.Duration { return 0 }
	for _, o := range []promise.Options{{Boot: 1, Now: now}, {Self: 1, Now: now}, {Self: 1, Boot: 1}} {
		if _, err := promise.New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestTimes: the holder counts nine tenths of D from asking, the granter D from receipt.
func TestTimes(t *testing.T) {
	s := newTables(t, 3)
	s.of[1].Lead(1, 5, halves([]disk.ID{1, 2, 3}))
	r := s.of[1].Ask(2)
	s.now = 300 * time.Millisecond
	a, _ := s.of[2].Answer(r)
	s.acknowledge(1, 5, 1, 2)
	s.now = 700 * time.Millisecond
	s.of[1].Hear(a)
	if got := s.of[1].Until(1, 5); got != d/10*9 {
		t.Errorf("the lease lasts until %v", got)
	}
	s.now = d/10*9 - 1
	if !s.of[1].Holds(1, 5) {
		t.Error("the lease ends early")
	}
	s.now++
	if s.of[1].Holds(1, 5) {
		t.Error("the lease ends late")
	}
	s.now = 300*time.Millisecond + d - 1
	s.mayVote(2, 1, 3, false)
	s.mayVote(2, 1, 1, true) // the leader itself: it has let go then
	s.mayVote(2, 9, 3, true) // a group of which nothing is known
	if s.of[2].MayCampaign(1, false) || !s.of[2].MayCampaign(1, true) || !s.of[2].MayVote(1, 3, true) {
		t.Error("a bound store campaigns, or a transfer does not pass")
	}
	s.now++
	s.mayVote(2, 1, 3, true)
	if !s.of[2].MayCampaign(1, false) {
		t.Error("the promise outlasts D")
	}
}

// TestLapse: a promise that has lapsed does not bind again by being renewed, and the acknowledgement is void on both sides.
func TestLapse(t *testing.T) {
	s := newTables(t, 3)
	s.lead(1)
	late := s.of[2].Acknowledge(1, 1, 5)
	s.now = d
	s.beat(1, 2)
	s.mayVote(2, 1, 3, true)
	s.of[1].Acknowledged(1, 5, 2, late)
	if s.of[1].Holds(1, 5) {
		t.Error("an acknowledgement outlives the promise that it was under")
	}
	s.acknowledge(1, 5, 1, 2)
	s.mayVote(2, 1, 3, false)
	if !s.of[1].Holds(1, 5) {
		t.Error("a fresh acknowledgement does not count")
	}
}

// TestEarlyAcknowledgement: an acknowledgement may overtake the answer of the promise that it is under.
func TestEarlyAcknowledgement(t *testing.T) {
	s := newTables(t, 3)
	s.of[1].Lead(1, 5, halves([]disk.ID{1, 2, 3}))
	if got := s.of[2].Acknowledge(1, 1, 5); got != (promise.Stand{}) {
		t.Errorf("a store that has promised nothing gives %v", got)
	}
	a, _ := s.of[2].Answer(s.of[1].Ask(2))
	s.acknowledge(1, 5, 1, 2)
	if s.of[1].Holds(1, 5) {
		t.Error("a lease without a promise")
	}
	s.of[1].Hear(a)
	if !s.of[1].Holds(1, 5) {
		t.Error("the acknowledgement is lost")
	}
}

// TestHalves: a majority of each half, of acknowledged promises, and learners are none.
func TestHalves(t *testing.T) {
	for name, c := range map[string]struct {
		members promise.Members
		acks    []disk.ID
		want    bool
	}{
		"alone":                   {halves([]disk.ID{1}), nil, true},
		"nobody":                  {promise.Members{}, []disk.ID{2, 3}, false},
		"an empty half":           {halves([]disk.ID{1}, nil), []disk.ID{2, 3}, false},
		"one of two":              {halves([]disk.ID{1, 2}), nil, false},
		"two of two":              {halves([]disk.ID{1, 2}), []disk.ID{2}, true},
		"two of four":             {halves([]disk.ID{1, 2, 3, 4}), []disk.ID{2}, false},
		"three of four":           {halves([]disk.ID{1, 2, 3, 4}), []disk.ID{2, 4}, true},
		"a learner":               {promise.Members{Halves: [][]disk.ID{{1, 2, 3}}, Others: []disk.ID{4}}, []disk.ID{4}, false},
		"the old half only":       {halves([]disk.ID{1, 2, 3}, []disk.ID{1, 4, 5}), []disk.ID{2, 3}, false},
		"the new half only":       {halves([]disk.ID{1, 2, 3}, []disk.ID{1, 4, 5}), []disk.ID{4, 5}, false},
		"both halves":             {halves([]disk.ID{1, 2, 3}, []disk.ID{1, 4, 5}), []disk.ID{2, 4}, true},
		"a half without a leader": {halves([]disk.ID{1, 2, 3}, []disk.ID{4, 5, 6}), []disk.ID{2, 4}, false},
	} {
		s := newTables(t, 6)
		s.beat(1, 2, 3, 4, 5, 6)
		s.of[1].Lead(1, 5, c.members)
		s.acknowledge(1, 5, 1, c.acks...)
		if got := s.of[1].Holds(1, 5); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestQuiet: a store that had an earlier life neither votes nor campaigns for D.
func TestQuiet(t *testing.T) {
	s := newTables(t, 2)
	s.now = time.Hour
	s.start(2, 2)
	s.now += d - 1
	s.mayVote(2, 1, 1, false)
	if s.of[2].MayCampaign(1, false) || !s.of[2].MayVote(1, 1, true) {
		t.Error("it campaigns, or a transfer does not pass")
	}
	s.now++
	s.mayVote(2, 1, 1, true)
}

// TestOldMessages: what is late, doubled or of an earlier life changes nothing.
func TestOldMessages(t *testing.T) {
	s := newTables(t, 3)
	s.of[1].Lead(1, 5, halves([]disk.ID{1, 2}))
	first, second := s.of[1].Ask(2), s.of[1].Ask(2)
	a, _ := s.of[2].Answer(second)
	for name, r := range map[string]promise.Request{"overtaken": first, "doubled": second, "astray": s.of[1].Ask(3)} {
		if _, ok := s.of[2].Answer(r); ok {
			t.Errorf("a request that is %s is answered", name)
		}
	}
	s.acknowledge(1, 5, 1, 2)
	astray, other := a, a
	astray.To, other.ToBoot = 3, 2
	s.of[1].Hear(astray)
	s.of[1].Hear(other)
	if s.of[1].Holds(1, 5) {
		t.Error("an answer to another, or to another life, counts")
	}
	s.of[1].Hear(a)
	if !s.of[1].Holds(1, 5) {
		t.Error("the right answer does not count")
	}

	s.start(2, 2)
	s.now += time.Millisecond
	old := s.of[1].Ask(2)
	s.beat(1, 2)
	if s.of[1].Holds(1, 5) {
		t.Error("an acknowledgement outlives the life that gave it")
	}
	a.Sequence, a.Asked = old.Sequence, old.Asked
	s.of[1].Hear(a)
	if s.of[1].Holds(1, 5) {
		t.Error("an answer of an earlier life counts again")
	}
	s.start(1, 2)
	s.beat(1, 2)
	if _, ok := s.of[2].Answer(promise.Request{From: 1, To: 2, Boot: 1, Sequence: 1000}); ok {
		t.Error("a request of an earlier life is answered")
	}
}

// TestRelease: letting go is final for the term, and is told until it is known to have arrived.
func TestRelease(t *testing.T) {
	s := newTables(t, 3)
	s.lead(2)
	early, _ := s.of[2].Answer(s.of[1].Ask(2))
	s.of[1].Release(1, 5)
	s.of[1].Lead(1, 5, halves([]disk.ID{1, 2, 3}))
	s.acknowledge(1, 5, 1, 2, 3)
	if s.of[1].Holds(1, 5) || !s.of[1].Holds(2, 5) {
		t.Error("the lease comes back, or another is gone")
	}
	want := []promise.Claim{{Group: 1, Term: 5}}
	lost := s.of[1].Ask(2)
	s.of[1].Hear(early) // it answers what was asked before
	r := s.of[1].Ask(2)
	if !reflect.DeepEqual(lost.Released, want) || !reflect.DeepEqual(r.Released, want) {
		t.Errorf("released %v, %v", lost.Released, r.Released)
	}
	s.mayVote(2, 1, 3, false)
	a, _ := s.of[2].Answer(r)
	s.events(2, promise.Event{Kind: promise.Released, Peer: 1, Groups: []uint64{1}})
	s.mayVote(2, 1, 3, true)
	s.mayVote(2, 2, 3, false)
	if got := s.of[2].Acknowledge(1, 1, 5); got != (promise.Stand{}) {
		t.Error("a late message of the term binds again")
	}
	s.of[1].Hear(a)
	if r := s.of[1].Ask(2); len(r.Released) != 0 {
		t.Errorf("told again: %v", r.Released)
	}

	s.of[1].Lead(1, 6, halves([]disk.ID{1, 2, 3}))
	s.acknowledge(1, 6, 1, 2)
	if !s.of[1].Holds(1, 6) {
		t.Error("no lease in the next term")
	}
	s.mayVote(2, 1, 3, false)
}

// TestDoubt: a store that refuses a vote because of a leader that leads no more, unknown to it, hears so.
func TestDoubt(t *testing.T) {
	s := newTables(t, 3)
	s.lead(2)
	s.of[1].Release(1, 5)
	s.of[1].Hear(promise.Answer{From: 2, To: 1, Boot: 1, ToBoot: 1, Sequence: s.of[1].Ask(2).Sequence, Stretch: 1}) // it was said
	s.mayVote(2, 1, 3, false)
	s.of[2].Doubt(2)
	s.beat(1, 2)
	s.mayVote(2, 1, 3, false)
	s.beat(1, 2)
	s.mayVote(2, 1, 3, true)
	s.mayVote(2, 2, 3, false)
	s.events(2, promise.Event{Kind: promise.Released, Peer: 1, Groups: []uint64{1}})
}

// TestOthersTerm: a store that led hears of another leader, and follows it.
func TestOthersTerm(t *testing.T) {
	s := newTables(t, 3)
	s.lead(1)
	s.beat(3, 1, 2)
	s.of[3].Lead(1, 6, halves([]disk.ID{1, 2, 3}))
	s.acknowledge(1, 6, 3, 1, 2)
	if s.of[1].Holds(1, 5) || !s.of[3].Holds(1, 6) {
		t.Error("the lease does not go over")
	}
	s.mayVote(1, 1, 2, false)
	if got := s.of[2].Acknowledge(1, 1, 5); got != (promise.Stand{}) {
		t.Error("an earlier term is acknowledged")
	}
}

// TestEvents: each change is told once, with the groups that it concerns.
func TestEvents(t *testing.T) {
	s := newTables(t, 3)
	s.lead(2)
	for id := range disk.ID(3) {
		s.events(id+1, []promise.Event(nil)...)
	}
	if !s.of[1].Settled(1, 5) {
		t.Error("not settled")
	}
	s.start(3, 2)
	s.now += d / 4
	s.beat(1, 2, 3)
	s.events(1, promise.Event{Kind: promise.Back, Peer: 3, Groups: []uint64{1, 2}})
	if s.of[1].Settled(1, 5) || !s.of[1].Holds(1, 5) {
		t.Error("settled without an acknowledgement, or no lease")
	}
	s.now += d
	s.events(1, promise.Event{Kind: promise.Lost, Peer: 2, Groups: []uint64{1, 2}}, promise.Event{
		Kind: promise.Lost, Peer: 3, Groups: []uint64{1, 2},
	})
	s.events(1)
	s.events(2, promise.Event{Kind: promise.Silent, Peer: 1, Groups: []uint64{1, 2}})
	s.events(2)
	s.beat(1, 2)
	s.acknowledge(2, 5, 1, 2)
	s.events(1, promise.Event{Kind: promise.Back, Peer: 2, Groups: []uint64{1, 2}})
	s.start(1, 2)
	s.beat(1, 2)
	s.events(2, promise.Event{Kind: promise.Restarted, Peer: 1, Groups: []uint64{2}})
	s.mayVote(2, 2, 3, true)
}

// TestForget: a replica that is gone leaves nothing, and its leadership is let go of.
func TestForget(t *testing.T) {
	s := newTables(t, 3)
	s.lead(1)
	s.of[1].Forget(1)
	s.of[2].Forget(1)
	s.of[3].Forget(7)
	s.mayVote(2, 1, 3, true)
	s.beat(1, 3)
	s.mayVote(3, 1, 2, true)
	if s.of[1].Holds(1, 5) {
		t.Error("a lease without a replica")
	}
}

// TestReturnedMember: a store that was removed from a group may forget it at once, so that when it comes back under the same
// leader what it acknowledged before is void.
func TestReturnedMember(t *testing.T) {
	s := newTables(t, 3)
	s.lead(1)
	late := s.of[2].Acknowledge(1, 1, 5)
	both, three := halves([]disk.ID{1, 2}), halves([]disk.ID{1, 3})
	s.of[1].Lead(1, 5, promise.Members{Halves: append(both.Halves, three.Halves...)})
	s.of[1].Lead(1, 5, three)
	s.of[2].Forget(1)
	s.of[1].Lead(1, 5, both)
	s.mayVote(2, 1, 3, true)
	if s.of[1].Holds(1, 5) {
		t.Error("a lease by what was acknowledged before the removal")
	}
	if again := s.of[2].Acknowledge(1, 1, 5); again != late {
		t.Fatalf("stands %v and %v: the test shows nothing", late, again)
	}
	s.acknowledge(1, 5, 1, 2)
	s.mayVote(2, 1, 3, false)
	if !s.of[1].Holds(1, 5) {
		t.Error("no lease by what was acknowledged after it")
	}
}

// TestMessagesAreSmall: a beat does not grow with the groups, and lists in it are bounded and lose nothing.
func TestMessagesAreSmall(t *testing.T) {
	const groups = 1000
	s := newTables(t, 3)
	s.lead(groups)
	if r := s.of[1].Ask(2); len(r.Released) != 0 {
		t.Errorf("%d claims", len(r.Released))
	}
	for g := range uint64(groups) {
		s.of[1].Release(g+1, 5)
	}
	rounds := 0
	for r := s.of[1].Ask(2); len(r.Released) > 0; r = s.of[1].Ask(2) {
		if len(r.Released) > 256 {
			t.Fatalf("%d claims", len(r.Released))
		}
		a, _ := s.of[2].Answer(r)
		s.of[1].Hear(a)
		rounds++
	}
	for g := range uint64(groups) {
		s.mayVote(2, g+1, 3, true)
	}
	if rounds != 4 {
		t.Errorf("%d rounds", rounds)
	}
}

// TestReadsAllocateNothing: a read asks whether the lease holds.
func TestReadsAllocateNothing(t *testing.T) {
	s := newTables(t, 3)
	s.lead(1)
	if n := testing.AllocsPerRun(100, func() { s.of[1].Holds(1, 5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHolds(b *testing.B) {
	s := benchTables(b, 3)
	for b.Loop() {
		s.of[1].Holds(77, 5)
	}
}

func BenchmarkTick(b *testing.B) {
	s := benchTables(b, 100)
	for b.Loop() {
		s.of[1].Tick()
	}
}

func BenchmarkBeat(b *testing.B) {
	s := benchTables(b, 3)
	for b.Loop() {
		a, _ := s.of[2].Answer(s.of[1].Ask(2))
		s.of[1].Hear(a)
	}
}

// benchTables has store 1 lead 10,000 groups.
func benchTables(b *testing.B, peers int) *tables {
	s := &tables{of: map[disk.ID]*promise.Table{}}
	for id := range disk.ID(peers) {
		t, err := promise.New(promise.Options{Self: id + 1, Boot: 1, Now: func() time.Duration { return s.now }, Fresh: true})
		if err != nil {
			b.Fatal(err)
		}
		s.of[id+1] = t
		if id > 0 {
			a, _ := t.Answer(s.of[1].Ask(id + 1))
			s.of[1].Hear(a)
		}
	}
	for g := range uint64(10000) {
		s.of[1].Lead(g+1, 5, halves([]disk.ID{1, 2, 3}))
		s.acknowledge(g+1, 5, 1, 2, 3)
	}
	return s
}
