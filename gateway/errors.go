package gateway

import (
	"errors"
	"strings"

	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// codes is the one table from what went wrong in the object layer to what S3 answers. It is never written.
var codes = [objectlayer.KindCount]wire.Code{
	objectlayer.KindInternal:           wire.InternalError,
	objectlayer.KindNoSuchBucket:       wire.NoSuchBucket,
	objectlayer.KindNoSuchKey:          wire.NoSuchKey,
	objectlayer.KindNoSuchVersion:      wire.NoSuchVersion,
	objectlayer.KindNoSuchUpload:       wire.NoSuchUpload,
	objectlayer.KindBucketExists:       wire.BucketAlreadyExists,
	objectlayer.KindBucketNotEmpty:     wire.BucketNotEmpty,
	objectlayer.KindPreconditionFailed: wire.PreconditionFailed,
	objectlayer.KindConflict:           wire.ConditionalRequestConflict,
	objectlayer.KindNotModified:        wire.NotModified,
	objectlayer.KindBadDigest:          wire.BadDigest,
	objectlayer.KindInvalidPart:        wire.InvalidPart,
	objectlayer.KindInvalidPartOrder:   wire.InvalidPartOrder,
	objectlayer.KindEntityTooSmall:     wire.EntityTooSmall,
	objectlayer.KindEntityTooLarge:     wire.EntityTooLarge,
	objectlayer.KindInvalidRange:       wire.InvalidRange,
	objectlayer.KindInvalidPartNumber:  wire.InvalidPartNumber,
	objectlayer.KindIncompleteBody:     wire.IncompleteBody,
	objectlayer.KindInvalidRequest:     wire.InvalidRequest,
	objectlayer.KindInvalidArgument:    wire.InvalidArgument,
	objectlayer.KindMethodNotAllowed:   wire.MethodNotAllowed,
	objectlayer.KindUnavailable:        wire.SlowDown,
	objectlayer.KindFull:               wire.ServiceUnavailable,
	objectlayer.KindDamaged:            wire.InternalError,
}

// detailed are the kinds whose Detail replaces AWS's message, since that message says nothing of the matter.
func detailed(k objectlayer.Kind) bool {
	switch k {
	case objectlayer.KindInvalidRequest, objectlayer.KindInvalidArgument, objectlayer.KindEntityTooSmall,
		objectlayer.KindEntityTooLarge, objectlayer.KindBadDigest, objectlayer.KindInvalidPart:
		return true
	}
	return false
}

// wireError finds what to answer for err. An error of the wire in the chain wins: it is what the client's own bytes
// were refused for, however deep they were read.
func wireError(err error) *wire.Error {
	var w *wire.Error
	if errors.As(err, &w) {
		return w
	}
	var code wire.Code
	if errors.As(err, &code) {
		return wire.New(code)
	}
	var layer *objectlayer.Error
	if !errors.As(err, &layer) {
		return wire.AsError(err)
	}
	if layer.Kind == objectlayer.KindInternal || int(layer.Kind) >= len(codes) {
		return wire.AsError(layer.Err)
	}
	return layerError(layer)
}

// layerError dresses an error of the object layer.
func layerError(e *objectlayer.Error) *wire.Error {
	w := wire.New(codes[e.Kind])
	if e.Detail != "" && detailed(e.Kind) {
		w.Message = strings.ToUpper(e.Detail[:1]) + e.Detail[1:]
	}
	switch e.Kind {
	case objectlayer.KindNoSuchBucket, objectlayer.KindBucketExists, objectlayer.KindBucketNotEmpty:
		return w.With("BucketName", e.Bucket)
	case objectlayer.KindNoSuchKey:
		return w.With("Key", e.Key)
	case objectlayer.KindPreconditionFailed:
		if e.Detail != "" {
			return w.With("Condition", e.Detail)
		}
	case objectlayer.KindInvalidRange:
		return w.WithInt("ActualObjectSize", e.Size)
	case objectlayer.KindMethodNotAllowed:
		return w.With("ResourceType", "DeleteMarker")
	}
	return w
}
