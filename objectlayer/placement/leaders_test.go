package placement

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/disk"
)

func TestSpreadLeaders(t *testing.T) {
	type ids = []disk.ID
	many := func(n int, heirs ids) (list []Led) {
		for i := range n {
			list = append(list, Led{uint64(i + 1), 1, heirs})
		}
		return list
	}
	for name, c := range map[string]struct {
		leads map[disk.ID]int
		led   []Led
		want  int // handovers
		to    ids // only these get any
	}{
		"nothing led":               {map[disk.ID]int{1: 0, 2: 0}, nil, 0, nil},
		"no disks":                  {nil, many(3, ids{2}), 0, nil},
		"even":                      {map[disk.ID]int{1: 5, 2: 5, 3: 5}, many(5, ids{2, 3}), 0, nil},
		"one more":                  {map[disk.ID]int{1: 4, 2: 3, 3: 2}, many(4, ids{2, 3}), 0, nil},
		"two more of few":           {map[disk.ID]int{1: 4, 2: 1, 3: 1}, many(4, ids{2, 3}), 1, ids{2, 3}},
		"two more of many":          {map[disk.ID]int{1: 14, 2: 11, 3: 11}, many(14, ids{2, 3}), 0, nil},
		"a quarter of all":          {map[disk.ID]int{1: 30, 2: 0, 3: 0}, many(30, ids{2, 3}), 5, ids{2, 3}},
		"not to whom it is no use":  {map[disk.ID]int{1: 30, 2: 29, 3: 1}, many(30, ids{2, 3}), 3, ids{3}},
		"none that could":           {map[disk.ID]int{1: 30, 2: 0, 3: 0}, many(30, nil), 0, nil},
		"none that is counted":      {map[disk.ID]int{1: 30, 2: 0, 3: 0}, many(30, ids{9}), 0, nil},
		"only one of them could":    {map[disk.ID]int{1: 30, 2: 0, 3: 0}, many(30, ids{3}), 5, ids{3}},
		"fewer than wanted are led": {map[disk.ID]int{1: 30, 2: 0, 3: 0}, many(2, ids{2, 3}), 2, ids{2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			got := SpreadLeaders(c.leads, c.led)
			if len(got) != c.want {
				t.Errorf("%d handovers, want %d: %v", len(got), c.want, got)
			}
			seen := map[uint64]bool{}
			for _, h := range got {
				if h.From != 1 || !slices.Contains(c.to, h.To) || seen[h.Range] {
					t.Errorf("%+v", h)
				}
				seen[h.Range] = true
			}
			if again := SpreadLeaders(c.leads, c.led); !slices.Equal(again, got) {
				t.Errorf("%v, then %v", got, again)
			}
		})
	}
}

// TestLeadersDoNotStampede: many disks that lead too many, and decide at once on the same counts, do not all choose the one that
// leads none.
func TestLeadersDoNotStampede(t *testing.T) {
	const givers, takers, each = 10, 10, 40
	leads, heirs := map[disk.ID]int{}, []disk.ID{}
	for d := range disk.ID(takers) {
		heirs = append(heirs, d+1)
		leads[d+1] = each / 2
	}
	leads[1] = 0
	for d := range disk.ID(givers) {
		leads[takers+d+1] = each
	}
	sum := 0
	for _, n := range leads {
		sum += n
	}
	got, all := 0, 0
	for d := range disk.ID(givers) {
		var led []Led
		for i := range each {
			led = append(led, Led{uint64(d)*1000 + uint64(i), takers + d + 1, heirs})
		}
		for _, h := range SpreadLeaders(leads, led) {
			if all++; h.To == 1 {
				got++
			}
		}
	}
	if mean := sum / len(leads); got == 0 || got > mean || all > each*givers/8 {
		t.Errorf("%d ranges are handed over, %d to the one that leads none; the mean is %d", all, got, mean)
	}
}

