package mapcopy

import (
	"errors"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/metashards/clustermap"
)

func mapOf(revision uint64) *clustermap.Map {
	return &clustermap.Map{Format: clustermap.Format, Revision: revision, Cluster: "c"}
}

func TestOfferTakesOnlyNewer(t *testing.T) {
	c := New(mapOf(3))
	ch := c.Changed()
	if c.Offer(mapOf(3)) || c.Offer(mapOf(2)) {
		t.Fatal("took a map that is not newer")
	}
	select {
	case <-ch:
		t.Fatal("changed without a change")
	default:
	}
	if !c.Offer(mapOf(4)) || c.Map().Revision != 4 {
		t.Fatal("did not take the newer map")
	}
	<-ch
}

// TestSinceKnowsTheLastFew: changes are kept while each follows the one before, and not for ever.
func TestSinceKnowsTheLastFew(t *testing.T) {
	c := New(mapOf(1))
	offer := func(to uint64) {
		c.Offer(mapOf(to), &clustermap.Delta{From: to - 1, To: to})
	}
	for to := uint64(2); to <= 300; to++ {
		offer(to)
		offer(to - 1) // is not taken, nor kept
	}
	for _, revision := range []uint64{1, 199, 200, 201, 299, 300, 301} {
		m, changes := c.Since(revision)
		want := 0
		if revision >= 200 && revision < 300 {
			want = int(300 - revision)
		}
		if m.Revision != 300 || len(changes) != want || want > 0 && (changes[0].From != revision || changes[want-1].To != 300) {
			t.Errorf("revision %d: %d changes, want %d", revision, len(changes), want)
		}
	}
	c.Offer(mapOf(302)) // whole
	if _, changes := c.Since(300); changes != nil {
		t.Errorf("%d changes lead over a map that came whole", len(changes))
	}
	offer(303)
	if _, changes := c.Since(302); len(changes) != 1 {
		t.Errorf("%d changes since", len(changes))
	}
	offer(305)
	if _, changes := c.Since(302); changes != nil {
		t.Errorf("%d changes lead over a gap", len(changes))
	}
}

func TestSaveSurvivesACrash(t *testing.T) {
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("d", 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := fs.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Sync(); err != nil {
		t.Fatal(err)
	}
	for rev := uint64(1); rev < 4; rev++ {
		if err := Save(fs, "d", encoded(t, mapOf(rev))); err != nil {
			t.Fatal(err)
		}
		m, err := Load(fs.CrashClone(vfs.CrashCloneCfg{}), "d")
		if err != nil || m.Revision != rev {
			t.Fatalf("after a crash: %+v, %v; want revision %d", m, err, rev)
		}
	}
}

func TestLoadNewest(t *testing.T) {
	fs := vfs.NewMem()
	for i, d := range []string{"a", "b", "c"} {
		if err := fs.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if d != "c" {
			if err := Save(fs, d, encoded(t, mapOf(uint64(10-i)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	m, err := LoadNewest(fs, []string{"b", "c", "a"})
	if err != nil || m.Revision != 10 {
		t.Fatalf("got %+v, %v", m, err)
	}
	if _, err := LoadNewest(fs, []string{"c"}); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v, want not exist", err)
	}
}

func encoded(t *testing.T, m *clustermap.Map) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
