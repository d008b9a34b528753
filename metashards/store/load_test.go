package store

import (
	"fmt"
	"testing"

	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// TestLoadIsHalved: requests are cut where half of them lie on either side, but for those that are all for few keys.
func TestLoadIsHalved(t *testing.T) {
	d := &metapb.RangeDescriptor{Start: keys.Position(1, nil)}
	for name, c := range map[string]struct {
		key      func(i int) string
		low, top string // where it is to be cut; empty: nowhere
	}{
		"evenly":  {func(i int) string { return fmt.Sprintf("%04d", i%1000) }, "0400", "0600"},
		"one key": {func(int) string { return "k" }, "", ""},
		"half of it for one": {func(i int) string {
			return map[bool]string{true: "a", false: fmt.Sprintf("b%04d", i%1000)}[i/7%2 == 0]
		}, "b", "c"},
		"nearly all for one":    {func(i int) string { return map[bool]string{true: "z", false: "a"}[i/7%10 == 0] }, "", ""},
		"two keys, half each":   {func(i int) string { return []string{"a", "b"}[i/7%2] }, "b", "b"},
		"too few to know":       {func(i int) string { return fmt.Sprintf("%04d", i) }, "", ""},
		"at the start of range": {func(int) string { return "" }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var l load
			n := 20_000
			if name == "too few to know" {
				n = 30
			}
			for i := range n {
				l.count(1, []byte(c.key(i)))
			}
			if !l.window(d) || l.rate != n/10 {
				t.Errorf("%d requests in a second", l.rate)
			}
			got := ""
			if l.middle != nil {
				_, key, err := keys.ParsePosition(l.middle)
				if err != nil {
					t.Fatal(err)
				}
				got = string(key)
			}
			if (c.low == "") != (got == "") || got < c.low || c.top != "" && got > c.top {
				t.Errorf("cut at %q, want between %q and %q", got, c.low, c.top)
			}
			if l.window(d); l.rate != 0 || l.middle != nil {
				t.Errorf("after a window without requests: %+v", l)
			}
		})
	}
}

// TestLoadOfLookingAfter: a range of which one or two things are asked in a second is told to rest, so that those who only look
// after it do not have it looked at.
func TestLoadOfLookingAfter(t *testing.T) {
	d := &metapb.RangeDescriptor{Id: 1}
	var l load
	for _, requests := range []int{0, 5, 15, 29} {
		for range requests {
			l.count(1, []byte("k"))
		}
		if l.window(d) {
			t.Errorf("%d requests in ten seconds are told: %d in a second", requests, l.rate)
		}
	}
}
