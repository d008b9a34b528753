package admin

import (
	"context"
	"net/http"
	"time"
)

// ExplanationFormat is the version of the JSON form of Explanation. Fields are only added, never renamed or taken away.
const ExplanationFormat = 1

// ExtentsMax is how many extents an Explanation shows at most. All of them count for what the version survives.
const ExtentsMax = 1000

// Explainer tells where objects lie. It is safe for concurrent use. What it refuses for good is a *RequestError.
type Explainer interface {
	// Explain tells where a version lies, as the metadata and this node's copy of the cluster map say: no disk is asked for
	// its shards. An empty version asks for the current one.
	Explain(ctx context.Context, bucket, key, version string) (Explanation, error)
}

// Explanation is what `contender explain --json` prints: the contract with scripts.
type Explanation struct {
	Format       int       `json:"format"` // ExplanationFormat
	Bucket       string    `json:"bucket"`
	Key          string    `json:"key"`
	VersionID    string    `json:"version_id"`
	Latest       bool      `json:"latest"`
	DeleteMarker bool      `json:"delete_marker,omitempty"`
	Size         int64     `json:"size"`
	Modified     time.Time `json:"modified"`
	// Form is "inline" (the replicas of the range keep the bytes), "extents" or "none" (there are no bytes).
	Form  string `json:"form"`
	Range Range  `json:"range"` // that keeps its metadata, with its replicas and its leader
	// Extents are the first ExtentsMax of ExtentCount pieces that its bytes lie in.
	ExtentCount int      `json:"extent_count"`
	Extents     []Extent `json:"extents,omitempty"`
	// Whole: every extent has as many shards as it was written with on disks that serve now, and its range all its replicas.
	Whole    bool `json:"whole"`
	Readable bool `json:"readable"` // enough of all of it is on disks that serve now
	// Survives is how many further failures of each kind it survives.
	Survives Tolerates `json:"survives"`
	// LastVerified is when its bytes were last read and found right by themselves; null: never.
	LastVerified *time.Time `json:"last_verified"`
}

// Extent is a piece of a version's bytes in one placement group.
type Extent struct {
	Part   int    `json:"part,omitempty"` // of a completed upload
	Length int64  `json:"length"`         // in bytes, as they are kept
	Coding string `json:"coding"`         // "k+m": any k of its k+m shards suffice
	// Compressed: the bytes are those of the object compressed.
	Compressed bool    `json:"compressed,omitempty"`
	Group      uint32  `json:"group"`
	Epoch      uint64  `json:"epoch"` // of the group when it was written
	Shards     []Shard `json:"shards"`
}

// Shard is one of the pieces that an extent is coded into.
type Shard struct {
	Slot int `json:"slot"` // of the group
	Member
	Rack  string `json:"rack,omitempty"`
	Site  string `json:"site,omitempty"`
	State string `json:"state"` // of the disk: StateUp or a word for what is wrong
}

func (a *api) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("bucket") == "" || q.Get("key") == "" {
		a.answer(w, r, nil, &RequestError{Invalid, "Want a bucket and a key."})
		return
	}
	e, err := a.Explainer.Explain(r.Context(), q.Get("bucket"), q.Get("key"), q.Get("version"))
	e.Format = ExplanationFormat
	a.answer(w, r, e, err)
}