// TestLeadersComeToRest: all nodes decide at once, each on counts that are some rounds old but for what it did itself. Soon
// nobody hands anything over any more, no disk leads by far more than the others that could lead in its place, and few ranges
// were handed over more often than once.
func TestLeadersComeToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disks, ranges := rapid.IntRange(3, 24).Draw(t, "disks"), rapid.IntRange(1, 400).Draw(t, "ranges")
		lag, first := rapid.IntRange(0, 2).Draw(t, "lag"), rapid.IntRange(1, 3).Draw(t, "first")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		replicas := make([][]disk.ID, ranges)
		leader := make([]disk.ID, ranges)
		for i := range replicas {
			for _, d := range rng.Perm(disks)[:3] {
				replicas[i] = append(replicas[i], disk.ID(d+1))
			}
			if leader[i] = replicas[i][rng.IntN(3)]; slices.Contains(replicas[i], disk.ID(i%first+1)) {
				leader[i] = disk.ID(i%first + 1) // some disks led all that they could
			}
		}
		history := [][]disk.ID{slices.Clone(leader)}
		moved, quiet := 0, 0
		for round := 0; quiet <= lag+1; round++ {
			if round > 60 {
				t.Fatalf("no rest: %v", count(leader, disks))
			}
			hints := history[max(0, len(history)-1-lag)]
			n := handOver(replicas, leader, hints, history, disks, lag)
			if moved += n; n == 0 {
				quiet++
			} else {
				quiet = 0
			}
			history = append(history, slices.Clone(leader))
		}
		checkLeaders(t, replicas, leader, disks)
		over := 0
		mean := float64(ranges) / float64(disks)
		for _, n := range count(history[0], disks) {
			over += int(math.Ceil(max(0, float64(n)-mean)))
		}
		if moved > 2*over+disks {
			t.Fatalf("%d handovers, though only %d ranges were led where too many were", moved, over)
		}
	})
}

func count(leader []disk.ID, disks int) map[disk.ID]int {
	leads := map[disk.ID]int{}
	for i := range disks {
		leads[disk.ID(i+1)] = 0
	}
	for _, d := range leader {
		leads[d]++
	}
	return leads
}

// handOver lets each disk, as a node of its own, decide on what it knows, and then does all of it.
func handOver(replicas [][]disk.ID, leader, hints []disk.ID, history [][]disk.ID, disks, lag int) (moved int) {
	before := slices.Clone(leader)
	for d := range disks {
		self := disk.ID(d + 1)
		view := slices.Clone(hints)
		for i := range view { // what it leads itself it knows, and to whom it handed what since
			for back := lag; back >= 0; back-- {
				if at := len(history) - 1 - back; at > 0 && history[at-1][i] == self {
					view[i] = history[at][i]
				}
			}
			if before[i] == self {
				view[i] = self
			} else if view[i] == self {
				view[i] = before[i]
			}
		}
		var led []Led
		for i, l := range before {
			if l == self {
				led = append(led, Led{uint64(i + 1), self, slices.DeleteFunc(slices.Clone(replicas[i]), func(d disk.ID) bool { return d == self })})
			}
		}
		for _, h := range SpreadLeaders(count(view, disks), led) {
			leader[h.Range-1] = h.To
			moved++
		}
	}
	return moved
}

// checkLeaders: no disk leads far more than the mean while a range that it leads could be led by one that leads far fewer.
func checkLeaders(t *rapid.T, replicas [][]disk.ID, leader []disk.ID, disks int) {
	leads, mean := count(leader, disks), float64(len(leader))/float64(disks)
	margin := max(leadersMore, mean*leadersOver)
	for i, l := range leader {
		if over := float64(leads[l]) - mean; over < leadersMore || over <= mean*leadersOver {
			continue
		}
		for _, d := range replicas[i] {
			if float64(leads[l]-leads[d]) >= margin {
				t.Fatalf("a disk leads %d, and one that could lead in its place %d: %v", leads[l], leads[d], slices.Sorted(maps.Values(leads)))
			}
		}
	}
}
