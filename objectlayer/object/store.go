package object

import (
	"context"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/compress"
	"github.com/contender/contender/objectlayer/placement"
	"github.com/contender/contender/objectlayer/record"
)

// InlineBytesDefault is the most bytes of an object that rides in its command.
const InlineBytesDefault = 16 << 10

// MiddleBytesDefault is the most bytes of a body of known size that are kept as plain copies: they go to fewer disks than data and
// parity shards would.
const MiddleBytesDefault = 128 << 10

// HoldEveryDefault is a quarter of the time that deleted bytes stay by default.
const HoldEveryDefault = 15 * time.Minute / 4

// dropTimeout bounds how long a request that failed cares for the bytes that it has written. What it does not manage
// to delete is an orphan, which healing collects.
const dropTimeout = 5 * time.Second

// Options are what a Store is made from. Buckets and Bytes must be set.
type Options struct {
	Buckets *bucket.Resolver
	Bytes   *compress.Store
	Policy  func() placement.Policy // how new bytes are kept; nil: the automatic policy
	// InlineBytes is the most bytes of an object that rides in its command; 0: InlineBytesDefault.
	InlineBytes int
	// MiddleBytes is the most bytes that are kept as plain copies; 0: MiddleBytesDefault, less than zero: none.
	MiddleBytes int64
	// HoldEvery is how often a reader holds what it reads, so that it is not deleted meanwhile: a fraction of the time that deleted bytes
	// stay. 0: HoldEveryDefault.
	HoldEvery time.Duration
	Log       *slog.Logger // nil: nothing is logged
}

// Store implements objectlayer.Objects. It owns no goroutine between calls.
type Store struct {
	o     Options
	heads sync.Pool // *[]byte of InlineBytes+1: the beginnings of bodies
}

var _ objectlayer.Objects = (*Store)(nil)

// New returns a Store.
func New(o Options) *Store {
	if o.Policy == nil {
		o.Policy = func() placement.Policy { return placement.Policy{} }
	}
	if o.InlineBytes == 0 {
		o.InlineBytes = InlineBytesDefault
	}
	if o.MiddleBytes == 0 {
		o.MiddleBytes = MiddleBytesDefault
	}
	if o.HoldEvery == 0 {
		o.HoldEvery = HoldEveryDefault
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{o: o}
	s.heads.New = func() any {
		b := make([]byte, o.InlineBytes+1)
		return &b
	}
	return s
}

// Head is Get without the bytes.
func (s *Store) Head(ctx context.Context, r objectlayer.GetRequest) (objectlayer.Reading, error) {
	found, err := s.find(ctx, r, false)
	if err != nil {
		return objectlayer.Reading{}, err
	}
	return found.reading, nil
}

// judgeEarly judges the conditions of a write before its body is read, so that a client that waits for "100 Continue"
// need not send it. Nothing is locked: the commit judges again. Without conditions it only sees that the bucket is
// known.
func (s *Store) judgeEarly(ctx context.Context, bucket, key string, c objectlayer.WriteConditions) (*metapb.Bucket, error) {
	if !Conditional(c) {
		return s.o.Buckets.Lookup(ctx, bucket)
	}
	a, b, err := s.o.Buckets.Query(ctx, "put", bucket, key, &metapb.Query{Op: &metapb.Query_Get{Get: &metapb.GetVersion{}}})
	if err != nil {
		return nil, err
	}
	var current *objectlayer.Version
	switch {
	case a.Status == metapb.Status_OK && !a.Version.GetDeleteMarker():
		v := record.Version(bucket, key, a.Version, true, false)
		current = &v
	case a.Status != metapb.Status_OK && a.Status != metapb.Status_NO_SUCH_KEY:
		return nil, record.StatusError("put", bucket, key, a.Status, a.Detail)
	}
	return b, JudgeWrite(bucket, key, current, c)
}

// drop deletes bytes that no record names and none will, as well as it can. It outlives the request's context.
func (s *Store) drop(ctx context.Context, b *metapb.Blob) {
	if b == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := s.o.Bytes.Drop(ctx, b); err != nil {
		id := record.BlobID(b)
		s.o.Log.Warn("bytes of a failed request stay behind as an orphan", "blob", id, "err", err)
	}
}

// judgeKey refuses keys that S3 does not know. Whatever else a key contains is its own business.
func judgeKey(op, bucket, key string) error {
	switch {
	case key == "":
		return record.Fail(op, objectlayer.KindInvalidArgument, bucket, key, "the key is empty")
	case len(key) > objectlayer.KeyBytesMax:
		return record.Fail(op, objectlayer.KindInvalidArgument, bucket, key[:64], "the key is too long")
	case !utf8.ValidString(key):
		return record.Fail(op, objectlayer.KindInvalidArgument, bucket, "", "the key is no UTF-8")
	}
	return nil
}

// judgeVersionID refuses what was never a version id. An id of a version that is not there is another matter.
func judgeVersionID(op, bucket, key, id string) error {
	if id == "" || id == metapb.NullVersionID {
		return nil
	}
	if _, _, err := metapb.ParseVersionID(id); err != nil {
		return record.Fail(op, objectlayer.KindInvalidArgument, bucket, key, "Invalid version id specified")
	}
	return nil
}
