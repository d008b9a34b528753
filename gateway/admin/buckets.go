package admin

import (
	"context"
	"net/http"
	"time"
)

// Keeper shows and changes how the bytes of buckets are kept. It is safe for concurrent use. What it refuses for good is a
// *RequestError.
type Keeper interface {
	Bucket(ctx context.Context, name string) (Bucket, error)
	// SetBucket changes a bucket and returns it as it is then. What was written before stays as it lies, and so may the first write
	// through each node.
	SetBucket(ctx context.Context, q BucketRequest) (Bucket, error)
}

// Bucket is what `contender bucket show --json` prints: the contract with scripts. Fields are only added, never renamed or taken
// away.
type Bucket struct {
	Name       string    `json:"name"`
	ID         uint64    `json:"id"`
	Created    time.Time `json:"created"`
	Owner      string    `json:"owner"`
	Region     string    `json:"region"`
	Versioning string    `json:"versioning"` // "never", "enabled", "suspended"
	Policy     string    `json:"policy"`     // "auto": the cluster's; "ec:k+m"; "replica:n"
	Coding     string    `json:"coding"`     // "k+m" that it comes to now, with all disks alive
	Short      bool      `json:"short"`      // with too few domains left bytes are written with less parity instead of being refused
	Compress   string    `json:"compress"`   // "none", "s2", "zstd"
}

// BucketRequest asks, by POST, for a change of a bucket.
type BucketRequest struct {
	Name     string `json:"name"`
	Policy   string `json:"policy,omitempty"`   // empty: as it is
	Short    *bool  `json:"short,omitempty"`    // none: as it is
	Compress string `json:"compress,omitempty"` // empty: as it is
}

func (a *api) bucket(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" {
		a.answer(w, r, nil, &RequestError{Invalid, "Want the name of a bucket."})
		return
	}
	b, err := a.Keeper.Bucket(r.Context(), name)
	a.answer(w, r, b, err)
}

func (a *api) setBucket(w http.ResponseWriter, r *http.Request) {
	var q BucketRequest
	if !a.read(w, r, &q) {
		return
	}
	if q.Name == "" || q.Policy == "" && q.Short == nil && q.Compress == "" {
		a.answer(w, r, nil, &RequestError{Invalid, "Want a bucket, and what to change of it."})
		return
	}
	b, err := a.Keeper.SetBucket(r.Context(), q)
	a.answer(w, r, b, err)
}
