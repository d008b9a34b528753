// Package record translates between the records of the metadata space and the types of the object layer: versions,
// uploads, parts, attributes, conditions, errors. It is pure.
package record

import (
	"maps"
	"slices"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
)

// Format is the version of the records that this program writes.
const Format = 1

// Time returns the time of a record, in microseconds, as a time; zero for 0.
func Time(micros uint64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(micros)).UTC()
}

// Micros is the opposite of Time.
func Micros(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro())
}

// ETag returns an entity tag from its record.
func ETag(md5 []byte, parts uint32) (e objectlayer.ETag) {
	copy(e.MD5[:], md5)
	e.Parts = int(parts)
	return e
}

// Version returns a version from its row. versioned says whether the bucket is or was versioned.
func Version(bucket, key string, v *metapb.Version, latest, versioned bool) objectlayer.Version {
	return objectlayer.Version{
		Bucket: bucket, Key: key,
		ID:           metapb.VersionID(v),
		Versioned:    versioned || !v.NullVersion,
		DeleteMarker: v.DeleteMarker,
		Latest:       latest,
		Modified:     Time(v.Time),
		Size:         int64(v.Size),
		ETag:         ETag(v.Etag, v.EtagParts),
		Checksums:    Checksums(v.Checksums),
		Attributes:   Attributes(v.Attributes),
		Owner:        v.Owner,
		Parts:        Parts(v.Parts),
	}
}

// Current returns what a row of the current column tells of a version.
func Current(bucket, key string, c *metapb.Current, versioned bool) objectlayer.Version {
	v := objectlayer.Version{
		Bucket: bucket, Key: key,
		ID:         metapb.NullVersionID,
		Versioned:  versioned || !c.NullVersion,
		Latest:     true,
		Modified:   Time(c.Time),
		Size:       int64(c.Size),
		ETag:       ETag(c.Etag, c.EtagParts),
		Attributes: objectlayer.Attributes{StorageClass: c.StorageClass},
		Owner:      c.Owner,
	}
	if !c.NullVersion {
		v.ID = metapb.EncodeVersionID(c.Time, c.Nonce)
	}
	if c.ChecksumAlgorithm != "" {
		sum := objectlayer.Checksum{Algorithm: c.ChecksumAlgorithm}
		if c.ChecksumComposite {
			sum.Parts = int(c.EtagParts)
		}
		v.Checksums = []objectlayer.Checksum{sum}
	}
	return v
}

// Parts returns parts from their records.
func Parts(ps []*metapb.Part) []objectlayer.Part {
	if len(ps) == 0 {
		return nil
	}
	out := make([]objectlayer.Part, len(ps))
	for i, p := range ps {
		out[i] = Part(p)
	}
	return out
}

// Part returns a part from its record.
func Part(p *metapb.Part) objectlayer.Part {
	return objectlayer.Part{
		Number: int(p.Number), Size: int64(p.Size), ETag: ETag(p.Etag, 0),
		Checksums: Checksums(p.Checksums), Modified: Time(p.Time),
	}
}

// Upload returns an upload from its row.
func Upload(bucket, key string, u *metapb.Upload) objectlayer.Upload {
	return objectlayer.Upload{
		Bucket: bucket, Key: key,
		ID:                EncodeUploadID(u.Id),
		Initiated:         Time(u.Time),
		Owner:             u.Owner,
		Attributes:        Attributes(u.Attributes),
		ChecksumAlgorithm: u.ChecksumAlgorithm,
		ChecksumComposite: u.ChecksumComposite,
	}
}

// Checksums returns checksums from their records.
func Checksums(cs []*metapb.Checksum) []objectlayer.Checksum {
	if len(cs) == 0 {
		return nil
	}
	out := make([]objectlayer.Checksum, len(cs))
	for i, c := range cs {
		out[i] = objectlayer.Checksum{Algorithm: c.Algorithm, Value: c.Value, Parts: int(c.Parts)}
	}
	return out
}

// PutChecksum returns a checksum's record.
func PutChecksum(c objectlayer.Checksum) *metapb.Checksum {
	return &metapb.Checksum{Algorithm: c.Algorithm, Value: c.Value, Parts: uint32(c.Parts)}
}

// PutChecksums returns the records of checksums.
func PutChecksums(cs []objectlayer.Checksum) []*metapb.Checksum {
	out := make([]*metapb.Checksum, len(cs))
	for i, c := range cs {
		out[i] = PutChecksum(c)
	}
	return out
}

// Attributes returns attributes from their record.
func Attributes(a *metapb.Attributes) objectlayer.Attributes {
	if a == nil {
		return objectlayer.Attributes{}
	}
	return objectlayer.Attributes{
		ContentType: a.ContentType, CacheControl: a.CacheControl, ContentDisposition: a.ContentDisposition,
		ContentEncoding: a.ContentEncoding, ContentLanguage: a.ContentLanguage, Expires: a.Expires,
		WebsiteRedirect: a.WebsiteRedirect, StorageClass: a.StorageClass,
		User: pairs(a.User), Tags: pairs(a.Tags),
	}
}

// PutAttributes returns the record of attributes; nil if there are none.
func PutAttributes(a objectlayer.Attributes) *metapb.Attributes {
	p := &metapb.Attributes{
		ContentType: a.ContentType, CacheControl: a.CacheControl, ContentDisposition: a.ContentDisposition,
		ContentEncoding: a.ContentEncoding, ContentLanguage: a.ContentLanguage, Expires: a.Expires,
		WebsiteRedirect: a.WebsiteRedirect, StorageClass: a.StorageClass,
		User: putPairs(a.User), Tags: putPairs(a.Tags),
	}
	if p.SizeVT() == 0 {
		return nil
	}
	return p
}

func pairs(kvs []*metapb.KeyValue) map[string]string {
	if len(kvs) == 0 {
		return nil
	}
	m := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		m[kv.Key] = kv.Value
	}
	return m
}

func putPairs(m map[string]string) []*metapb.KeyValue {
	if len(m) == 0 {
		return nil
	}
	kvs := make([]*metapb.KeyValue, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		kvs = append(kvs, &metapb.KeyValue{Key: k, Value: m[k]})
	}
	return kvs
}

// PutCondition returns the record of a write's conditions; nil if there are none.
func PutCondition(c objectlayer.WriteConditions) *metapb.Condition {
	p := &metapb.Condition{IfMatch: c.IfMatch, IfAbsent: c.IfNoneMatch, IfMatchTime: Micros(c.IfMatchModified)}
	if c.IfMatchSize != nil {
		p.HasIfMatchSize, p.IfMatchSize = true, uint64(max(*c.IfMatchSize, 0))
	}
	if p.SizeVT() == 0 {
		return nil
	}
	return p
}

// Bucket returns a bucket from its record.
func Bucket(b *metapb.Bucket) objectlayer.Bucket {
	return objectlayer.Bucket{
		Name: b.Name, ID: b.Id, Created: Time(b.Created), Owner: b.Owner, Region: b.Region,
		Placement: objectlayer.Placement{Policy: b.Policy, Short: b.Short, Compress: b.Compress},
	}
}

// Versioning returns a state of versioning from its record. The numbers are the same.
func Versioning(v uint32) objectlayer.Versioning { return objectlayer.Versioning(v) }

// PutVersioning returns the record of a state of versioning.
func PutVersioning(v objectlayer.Versioning) uint32 { return uint32(v) }

// BlobID returns the id of a blob from its record; zero if the record has none.
func BlobID(b *metapb.Blob) (id disk.BlobID) {
	copy(id[:], b.GetId())
	return id
}
