package multipart

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/compress"
	"github.com/contender/contender/objectlayer/hashing"
	"github.com/contender/contender/objectlayer/placement"
	"github.com/contender/contender/objectlayer/record"
)

// dropTimeout bounds how long a request that failed cares for the bytes that it has written. What it does not manage
// to delete is an orphan, which healing collects.
const dropTimeout = 5 * time.Second

// Options are what a Store is made from. All but Policy and Log must be set.
type Options struct {
	Buckets *bucket.Resolver
	Bytes   *compress.Store
	Objects objectlayer.Objects     // where copies of parts are read from
	Policy  func() placement.Policy // how new bytes are kept; nil: the automatic policy
	// PartBytesMin is the least size of a part that is not the last; 0: objectlayer.PartBytesMin.
	PartBytesMin int64
	Log          *slog.Logger // nil: nothing is logged
}

// Store implements objectlayer.Uploads. It owns no goroutine between calls.
type Store struct{ o Options }

var _ objectlayer.Uploads = (*Store)(nil)

// New returns a Store.
func New(o Options) *Store {
	if o.Policy == nil {
		o.Policy = func() placement.Policy { return placement.Policy{} }
	}
	if o.PartBytesMin == 0 {
		o.PartBytesMin = objectlayer.PartBytesMin
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{o}
}

// Create begins an upload.
func (s *Store) Create(ctx context.Context, r objectlayer.UploadRequest) (objectlayer.Upload, error) {
	const op = "create upload"
	if r.ChecksumAlgorithm != "" {
		if _, err := hashing.New(r.ChecksumAlgorithm); err != nil {
			return objectlayer.Upload{}, err
		}
	}
	composite, full := hashing.Composite(r.ChecksumAlgorithm)
	if r.ChecksumComposite && !composite || !r.ChecksumComposite && !full {
		kind := "FULL_OBJECT"
		if r.ChecksumComposite {
			kind = "COMPOSITE"
		}
		return objectlayer.Upload{}, record.Fail(op, objectlayer.KindInvalidRequest, r.Bucket, r.Key,
			fmt.Sprintf("The %s checksum type cannot be used with the %s checksum algorithm.", kind, r.ChecksumAlgorithm))
	}
	id, err := s.o.Buckets.NewBlobID()
	if err != nil {
		return objectlayer.Upload{}, err
	}
	u := &metapb.Upload{
		Format: record.Format, Id: id[:], Attributes: record.PutAttributes(r.Attributes), Owner: r.Owner,
		ChecksumAlgorithm: r.ChecksumAlgorithm, ChecksumComposite: r.ChecksumComposite,
	}
	c := &metapb.Command{
		Begun: id.StartMillis(), Op: &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{Upload: u}},
	}
	if _, _, err := s.apply(ctx, op, r.Bucket, r.Key, c); err != nil {
		return objectlayer.Upload{}, err
	}
	u.Time = c.Time
	return record.Upload(r.Bucket, r.Key, u), nil
}

// Complete makes a version of an upload's parts. Repeated with the same parts it succeeds again.
func (s *Store) Complete(ctx context.Context, r objectlayer.CompleteRequest) (objectlayer.Version, error) {
	const op = "complete upload"
	id, err := uploadID(op, r.Bucket, r.Key, r.UploadID)
	if err != nil {
		return objectlayer.Version{}, err
	}
	if len(r.Parts) == 0 || len(r.Parts) > objectlayer.PartsMax {
		return objectlayer.Version{}, record.Fail(op, objectlayer.KindInvalidRequest, r.Bucket, r.Key,
			"You must specify at least one part and at most 10000")
	}
	complete := &metapb.CompleteUpload{
		Upload: id, Condition: record.PutCondition(r.Conditions), PartMin: uint64(s.o.PartBytesMin),
	}
	for _, p := range r.Parts {
		tag, ok := partETag(p.ETag)
		if !ok || p.Number < 1 || p.Number > objectlayer.PartsMax {
			return objectlayer.Version{}, record.Fail(op, objectlayer.KindInvalidPart, r.Bucket, r.Key, fmt.Sprint(p.Number))
		}
		complete.Parts = append(complete.Parts, &metapb.CompletedPart{
			Number: uint32(p.Number), Etag: tag, Checksums: record.PutChecksums(p.Checksums),
		})
	}
	if r.Checksum != nil {
		complete.Checksum = record.PutChecksum(*r.Checksum)
	}
	if r.Size != nil {
		if *r.Size < 0 {
			return objectlayer.Version{}, record.Fail(op, objectlayer.KindInvalidArgument, r.Bucket, r.Key, "x-amz-mp-object-size")
		}
		complete.HasSize, complete.Size = true, uint64(*r.Size)
	}
	if complete.Nonce, err = s.o.Buckets.NewNonce(); err != nil {
		return objectlayer.Version{}, err
	}
	res, by, err := s.apply(ctx, op, r.Bucket, r.Key, &metapb.Command{Op: &metapb.Command_Complete{Complete: complete}})
	if err != nil {
		return objectlayer.Version{}, err
	}
	return record.Version(r.Bucket, r.Key, res.Version, true, by.Versioning != 0), nil
}

// Abort gives an upload up; the bytes of its parts follow later.
func (s *Store) Abort(ctx context.Context, r objectlayer.AbortRequest) error {
	id, err := uploadID("abort upload", r.Bucket, r.Key, r.UploadID)
	if err != nil {
		return err
	}
	_, _, err = s.apply(ctx, "abort upload", r.Bucket, r.Key,
		&metapb.Command{Op: &metapb.Command_Abort{Abort: &metapb.AbortUpload{Upload: id}}})
	return err
}

// apply carries out a command that names no bytes of its own; any answer but OK is an error. It returns the bucket's
// record that the command was judged by, too.
func (s *Store) apply(ctx context.Context, op, name, key string, c *metapb.Command) (*metapb.Result, *metapb.Bucket, error) {
	res, by, err := s.o.Buckets.Apply(ctx, bucket.Request{Op: op, Bucket: name, Key: key, Command: c})
	if err == nil {
		err = record.StatusError(op, name, key, res.Status, res.Detail)
	}
	return res, by, err
}

// uploadID reads an upload id; a text that is none names no upload.
func uploadID(op, bucket, key, text string) ([]byte, error) {
	id, ok := record.DecodeUploadID(text)
	if !ok {
		return nil, record.Fail(op, objectlayer.KindNoSuchUpload, bucket, key, "")
	}
	return id, nil
}

// partETag reads the ETag of a part, with or without quotes.
func partETag(s string) ([]byte, bool) {
	tag, err := hex.DecodeString(strings.Trim(strings.TrimSpace(s), `"`))
	return tag, err == nil && len(tag) == 16
}
