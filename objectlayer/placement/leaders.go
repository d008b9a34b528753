package placement

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
)

// Led is a range that a disk leads, and the disks of others that could lead it: they vote, are up to date and well.
type Led struct {
	Range uint64
	Disk  disk.ID
	Heirs []disk.ID
}

// Handover says that a range is to be led by another disk.
type Handover struct {
	Range    uint64
	From, To disk.ID
}

// Measures of spreading leaders.
const (
	// leadersOver is by what part of the mean, and leadersMore by how many, a disk must lead more than the mean before it
	// hands any over; as much better must things be for whom it hands to.
	leadersOver = 0.2
	leadersMore = 2
	// leadersPart of what a disk leads more than the mean is handed over at once: others hand over, too, and nobody knows
	// exactly what all lead now.
	leadersPart = 0.25
)

// SpreadLeaders returns which of some ranges their disks should hand over, so that all disks come to lead about as many. Leads
// is how many ranges each disk leads that may lead any, as far as is known. A disk that leads over a fifth and at least two
// more than the mean hands a quarter of what is above it to disks that lead fewer; these get the more, the fewer they lead, by
// a chance that comes from the ids, so that nodes that decide at once do not all choose the same.
func SpreadLeaders(leads map[disk.ID]int, led []Led) (list []Handover) {
	sum := 0
	for _, n := range leads {
		sum += n
	}
	if len(leads) == 0 {
		return nil
	}
	mean := float64(sum) / float64(len(leads))
	margin := max(leadersMore, mean*leadersOver)
	now := make(map[disk.ID]int, len(leads))
	left := make(map[disk.ID]int, len(leads))
	for d, n := range leads {
		now[d] = n
		if over := float64(n) - mean; over >= leadersMore && over > mean*leadersOver {
			if left[d] = int(math.Ceil(over * leadersPart)); mutantLeadersAll {
				left[d] = int(over)
			}
		}
	}
	if len(left) == 0 {
		return nil
	}
	for _, r := range shuffled(led) {
		if left[r.Disk] == 0 {
			continue
		}
		to, ok := heirOf(&r, now, margin)
		if !ok {
			continue
		}
		list = append(list, Handover{r.Range, r.Disk, to})
		left[r.Disk]--
		now[r.Disk]--
		now[to]++
	}
	return list
}

// shuffled returns ranges in an order that has nothing to do with their ids, and is the same each time.
func shuffled(led []Led) []Led {
	return slices.SortedFunc(slices.Values(led), func(a, b Led) int {
		switch x, y := draw(a.Range, 0), draw(b.Range, 0); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
}

// heirOf draws the disk to lead a range: by chance, in proportion to how many fewer each leads.
func heirOf(r *Led, leads map[disk.ID]int, margin float64) (best disk.ID, ok bool) {
	var bestScore float64
	for _, d := range r.Heirs {
		n, known := leads[d]
		fewer := float64(leads[r.Disk]-n) - margin + 1
		if !known || fewer <= 0 {
			continue
		}
		u := (float64(draw(r.Range, uint64(d))) + 0.5) / (1 << 32)
		if mutantLeadersAll {
			u = 1 / math.E
		}
		if score := -math.Log(u) / fewer; !ok || score < bestScore { // the least of exponential draws: in proportion to fewer
			best, bestScore, ok = d, score, true
		}
	}
	return best, ok
}

// draw makes 32 bits of two numbers.
func draw(a, b uint64) uint32 {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], a)
	binary.BigEndian.PutUint64(raw[8:], b)
	return uint32(xxh3.Hash(raw[:]))
}
