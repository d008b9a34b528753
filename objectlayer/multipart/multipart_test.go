package multipart_test

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/hashing"
	"github.com/contender/contender/objectlayer/objecttest"
)

const (
	name    = "bucket"
	key     = "dir/key"
	partMin = 100_000
)

func newLayer(t testing.TB) *objecttest.Layer {
	t.Helper()
	l := objecttest.New(t, objecttest.Options{ExtentBytes: 1 << 20, PartBytesMin: partMin})
	if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name}); err != nil {
		t.Fatal(err)
	}
	return l
}

func randomBytes(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b) //nolint:errcheck // never fails
	return b
}

func wantKind(t testing.TB, err error, want objectlayer.Kind) {
	t.Helper()
	if err == nil || objectlayer.KindOf(err) != want {
		t.Fatalf("%v, want %v", err, want)
	}
}

func create(t testing.TB, l *objecttest.Layer, r objectlayer.UploadRequest) objectlayer.Upload {
	t.Helper()
	r.Bucket, r.Key = name, key
	u, err := l.Uploads.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func putPart(t testing.TB, l *objecttest.Layer, u objectlayer.Upload, n int, data []byte) objectlayer.Part {
	t.Helper()
	p, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{
		Bucket: name, Key: key, UploadID: u.ID, Number: n, Size: int64(len(data)),
	}, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if p.Number != n || p.Size != int64(len(data)) || p.ETag.MD5 != md5.Sum(data) || p.Modified.IsZero() { //nolint:gosec // as above
		t.Fatalf("%+v", p)
	}
	return p
}

func complete(l *objecttest.Layer, u objectlayer.Upload, r objectlayer.CompleteRequest, parts ...objectlayer.Part) (objectlayer.Version, error) {
	r.Bucket, r.Key, r.UploadID = name, key, u.ID
	for _, p := range parts {
		r.Parts = append(r.Parts, objectlayer.CompletedPart{Number: p.Number, ETag: `"` + p.ETag.String() + `"`})
	}
	return l.Uploads.Complete(context.Background(), r)
}

func get(t testing.TB, l *objecttest.Layer, r objectlayer.GetRequest) (objectlayer.Reading, []byte) {
	t.Helper()
	r.Bucket, r.Key = name, key
	rd, err := l.Objects.Get(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Body.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(rd.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rd, data
}

func sum(t testing.TB, algorithm string, data []byte) []byte {
	t.Helper()
	h, err := hashing.New(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(data)
	return h.Sum(nil)
}

func TestUpload(t *testing.T) {
	l := newLayer(t)
	u := create(t, l, objectlayer.UploadRequest{
		Owner: "me", Attributes: objectlayer.Attributes{ContentType: "a/b", User: map[string]string{"k": "v"}},
	})
	if u.ID == "" || strings.ContainsAny(u.ID, "/+= ") || u.Initiated.IsZero() {
		t.Fatalf("%+v", u)
	}
	one, two, five := randomBytes(1, 1_300_000), randomBytes(2, partMin), randomBytes(5, 10)
	p5 := putPart(t, l, u, 5, five)
	p1 := putPart(t, l, u, 1, one)
	putPart(t, l, u, 2, randomBytes(9, partMin))
	p2 := putPart(t, l, u, 2, two) // in its place
	putPart(t, l, u, 7, randomBytes(7, 70_000))
	_, err := l.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: key})
	wantKind(t, err, objectlayer.KindNoSuchKey)

	v, err := complete(l, u, objectlayer.CompleteRequest{}, p1, p2, p5)
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Join([][]byte{one, two, five}, nil)
	sums := bytes.Join([][]byte{p1.ETag.MD5[:], p2.ETag.MD5[:], p5.ETag.MD5[:]}, nil)
	want := objectlayer.ETag{MD5: md5.Sum(sums), Parts: 3} //nolint:gosec // as above
	rd, got := get(t, l, objectlayer.GetRequest{})
	r := rd.Version
	switch {
	case !bytes.Equal(got, all):
		t.Fatal("the bytes differ")
	case v.ETag != want || r.ETag != want || v.Size != int64(len(all)) || !strings.HasSuffix(v.ETag.String(), "-3"):
		t.Fatalf("%+v", v)
	case r.Attributes.ContentType != "a/b" || r.Attributes.User["k"] != "v" || r.Owner != "me":
		t.Fatalf("%+v", r)
	case len(r.Checksums) != 1 || r.Checksums[0].Algorithm != "crc64nvme" || r.Checksums[0].Parts != 0 ||
		!bytes.Equal(r.Checksums[0].Value, sum(t, "crc64nvme", all)):
		t.Fatalf("%+v", r.Checksums)
	case len(r.Parts) != 3:
		t.Fatalf("%+v", r.Parts)
	}
	rd, got = get(t, l, objectlayer.GetRequest{Part: 5})
	if !bytes.Equal(got, five) || rd.Version.PartNumber != 5 || rd.Offset != int64(len(one)+len(two)) || len(rd.Version.Parts) != 3 {
		t.Fatalf("%+v", rd)
	}
	first := int64(len(one)) - 3
	if _, got = get(t, l, objectlayer.GetRequest{Range: &objectlayer.Range{First: first, Last: first + partMin + 5}}); !bytes.Equal(got, all[first:first+partMin+6]) {
		t.Fatal("a range over parts differs")
	}
	again, err := complete(l, u, objectlayer.CompleteRequest{}, p1, p2, p5)
	if err != nil || again.ETag != want {
		t.Fatalf("repeated: %+v %v", again, err)
	}
	_, err = complete(l, u, objectlayer.CompleteRequest{}, p1, p2)
	wantKind(t, err, objectlayer.KindNoSuchUpload)
	wantKind(t, l.Uploads.Abort(t.Context(), objectlayer.AbortRequest{Bucket: name, Key: key, UploadID: u.ID}), objectlayer.KindNoSuchUpload)
}

func TestCompleteRefusals(t *testing.T) {
	l := newLayer(t)
	u := create(t, l, objectlayer.UploadRequest{})
	p1 := putPart(t, l, u, 1, randomBytes(1, partMin))
	p2 := putPart(t, l, u, 2, randomBytes(2, partMin-1))
	p3 := putPart(t, l, u, 3, nil)
	wrong := p1
	wrong.ETag.MD5[0]++
	absent := p3
	absent.Number = 4
	size := int64(7)
	for _, c := range []struct {
		name  string
		r     objectlayer.CompleteRequest
		parts []objectlayer.Part
		want  objectlayer.Kind
	}{
		{"order", objectlayer.CompleteRequest{}, []objectlayer.Part{p2, p1}, objectlayer.KindInvalidPartOrder},
		{"twice", objectlayer.CompleteRequest{}, []objectlayer.Part{p1, p1}, objectlayer.KindInvalidPartOrder},
		{"wrong ETag", objectlayer.CompleteRequest{}, []objectlayer.Part{wrong}, objectlayer.KindInvalidPart},
		{"unknown part", objectlayer.CompleteRequest{}, []objectlayer.Part{p1, absent}, objectlayer.KindInvalidPart},
		{"nonsense ETag", objectlayer.CompleteRequest{Parts: []objectlayer.CompletedPart{{Number: 1, ETag: "x"}}}, nil, objectlayer.KindInvalidPart},
		{"too small", objectlayer.CompleteRequest{}, []objectlayer.Part{p1, p2, p3}, objectlayer.KindEntityTooSmall},
		{"no parts", objectlayer.CompleteRequest{}, nil, objectlayer.KindInvalidRequest},
		{"size", objectlayer.CompleteRequest{Size: &size}, []objectlayer.Part{p1}, objectlayer.KindInvalidRequest},
		{"checksum", objectlayer.CompleteRequest{Checksum: &objectlayer.Checksum{Algorithm: "crc64nvme", Value: make([]byte, 8)}}, []objectlayer.Part{p1}, objectlayer.KindBadDigest},
		{"condition", objectlayer.CompleteRequest{Conditions: objectlayer.WriteConditions{IfMatch: "*"}}, []objectlayer.Part{p1}, objectlayer.KindNoSuchKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := complete(l, u, c.r, c.parts...)
			wantKind(t, err, c.want)
		})
	}
	size = partMin
	whole := sum(t, "crc64nvme", randomBytes(1, partMin))
	_, err := complete(l, u, objectlayer.CompleteRequest{
		Size: &size, Checksum: &objectlayer.Checksum{Algorithm: "crc64nvme", Value: whole}, Conditions: objectlayer.WriteConditions{IfNoneMatch: true},
	}, p1, p3)
	if err != nil {
		t.Fatal(err)
	}
	other := create(t, l, objectlayer.UploadRequest{})
	p := putPart(t, l, other, 1, nil)
	_, err = complete(l, other, objectlayer.CompleteRequest{Conditions: objectlayer.WriteConditions{IfNoneMatch: true}}, p)
	wantKind(t, err, objectlayer.KindPreconditionFailed)
	if _, err := complete(l, other, objectlayer.CompleteRequest{}, p); err != nil {
		t.Fatal(err)
	}
	if _, got := get(t, l, objectlayer.GetRequest{}); len(got) != 0 {
		t.Fatal("an upload of one empty part is not empty")
	}
}

func TestUnknownUploads(t *testing.T) {
	l := newLayer(t)
	u := create(t, l, objectlayer.UploadRequest{})
	body := strings.NewReader("body")
	for _, r := range []objectlayer.PartRequest{
		{Bucket: name, Key: key, UploadID: "what", Number: 1},
		{Bucket: name, Key: key, UploadID: strings.Repeat("A", 22), Number: 1},
		{Bucket: name, Key: "other", UploadID: u.ID, Number: 1},
	} {
		_, err := l.Uploads.PutPart(t.Context(), r, body)
		wantKind(t, err, objectlayer.KindNoSuchUpload)
		_, err = l.Listings.Parts(t.Context(), objectlayer.ListRequest{Bucket: r.Bucket, Key: r.Key, UploadID: r.UploadID, Limit: 10})
		wantKind(t, err, objectlayer.KindNoSuchUpload)
		wantKind(t, l.Uploads.Abort(t.Context(), objectlayer.AbortRequest{Bucket: r.Bucket, Key: r.Key, UploadID: r.UploadID}), objectlayer.KindNoSuchUpload)
	}
	if body.Len() != 4 {
		t.Fatal("a body was read for an upload that is not there")
	}
	for _, n := range []int{-1, 0, 10_001} {
		_, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{Bucket: name, Key: key, UploadID: u.ID, Number: n}, body)
		wantKind(t, err, objectlayer.KindInvalidArgument)
	}
	_, err := l.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: "other", Key: key})
	wantKind(t, err, objectlayer.KindNoSuchBucket)
}

