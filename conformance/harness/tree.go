package harness

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Full reports whether the full sizes are asked for (CONTENDER_FULL=1, as `make prove` does).
func Full() bool { return os.Getenv("CONTENDER_FULL") == "1" }

// Pick returns the small size of a measure, or the full one.
func Pick(small, large int) int {
	if Full() {
		return large
	}
	return small
}

// MakeTree writes a tree of one large file and many small ones with odd names, all from one seed.
func MakeTree(t testing.TB, dir string, largeBytes int64, small int, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	random := rand.NewChaCha8([32]byte{byte(seed)})
	write := func(name string, n int64) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(f, random, n); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("large.bin", largeBytes)
	odd := []string{"a b", "plus+plus", "percent%41", "ümlaut", "日本", "quote'", "amp&amp", "tilde~", "paren(1)", "eq=eq", "hash#1", "at@", "comma,semi;"}
	for i := range small {
		n := r.Int64N(6 << 10)
		if i%20 == 0 {
			n = r.Int64N(200 << 10)
		}
		if i%37 == 0 {
			n = 0
		}
		write(fmt.Sprintf("dir%02d/%s/file%05d", i%23, odd[i%len(odd)], i), n)
	}
}

// HashTree returns the SHA-256 of each file below a folder by its relative path.
func HashTree(t testing.TB, dir string) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[rel] = [32]byte(h.Sum(nil))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// SameTree fails the test unless two folders hold the same files with the same bytes.
func SameTree(t testing.TB, want, got string) {
	t.Helper()
	w, g := HashTree(t, want), HashTree(t, got)
	for name, h := range w {
		if gh, ok := g[name]; !ok {
			t.Errorf("%s did not come back", name)
		} else if gh != h {
			t.Errorf("%s came back with other bytes", name)
		}
	}
	for name := range g {
		if _, ok := w[name]; !ok {
			t.Errorf("%s came back and was never sent", name)
		}
	}
}
