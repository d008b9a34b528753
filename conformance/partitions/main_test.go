//go:build partitions

package partitions

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/contender/contender/conformance/lab"
)

// TestMain takes the binary with the wall clock of the lab, which `make partitions` builds, unless it is told another.
func TestMain(m *testing.M) {
	if os.Getenv("CONTENDER_BIN") == "" {
		path, err := filepath.Abs("../../bin/contender-clockfile")
		if err != nil {
			panic(err)
		}
		if err := os.Setenv("CONTENDER_BIN", path); err != nil {
			panic(err)
		}
	}
	lab.Main(m)
}
