package object_test

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/object"
	"github.com/contender/contender/objectlayer/objecttest"
)

const bucketName = "bucket"

// sizes cover the empty object, both sides of the inline bound, several stripes and several extents.
var sizes = []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 100_000, 1 << 20, 3<<20 + 17}

func newLayer(t testing.TB) *objecttest.Layer {
	t.Helper()
	l := objecttest.New(t, objecttest.Options{ExtentBytes: 1 << 20, PartBytesMin: 1000})
	if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: bucketName, Owner: "me"}); err != nil {
		t.Fatal(err)
	}
	return l
}

func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) //nolint:errcheck // never fails
	return b
}

func put(t testing.TB, l *objecttest.Layer, key string, data []byte) objectlayer.Version {
	t.Helper()
	v, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: bucketName, Key: key, Size: int64(len(data))}, bytes.NewReader(data))
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return v
}

func get(t testing.TB, l *objecttest.Layer, r objectlayer.GetRequest) (objectlayer.Reading, []byte) {
	t.Helper()
	r.Bucket = bucketName
	rd, err := l.Objects.Get(t.Context(), r)
	if err != nil {
		t.Fatalf("get %q: %v", r.Key, err)
	}
	data, err := io.ReadAll(rd.Body)
	if err != nil {
		t.Fatalf("read %q: %v", r.Key, err)
	}
	if err := rd.Body.Close(); err != nil {
		t.Fatalf("close %q: %v", r.Key, err)
	}
	return rd, data
}

func wantKind(t testing.TB, err error, want objectlayer.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", want)
	}
	if got := objectlayer.KindOf(err); got != want {
		t.Fatalf("%v: kind %v, want %v", err, got, want)
	}
}

func TestPutGet(t *testing.T) {
	l := newLayer(t)
	for _, n := range sizes {
		data := randomBytes(uint64(n), n)
		attributes := objectlayer.Attributes{
			ContentType: "text/plain", CacheControl: "no-cache",
			User: map[string]string{"b": "2", "a": "1"}, Tags: map[string]string{"x": "y"},
		}
		v, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{
			Bucket: bucketName, Key: "a/b//../ü", Size: -1, Attributes: attributes, Owner: "me",
		}, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		rd, got := get(t, l, objectlayer.GetRequest{Key: "a/b//../ü"})
		if !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came back otherwise", n)
		}
		r := rd.Version
		switch {
		case r.ETag.MD5 != md5.Sum(data) || r.ETag.Parts != 0 || v.ETag != r.ETag: //nolint:gosec // as above
			t.Fatalf("ETag %v, %v", v.ETag, r.ETag)
		case r.ID != "null" || r.Versioned || !r.Latest || r.DeleteMarker || r.Size != int64(n) || r.Owner != "me":
			t.Fatalf("version %+v", r)
		case !r.Modified.Equal(v.Modified) || r.Modified.IsZero():
			t.Fatalf("modified %v, %v", r.Modified, v.Modified)
		case r.Attributes.User["b"] != "2" || r.Attributes.Tags["x"] != "y" || r.Attributes.CacheControl != "no-cache":
			t.Fatalf("attributes %+v", r.Attributes)
		case len(r.Checksums) != 1 || r.Checksums[0].Algorithm != "crc64nvme":
			t.Fatalf("checksums %+v", r.Checksums)
		}
	}
}

