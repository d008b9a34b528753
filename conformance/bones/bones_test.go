//go:build bones

package bones

import (
	"testing"

	"github.com/contender/contender/conformance/harness"
)

const bucket = "bones"

func askStatus(t *testing.T, s *harness.Server, args ...string) harness.Status {
	t.Helper()
	st, err := s.Status(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return st
}
