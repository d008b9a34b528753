package clustermap

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Tail is the newest changes of a cluster map. In the system range it stands beside a map that is older, so that a change does
// not write the whole map; the record of the tail has the newest map's revision. Between nodes it is sent instead of the map
// to who holds the one that it begins with.
type Tail struct {
	Format int `json:"format"`
	// Base is the revision of the record of the older map as it was written last, so far as the writer knows.
	Base   uint64   `json:"base,omitempty"`
	Deltas []*Delta `json:"deltas"` // each from the revision that the one before makes
}

// ErrBeforeTail says that a map is older than the first change that a tail holds.
var ErrBeforeTail = errors.New("cluster map: changes since are not known")

// UnmarshalTail decodes a tail; it refuses a newer format.
func UnmarshalTail(b []byte) (*Tail, error) {
	t := new(Tail)
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("decode the changes of the cluster map: %w", err)
	}
	if t.Format != Format {
		return nil, fmt.Errorf("decode the changes of the cluster map: format %d, this program knows %d", t.Format, Format)
	}
	return t, nil
}

// Marshal encodes the tail.
func (t *Tail) Marshal() ([]byte, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode the changes of the cluster map: %w", err)
	}
	return b, nil
}

// Bring makes of a map the one of a newer revision, or ErrBeforeTail.
func (t *Tail) Bring(m *Map, revision uint64) (*Map, error) {
	var err error
	for _, d := range t.Since(m.Revision) {
		if m.Revision == revision {
			break
		}
		if m, err = m.Apply(d); err != nil {
			return nil, err
		}
	}
	if m.Revision != revision {
		return nil, ErrBeforeTail
	}
	return m, nil
}

// Since returns the changes of a map of a revision, none if those are not known.
func (t *Tail) Since(revision uint64) []*Delta {
	for i, d := range t.Deltas {
		if d != nil && d.From == revision {
			return t.Deltas[i:]
		}
	}
	return nil
}
