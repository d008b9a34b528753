package objectlayer

import (
	"io"
	"time"
)

// Limits of the S3 model (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html), in bytes or counts.
const (
	PutBytesMax    = 5 << 30
	PartBytesMin   = 5 << 20
	PartsMax       = 10_000
	ObjectBytesMax = 50 << 40
	KeyBytesMax    = 1024
	PageMax        = 1000
)

// ETag is the entity tag of a version: MD5 of its bytes or, for Parts > 0, MD5 of its parts' MD5s.
type ETag struct {
	MD5   [16]byte
	Parts int
}

// Checksum is one of S3's checksums in binary. Parts > 0 makes it a composite one over so many parts.
type Checksum struct {
	Algorithm string // crc32, crc32c, crc64nvme, sha1, sha256
	Value     []byte
	Parts     int
}

// Attributes is what a client says of an object and gets back with it.
type Attributes struct {
	ContentType, CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, Expires string

	WebsiteRedirect string
	StorageClass    string
	User            map[string]string // x-amz-meta-*, names in lower case without the prefix
	Tags            map[string]string
}

// Bucket is a bucket as it was when it was read.
type Bucket struct {
	Name    string
	ID      uint64
	Created time.Time
	Owner   string
	Region  string
	Placement
}

// Placement says how the bytes that are written into a bucket are kept. What lies there already stays as it is.
type Placement struct {
	Policy string // "auto" or nothing: as the cluster; "ec:k+m"; "replica:n"
	// Short: with too few domains left for the parity, bytes are written with less of it instead of being refused.
	Short bool
	// Compress is how new bytes are compressed: "none" or nothing, "s2", "zstd".
	Compress string
}

// Versioning says whether a bucket keeps the versions of its keys.
type Versioning uint8

// The states of versioning. A bucket begins with VersioningNever and never comes back to it.
const (
	// VersioningNever: a key has one version, its null version, which a write replaces and a delete removes.
	VersioningNever Versioning = iota
	// VersioningEnabled: each write makes a version, each delete a marker.
	VersioningEnabled
	// VersioningSuspended: a write or delete replaces the null version only; other versions stay.
	VersioningSuspended
)

// Version is one version of an object, a delete marker among them.
type Version struct {
	Bucket, Key  string
	ID           string // the client's version id; "null" for the null version
	Versioned    bool   // the bucket is or was versioned: the id is shown to clients
	DeleteMarker bool
	Latest       bool
	Modified     time.Time
	Size         int64
	ETag         ETag
	Checksums    []Checksum
	Attributes   Attributes
	Owner        string
	Parts        []Part // of a completed upload, without their bytes' places
	// The part that was asked for by number, 0 if none; with its offset and size in the whole.
	PartNumber           int
	PartOffset, PartSize int64
}

// Part is one part of an upload or of a version completed from one.
type Part struct {
	Number    int
	Size      int64
	ETag      ETag
	Checksums []Checksum
	Modified  time.Time
}

// Upload is a multipart upload under way.
type Upload struct {
	Bucket, Key       string
	ID                string // opaque, safe in a URL
	Initiated         time.Time
	Owner             string
	Attributes        Attributes
	ChecksumAlgorithm string
	ChecksumComposite bool
}

// ReadConditions are the preconditions of GET and HEAD and of a copy's source (RFC 9110, section 13, as S3 reads it).
// An empty list or zero time is no condition; "*" stands for any.
type ReadConditions struct {
	IfMatch, IfNoneMatch               []string
	IfModifiedSince, IfUnmodifiedSince time.Time
	// The order of precedence of a copy source: If-None-Match false with If-Modified-Since true fails, it is not "not
	// modified".
	CopySource bool
}

// WriteConditions are the preconditions of a write. They are judged against the current version when it is committed.
type WriteConditions struct {
	IfMatch     string // ETag with or without quotes, or "*"
	IfNoneMatch bool   // If-None-Match: *
	// Of DeleteObject only.
	IfMatchModified time.Time
	IfMatchSize     *int64
}

// Expect says which digests the bytes of a request must have. They are verified before anything is committed; a
// mismatch is KindBadDigest.
type Expect struct {
	MD5 []byte // Content-MD5, nil if none
	// Algorithm of the checksum to compute and keep; empty: crc64nvme.
	Algorithm string
	// Value of that checksum as the client claims it, nil if it claims none. It is called once, after the body's end,
	// so that it may come from a trailer; an error fails the request.
	Value func() ([]byte, error)
}

