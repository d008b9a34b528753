package object

import (
	"context"
	"fmt"

	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/hashing"
	"github.com/contender/contender/objectlayer/record"
)

// Copy makes a version from another by reading it and writing it anew.
func (s *Store) Copy(ctx context.Context, r objectlayer.CopyRequest) (objectlayer.Copied, error) {
	if changesNothing(r) {
		return objectlayer.Copied{}, record.Fail("copy", objectlayer.KindInvalidRequest, r.Bucket, r.Key,
			"This copy request is illegal because it is trying to copy an object to itself without changing the object's "+
				"metadata, storage class, website redirect location or encryption attributes.")
	}
	if err := judgeKey("copy", r.Bucket, r.Key); err != nil {
		return objectlayer.Copied{}, err
	}
	source := r.Source
	source.Conditions.CopySource = true
	source.Range, source.Part = nil, 0
	rd, err := s.Get(ctx, source)
	if err != nil {
		return objectlayer.Copied{}, err
	}
	defer rd.Body.Close() //nolint:errcheck // nothing was written to it
	if rd.Version.Size > objectlayer.PutBytesMax {
		return objectlayer.Copied{}, record.Fail("copy", objectlayer.KindInvalidRequest, r.Bucket, r.Key,
			fmt.Sprintf("The specified copy source is larger than the maximum allowable size for a copy source: %d",
				objectlayer.PutBytesMax))
	}
	v, err := s.Put(ctx, objectlayer.PutRequest{
		Bucket: r.Bucket, Key: r.Key, Attributes: copiedAttributes(r, rd.Version.Attributes), Conditions: r.Conditions,
		Expect: objectlayer.Expect{Algorithm: copiedAlgorithm(r, rd.Version.Checksums)},
		Size:   rd.Version.Size, Owner: r.Owner,
	}, hashing.Source(rd.Body, source.Bucket, source.Key))
	if err != nil {
		return objectlayer.Copied{}, err
	}
	return objectlayer.Copied{Version: v, SourceVersionID: rd.Version.ID, SourceVersioned: rd.Version.Versioned}, nil
}

// changesNothing reports whether a copy puts an object onto itself as it is.
func changesNothing(r objectlayer.CopyRequest) bool {
	return r.Source.Bucket == r.Bucket && r.Source.Key == r.Key && r.Source.VersionID == "" &&
		!r.ReplaceAttributes && !r.ReplaceTags && r.ChecksumAlgorithm == "" &&
		r.Attributes.StorageClass == "" && r.Attributes.WebsiteRedirect == ""
}

// copiedAttributes returns the attributes of a copy. Storage class and redirection are the request's in any case, as
// S3 has it.
func copiedAttributes(r objectlayer.CopyRequest, source objectlayer.Attributes) objectlayer.Attributes {
	a := source
	if r.ReplaceAttributes {
		a = r.Attributes
	}
	a.StorageClass, a.WebsiteRedirect, a.Tags = r.Attributes.StorageClass, r.Attributes.WebsiteRedirect, source.Tags
	if r.ReplaceTags {
		a.Tags = r.Attributes.Tags
	}
	return a
}

// copiedAlgorithm returns the checksum algorithm of a copy: the one asked for, else the source's.
func copiedAlgorithm(r objectlayer.CopyRequest, source []objectlayer.Checksum) string {
	if r.ChecksumAlgorithm == "" && len(source) > 0 {
		return source[0].Algorithm
	}
	return r.ChecksumAlgorithm
}
