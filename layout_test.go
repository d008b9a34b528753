// Package contender_test holds the rules of the house that run as tests.
package contender_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/contender/contender/"

// mayImport says, for each top folder, which top folders its packages may import besides their own. The arrows go one
// way: gateway → objectlayer → metashards and disk; heal → the same two; cmd joins everything and nobody imports it;
// conformance speaks HTTP only. trust knows ids alone, and only cmd knows trust: wires are handed a *tls.Config.
var mayImport = map[string][]string{
	"disk":        {},
	"metashards":  {"disk"},
	"objectlayer": {"metashards", "disk"},
	"gateway":     {"objectlayer"},
	"heal":        {"objectlayer", "metashards", "disk"},
	"cmd":         {"gateway", "objectlayer", "metashards", "disk", "heal", "trust"},
	"conformance": {},
	"trust":       {"disk"},
}

// contract lists the packages of a folder that other folders may import; all others of its rooms are entered only by
// cmd/node, which builds them.
var contract = map[string]bool{
	"disk": true, "disk/disktest": true,
	"metashards": true, "metashards/metapb": true, "metashards/clustermap": true, "metashards/keys": true,
	"objectlayer": true,
}

// exceptions are the arrows allowed against these rules, each with its reason.
var exceptions = map[string]string{
	// The layer's test set-up runs the real machine over an in-memory disk, so that nothing is faked twice.
	"objectlayer/objecttest → metashards/machine": "real rows in tests",
	// The simulation runs the real disk on a file system that crashes.
	"metashards/simtest → disk/local": "simulation",
	// Handlers are tested over the real object layer.
	"gateway → objectlayer/objecttest": "tests",
}

func TestLayout(t *testing.T) {
	forEachImport(t, func(pkg, imported string, test bool) {
		from, to := top(pkg), top(imported)
		if from == to || pkg == "" {
			return
		}
		if _, ok := exceptions[pkg+" → "+imported]; ok {
			return
		}
		if to == "cmd" {
			t.Errorf("%s imports %s: nobody imports cmd", pkg, imported)
			return
		}
		if test && strings.HasSuffix(imported, "test") {
			return // suites and fakes are there for the tests of the rooms above
		}
		allowed, known := mayImport[from]
		if !known {
			t.Errorf("%s: unknown top folder %q; add it to the layout", pkg, from)
			return
		}
		if !contains(allowed, to) {
			t.Errorf("%s imports %s: %s may import only %v", pkg, imported, from, allowed)
			return
		}
		if from != "cmd" && !contract[imported] {
			t.Errorf("%s imports the room %s: only cmd/node enters it", pkg, imported)
		}
	})
}

func top(pkg string) string { return strings.SplitN(pkg, "/", 2)[0] }

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// forEachImport calls fn for each import of one package of this module by another; packages are named relative to it.
func forEachImport(t *testing.T, fn func(pkg, imported string, test bool)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || path == "tools") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if pkg == "." {
			pkg = ""
		}
		for _, im := range f.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			if rel, ok := strings.CutPrefix(p, module); ok {
				fn(pkg, rel, strings.HasSuffix(path, "_test.go"))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
