package object_test

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3's ETag
	"testing"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/objectlayer"
)

func indeterminate() error {
	return &metashards.Error{Op: "apply", Kind: metashards.KindIndeterminate}
}

func unavailable() error {
	return &metashards.Error{Op: "apply", Kind: metashards.KindUnavailable}
}

func TestCopy(t *testing.T) {
	l := newLayer(t)
	for _, n := range sizes {
		data := randomBytes(uint64(n), n)
		source, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{
			Bucket: bucketName, Key: "source", Size: -1, Owner: "me", Expect: objectlayer.Expect{Algorithm: "crc32c"},
			Attributes: objectlayer.Attributes{
				ContentType: "a/b", User: map[string]string{"k": "v"}, Tags: map[string]string{"t": "1"}, StorageClass: "STANDARD_IA",
			},
		}, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Objects.Copy(t.Context(), objectlayer.CopyRequest{
			Source: objectlayer.GetRequest{Bucket: bucketName, Key: "source"}, Bucket: bucketName, Key: "copy", Owner: "you",
		})
		if err != nil {
			t.Fatal(err)
		}
		rd, got := get(t, l, objectlayer.GetRequest{Key: "copy"})
		v := rd.Version
		switch {
		case !bytes.Equal(got, data), v.ETag.MD5 != md5.Sum(data): //nolint:gosec // as above
			t.Fatal("the copy differs")
		case v.Attributes.ContentType != "a/b" || v.Attributes.User["k"] != "v" || v.Attributes.Tags["t"] != "1":
			t.Fatalf("attributes %+v", v.Attributes)
		case v.Attributes.StorageClass != "" || v.Owner != "you":
			t.Fatalf("%+v", v)
		case v.Checksums[0].Algorithm != "crc32c" || !bytes.Equal(v.Checksums[0].Value, source.Checksums[0].Value):
			t.Fatalf("checksums %+v", v.Checksums)
		case c.SourceVersioned || c.Version.ETag != v.ETag:
			t.Fatalf("%+v", c)
		}
	}
	if _, err := l.Objects.Copy(t.Context(), objectlayer.CopyRequest{
		Source: objectlayer.GetRequest{Bucket: bucketName, Key: "source"}, Bucket: bucketName, Key: "source",
		ReplaceAttributes: true, ReplaceTags: true, ChecksumAlgorithm: "sha256",
		Attributes: objectlayer.Attributes{ContentType: "c/d", Tags: map[string]string{"u": "2"}},
	}); err != nil {
		t.Fatal(err)
	}
	rd, _ := get(t, l, objectlayer.GetRequest{Key: "source"})
	a := rd.Version.Attributes
	if a.ContentType != "c/d" || len(a.User) != 0 || a.Tags["u"] != "2" || len(a.Tags) != 1 || rd.Version.Checksums[0].Algorithm != "sha256" {
		t.Fatalf("%+v", rd.Version)
	}
}

func TestCopyRefusals(t *testing.T) {
	l := newLayer(t)
	v := put(t, l, "there", []byte("1"))
	from := func(key string) objectlayer.GetRequest { return objectlayer.GetRequest{Bucket: bucketName, Key: key} }
	conditional := func(c objectlayer.ReadConditions) objectlayer.GetRequest {
		r := from("there")
		r.Conditions = c
		return r
	}
	for _, c := range []struct {
		name string
		r    objectlayer.CopyRequest
		want objectlayer.Kind
	}{
		{"onto itself", objectlayer.CopyRequest{Source: from("there"), Key: "there"}, objectlayer.KindInvalidRequest},
		{"no source", objectlayer.CopyRequest{Source: from("absent"), Key: "new"}, objectlayer.KindNoSuchKey},
		{"no source bucket", objectlayer.CopyRequest{Source: objectlayer.GetRequest{Bucket: "other", Key: "k"}, Key: "new"}, objectlayer.KindNoSuchBucket},
		{"no bucket", objectlayer.CopyRequest{Source: from("there"), Bucket: "other", Key: "new"}, objectlayer.KindNoSuchBucket},
		{"source changed", objectlayer.CopyRequest{Source: conditional(objectlayer.ReadConditions{IfMatch: []string{"x"}}), Key: "new"}, objectlayer.KindPreconditionFailed},
		{"source the same", objectlayer.CopyRequest{Source: conditional(objectlayer.ReadConditions{IfNoneMatch: []string{v.ETag.String()}}), Key: "new"}, objectlayer.KindPreconditionFailed},
		{"destination there", objectlayer.CopyRequest{Source: from("there"), Key: "there", ReplaceAttributes: true, Conditions: objectlayer.WriteConditions{IfNoneMatch: true}}, objectlayer.KindPreconditionFailed},
		{"destination absent", objectlayer.CopyRequest{Source: from("there"), Key: "new", Conditions: objectlayer.WriteConditions{IfMatch: "*"}}, objectlayer.KindNoSuchKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.r.Bucket == "" {
				c.r.Bucket = bucketName
			}
			_, err := l.Objects.Copy(t.Context(), c.r)
			wantKind(t, err, c.want)
		})
	}
}
