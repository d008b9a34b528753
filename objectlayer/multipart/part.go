package multipart

import (
	"context"
	"fmt"
	"io"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/hashing"
	"github.com/contender/contender/objectlayer/record"
	"github.com/contender/contender/objectlayer/stripe"
)

const opPutPart = "put part"

// PutPart stores a part. One of the same number is replaced.
func (s *Store) PutPart(ctx context.Context, r objectlayer.PartRequest, body io.Reader) (objectlayer.Part, error) {
	id, err := uploadID(opPutPart, r.Bucket, r.Key, r.UploadID)
	if err != nil {
		return objectlayer.Part{}, err
	}
	switch {
	case r.Number < 1 || r.Number > objectlayer.PartsMax:
		return objectlayer.Part{}, record.Fail(opPutPart, objectlayer.KindInvalidArgument, r.Bucket, r.Key,
			"Part number must be an integer between 1 and 10000, inclusive")
	case r.Size > objectlayer.PutBytesMax:
		return objectlayer.Part{}, record.Fail(opPutPart, objectlayer.KindEntityTooLarge, r.Bucket, r.Key, "")
	}
	u, b, err := s.upload(ctx, r.Bucket, r.Key, id)
	if err != nil {
		return objectlayer.Part{}, err
	}
	sums, err := partSums(r, u.ChecksumAlgorithm)
	if err != nil {
		return objectlayer.Part{}, err
	}
	w := &partWrite{s: s, r: r, upload: id, bucket: b, sums: sums, body: hashing.NewBody(body, r.Size, objectlayer.PutBytesMax)}
	return w.run(ctx)
}

// partSums returns what hashes a part: the checksum that the client sends, which must be the upload's if that says
// one; and CRC64NVME beside it where the upload says none, for the whole.
func partSums(r objectlayer.PartRequest, upload string) (*hashing.Sums, error) {
	switch asked := r.Expect.Algorithm; {
	case upload == "":
		return hashing.NewSums(asked, hashing.Default)
	case asked == "" || asked == upload:
		return hashing.NewSums(upload)
	default:
		return nil, record.Fail(opPutPart, objectlayer.KindInvalidRequest, r.Bucket, r.Key, fmt.Sprintf(
			"Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", upload, asked))
	}
}

// upload reads an upload before a body is read for it.
func (s *Store) upload(ctx context.Context, name, key string, id []byte) (*metapb.Upload, *metapb.Bucket, error) {
	a, b, err := s.o.Buckets.Query(ctx, opPutPart, name, key, &metapb.Query{
		Op: &metapb.Query_GetUpload{GetUpload: &metapb.GetUpload{Upload: id}},
	})
	if err == nil {
		err = record.StatusError(opPutPart, name, key, a.Status, a.Detail)
	}
	if err != nil {
		return nil, nil, err
	}
	return a.Upload, b, nil
}

// partWrite is one PutPart under way.
type partWrite struct {
	s      *Store
	r      objectlayer.PartRequest
	upload []byte
	bucket *metapb.Bucket
	sums   *hashing.Sums
	body   *hashing.Body
}

func (w *partWrite) run(ctx context.Context) (objectlayer.Part, error) {
	id, err := w.s.o.Buckets.NewBlobID()
	if err != nil {
		return objectlayer.Part{}, err
	}
	blob, err := w.s.o.Bytes.WriteAs(ctx, w.bucket.Compress, stripe.Request{
		Blob: id, Policy: bucket.Policy(w.bucket, w.s.o.Policy()), Short: w.bucket.Short, Size: w.r.Size,
		Owner: &metapb.ShardOwner{
			Format: record.Format, Bucket: w.bucket.Id, BucketName: w.r.Bucket, Key: []byte(w.r.Key),
			Upload: w.upload, Part: uint32(w.r.Number),
		},
		Hashes: []io.Writer{w.sums},
		Finish: func() error { return w.sums.Verify(w.r.Expect) },
	}, w.body)
	if bad := w.body.Err(); bad != nil {
		w.drop(ctx, blob)
		return objectlayer.Part{}, w.about(bad)
	}
	if err != nil {
		return objectlayer.Part{}, w.about(err)
	}
	return w.commit(ctx, blob)
}