func TestChecksums(t *testing.T) {
	l := newLayer(t)
	one, two := randomBytes(1, partMin), randomBytes(2, 1000)
	for _, c := range []struct {
		algorithm string
		composite bool
	}{
		{"crc32", false},
		{"crc32", true},
		{"crc32c", false},
		{"crc32c", true},
		{"crc64nvme", false},
		{"sha1", true},
		{"sha256", true},
		{"", false},
	} {
		u := create(t, l, objectlayer.UploadRequest{ChecksumAlgorithm: c.algorithm, ChecksumComposite: c.composite})
		p1, p2 := putPart(t, l, u, 1, one), putPart(t, l, u, 2, two)
		algorithm := c.algorithm
		if algorithm == "" {
			algorithm = "crc64nvme"
		}
		want := objectlayer.Checksum{Algorithm: algorithm, Value: sum(t, algorithm, append(bytes.Clone(one), two...))}
		if c.composite {
			sums := append(sum(t, algorithm, one), sum(t, algorithm, two)...)
			want.Value, want.Parts = sum(t, algorithm, sums), 2
		}
		v, err := complete(l, u, objectlayer.CompleteRequest{Checksum: &want}, p1, p2)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if got := v.Checksums; len(got) != 1 || got[0].Algorithm != algorithm || !bytes.Equal(got[0].Value, want.Value) || got[0].Parts != want.Parts {
			t.Fatalf("%+v: %+v, want %+v", c, got, want)
		}
	}
	for _, r := range []objectlayer.UploadRequest{
		{ChecksumAlgorithm: "sha1"},
		{ChecksumAlgorithm: "sha256"},
		{ChecksumAlgorithm: "crc64nvme", ChecksumComposite: true},
	} {
		r.Bucket, r.Key = name, key
		_, err := l.Uploads.Create(t.Context(), r)
		wantKind(t, err, objectlayer.KindInvalidRequest)
	}
	_, err := l.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: name, Key: key, ChecksumAlgorithm: "md4"})
	wantKind(t, err, objectlayer.KindInvalidArgument)
}

