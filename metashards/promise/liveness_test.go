package promise_test

import (
	"testing"
	"time"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/promise"
)

// Orderly runs are those of stores that do what they should: they tick, beat, wake groups, let idle ones sleep, campaign
// after a while without a leader.

const (
	tick       = 100 * time.Millisecond
	beatTicks  = 3
	electTicks = 10 // without a leader, at least
)

// orderly lets time pass.
func (w *world) orderly(span time.Duration) {
	w.until(span, func() bool { return false })
}

// until lets time pass until something is so, and returns how long that took.
func (w *world) until(most time.Duration, done func() bool) time.Duration {
	begin := w.now
	for w.broken == "" && w.now < begin+most && !done() {
		s := w.stores[0]
		for _, o := range w.stores {
			if o.next < s.next {
				s = o
			}
		}
		if !w.deliver(s.next) {
			w.now = max(w.now, s.next)
			s.next = w.now + tick
			if s.table != nil {
				s.tick()
			}
		}
		w.check()
	}
	return w.now - begin
}

func (s *store) tick() {
	for _, e := range s.table.Tick() {
		for _, id := range e.Groups {
			r := s.replicas[id-1]
			if r == nil {
				continue
			}
			r.awake, r.idle = true, 0
			if e.Kind < promise.Back {
				r.lead, r.patience = 0, s.w.rand.IntN(5)
			}
		}
	}
	if s.ticks++; s.ticks%beatTicks == 0 {
		s.beat()
	}
	for _, r := range s.replicas {
		if r == nil || r.broken {
			continue
		}
		for r.applied < r.commit {
			r.apply()
		}
		r.tick()
	}
}

func (r *replica) tick() {
	switch {
	case r.role == leader:
		r.tickLeader()
	case !r.awake:
	default:
		if r.idle++; r.idle <= r.patience {
			return
		}
		r.idle, r.patience = 0, electTicks+r.store.w.rand.IntN(electTicks)
		if r.role == follower && !r.table().MayCampaign(r.key(), false) {
			r.table().Doubt(r.key())
			return
		}
		r.campaign(false)
	}
}

// tickLeader has a group sleep once it is settled. Awake, a leader that has had no majority for an election timeout steps
// down, as does one that has given up a transfer: only another term brings a lease.
func (r *replica) tickLeader() {
	settled := r.commit == len(r.log) && r.applied == r.commit && r.table().Settled(r.key(), r.term)
	if settled && !r.told {
		r.told, r.awake = true, false
		r.replicate(true)
	}
	if !settled {
		r.told, r.awake = false, true
	}
	if !r.awake {
		r.mute = 0
		return
	}
	r.replicate(false)
	if r.mute++; r.mute > electTicks {
		if r.given == r.term || !r.conf.quorum(r.contact|1<<r.self()) {
			r.stepDown()
		}
		r.mute, r.contact = 0, 0
	}
}

// led reports whether a group has a leader with a lease, other than on one store, that may answer reads and may sleep.
func (w *world) led(g, but int) bool {
	for _, s := range w.stores {
		if s.table == nil || s.n == but || s.replicas[g] == nil {
			continue
		}
		if r := s.replicas[g]; r.readable() && s.table.Holds(r.key(), r.term) {
			return true
		}
	}
	return false
}

func (w *world) allLed(but int) bool {
	for g := range w.chief {
		if !w.led(g, but) {
			return false
		}
	}
	return true
}

// leaderOf returns the replica that leads a group.
func (w *world) leaderOf(t *testing.T, g int) *replica {
	t.Helper()
	for _, s := range w.stores {
		if r := s.replicas[g]; s.table != nil && r != nil && r.readable() && s.table.Holds(r.key(), r.term) {
			return r
		}
	}
	t.Fatalf("group %d has no leader", g)
	return nil
}

// orderlyWorld returns a world whose groups all have a leader, and sleep.
func orderlyWorld(t *testing.T, seed uint64, stores, groups int) *world {
	t.Helper()
	w := newWorld(seed, stores, groups)
	w.calm = true
	if took := w.until(10*time.Second, func() bool { return w.allLed(-1) }); took >= 10*time.Second {
		t.Fatalf("seed %d: no leaders", seed)
	}
	w.orderly(3 * time.Second)
	return w
}

func (w *world) sound(t *testing.T, seed uint64) {
	t.Helper()
	if w.broken != "" {
		t.Fatalf("seed %d: %s", seed, w.broken)
	}
}

