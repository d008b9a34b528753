//go:build partitions

package partitions

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// A trouble is a kind of fault. Begin has it begin and says what it is, and how it ends; "" if it is not possible now.
type trouble struct {
	name  string
	begin func(s *storm) (what string, end func())
	least time.Duration // how long it lasts
	most  time.Duration
}

// troubles are drawn from, each as often as it stands here.
var troubles = []trouble{
	{"kill", (*storm).kill, 300 * time.Millisecond, 3 * time.Second},
	{"kill", (*storm).kill, 300 * time.Millisecond, 3 * time.Second},
	{"kill all", (*storm).killAll, 100 * time.Millisecond, time.Second},
	{"stop", (*storm).stop, time.Second, 4 * time.Second},
	{"stop", (*storm).stop, 6 * time.Second, 9 * time.Second}, // so long that others lead and have written
	{"stop, deaf", (*storm).stopDeaf, 6 * time.Second, deafAfter - time.Second},
	{"deaf", (*storm).deaf, time.Second, 6 * time.Second},
	{"deaf", (*storm).deaf, time.Second, 6 * time.Second},
	{"cut", (*storm).cut, time.Second, 6 * time.Second},
	{"isolate", (*storm).isolate, time.Second, 8 * time.Second},
	{"clock", (*storm).clock, time.Second, 10 * time.Second},
	{"arrange", (*storm).arrange, 0, 0},
	{"arrange", (*storm).arrange, 0, 0},
}

// deafAfter is when a node hears again that was stopped and made deaf.
const deafAfter = 10 * time.Second

// A storm is the faults of one while, and those that have not ended yet.
type storm struct {
	f      *fleet
	l      *load
	rand   *rand.Rand
	counts map[string]int
	ends   []ending
	hurt   map[*member]bool // killed or stopped
}

type ending struct {
	at   time.Time
	what string
	do   func()
}

// blow draws troubles for a while and ends them all.
func (s *storm) blow(d time.Duration) {
	until := time.Now().Add(d)
	for time.Now().Before(until) && !s.f.t.Failed() {
		s.end(time.Now())
		for _, m := range s.f.members {
			if !s.hurt[m] {
				m.Check()
			}
		}
		if len(s.ends) < len(s.f.members)-1 {
			s.begin(s.draw())
		}
		select {
		case <-s.f.t.Context().Done():
		case <-time.After(time.Duration(200+s.rand.IntN(1500)) * time.Millisecond):
		}
	}
	s.end(until.Add(time.Hour))
}

// draw draws a trouble; every third time one of a kind that there was not yet, if there is such.
func (s *storm) draw() trouble {
	list := slices.DeleteFunc(slices.Clone(troubles), func(t trouble) bool { return s.counts[t.name] > 0 })
	if len(list) == 0 || s.rand.IntN(3) > 0 {
		list = troubles
	}
	return list[s.rand.IntN(len(list))]
}

func (s *storm) begin(t trouble) {
	what, end := t.begin(s)
	if what == "" {
		return
	}
	s.counts[t.name]++
	d := t.least + time.Duration(s.rand.Int64N(int64(t.most-t.least)+1))
	s.log("%s for %v", what, d.Round(time.Millisecond))
	if end != nil {
		s.ends = append(s.ends, ending{time.Now().Add(d), what, end})
	}
}

// end ends what is over by then.
func (s *storm) end(by time.Time) {
	s.ends = slices.DeleteFunc(s.ends, func(e ending) bool {
		if e.at.After(by) {
			return false
		}
		e.do()
		s.log("ended: %s", e.what)
		return true
	})
}