func TestPutRefusesBadBodies(t *testing.T) {
	l := newLayer(t)
	broken := io.MultiReader(bytes.NewReader(randomBytes(1, 50_000)), &failing{io.ErrClosedPipe})
	ownError := &objectlayer.Error{Op: "read chunk", Kind: objectlayer.KindInvalidRequest}
	mismatch := func() ([]byte, error) { return []byte("wrong"), nil }
	for _, c := range []struct {
		name string
		r    objectlayer.PutRequest
		body io.Reader
		want objectlayer.Kind
	}{
		{"short inline", objectlayer.PutRequest{Size: 10}, strings.NewReader("123"), objectlayer.KindIncompleteBody},
		{"short large", objectlayer.PutRequest{Size: 100_000}, bytes.NewReader(randomBytes(1, 99_999)), objectlayer.KindIncompleteBody},
		{"long", objectlayer.PutRequest{Size: 3}, strings.NewReader("1234"), objectlayer.KindIncompleteBody},
		{"broken", objectlayer.PutRequest{Size: -1}, broken, objectlayer.KindIncompleteBody},
		{"own error", objectlayer.PutRequest{Size: -1}, &failing{ownError}, objectlayer.KindInvalidRequest},
		{"announced too large", objectlayer.PutRequest{Size: 5<<30 + 1}, strings.NewReader(""), objectlayer.KindEntityTooLarge},
		{"MD5 inline", objectlayer.PutRequest{Size: 3, Expect: objectlayer.Expect{MD5: make([]byte, 16)}}, strings.NewReader("123"), objectlayer.KindBadDigest},
		{"MD5 large", objectlayer.PutRequest{Size: -1, Expect: objectlayer.Expect{MD5: make([]byte, 16)}}, bytes.NewReader(randomBytes(1, 99_999)), objectlayer.KindBadDigest},
		{"checksum inline", objectlayer.PutRequest{Size: 3, Expect: objectlayer.Expect{Algorithm: "crc32", Value: mismatch}}, strings.NewReader("123"), objectlayer.KindBadDigest},
		{"checksum large", objectlayer.PutRequest{Size: -1, Expect: objectlayer.Expect{Algorithm: "sha256", Value: mismatch}}, bytes.NewReader(randomBytes(1, 2<<20)), objectlayer.KindBadDigest},
		{"trailer missing", objectlayer.PutRequest{Size: -1, Expect: objectlayer.Expect{Algorithm: "sha1", Value: func() ([]byte, error) { return nil, io.ErrUnexpectedEOF }}}, bytes.NewReader(randomBytes(1, 2<<20)), objectlayer.KindIncompleteBody},
		{"unknown checksum", objectlayer.PutRequest{Size: 3, Expect: objectlayer.Expect{Algorithm: "md4"}}, strings.NewReader("123"), objectlayer.KindInvalidArgument},
		{"no such bucket", objectlayer.PutRequest{Bucket: "other", Size: 3}, strings.NewReader("123"), objectlayer.KindNoSuchBucket},
		{"empty key", objectlayer.PutRequest{Key: "-", Size: 3}, strings.NewReader("123"), objectlayer.KindInvalidArgument},
		{"long key", objectlayer.PutRequest{Key: strings.Repeat("k", 1025), Size: 3}, strings.NewReader("123"), objectlayer.KindInvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.r.Bucket == "" {
				c.r.Bucket = bucketName
			}
			switch c.r.Key {
			case "":
				c.r.Key = "k"
			case "-":
				c.r.Key = ""
			}
			_, err := l.Objects.Put(t.Context(), c.r, c.body)
			wantKind(t, err, c.want)
			_, err = l.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: bucketName, Key: "k"})
			wantKind(t, err, objectlayer.KindNoSuchKey)
			if n := l.Shards(t); n != 0 {
				t.Fatalf("%d shards stay behind", n)
			}
		})
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestExpectations(t *testing.T) {
	l := newLayer(t)
	data := []byte("123456789")
	md5Sum := md5.Sum(data) //nolint:gosec // as above
	crc := []byte{0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88}
	calls := 0
	v, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{
		Bucket: bucketName, Key: "k", Size: 9,
		Expect: objectlayer.Expect{MD5: md5Sum[:], Algorithm: "crc64nvme", Value: func() ([]byte, error) { calls++; return crc, nil }},
	}, bytes.NewReader(data))
	if err != nil || calls != 1 || !bytes.Equal(v.Checksums[0].Value, crc) {
		t.Fatalf("%v after %d calls: %+v", err, calls, v.Checksums)
	}
}

