package clustermap

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestTail: a map of any revision that the tail reaches back to is brought to the newest, an older one is not.
func TestTail(t *testing.T) {
	tail, m := &Tail{Format: Format, Base: 1}, valid()
	var all []*Map
	for range 9 {
		next := m.Clone()
		next.Revision++
		next.Nodes[0].Name = fmt.Sprint("n", next.Revision)
		tail.Deltas = append(tail.Deltas, sent(t, m, next))
		all, m = append(all, m), next
	}
	b, err := tail.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if tail, err = UnmarshalTail(b); err != nil {
		t.Fatal(err)
	}
	for _, old := range append(all, m) {
		if got, err := tail.Bring(old, m.Revision); err != nil || !bytes.Equal(encoded(t, got), encoded(t, m)) {
			t.Fatalf("from revision %d: %v", old.Revision, err)
		}
	}
	if got, err := tail.Bring(all[0], all[2].Revision); err != nil || !bytes.Equal(encoded(t, got), encoded(t, all[2])) {
		t.Errorf("to an older one: %v", err)
	}
	if got, err := tail.Bring(m, m.Revision+1); !errors.Is(err, ErrBeforeTail) {
		t.Errorf("to what is not there yet: %v, %v", got, err)
	}
	other := all[3].Clone()
	other.Nodes[1].Name = "x"
	if got, err := tail.Bring(other, m.Revision); err == nil || errors.Is(err, ErrBeforeTail) {
		t.Errorf("from another map of the revision: %v, %v", got, err)
	}
	tail.Deltas[3] = nil
	if got, err := tail.Bring(all[0], m.Revision); err == nil {
		t.Errorf("a change is null: %v", got)
	}
	tail.Deltas = tail.Deltas[1:]
	if got, err := tail.Bring(all[0], m.Revision); !errors.Is(err, ErrBeforeTail) {
		t.Errorf("from before the tail: %v, %v", got, err)
	}
	for _, bad := range []string{"{", `{"format":2}`} {
		if _, err := UnmarshalTail([]byte(bad)); err == nil {
			t.Errorf("%s was decoded", bad)
		}
	}
}