func (s *storm) log(format string, args ...any) {
	s.f.t.Logf("%8v %s", s.l.rec.Now().Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// healthy draws a node that is neither killed nor stopped, while a majority would be left, or in one of eight cases even if
// not; nil: none.
func (s *storm) healthy() *member {
	var list []*member
	for _, m := range s.f.members {
		if m.Running() && !s.hurt[m] {
			list = append(list, m)
		}
	}
	if len(list) <= len(s.f.members)/2+1 && s.rand.IntN(8) > 0 || len(list) == 0 {
		return nil
	}
	return list[s.rand.IntN(len(list))]
}

func (s *storm) kill() (string, func()) {
	m := s.healthy()
	if m == nil {
		return "", nil
	}
	s.hurt[m] = true
	m.Check()
	m.Kill()
	return "kill " + m.Name, func() { s.relaunch(m) }
}

// relaunch starts a killed node again, with another boot clock. It is ready later.
func (s *storm) relaunch(m *member) {
	s.f.wrap(m)
	m.Launch()
	delete(s.hurt, m)
}

func (s *storm) killAll() (string, func()) {
	if len(s.hurt) > 0 || s.counts["kill all"] > 0 && s.rand.IntN(2) > 0 {
		return "", nil
	}
	var all []int
	for i, m := range s.f.members {
		m.Check()
		s.hurt[m] = true
		all = append(all, i)
	}
	s.f.cluster.Kill(all...)
	return "kill all", func() {
		for _, m := range s.f.members {
			s.relaunch(m)
		}
	}
}

// stop stops a node for a while.
func (s *storm) stop() (string, func()) {
	_, what, end := s.freeze()
	return what, end
}

// stopDeaf stops a node and lets it hear nothing of the others for a while after it has woken, so that only its own clock
// can tell it that others lead by now.
func (s *storm) stopDeaf() (string, func()) {
	m, what, end := s.freeze()
	if m == nil {
		return "", nil
	}
	for _, o := range s.others(m) {
		m.host.Deafen(o.host)
	}
	s.ends = append(s.ends, ending{time.Now().Add(deafAfter), m.Name + " is deaf", m.host.Hear})
	return what + ", and deaf until later", end
}

// freeze stops a node, one that leads in three of four cases.
func (s *storm) freeze() (m *member, what string, end func()) {
	if m = s.healthy(); m == nil {
		return nil, "", nil
	}
	what = "stop " + m.Name
	if l := s.leader(); l != nil && s.rand.IntN(4) > 0 {
		m, what = l, "stop "+l.Name+", a leader"
	}
	s.hurt[m] = true
	if m.Signal(syscall.SIGSTOP); m.client != nil {
		s.l.park(m)
	}
	return m, what, func() {
		m.Signal(syscall.SIGCONT)
		delete(s.hurt, m)
	}
}

// ask returns the ranges as some node knows them, and that node; nil if none of those answers that are well.
func (s *storm) ask() ([]led, *member) {
	for _, i := range s.rand.Perm(len(s.f.members)) {
		m := s.f.members[i]
		if m.client == nil || !m.Running() || s.hurt[m] || m.clock.Ahead() != 0 { // the program signs by its own clock
			continue
		}
		if list := s.f.ranges(m); len(list) > 0 {
			return list, m
		}
	}
	return nil, nil
}

// leader returns the node that leads most of the ranges, as far as somebody knows and if it is well.
func (s *storm) leader() *member {
	list, _ := s.ask()
	leads := map[string]int{}
	for _, r := range list {
		if r.Leader != nil {
			leads[r.Leader.Node]++
		}
	}
	var best *member
	for _, m := range s.f.members {
		if leads[m.Name] > 0 && m.Running() && !s.hurt[m] && (best == nil || leads[m.Name] > leads[best.Name]) {
			best = m
		}
	}
	return best
}

// others returns all members but one, in random order.
func (s *storm) others(but *member) []*member {
	list := slices.DeleteFunc(slices.Clone(s.f.members), func(m *member) bool { return m == but })
	s.rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// deaf has one node hear nothing of some others, which still hear it.
func (s *storm) deaf() (string, func()) {
	m := s.f.members[s.rand.IntN(len(s.f.members))]
	to := s.others(m)
	to = to[:1+s.rand.IntN(len(to))]
	what := m.Name + " is deaf to"
	for _, o := range to {
		m.host.Deafen(o.host)
		what += " " + o.Name
	}
	return what, m.host.Hear
}

// cut has two nodes not hear each other.
func (s *storm) cut() (string, func()) {
	a := s.f.members[s.rand.IntN(len(s.f.members))]
	b := s.others(a)[0]
	a.host.Deafen(b.host)
	b.host.Deafen(a.host)
	return "cut between " + a.Name + " and " + b.Name, func() { a.host.Hear(); b.host.Hear() }
}

// isolate cuts a node from all others but one, or from all.
func (s *storm) isolate() (string, func()) {
	m := s.f.members[s.rand.IntN(len(s.f.members))]
	from, what := s.others(m), "isolate "+m.Name
	if s.rand.IntN(3) > 0 {
		what += " but for " + from[0].Name
		from = from[1:]
	}
	for _, o := range from {
		m.host.Deafen(o.host)
		o.host.Deafen(m.host)
	}
	return what, func() {
		m.host.Hear()
		for _, o := range from {
			o.host.Hear()
		}
	}
}

// clock steps a node's wall clock by an hour, and back.
func (s *storm) clock() (string, func()) {
	m := s.f.members[s.rand.IntN(len(s.f.members))]
	by := time.Hour
	if s.rand.IntN(2) > 0 {
		by = -by
	}
	m.step(by)
	return fmt.Sprintf("clock of %s by %v", m.Name, by), func() { m.step(0) }
}

// arrange orders a split, or a move to a disk that has no replica of a range. It may be refused.
func (s *storm) arrange() (string, func()) {
	list, m := s.ask()
	if m == nil {
		return "", nil
	}
	r := list[s.rand.IntN(len(list))]
	if s.rand.IntN(2) > 0 {
		_, err := s.f.verb("range", "split", fmt.Sprint(r.ID), "--endpoint", m.Endpoint, "--timeout", "3s")
		return fmt.Sprintf("split range %d (%v)", r.ID, err), nil
	}
	have, free := map[string]bool{}, []string{}
	for _, x := range r.Replicas {
		have[x.Disk] = true
	}
	for _, other := range list {
		for _, x := range other.Replicas {
			if !have[x.Disk] && !slices.Contains(free, x.Disk) {
				free = append(free, x.Disk)
			}
		}
	}
	if len(free) == 0 {
		return "", nil
	}
	from, to := r.Replicas[s.rand.IntN(len(r.Replicas))].Disk, free[s.rand.IntN(len(free))]
	_, err := s.f.verb("range", "move", fmt.Sprint(r.ID), "--from", from, "--to", to, "--endpoint", m.Endpoint, "--timeout", "3s")
	return fmt.Sprintf("move of range %d (%v)", r.ID, err), nil
}