func TestRanges(t *testing.T) {
	l := newLayer(t)
	for _, n := range []int{10, 100_000} {
		data := randomBytes(7, n)
		put(t, l, "k", data)
		size := int64(n)
		for _, c := range []struct {
			r    objectlayer.Range
			off  int64
			n    int64
			fail bool
		}{
			{objectlayer.Range{First: 0, Last: 0}, 0, 1, false},
			{objectlayer.Range{First: 3, Last: 7}, 3, 5, false},
			{objectlayer.Range{First: 3, Last: -1}, 3, size - 3, false},
			{objectlayer.Range{First: 3, Last: 1 << 40}, 3, size - 3, false},
			{objectlayer.Range{First: -4}, size - 4, 4, false},
			{objectlayer.Range{First: -1 << 40}, 0, size, false},
			{objectlayer.Range{First: size - 1, Last: size - 1}, size - 1, 1, false},
			{objectlayer.Range{First: size, Last: -1}, 0, 0, true},
		} {
			rd, err := l.Objects.Get(t.Context(), objectlayer.GetRequest{Bucket: bucketName, Key: "k", Range: &c.r})
			if c.fail {
				wantKind(t, err, objectlayer.KindInvalidRange)
				continue
			}
			if err != nil {
				t.Fatalf("%+v: %v", c.r, err)
			}
			got, err := io.ReadAll(rd.Body)
			rd.Body.Close()
			if err != nil || rd.Offset != c.off || rd.Length != c.n || !bytes.Equal(got, data[c.off:c.off+c.n]) {
				t.Fatalf("%+v of %d: %d+%d, %v", c.r, n, rd.Offset, rd.Length, err)
			}
		}
	}
	put(t, l, "empty", nil)
	for _, r := range []objectlayer.Range{{First: 0, Last: -1}, {First: -1}} {
		_, err := l.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: bucketName, Key: "empty", Range: &r})
		wantKind(t, err, objectlayer.KindInvalidRange)
	}
	rd, _ := get(t, l, objectlayer.GetRequest{Key: "k", Part: 1})
	if rd.Version.PartNumber != 1 || rd.Version.PartSize != 100_000 {
		t.Fatalf("%+v", rd.Version)
	}
	_, err := l.Objects.Get(t.Context(), objectlayer.GetRequest{Bucket: bucketName, Key: "k", Part: 2})
	wantKind(t, err, objectlayer.KindInvalidPartNumber)
}

func TestDelete(t *testing.T) {
	l := newLayer(t)
	for _, n := range []int{10, 100_000} {
		put(t, l, "k", randomBytes(1, n))
		d, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: bucketName, Key: "k"})
		if err != nil || d.Key != "k" || d.VersionID != "" || d.DeleteMarker {
			t.Fatalf("%+v %v", d, err)
		}
		_, err = l.Objects.Get(t.Context(), objectlayer.GetRequest{Bucket: bucketName, Key: "k"})
		wantKind(t, err, objectlayer.KindNoSuchKey)
		if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: bucketName, Key: "k"}); err != nil {
			t.Fatalf("a missing key: %v", err)
		}
	}
	_, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: "other", Key: "k"})
	wantKind(t, err, objectlayer.KindNoSuchBucket)
	_, err = l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: bucketName, Key: "k", VersionID: "what"})
	wantKind(t, err, objectlayer.KindInvalidArgument)
	put(t, l, "k", nil)
	if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: bucketName, Key: "k", VersionID: "null"}); err != nil {
		t.Fatal(err)
	}
	_, err = l.Objects.Get(t.Context(), objectlayer.GetRequest{Bucket: bucketName, Key: "k"})
	wantKind(t, err, objectlayer.KindNoSuchKey)
}

