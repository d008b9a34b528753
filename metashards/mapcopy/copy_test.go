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

func TestAtKnowsTheLastFew(t *testing.T) {
	c := New(mapOf(1))
	for revision := uint64(2); revision <= 12; revision++ {
		c.Offer(mapOf(revision))
		c.Offer(mapOf(revision - 1)) // is not taken, nor remembered
	}
	for revision := range uint64(14) {
		m := c.At(revision)
		if known := revision >= 4 && revision <= 12; known != (m != nil) || known && m.Revision != revision {
			t.Errorf("revision %d: %v", revision, m)
		}
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
		if err := Save(fs, "d", mapOf(rev)); err != nil {
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
			if err := Save(fs, d, mapOf(uint64(10-i))); err != nil {
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