func TestPartChecksums(t *testing.T) {
	l := newLayer(t)
	sha := func(data []byte) objectlayer.Expect {
		return objectlayer.Expect{Algorithm: "sha256", Value: func() ([]byte, error) { s := sha256.Sum256(data); return s[:], nil }}
	}
	data := randomBytes(1, 1000)
	put := func(u objectlayer.Upload, e objectlayer.Expect) (objectlayer.Part, error) {
		return l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{
			Bucket: name, Key: key, UploadID: u.ID, Number: 1, Size: -1, Expect: e,
		}, bytes.NewReader(data))
	}
	crc := create(t, l, objectlayer.UploadRequest{ChecksumAlgorithm: "crc32"})
	_, err := put(crc, sha(data))
	wantKind(t, err, objectlayer.KindInvalidRequest)
	free := create(t, l, objectlayer.UploadRequest{})
	_, err = put(free, sha(data[1:]))
	wantKind(t, err, objectlayer.KindBadDigest)
	p, err := put(free, sha(data))
	if err != nil || p.Checksums[0].Algorithm != "sha256" {
		t.Fatalf("%+v %v", p, err)
	}
	v, err := complete(l, free, objectlayer.CompleteRequest{}, p)
	if err != nil || len(v.Checksums) != 1 || v.Checksums[0].Algorithm != "crc64nvme" {
		t.Fatalf("%+v %v", v.Checksums, err)
	}
	_, err = put(crc, objectlayer.Expect{MD5: make([]byte, 16)})
	wantKind(t, err, objectlayer.KindBadDigest)
	if page, err := l.Listings.Parts(t.Context(), objectlayer.ListRequest{Bucket: name, Key: key, UploadID: crc.ID, Limit: 10}); err != nil || len(page.Items) != 0 {
		t.Fatalf("%+v %v", page, err)
	}
}

