package route

import (
	"os"
	"strings"
	"testing"
)

// docs/s3-compatibility.md has a row for each line of the model, with its
// method and request line.
func TestCompatibilityPageHasEveryLine(t *testing.T) {
	raw, err := os.ReadFile("../../docs/s3-compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range readModel(t) {
		line := "\n| " + row.name + " | " + row.method + " | `" + row.line + "` | "
		i := strings.Index(string(raw), line)
		if i < 0 {
			t.Errorf("no row for %s", row.name)
			continue
		}
		state, _, _ := strings.Cut(string(raw)[i+len(line):], " ")
		if state != "works" && state != "differs" && state != "501" {
			t.Errorf("%s: %q", row.name, state)
		}
	}
}