// commit makes the bytes a part. Bytes of a commit whose outcome is not known stay: they may be a part's.
func (w *partWrite) commit(ctx context.Context, blob *metapb.Blob) (objectlayer.Part, error) {
	md5 := w.sums.MD5()
	res, _, err := w.s.o.Buckets.Apply(ctx, bucket.Request{
		Op: opPutPart, Bucket: w.r.Bucket, Key: w.r.Key, BucketID: w.bucket.Id,
		Command: &metapb.Command{
			Begun: record.BlobID(blob).StartMillis(),
			Op: &metapb.Command_PutPart{PutPart: &metapb.PutPart{Upload: w.upload, Part: &metapb.Part{
				Number: uint32(w.r.Number), Size: uint64(w.sums.Size()), Etag: md5[:],
				Checksums: record.PutChecksums(w.sums.Checksums()), Blob: blob,
			}}},
		},
	})
	if err != nil {
		if bucket.Undone(err) {
			w.drop(ctx, blob)
		}
		return objectlayer.Part{}, err
	}
	if err := record.StatusError(opPutPart, w.r.Bucket, w.r.Key, res.Status, res.Detail); err != nil {
		if res.Status != metapb.Status_UNKNOWN_OUTCOME {
			w.drop(ctx, blob)
		}
		return objectlayer.Part{}, err
	}
	return record.Part(res.Part), nil
}

// drop deletes bytes that no record names and none will, as well as it can. It outlives the request's context.
func (w *partWrite) drop(ctx context.Context, b *metapb.Blob) {
	if b == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := w.s.o.Bytes.Drop(ctx, b); err != nil {
		w.s.o.Log.Warn("bytes of a failed request stay behind as an orphan", "blob", record.BlobID(b), "err", err)
	}
}

// about adds bucket and key to an error that lacks them.
func (w *partWrite) about(err error) error { return record.About(err, opPutPart, w.r.Bucket, w.r.Key) }

// CopyPart makes a part from an object or a range of one. It returns the part and the version id of the source, empty
// if that is not versioned.
func (s *Store) CopyPart(ctx context.Context, r objectlayer.CopyPartRequest) (objectlayer.Part, string, error) {
	source := r.Source
	source.Conditions.CopySource = true
	source.Part = 0
	rd, err := s.o.Objects.Get(ctx, source)
	if err != nil {
		return objectlayer.Part{}, "", err
	}
	defer rd.Body.Close() //nolint:errcheck // nothing was written to it
	if g := source.Range; g != nil && (g.First < 0 || g.Last >= rd.Version.Size) {
		return objectlayer.Part{}, "", &objectlayer.Error{
			Op: "copy part", Kind: objectlayer.KindInvalidRange, Bucket: source.Bucket, Key: source.Key,
			Detail: fmt.Sprintf("Range specified is not valid for source object of size: %d", rd.Version.Size),
			Size:   rd.Version.Size,
		}
	}
	if rd.Length > objectlayer.PutBytesMax {
		return objectlayer.Part{}, "", record.Fail("copy part", objectlayer.KindInvalidRequest, r.Bucket, r.Key,
			fmt.Sprintf("The specified copy source is larger than the maximum allowable size for a copy source: %d",
				objectlayer.PutBytesMax))
	}
	p, err := s.PutPart(ctx, objectlayer.PartRequest{
		Bucket: r.Bucket, Key: r.Key, UploadID: r.UploadID, Number: r.Number, Size: rd.Length,
	}, hashing.Source(rd.Body, source.Bucket, source.Key))
	if err != nil || !rd.Version.Versioned {
		return p, "", err
	}
	return p, rd.Version.ID, nil
}