func TestCopyPart(t *testing.T) {
	l := newLayer(t)
	data := randomBytes(1, 300_000)
	source := objectlayer.GetRequest{Bucket: name, Key: "source"}
	v, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: name, Key: "source", Size: -1}, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	u := create(t, l, objectlayer.UploadRequest{})
	do := func(n int, change func(*objectlayer.GetRequest)) (objectlayer.Part, error) {
		r := objectlayer.CopyPartRequest{Bucket: name, Key: key, UploadID: u.ID, Number: n, Source: source}
		if change != nil {
			change(&r.Source)
		}
		p, version, err := l.Uploads.CopyPart(t.Context(), r)
		if version != "" {
			t.Fatalf("version %q of a bucket without versions", version)
		}
		return p, err
	}
	p1, err := do(1, func(g *objectlayer.GetRequest) { g.Range = &objectlayer.Range{First: 0, Last: 199_999} })
	if err != nil || p1.Size != 200_000 {
		t.Fatalf("%+v %v", p1, err)
	}
	p2, err := do(2, nil)
	if err != nil || p2.Size != 300_000 || hex.EncodeToString(p2.ETag.MD5[:]) != v.ETag.String() {
		t.Fatalf("%+v %v", p2, err)
	}
	for _, c := range []struct {
		change func(*objectlayer.GetRequest)
		want   objectlayer.Kind
	}{
		{func(g *objectlayer.GetRequest) { g.Range = &objectlayer.Range{First: 0, Last: 300_000} }, objectlayer.KindInvalidRange},
		{func(g *objectlayer.GetRequest) { g.Range = &objectlayer.Range{First: 300_000, Last: 300_001} }, objectlayer.KindInvalidRange},
		{func(g *objectlayer.GetRequest) { g.Key = "absent" }, objectlayer.KindNoSuchKey},
		{func(g *objectlayer.GetRequest) { g.Conditions.IfNoneMatch = []string{"*"} }, objectlayer.KindPreconditionFailed},
	} {
		_, err := do(3, c.change)
		wantKind(t, err, c.want)
	}
	if _, err := complete(l, u, objectlayer.CompleteRequest{}, p1, p2); err != nil {
		t.Fatal(err)
	}
	if _, got := get(t, l, objectlayer.GetRequest{}); !bytes.Equal(got, append(bytes.Clone(data[:200_000]), data...)) {
		t.Fatal("the copy differs")
	}
}

func TestPartOutcomes(t *testing.T) {
	l := newLayer(t)
	u := create(t, l, objectlayer.UploadRequest{})
	data := randomBytes(1, 50_000)
	put := func() error {
		_, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{Bucket: name, Key: key, UploadID: u.ID, Number: 1, Size: -1}, bytes.NewReader(data))
		return err
	}
	l.Meta.Before(func(context.Context, *metapb.Command) error {
		return &metashards.Error{Op: "apply", Kind: metashards.KindUnavailable}
	})
	wantKind(t, put(), objectlayer.KindUnavailable)
	l.Meta.Before(nil)
	if n := l.Shards(t); n != 0 {
		t.Fatalf("%d shards of a part that was refused", n)
	}
	l.Meta.After(func(context.Context, *metapb.Command) error {
		return &metashards.Error{Op: "apply", Kind: metashards.KindIndeterminate}
	})
	wantKind(t, put(), objectlayer.KindInternal)
	l.Meta.After(nil)
	p, err := l.Listings.Parts(t.Context(), objectlayer.ListRequest{Bucket: name, Key: key, UploadID: u.ID, Limit: 10})
	if err != nil || len(p.Items) != 1 || p.Upload.ID != u.ID {
		t.Fatalf("%+v %v", p, err)
	}
	if _, err := complete(l, u, objectlayer.CompleteRequest{}, p.Items[0].Part); err != nil {
		t.Fatal(err)
	}
	if _, got := get(t, l, objectlayer.GetRequest{}); !bytes.Equal(got, data) {
		t.Fatal("the bytes of a commit with unknown outcome are gone")
	}
}
