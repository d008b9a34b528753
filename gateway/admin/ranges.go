package admin

import (
	"context"
	"net/http"
)

// RangesFormat is the version of the JSON form of RangeList. Fields are only added, never renamed or taken away.
const RangesFormat = 1

// Arranger shows the ranges of the metadata, splits them and moves their replicas. It is safe for concurrent use. What it
// refuses for good is a *RequestError.
type Arranger interface {
	// Ranges lists the ranges as this node knows them, ascending; with a bucket only those that hold its keys.
	Ranges(ctx context.Context, bucket string) (RangeList, error)
	// SplitRange splits a range and returns both parts.
	SplitRange(ctx context.Context, q SplitRequest) (SplitAnswer, error)
	// Presplit splits ranges at each of some keys. Where one begins already, or cannot be split now, it is left as it is.
	Presplit(ctx context.Context, q PresplitRequest) (PresplitAnswer, error)
	// MoveReplica orders that a replica of a range goes from one disk to another. That it returns nil does not say that it
	// has gone: the order stands in the list of ranges until it is carried out, or can't be any more.
	MoveReplica(ctx context.Context, q MoveRequest) error
}

// RangeList is what `contender range ls --json` prints: the contract with scripts.
type RangeList struct {
	Format   int     `json:"format"`   // RangesFormat
	Revision uint64  `json:"revision"` // of the cluster map that it comes from
	Ranges   []Range `json:"ranges"`
}

// Range is one range.
type Range struct {
	ID         uint64    `json:"id"`
	Generation uint64    `json:"generation"`      // rises whenever its bounds or replicas change
	Start      *Position `json:"start,omitempty"` // none: from the beginning
	End        *Position `json:"end,omitempty"`   // exclusive; none: to the end
	Replicas   []Replica `json:"replicas"`
	Leader     *Member   `json:"leader,omitempty"` // who led it some time ago, if known
	Move       *Move     `json:"move,omitempty"`   // the order that is being carried out
}

// Position is a place in the ordered metadata: a key of a bucket. Bucket 0 holds system records.
type Position struct {
	BucketID uint64 `json:"bucket_id"`
	Bucket   string `json:"bucket,omitempty"` // its name, where it is known
	Key      string `json:"key"`
	KeyBytes []byte `json:"key_base64,omitempty"` // the key, if it is no UTF-8
}

// Member is where a replica lies.
type Member struct {
	Disk string `json:"disk"` // its id
	Node string `json:"node"` // its name
	Path string `json:"path"`
}

// Replica is one replica of a range.
type Replica struct {
	ID uint64 `json:"id"`
	Member
	Learner  bool `json:"learner,omitempty"`  // has no vote
	Incoming bool `json:"incoming,omitempty"` // gets its vote now
	Outgoing bool `json:"outgoing,omitempty"` // loses its vote now
}

// Move says that a replica goes from one disk to another.
type Move struct {
	From string `json:"from"` // disk ids
	To   string `json:"to"`
}

// SplitRequest asks for a split, by POST: of a range at its middle, or at a key of a bucket of the range that holds it.
type SplitRequest struct {
	Range  uint64 `json:"range,omitempty"`
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
}

// SplitAnswer is what a range was split into.
type SplitAnswer struct {
	Left  Range `json:"left"`
	Right Range `json:"right"`
}

// PresplitKeysMax is how many keys a PresplitRequest may name.
const PresplitKeysMax = 1000

// PresplitRequest asks, by POST, for splits at many keys of a bucket: before it is filled, for example.
type PresplitRequest struct {
	Bucket string   `json:"bucket"`
	Keys   []string `json:"keys"` // at most PresplitKeysMax
}

// PresplitAnswer says how many ranges were split, and how many were left as they are.
type PresplitAnswer struct {
	Split   int `json:"split"`
	Refused int `json:"refused"`
}

// MoveRequest asks, by POST, that a replica of a range goes from one disk to another.
type MoveRequest struct {
	Range uint64 `json:"range"`
	From  string `json:"from"` // disk ids
	To    string `json:"to"`
}

func (a *api) ranges(w http.ResponseWriter, r *http.Request) {
	l, err := a.Arranger.Ranges(r.Context(), r.URL.Query().Get("bucket"))
	l.Format = RangesFormat
	if l.Ranges == nil {
		l.Ranges = []Range{}
	}
	for i := range l.Ranges {
		if l.Ranges[i].Replicas == nil {
			l.Ranges[i].Replicas = []Replica{}
		}
	}
	a.answer(w, r, l, err)
}

func (a *api) splitRange(w http.ResponseWriter, r *http.Request) {
	var q SplitRequest
	if !a.read(w, r, &q) {
		return
	}
	if (q.Range == 0) == (q.Bucket == "") || q.Range != 0 && q.Key != "" {
		a.answer(w, r, nil, &RequestError{Invalid, "Want a range, or a bucket with a key."})
		return
	}
	s, err := a.Arranger.SplitRange(r.Context(), q)
	a.answer(w, r, s, err)
}

func (a *api) presplit(w http.ResponseWriter, r *http.Request) {
	var q PresplitRequest
	if !a.read(w, r, &q) {
		return
	}
	if q.Bucket == "" || len(q.Keys) == 0 || len(q.Keys) > PresplitKeysMax {
		a.answer(w, r, nil, &RequestError{Invalid, "Want a bucket, and one to 1,000 keys."})
		return
	}
	s, err := a.Arranger.Presplit(r.Context(), q)
	a.answer(w, r, s, err)
}

func (a *api) moveReplica(w http.ResponseWriter, r *http.Request) {
	var q MoveRequest
	if !a.read(w, r, &q) {
		return
	}
	a.answer(w, r, struct{}{}, a.Arranger.MoveReplica(r.Context(), q))
}
