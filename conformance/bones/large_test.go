//go:build bones

package bones

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
)

// TestLargeBucket fills a bucket with very many keys: it splits by itself, and a page costs what one of a small bucket
// does.
func TestLargeBucket(t *testing.T) {
	s := harness.New(t, 4, "--range-max-bytes", fmt.Sprint(harness.Pick(1<<20, 64<<20)))
	s.Start()
	many := harness.Pick(12_000, 2_000_000) / 3 * 3
	fill(t, s, "few", few, func(i int) string { return inFolder(i, few) })
	began := time.Now()
	fill(t, s, "many", many, func(i int) string { return inFolder(i, many) })
	t.Logf("%d keys in %v", many, time.Since(began).Round(time.Second))
	waitSplit(t, s, "many")
	harness.Calm(t, s.Pid(), calm())
	compareAll(t, s, "few", "many", 1.3)
}

// calm is how long a server has to be calm before it is measured: at full size until what came of the load has passed.
func calm() time.Duration { return time.Duration(harness.Pick(1, 90)) * time.Second }

// waitSplit waits until a bucket lies in several ranges.
func waitSplit(t *testing.T, s *harness.Server, bucket string) {
	t.Helper()
	const patience = time.Minute
	for began := time.Now(); ; {
		out, err := s.Command(t.Context(), "range", "ls", "--json", "--bucket", bucket, "--endpoint", s.Endpoint).Output()
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Ranges []struct{ ID uint64 } }
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Ranges) > 1 {
			t.Logf("%s lies in %d ranges", bucket, len(list.Ranges))
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("%s lies in one range after %v", bucket, patience)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// TestListOverBytes compares the pages of a bucket of empty objects with those of one of objects of 16 KiB, whose bytes lie
// beside the metadata.
func TestListOverBytes(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	n := harness.Pick(3_000, 200_000) / 3 * 3
	for name, size := range map[string]int{"empty": 0, "bytes": 16 << 10} {
		fillWith(t, s, name, n, harness.Body(name, size), func(i int) string { return inFolder(i, n) })
	}
	harness.Calm(t, s.Pid(), calm())
	compareAll(t, s, "empty", "bytes", 2)
}
