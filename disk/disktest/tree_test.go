package disktest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func treeKeys(t tree[int]) (keys []string) {
	for n := t.seekGE(""); n != nil; n = t.seekGE(n.key + "\x00") {
		keys = append(keys, n.key)
	}
	return keys
}

// TestTree checks the tree against a sorted slice, and that old versions never change.
func TestTree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var tr tree[int]
	var model []string
	type version struct {
		tr   tree[int]
		keys []string
	}
	var old []version
	for step := range 4000 {
		key := fmt.Sprintf("%03d", r.IntN(400))
		at, found := slices.BinarySearch(model, key)
		switch r.IntN(5) {
		case 0, 1, 2:
			tr = tr.set(key, step)
			if !found {
				model = slices.Insert(model, at, key)
			}
			if v, ok := tr.get(key); !ok || v != step {
				t.Fatalf("get %s after set: %d %v", key, v, ok)
			}
		case 3:
			tr = tr.delete(key)
			if found {
				model = slices.Delete(model, at, at+1)
			}
		case 4:
			upper := fmt.Sprintf("%03d", r.IntN(400))
			if r.IntN(2) == 0 {
				upper = fmt.Sprintf("%s5", key)
			}
			tr = tr.deleteRange(key, upper, true)
			to, _ := slices.BinarySearch(model, upper)
			if to > at {
				model = slices.Delete(model, at, to)
			}
		}
		probe := fmt.Sprintf("%03d", r.IntN(400))
		at, _ = slices.BinarySearch(model, probe)
		if n := tr.seekGE(probe); (n == nil) != (at == len(model)) || n != nil && n.key != model[at] {
			t.Fatalf("seekGE %s: wrong row", probe)
		}
		if n := tr.seekLT(probe); (n == nil) != (at == 0) || n != nil && n.key != model[at-1] {
			t.Fatalf("seekLT %s: wrong row", probe)
		}
		if step%100 == 0 {
			old = append(old, version{tr, slices.Clone(model)})
		}
	}
	old = append(old, version{tr, model})
	for _, v := range old {
		if !slices.Equal(treeKeys(v.tr), v.keys) {
			t.Fatalf("a version changed or is wrong: %v, want %v", treeKeys(v.tr), v.keys)
		}
	}
}

func BenchmarkTreeSet(b *testing.B) {
	var tr tree[int]
	for i := range b.N {
		tr = tr.set(fmt.Sprintf("%09d", i*7919%1000003), i)
	}
}
