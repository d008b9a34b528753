package objectlayer

import (
	"context"
	"io"
)

// Objects puts, gets and deletes versions.
type Objects interface {
	// Put stores a body as a new version. When it returns nil the bytes and the record that names them are durable on
	// their full set of disks. It reads body to its end unless it fails.
	Put(ctx context.Context, r PutRequest, body io.Reader) (Version, error)
	// Get opens a version for reading; the bytes are verified as they are read.
	Get(ctx context.Context, r GetRequest) (Reading, error)
	// Head is Get without the bytes.
	Head(ctx context.Context, r GetRequest) (Reading, error)
	// Copy makes a version from another.
	Copy(ctx context.Context, r CopyRequest) (Copied, error)
	// Delete removes a key or a version. A missing key is no error.
	Delete(ctx context.Context, r DeleteRequest) (Deletion, error)
	// DeleteMany removes up to PageMax keys or versions of one bucket; each succeeds or fails by itself.
	DeleteMany(ctx context.Context, bucket string, rs []DeleteRequest) ([]Deletion, error)
}

// Uploads carries out multipart uploads.
type Uploads interface {
	Create(ctx context.Context, r UploadRequest) (Upload, error)
	PutPart(ctx context.Context, r PartRequest, body io.Reader) (Part, error)
	// CopyPart returns the part and the version id of the source, empty if it is not versioned.
	CopyPart(ctx context.Context, r CopyPartRequest) (Part, string, error)
	Complete(ctx context.Context, r CompleteRequest) (Version, error)
	Abort(ctx context.Context, r AbortRequest) error
}

// Listings lists. Every write acknowledged before a call began is in its page.
type Listings interface {
	Keys(ctx context.Context, r ListRequest) (Page, error)
	Versions(ctx context.Context, r ListRequest) (Page, error)
	Uploads(ctx context.Context, r ListRequest) (Page, error)
	Parts(ctx context.Context, r ListRequest) (Page, error)
}

// Buckets keeps buckets.
type Buckets interface {
	// Create makes a bucket; KindBucketExists, with the bucket as it is, if the name is taken.
	Create(ctx context.Context, b Bucket) (Bucket, error)
	// Delete removes an empty bucket for good. Uploads under way in it are given up. KindUnavailable if a part of the
	// bucket did not answer: then it stays as it was.
	Delete(ctx context.Context, name string) error
	// SetVersioning enables or suspends versioning. When it returns nil no node acts on the old state any more. It waits
	// for parts of the bucket that do not answer until ctx ends; KindInternal then means that the change may be in force
	// in some parts of the bucket, and will be in all.
	SetVersioning(ctx context.Context, name string, v Versioning) error
	// Versioning reads the state that every write since obeys. It waits for a change under way.
	Versioning(ctx context.Context, name string) (Versioning, error)
	// SetPlacement changes how bytes are kept that are written from then on. KindInvalidArgument, with the reason, for a policy
	// that cannot be kept. When it returns nil every node hears of it by its next write at the latest, whose bytes may still be
	// kept as before.
	SetPlacement(ctx context.Context, name string, p Placement) error
	// Get reads a bucket, linearizably.
	Get(ctx context.Context, name string) (Bucket, error)
	// List returns up to limit buckets in order of their names, and whether there are more.
	List(ctx context.Context, prefix, after string, limit int) ([]Bucket, bool, error)
}

// Damage is what a reader found wrong with a shard.
type Damage struct {
	Disk  string // disk.ID in text
	Shard string // disk.ShardID in text
	Err   error
}

// DamageSink takes reports of damage; heal implements it. Report does not block.
type DamageSink interface{ Report(Damage) }
