package promise

import (
	"cmp"
	"time"

	"github.com/contender/contender/disk"
)

// claimsMost bounds each list of claims in one message; the rest goes with later ones.
const claimsMost = 256

// Claim is a leadership: of a group, in a term.
type Claim struct {
	Group, Term uint64
}

// Stand names one uninterrupted stretch of a promise between two stores. What was acknowledged in one stretch says nothing
// about the next. The zero Stand names none.
type Stand struct {
	// Boot is the life of the store that promises.
	Boot uint64
	// Stretch is never given twice in one life.
	Stretch uint64
}

// Compare orders the stretches of one store's promises to another by their beginnings.
func (s Stand) Compare(o Stand) int {
	return cmp.Or(cmp.Compare(s.Boot, o.Boot), cmp.Compare(s.Stretch, o.Stretch))
}

// Request asks a store for its promise. It is the heartbeat of everything that From leads and To follows; its size does
// not depend on how much that is.
type Request struct {
	From, To disk.ID
	Boot     uint64        // the life of From
	Sequence uint64        // of From's requests to To in this life, from 1
	Asked    time.Duration // when, on From's clock: it means nothing to To, who gives it back
	// Released are leaderships that From has let go of for good. Each is repeated until a request that had it is answered.
	Released []Claim
}

// Answer gives the promise: To may rely on it for nine tenths of D from when it asked.
type Answer struct {
	From, To disk.ID
	Boot     uint64        // the life of From
	ToBoot   uint64        // of the request, as the next two
	Sequence uint64        //
	Asked    time.Duration //
	Stretch  uint64        // with Boot it is the Stand of the promise
	// Wall is the wall clock of From when it answered, in nanoseconds since 1970, and Clock names that clock. The table does
	// nothing with them; zero: not told.
	Wall  int64
	Clock uint64
	// Doubts are leaderships of To that keep From from electing another and of which it has seen no sign for a while.
	Doubts []Claim
}