// PutRequest makes a version from a body.
type PutRequest struct {
	Bucket, Key string
	Attributes  Attributes
	Conditions  WriteConditions
	Expect      Expect
	Size        int64 // of the body, in bytes; -1 if it is not known before its end
	Owner       string
}

// GetRequest reads a version.
type GetRequest struct {
	Bucket, Key string
	VersionID   string // empty: the current one
	Conditions  ReadConditions
	Range       *Range // nil: all
	Part        int    // partNumber; 0: none
}

// Range is a range as a client asked for it: First..Last inclusive, Last < 0: to the end; First < 0: the last -First
// bytes.
type Range struct{ First, Last int64 }

// Reading is an open version: its bytes from Offset, Length of them. The caller closes Body. Body is nil for HEAD.
type Reading struct {
	Version        Version
	Offset, Length int64
	Body           io.ReadCloser
}

// CopyRequest makes a version from another.
type CopyRequest struct {
	Source            GetRequest // with the conditions of the copy source; Range must be nil
	Bucket, Key       string
	ReplaceAttributes bool
	ReplaceTags       bool
	Attributes        Attributes
	Conditions        WriteConditions
	ChecksumAlgorithm string // to compute; empty: keep the source's
	Owner             string
}

// Copied is the result of a copy.
type Copied struct {
	Version         Version
	SourceVersionID string
	SourceVersioned bool
}

// DeleteRequest removes one key or one version.
type DeleteRequest struct {
	Bucket, Key string
	VersionID   string
	Conditions  WriteConditions
	Owner       string
}

// Deletion tells what a delete did.
type Deletion struct {
	Key           string
	VersionID     string // of the marker made or the version removed; empty on a bucket that was never versioned
	DeleteMarker  bool   // a marker was made, or what was removed was one
	MarkerVersion string // of DeleteObjects: the id of the marker made
	Err           error  // of DeleteMany: why this one failed
}

// UploadRequest begins an upload.
type UploadRequest struct {
	Bucket, Key       string
	Attributes        Attributes
	ChecksumAlgorithm string
	ChecksumComposite bool
	Owner             string
}

// PartRequest brings one part.
type PartRequest struct {
	Bucket, Key, UploadID string
	Number                int
	Size                  int64 // -1 if not known
	Expect                Expect
}

// CopyPartRequest brings one part from an object.
type CopyPartRequest struct {
	Bucket, Key, UploadID string
	Number                int
	Source                GetRequest
}

// CompletedPart names a part in a CompleteRequest.
type CompletedPart struct {
	Number    int
	ETag      string
	Checksums []Checksum
}

// CompleteRequest makes a version from parts.
type CompleteRequest struct {
	Bucket, Key, UploadID string
	Parts                 []CompletedPart
	Conditions            WriteConditions
	Checksum              *Checksum // of the whole, as the client claims it
	Size                  *int64    // x-amz-mp-object-size
}

// AbortRequest gives an upload up.
type AbortRequest struct{ Bucket, Key, UploadID string }

// ListRequest asks for a page. Which fields apply depends on the listing.
type ListRequest struct {
	Bucket            string
	Prefix, Delimiter string
	After             string // keys (V1 marker, V2 start-after): return only what sorts above
	Token             string // from Page.Next, wins over After
	VersionIDMarker   string // with After as the key marker
	UploadIDMarker    string // with After as the key marker
	Key, UploadID     string // of ListParts
	PartMarker        int
	Limit             int // at most PageMax; 0 gives an empty page
}

// Item is one line of a page: a key, version or upload, or a common prefix.
type Item struct {
	Prefix  string // a common prefix; all else is empty then
	Version Version
	Upload  Upload
	Part    Part
}

// Page is one page of a listing.
type Page struct {
	Items     []Item
	Truncated bool
	Next      string // token for ListRequest.Token
	// Where the page ended, for listings that resume by key: the last key or prefix, its version or upload, the part.
	NextKey, NextVersionID, NextUploadID string
	NextPart                             int
	Upload                               Upload // of ListParts
}