// TestAsleepUnderLease: groups that rest send nothing, whatever their number, and their leaders have leases throughout.
func TestAsleepUnderLease(t *testing.T) {
	const groups = 50
	w := orderlyWorld(t, 1, 5, groups)
	before := w.counts.raft
	w.until(10*time.Second, func() bool {
		if !w.allLed(-1) {
			t.Errorf("at %v a group has no lease", w.now)
			return true
		}
		return false
	})
	w.sound(t, 1)
	if n := w.counts.raft - before; n != 0 {
		t.Errorf("%d Raft messages of groups that sleep", n)
	}
}

// electionMost is what an election may take once it is free to begin: a few attempts of several candidates.
const electionMost = 40 * tick

// TestDeadLeader: the groups of a store that dies, or falls silent while it lives on, have new leaders after D and an election,
// and sleep again.
func TestDeadLeader(t *testing.T) {
	var longest time.Duration
	for seed := range uint64(disktest.Seeds(200)) {
		w := orderlyWorld(t, seed, 3+2*int(seed%2), 6)
		victim := w.leaderOf(t, 0).store
		if seed%4 < 2 {
			victim.crash()
		} else {
			w.cutOff(victim.n)
		}
		took := w.until(time.Minute, func() bool { return w.allLed(victim.n) })
		w.sound(t, seed)
		if longest = max(longest, took); took > d*105/95+electionMost {
			t.Errorf("seed %d: new leaders after %v", seed, took)
		}
	}
	t.Logf("longest: %v", longest)
}

func (w *world) cutOff(n int) {
	for class := range w.cut {
		for o := range w.stores {
			w.cut[class][n][o], w.cut[class][o][n] = true, true
		}
	}
}

// TestRestartedLeader: a store that was away for less than D does not hold up what it led, although it beats again.
func TestRestartedLeader(t *testing.T) {
	for seed := range uint64(disktest.Seeds(200)) {
		w := orderlyWorld(t, seed, 3, 4)
		victim := w.leaderOf(t, 0).store
		victim.crash()
		w.orderly(d / 4)
		victim.start()
		took := w.until(time.Minute, func() bool { return w.allLed(-1) })
		w.sound(t, seed)
		if took > electionMost {
			t.Errorf("seed %d: new leaders after %v", seed, took)
		}
	}
}

// TestFailedReplica: a leader's replica fails, its store lives and beats, and the followers sleep: they hear that they are
// free although the first word of it is lost, and do not wait for D.
func TestFailedReplica(t *testing.T) {
	for seed := range uint64(disktest.Seeds(200)) {
		w := orderlyWorld(t, seed, 3, 4)
		r := w.leaderOf(t, 0)
		r.stepDown()
		r.broken = true
		w.cutOff(r.self())
		w.orderly(beatTicks * tick * 3 / 2)
		w.cut = [2][storesMost][storesMost]bool{}
		took := w.until(time.Minute, func() bool { return w.led(0, r.self()) })
		w.sound(t, seed)
		if took > electionMost {
			t.Errorf("seed %d: a new leader after %v", seed, took)
		}
	}
}

// electable reports whether Raft alone, without any promise, could elect a leader of a group: a configuration may have been
// left in a way that the one who must lead does not know of, and those who know have longer logs.
func (w *world) electable(g int) bool {
	for _, s := range w.stores {
		r := s.replicas[g]
		if r == nil || !r.canCampaign() {
			continue
		}
		var votes uint8
		for n, o := range w.stores {
			v := o.replicas[g]
			if v != nil && v.id == r.conf.id[n] && (r.lastTerm() > v.lastTerm() || r.lastTerm() == v.lastTerm() && len(r.log) >= len(v.log)) {
				votes |= 1 << n
			}
		}
		if r.conf.quorum(votes) {
			return true
		}
	}
	return false
}

// TestAfterChaos: once faults end, every group gets a leader with a lease, whatever happened before.
func TestAfterChaos(t *testing.T) {
	seeds := disktest.Seeds(1000)
	var longest time.Duration
	stuck := 0
	for seed := range uint64(seeds) {
		w := history(seed, flaws{}, true)
		w.cut, w.calm = [2][storesMost][storesMost]bool{}, true
		for _, s := range w.stores {
			s.next = w.now
			switch {
			case s.table == nil:
				s.start()
			case s.paused:
				s.resume()
			}
		}
		took := w.until(2*d+2*electionMost, func() bool { return w.allLed(-1) })
		w.sound(t, seed)
		for g := range w.chief {
			switch {
			case w.led(g, -1):
			case w.electable(g):
				t.Errorf("seed %d: no leader of group %d after %v", seed, g, took)
			default:
				stuck++
			}
		}
		if w.allLed(-1) {
			longest = max(longest, took)
		}
	}
	t.Logf("longest: %v, without a way for Raft: %d", longest, stuck)
	if stuck > 1+seeds/200 {
		t.Errorf("%d groups say nothing", stuck)
	}
}
