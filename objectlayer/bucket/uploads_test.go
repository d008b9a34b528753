package bucket_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

// uploads lists the first uploads of the bucket.
func uploads(t *testing.T, l *objecttest.Layer) []objectlayer.Item {
	t.Helper()
	p, err := l.Listings.Uploads(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p.Items
}

// Uploads do not keep a bucket, objects keep both.
func TestDeleteGivesUpUploads(t *testing.T) {
	const count = 203 // several rounds
	l := newLayer(t)
	create(t, l)
	if err := put(t, l, "object"); err != nil {
		t.Fatal(err)
	}
	var last objectlayer.Upload
	for i := range count {
		u, err := l.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: name, Key: inRanges[i%4] + fmt.Sprint(i%7)})
		if err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			_, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{
				Bucket: name, Key: u.Key, UploadID: u.ID, Number: 1, Size: 4,
			}, strings.NewReader("part"))
			if err != nil {
				t.Fatal(err)
			}
		}
		last = u
	}
	wantKind(t, l.Buckets.Delete(t.Context(), name), objectlayer.KindBucketNotEmpty)
	if n := len(uploads(t, l)); n != count {
		t.Fatalf("%d of %d uploads outlived a deletion that was refused", n, count)
	}
	if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "object"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Buckets.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	create(t, l)
	if left := uploads(t, l); len(left) != 0 {
		t.Fatalf("the new bucket has %d uploads of the old one", len(left))
	}
	_, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{
		Bucket: name, Key: last.Key, UploadID: last.ID, Number: 1, Size: 4,
	}, strings.NewReader("part"))
	wantKind(t, err, objectlayer.KindNoSuchUpload)
}

// TestDeleteAgainstUploads races deletions with uploads that begin and complete: an acknowledged object is never in a
// deleted bucket, and an upload of a bucket that is gone cannot be completed.
func TestDeleteAgainstUploads(t *testing.T) {
	for round := range 20 {
		l := newLayer(t)
		create(t, l)
		p, q := peer(l, 1), peer(l, 2)
		deleted := make(chan error, 1)
		go func() { deleted <- p.Buckets.Delete(t.Context(), name) }()
		completed := upload(t, q)
		err := <-deleted
		switch objectlayer.KindOf(err) {
		case objectlayer.KindBucketNotEmpty, objectlayer.KindUnavailable:
			continue
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if completed == nil {
			t.Fatalf("round %d: an object in a deleted bucket", round)
		}
	}
}

// upload uploads one part and completes it; the error is the one that ended it.
func upload(t *testing.T, l *objecttest.Layer) error {
	u, err := l.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: name, Key: "k"})
	if err != nil {
		return err
	}
	part, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{
		Bucket: name, Key: "k", UploadID: u.ID, Number: 1, Size: 4,
	}, strings.NewReader("part"))
	if err != nil {
		return err
	}
	_, err = l.Uploads.Complete(t.Context(), objectlayer.CompleteRequest{
		Bucket: name, Key: "k", UploadID: u.ID,
		Parts: []objectlayer.CompletedPart{{Number: 1, ETag: part.ETag.String()}},
	})
	return err
}
