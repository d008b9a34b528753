package object

import (
	"context"
	"errors"
	"io"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/hashing"
	"github.com/contender/contender/objectlayer/record"
	"github.com/contender/contender/objectlayer/stripe"
)

// Put stores a body as a new version.
func (s *Store) Put(ctx context.Context, r objectlayer.PutRequest, body io.Reader) (objectlayer.Version, error) {
	if err := judgeKey("put", r.Bucket, r.Key); err != nil {
		return objectlayer.Version{}, err
	}
	if r.Size > objectlayer.PutBytesMax {
		return objectlayer.Version{}, record.Fail("put", objectlayer.KindEntityTooLarge, r.Bucket, r.Key, "")
	}
	b, err := s.judgeEarly(ctx, r.Bucket, r.Key, r.Conditions)
	if err != nil {
		return objectlayer.Version{}, err
	}
	sums, err := hashing.NewSums(r.Expect.Algorithm)
	if err != nil {
		return objectlayer.Version{}, err
	}
	w := &write{s: s, r: r, bucket: b, sums: sums, body: hashing.NewBody(body, r.Size, objectlayer.PutBytesMax)}
	return w.run(ctx)
}

// write is one Put under way.
type write struct {
	s      *Store
	r      objectlayer.PutRequest
	bucket *metapb.Bucket
	sums   *hashing.Sums
	body   *hashing.Body
}

// run reads the beginning of the body to learn which way it goes: in the command, or to the disks first.
func (w *write) run(ctx context.Context) (objectlayer.Version, error) {
	pooled := w.s.heads.Get().(*[]byte)
	defer w.s.heads.Put(pooled)
	n, err := io.ReadFull(w.body, *pooled)
	head := (*pooled)[:n]
	switch {
	case err == nil:
		return w.large(ctx, head)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return w.inline(ctx, head)
	}
	return objectlayer.Version{}, w.about(err)
}

// inline commits bytes that ride in the command.
func (w *write) inline(ctx context.Context, data []byte) (objectlayer.Version, error) {
	_, _ = w.sums.Write(data)
	if err := w.sums.Verify(w.r.Expect); err != nil {
		return objectlayer.Version{}, w.about(err)
	}
	return w.commit(ctx, nil, data)
}

// large writes bytes to the disks and commits their places.
func (w *write) large(ctx context.Context, head []byte) (objectlayer.Version, error) {
	id, err := w.s.o.Buckets.NewBlobID()
	if err != nil {
		return objectlayer.Version{}, err
	}
	blob, err := w.s.o.Bytes.WriteAs(ctx, w.bucket.Compress, stripe.Request{
		Blob: id, Policy: bucket.Policy(w.bucket, w.s.o.Policy()), Short: w.bucket.Short, Size: w.r.Size,
		Copies: w.r.Size >= 0 && w.r.Size <= w.s.o.MiddleBytes,
		Owner: &metapb.ShardOwner{
			Format: record.Format, Bucket: w.bucket.Id, BucketName: w.r.Bucket, Key: []byte(w.r.Key),
		},
		Hashes: []io.Writer{w.sums},
		Finish: func() error { return w.sums.Verify(w.r.Expect) },
	}, &opening{head: head, rest: w.body})
	if bad := w.body.Err(); bad != nil {
		w.s.drop(ctx, blob)
		return objectlayer.Version{}, w.about(bad)
	}
	if err != nil {
		return objectlayer.Version{}, w.about(err)
	}
	return w.commit(ctx, blob, nil)
}

// commit makes the bytes a version. Bytes of a commit whose outcome is not known stay: they may be a version's.
func (w *write) commit(ctx context.Context, blob *metapb.Blob, payload []byte) (objectlayer.Version, error) {
	md5 := w.sums.MD5()
	v := &metapb.Version{
		Format: record.Format, Size: uint64(w.sums.Size()), Etag: md5[:],
		Checksums:  record.PutChecksums(w.sums.Checksums()),
		Attributes: record.PutAttributes(w.r.Attributes), Owner: w.r.Owner,
	}
	q := bucket.Request{Op: "put", Bucket: w.r.Bucket, Key: w.r.Key, Payload: payload, Command: &metapb.Command{
		Op: &metapb.Command_Put{Put: &metapb.PutVersion{Version: v, Condition: record.PutCondition(w.r.Conditions)}},
	}}
	if blob != nil {
		v.Form = &metapb.Version_Blob{Blob: blob}
		q.BucketID, q.Command.Begun = w.bucket.Id, record.BlobID(blob).StartMillis()
	}
	var err error
	if v.Nonce, err = w.s.o.Buckets.NewNonce(); err != nil {
		w.s.drop(ctx, blob)
		return objectlayer.Version{}, err
	}
	res, by, err := w.s.o.Buckets.Apply(ctx, q)
	if err != nil {
		if bucket.Undone(err) {
			w.s.drop(ctx, blob)
		}
		return objectlayer.Version{}, err
	}
	if err := record.StatusError("put", w.r.Bucket, w.r.Key, res.Status, res.Detail); err != nil {
		if res.Status != metapb.Status_UNKNOWN_OUTCOME {
			w.s.drop(ctx, blob)
		}
		return objectlayer.Version{}, lostRace(err)
	}
	v.Time, v.Nonce, v.NullVersion = res.Version.GetTime(), res.Version.GetNonce(), res.Version.GetNullVersion()
	return record.Version(w.r.Bucket, w.r.Key, v, true, by.Versioning != 0), nil
}

// lostRace turns a condition that failed at commit, and held before the body was read, into a conflict.
func lostRace(err error) error {
	var e *objectlayer.Error
	if errors.As(err, &e) && e.Kind == objectlayer.KindPreconditionFailed {
		e.Kind, e.Detail = objectlayer.KindConflict, "a conflicting operation occurred during the upload"
	}
	return err
}

// about adds bucket and key to an error that lacks them.
func (w *write) about(err error) error { return record.About(err, "put", w.r.Bucket, w.r.Key) }

// opening reads the beginning of a body that was read already, then the rest. It is io.MultiReader without its copy of
// the slice, and it fills the caller's buffer across the seam.
type opening struct {
	head []byte
	rest io.Reader
}

func (o *opening) Read(p []byte) (int, error) {
	if len(o.head) > 0 {
		n := copy(p, o.head)
		o.head = o.head[n:]
		return n, nil
	}
	return o.rest.Read(p)
}
