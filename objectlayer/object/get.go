package object

import (
	"bytes"
	"context"
	"io"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

// found is a version that a read asks for, its conditions judged and its window cut.
type found struct {
	row     *metapb.Version
	payload []byte
	reading objectlayer.Reading
	bucket  uint64
	key     string
}

// find reads a version's record and judges what the request asks of it.
func (s *Store) find(ctx context.Context, r objectlayer.GetRequest, payload bool) (*found, error) {
	const op = "get"
	if err := judgeKey(op, r.Bucket, r.Key); err != nil {
		return nil, err
	}
	if err := judgeVersionID(op, r.Bucket, r.Key, r.VersionID); err != nil {
		return nil, err
	}
	a, b, err := s.o.Buckets.Query(ctx, op, r.Bucket, r.Key, &metapb.Query{
		Op: &metapb.Query_Get{Get: &metapb.GetVersion{VersionId: r.VersionID, Payload: payload}},
	})
	if err != nil {
		return nil, err
	}
	f := &found{row: a.Version, payload: a.Payload, bucket: b.GetId(), key: r.Key}
	if a.Version != nil {
		f.reading.Version = record.Version(r.Bucket, r.Key, a.Version, a.IsLatest, b.Versioning != 0)
	}
	v := &f.reading.Version
	switch {
	case a.Status == metapb.Status_OK && v.DeleteMarker, a.Status == metapb.Status_NO_SUCH_KEY && a.Version != nil:
		kind := objectlayer.KindMethodNotAllowed
		if r.VersionID == "" {
			kind = objectlayer.KindNoSuchKey
		}
		return nil, &objectlayer.Error{Op: op, Kind: kind, Bucket: r.Bucket, Key: r.Key, Version: v}
	case a.Status != metapb.Status_OK:
		return nil, record.StatusError(op, r.Bucket, r.Key, a.Status, a.Detail)
	}
	if err := JudgeRead(v, r.Conditions); err != nil {
		return nil, err
	}
	f.reading.Offset, f.reading.Length, err = Window(v, r.Range, r.Part)
	return f, err
}

// Get opens a version for reading.
func (s *Store) Get(ctx context.Context, r objectlayer.GetRequest) (objectlayer.Reading, error) {
	f, err := s.find(ctx, r, true)
	if err != nil {
		return objectlayer.Reading{}, err
	}
	body, err := s.open(ctx, f)
	if objectlayer.KindOf(err) == objectlayer.KindDamaged {
		// The version may have been replaced since, so long ago that its bytes are gone: look once more.
		again, err := s.find(ctx, r, true)
		if err != nil {
			return objectlayer.Reading{}, err
		}
		if again.row.Time != f.row.Time || again.row.Nonce != f.row.Nonce {
			f = again
			if body, err = s.open(ctx, f); err == nil {
				f.reading.Body = body
				return f.reading, nil
			}
		}
	}
	if err != nil {
		return objectlayer.Reading{}, record.Error("get", r.Bucket, r.Key, err)
	}
	f.reading.Body = body
	return f.reading, nil
}

// open opens a version's bytes.
func (s *Store) open(ctx context.Context, f *found) (io.ReadCloser, error) {
	off, n := f.reading.Offset, f.reading.Length
	v := f.row
	switch {
	case n == 0:
		return io.NopCloser(bytes.NewReader(nil)), nil
	case v.GetInline() != nil:
		if int64(len(f.payload)) != f.reading.Version.Size {
			return nil, record.Fail("get", objectlayer.KindDamaged, "", "", "the payload does not have the size of its version")
		}
		return io.NopCloser(bytes.NewReader(f.payload[off : off+n])), nil
	case v.GetBlob() != nil:
		return s.openBlobs(ctx, f, v.GetBlob())
	case len(v.Parts) > 0:
		blobs := make([]*metapb.Blob, 0, len(v.Parts))
		for _, p := range v.Parts {
			if p.Size > 0 {
				blobs = append(blobs, p.Blob)
			}
		}
		return s.openBlobs(ctx, f, blobs...)
	}
	return nil, record.Fail("get", objectlayer.KindDamaged, "", "", "the version names no bytes")
}

// openBlobs opens the blobs of a version, which are deleted together: to hold one of them holds all.
func (s *Store) openBlobs(ctx context.Context, f *found, blobs ...*metapb.Blob) (io.ReadCloser, error) {
	body, err := s.o.Bytes.OpenParts(ctx, blobs, f.reading.Offset, f.reading.Length)
	if err != nil || mutantNoHold {
		return body, err
	}
	id := record.BlobID(blobs[0])
	return newHeld(ctx, body, s.o.HoldEvery, func(ctx context.Context) error {
		err := s.o.Buckets.Hold(ctx, f.bucket, f.key, id)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("bytes that are being read could not be held", "blob", id, "error", err)
		}
		return err
	}), nil
}
