package bones_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestProofsNameRealTests: each `go test` command in the table of proofs names a package and tests that exist, for go test
// is content where no test has the name it was given.
func TestProofsNameRealTests(t *testing.T) {
	b, err := os.ReadFile("../proofs.tsv")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`go test .*-run '([^']+)' (\./\S+)`)
	var names []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Split(line, "\t")
		if len(c) != 6 || slices.Contains(c, "") {
			t.Errorf("want 6 columns, none of them empty: %q", line)
			continue
		}
		if slices.Contains(names, c[0]) {
			t.Errorf("%s is there twice", c[0])
		}
		names = append(names, c[0])
		for _, text := range c[3:5] {
			m := command.FindStringSubmatch(text)
			if m == nil {
				if strings.Contains(text, "go test") {
					t.Errorf("%s: want -run '...' and then the package: %s", c[0], text)
				}
				continue
			}
			for _, test := range strings.Split(m[1], "|") {
				test = strings.TrimSuffix(strings.TrimPrefix(test, "^"), "$")
				if !hasTest(t, filepath.Join("..", "..", m[2]), test) {
					t.Errorf("%s: %s has no %s", c[0], m[2], test)
				}
			}
		}
	}
	if len(names) == 0 {
		t.Error("no proofs")
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
