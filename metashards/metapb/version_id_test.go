package metapb_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/contender/contender/metashards/metapb"
)

func TestVersionIDComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		time, nonce := rapid.Uint64().Draw(t, "time"), rapid.Uint64().Draw(t, "nonce")
		id := metapb.VersionID(&metapb.Version{Time: time, Nonce: nonce})
		gotTime, gotNonce, err := metapb.ParseVersionID(id)
		if err != nil || gotTime != time || gotNonce != nonce {
			t.Fatalf("%q gave %d %d: %v", id, gotTime, gotNonce, err)
		}
	})
}

func TestNullVersionID(t *testing.T) {
	if id := metapb.VersionID(&metapb.Version{Time: 1, NullVersion: true}); id != "null" {
		t.Fatalf("got %q", id)
	}
}

func FuzzParseVersionID(f *testing.F) {
	f.Add("null")
	f.Add(strings.Repeat("A0", 16))
	f.Add(metapb.EncodeVersionID(1, 2))
	f.Fuzz(func(t *testing.T, s string) {
		time, nonce, err := metapb.ParseVersionID(s)
		if err == nil && metapb.EncodeVersionID(time, nonce) != s {
			t.Fatalf("%q parsed and did not come back", s)
		}
	})
}
