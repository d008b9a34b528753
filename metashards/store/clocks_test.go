package store_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/store"
)

// stepping is a group of stores whose wall clocks can be stepped; their boot clocks can't. nodes says of each store on which
// node it is.
type stepping struct {
	*group
	ahead []atomic.Int64
}

func newStepping(t *testing.T, nodes []uint64) *stepping {
	s := &stepping{ahead: make([]atomic.Int64, len(nodes))}
	begin := time.Now()
	s.group = newGroup(t, len(nodes), func(c *store.Config) {
		i := int(c.Disk.ID()) - 1
		c.ClockID = nodes[i]
		c.Now = func() time.Time { return time.Now().Add(time.Duration(s.ahead[i].Load())) }
		c.BootClock = func() time.Duration { return time.Since(begin) + time.Duration(i)*time.Hour }
	})
	return s
}

// step sets the wall clock of a node.
func (s *stepping) step(stores []int, by time.Duration) {
	for _, i := range stores {
		s.ahead[i].Store(int64(by))
	}
}

// rangeTime returns the range's time: a write raises it.
func (s *stepping) rangeTime(n int) time.Time {
	s.t.Helper()
	s.mustPut("time", n, nil)
	a, err := s.stores[s.leader()].Query(s.t.Context(), rangeID, get("time"))
	if err != nil || a.Status != metapb.Status_OK {
		s.t.Fatal(a, err)
	}
	return time.UnixMicro(int64(a.Time))
}

// leads reports whether a store leads, as it says.
func (s *stepping) leads(i int) bool { return s.stores[i].Status().Replicas[0].Role == "leader" }

// TestClockAhead: a leader whose wall clock is stepped far off hands over at once to a store whose clock is right, says so,
// does not get the range back, whoever gives it, and leads again when its clock is right. It catches the mutant sickleads.
func TestClockAhead(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 11 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newStepping(t, []uint64{1, 2, 3})
			defer s.close()
			time.Sleep(5 * time.Second) // virtual
			old := s.leader()
			s.step([]int{old}, by)
			s.until("handed over", 3*time.Second, func() bool { return !s.leads(old) && s.stores[old].Status().ClockOff })
			if st := s.stores[old].Status(); st.ClockAhead.Round(time.Second) != by {
				t.Errorf("%v ahead, says %v", by, st.ClockAhead)
			}
			next := s.leader()
			if st := s.stores[next].Status(); st.ClockOff || st.ClockAhead != 0 {
				t.Errorf("the new leader says: %+v", st)
			}
			if err := s.stores[next].TransferLeadership(t.Context(), rangeID, s.disks[old].ID()); err == nil {
				t.Error("the range is handed back")
			}
			// Whoever else is left leads, even if only it and the one with the bad clock are.
			for range 3 {
				down := s.leader()
				s.stop[down]()
				s.stores[down] = s.stores[old] // its last status says still that it leads
				s.until("another leads", 10*time.Second, func() bool {
					for i := range s.stores {
						if i != old && i != down && s.leads(i) {
							return true
						}
					}
					return false
				})
				s.restart(down)
				time.Sleep(5 * time.Second) // virtual
				if s.leads(old) {
					t.Error("it leads again")
				}
			}
			s.step([]int{old}, 0)
			s.until("right again", 3*time.Second, func() bool { return !s.stores[old].Status().ClockOff })
			s.until("known to be right", 3*time.Second, func() bool {
				return s.stores[s.leader()].TransferLeadership(t.Context(), rangeID, s.disks[old].ID()) == nil
			})
			s.until("it leads", time.Second, func() bool { return s.leads(old) })
		})
	}
}

// TestClockCountsOnce: stores of one node have one clock: three of them ahead are not three against two.
func TestClockCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStepping(t, []uint64{1, 1, 1, 2, 3})
		defer s.close()
		time.Sleep(5 * time.Second) // virtual
		s.step([]int{0, 1, 2}, time.Hour)
		s.until("handed over", 5*time.Second, func() bool { return s.leads(3) || s.leads(4) })
		for i, st := range s.stores {
			if off := st.Status().ClockOff; off != (i < 3) {
				t.Errorf("store %d: clock off: %v", i, off)
			}
		}
	})
}

// TestClocksOfTwo: of two nodes whose clocks are apart nobody knows which is right. The one that is ahead leads nothing, since
// the other does no harm; if the other goes and the one that is ahead can lead, it leads.
func TestClocksOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStepping(t, []uint64{1, 1, 2})
		defer s.close()
		time.Sleep(5 * time.Second) // virtual
		s.step([]int{0, 1}, time.Hour)
		s.until("handed over", 5*time.Second, func() bool { return s.leads(2) })
		before := s.rangeTime(1)
		s.stop[2]()
		s.stores[2] = s.stores[0]
		s.until("it leads all the same", 15*time.Second, func() bool { return s.leads(0) || s.leads(1) })
		if d := s.rangeTime(2).Sub(before); d > time.Minute {
			t.Errorf("range time has gone on by %v", d)
		}
	})
}

// TestRangeTimeDoesNotJump: range time goes on with the boot clock of who leads, whatever steps a wall clock makes, and a
// leader that has nobody to hand over to goes on serving. It catches the mutant walltime.
func TestRangeTimeDoesNotJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStepping(t, []uint64{1})
		defer s.close()
		before, begin := s.rangeTime(1), time.Now()
		s.step([]int{0}, time.Hour)
		time.Sleep(5 * time.Second) // virtual
		if d, want := s.rangeTime(2).Sub(before), time.Since(begin); d < want-time.Second || d > want+time.Second {
			t.Errorf("range time has gone on by %v in %v", d, want)
		}
		s.step([]int{0}, -time.Hour)
		time.Sleep(5 * time.Second) // virtual
		if d, want := s.rangeTime(3).Sub(before), time.Since(begin); d < want-time.Second || d > want+time.Second {
			t.Errorf("range time has gone on by %v in %v", d, want)
		}
	})
}

// TestClockOffAtStart: a node that starts with a clock that is ahead, when all do, does not lead, whichever it is.
func TestClockOffAtStart(t *testing.T) {
	for off := range 3 {
		synctest.Test(t, func(t *testing.T) {
			s := newStepping(t, []uint64{1, 2, 3})
			defer s.close()
			before, begin := s.rangeTime(1), time.Now()
			for i := range 3 {
				s.crash(i)
			}
			s.step([]int{off}, time.Hour)
			for i := range 3 {
				s.restart(i)
			}
			s.until("another leads", 20*time.Second, func() bool { return s.leads((off+1)%3) || s.leads((off+2)%3) })
			if d, want := s.rangeTime(2).Sub(before), time.Since(begin); d > want+time.Second {
				t.Errorf("range time has gone on by %v in %v", d, want)
			}
		})
	}
}
