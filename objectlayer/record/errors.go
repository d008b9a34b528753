package record

import (
	"context"
	"errors"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
)

// Fail makes an *objectlayer.Error about a key of a bucket.
func Fail(op string, kind objectlayer.Kind, bucket, key, detail string) error {
	return &objectlayer.Error{Op: op, Kind: kind, Bucket: bucket, Key: key, Detail: detail}
}

// statusKinds maps each answer of the metadata space but OK to a kind. Refusals come here only after the caller gave
// up mending its knowledge: nothing was changed, so the request may be tried again.
var statusKinds = map[metapb.Status]objectlayer.Kind{
	metapb.Status_NO_SUCH_KEY:         objectlayer.KindNoSuchKey,
	metapb.Status_NO_SUCH_VERSION:     objectlayer.KindNoSuchVersion,
	metapb.Status_NO_SUCH_UPLOAD:      objectlayer.KindNoSuchUpload,
	metapb.Status_PRECONDITION_FAILED: objectlayer.KindPreconditionFailed,
	metapb.Status_INVALID_PART:        objectlayer.KindInvalidPart,
	metapb.Status_INVALID_PART_ORDER:  objectlayer.KindInvalidPartOrder,
	metapb.Status_ENTITY_TOO_SMALL:    objectlayer.KindEntityTooSmall,
	metapb.Status_BUCKET_NOT_EMPTY:    objectlayer.KindBucketNotEmpty,
	metapb.Status_BUCKET_EXISTS:       objectlayer.KindBucketExists,
	metapb.Status_NO_SUCH_BUCKET:      objectlayer.KindNoSuchBucket,
	metapb.Status_REVISION_MISMATCH:   objectlayer.KindConflict,
	metapb.Status_BAD_DIGEST:          objectlayer.KindBadDigest,
	metapb.Status_INVALID_REQUEST:     objectlayer.KindInvalidRequest,
	metapb.Status_ENTITY_TOO_LARGE:    objectlayer.KindEntityTooLarge,
	metapb.Status_STALE_GENERATION:    objectlayer.KindUnavailable,
	metapb.Status_FROZEN:              objectlayer.KindUnavailable,
	metapb.Status_BELOW_FLOOR:         objectlayer.KindUnavailable,
	metapb.Status_WRONG_RANGE:         objectlayer.KindUnavailable,
	metapb.Status_UNKNOWN_OUTCOME:     objectlayer.KindInternal,
}

// StatusError returns what an answer of the metadata space means to the caller: nil for OK, else *objectlayer.Error.
func StatusError(op, bucket, key string, s metapb.Status, detail string) error {
	if s == metapb.Status_OK {
		return nil
	}
	kind, ok := statusKinds[s]
	if !ok {
		kind, detail = objectlayer.KindInternal, "status "+s.String()+" "+detail
	}
	return Fail(op, kind, bucket, key, detail)
}

// Refused reports whether s is a refusal that better knowledge of the bucket or of the ranges may mend.
func Refused(s metapb.Status) bool {
	return s == metapb.Status_STALE_GENERATION || s == metapb.Status_FROZEN || s == metapb.Status_WRONG_RANGE
}

// Error returns err as *objectlayer.Error: one already is left alone, errors of the metadata space and of disks get
// their kind, an ended context is KindUnavailable. Where a context may have ended after a command was proposed the
// metadata space itself says that the outcome is unknown.
func Error(op, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	var o *objectlayer.Error
	if errors.As(err, &o) {
		return err
	}
	return &objectlayer.Error{Op: op, Kind: kindOf(err), Bucket: bucket, Key: key, Err: err}
}

// About is Error for errors that may lack their subject: it adds bucket and key.
func About(err error, op, bucket, key string) error {
	err = Error(op, bucket, key, err)
	var o *objectlayer.Error
	if !errors.As(err, &o) || o.Bucket != "" {
		return err
	}
	named := *o
	named.Bucket, named.Key = bucket, key
	return &named
}

func kindOf(err error) objectlayer.Kind {
	var m *metashards.Error
	var d *disk.Error
	switch {
	case errors.As(err, &m):
		switch m.Kind {
		case metashards.KindUnavailable, metashards.KindClosed:
			return objectlayer.KindUnavailable
		case metashards.KindFull:
			return objectlayer.KindFull
		case metashards.KindDamaged:
			return objectlayer.KindDamaged
		case metashards.KindIndeterminate, metashards.KindInvalid:
			return objectlayer.KindInternal
		}
	case errors.As(err, &d):
		switch d.Kind {
		case disk.KindIO, disk.KindFenced, disk.KindStaleEpoch, disk.KindClosed, disk.KindBusy:
			return objectlayer.KindUnavailable
		case disk.KindFull:
			return objectlayer.KindFull
		case disk.KindNotFound, disk.KindCorrupt:
			return objectlayer.KindDamaged
		case disk.KindExists, disk.KindInvalid:
			return objectlayer.KindInternal
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return objectlayer.KindUnavailable
	}
	return objectlayer.KindInternal
}

// Undone reports whether err, from Apply of the metadata space, tells for certain that the command was not and will
// not be applied. Only then may the bytes that it named be deleted.
func Undone(err error) bool {
	var m *metashards.Error
	if !errors.As(err, &m) {
		return false
	}
	return m.Kind != metashards.KindIndeterminate && m.Kind != metashards.KindDamaged
}