func TestDeleteMany(t *testing.T) {
	l := newLayer(t)
	var rs []objectlayer.DeleteRequest
	for i := range 600 {
		key := "k" + strings.Repeat("x", i)
		if i%2 == 0 {
			put(t, l, key, nil)
		}
		rs = append(rs, objectlayer.DeleteRequest{Key: key})
	}
	rs[2].Conditions.IfMatch = "nonsense"
	rs[5].VersionID = "what"
	ds, err := l.Objects.DeleteMany(t.Context(), bucketName, rs)
	if err != nil || len(ds) != len(rs) {
		t.Fatalf("%d of %d, %v", len(ds), len(rs), err)
	}
	for i, d := range ds {
		switch i {
		case 2:
			wantKind(t, d.Err, objectlayer.KindPreconditionFailed)
		case 5:
			wantKind(t, d.Err, objectlayer.KindInvalidArgument)
		default:
			if d.Err != nil {
				t.Fatalf("%q: %v", d.Key, d.Err)
			}
		}
		if d.Key != rs[i].Key {
			t.Fatalf("%d: %q for %q", i, d.Key, rs[i].Key)
		}
	}
	p, err := l.Listings.Keys(t.Context(), objectlayer.ListRequest{Bucket: bucketName, Limit: 10})
	if err != nil || len(p.Items) != 1 || p.Items[0].Version.Key != "kxx" {
		t.Fatalf("%+v %v", p, err)
	}
	_, err = l.Objects.DeleteMany(t.Context(), "other", rs)
	wantKind(t, err, objectlayer.KindNoSuchBucket)
	_, err = l.Objects.DeleteMany(t.Context(), bucketName, make([]objectlayer.DeleteRequest, 1001))
	wantKind(t, err, objectlayer.KindInvalidRequest)
}

func TestHeadOfDamagedMetadataNeedsNoBytes(t *testing.T) {
	l := newLayer(t)
	put(t, l, "k", randomBytes(1, 100_000))
	for _, d := range l.Disks {
		d.Fence(io.ErrClosedPipe)
	}
	if _, err := l.Objects.Head(context.WithoutCancel(t.Context()), objectlayer.GetRequest{Bucket: bucketName, Key: "k"}); err != nil {
		t.Fatal(err)
	}
	_, err := l.Objects.Get(t.Context(), objectlayer.GetRequest{Bucket: bucketName, Key: "k"})
	wantKind(t, err, objectlayer.KindUnavailable)
	_, err = l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: bucketName, Key: "new", Size: -1}, bytes.NewReader(randomBytes(1, 100_000)))
	wantKind(t, err, objectlayer.KindUnavailable)
}

// TestMiddle: an object of known size that is neither small enough for its command nor large is kept as one copy more than the policy
// has parity shards; any other in data and parity shards.
func TestMiddle(t *testing.T) {
	l := newLayer(t)
	for _, c := range []struct {
		size, announced int
		copies          bool
	}{
		{16<<10 + 1, 16<<10 + 1, true},
		{100_000, 100_000, true},
		{object.MiddleBytesDefault, object.MiddleBytesDefault, true},
		{object.MiddleBytesDefault + 1, object.MiddleBytesDefault + 1, false},
		{100_000, -1, false},
	} {
		data := randomBytes(uint64(c.size), c.size)
		r := objectlayer.PutRequest{Bucket: bucketName, Key: "k", Size: int64(c.announced)}
		if _, err := l.Objects.Put(t.Context(), r, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		a, _, err := l.Resolver.Query(t.Context(), "get", bucketName, "k", &metapb.Query{Op: &metapb.Query_Get{Get: &metapb.GetVersion{}}})
		if err != nil {
			t.Fatal(err)
		}
		e := a.Version.GetBlob().Extents[0]
		want := "2+1"
		if c.copies {
			want = "1+1"
		}
		if got := fmt.Sprintf("%d+%d", e.Coding.K, e.Coding.M); got != want || e.Coding.Copies != c.copies || len(e.Slots) != int(e.Coding.K+e.Coding.M) {
			t.Errorf("%d bytes, %d announced: %s, copies %v, %d slots", c.size, c.announced, got, e.Coding.Copies, len(e.Slots))
		}
		if _, got := get(t, l, objectlayer.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came otherwise", c.size)
		}
	}
}
