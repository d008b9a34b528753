package bucket_test

import (
	"testing"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/placement"
)

// TestPlacementLife: how a bucket's bytes are kept is said when it is made and changed later, in all its ranges, and goes with no
// other change. What makes no sense is refused.
func TestPlacementLife(t *testing.T) {
	l := newLayer(t)
	two := objectlayer.Placement{Policy: "ec:2+1", Short: true}
	wantKind(t, l.Buckets.SetPlacement(t.Context(), name, two), objectlayer.KindNoSuchBucket)
	_, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name, Placement: objectlayer.Placement{Policy: "ec:2"}})
	wantKind(t, err, objectlayer.KindInvalidArgument)
	if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name, Placement: two}); err != nil {
		t.Fatal(err)
	}
	want := func(p objectlayer.Placement) {
		t.Helper()
		if b, err := l.Buckets.Get(t.Context(), name); err != nil || b.Placement != p {
			t.Fatalf("%+v %v, want %+v", b, err, p)
		}
		obeys(t, l, never)
	}
	want(two)
	wantKind(t, l.Buckets.SetPlacement(t.Context(), name, objectlayer.Placement{Policy: "three"}), objectlayer.KindInvalidArgument)
	want(two)
	for _, p := range []objectlayer.Placement{{Policy: "replica:3"}, {Policy: "replica:3"}, {Policy: "replica:3", Short: true}, {}} {
		if err := l.Buckets.SetPlacement(t.Context(), name, p); err != nil {
			t.Fatal(err)
		}
		want(p)
	}
	if err := l.Buckets.SetPlacement(t.Context(), name, two); err != nil {
		t.Fatal(err)
	}
	setVersioning(t, l, enabled)
	if b, err := l.Buckets.Get(t.Context(), name); err != nil || b.Placement != two {
		t.Errorf("versioning took along how bytes are kept: %+v, %v", b, err)
	}
}

func TestPolicyOfBucket(t *testing.T) {
	standard := placement.Fixed(placement.Coding{K: 4, M: 2})
	for text, want := range map[string]placement.Policy{
		"": standard, "auto": standard, "ec:2+1": placement.Fixed(placement.Coding{K: 2, M: 1}), "replica:2": placement.Fixed(placement.Coding{K: 1, M: 1}),
	} {
		if got := bucket.Policy(&metapb.Bucket{Policy: text}, standard); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
