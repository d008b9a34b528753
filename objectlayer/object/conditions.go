package object

import (
	"time"

	"github.com/contender/contender/objectlayer"
)

// JudgeRead judges the preconditions of a read against the version that would be read (RFC 9110, section 13.2.2, as S3
// reads it). It returns nil, or *objectlayer.Error of KindPreconditionFailed or KindNotModified with the version.
//
// A true If-Match makes If-Unmodified-Since void, a false If-None-Match makes If-Modified-Since void; the source of a
// copy knows no "not modified", it fails. Times are compared in whole seconds, the resolution of an HTTP date.
func JudgeRead(v *objectlayer.Version, c objectlayer.ReadConditions) error {
	failed := func(kind objectlayer.Kind, condition string) error {
		if c.CopySource {
			kind, condition = objectlayer.KindPreconditionFailed, "x-amz-copy-source-"+condition
		}
		return &objectlayer.Error{
			Op: "get", Kind: kind, Bucket: v.Bucket, Key: v.Key, Detail: condition, Version: v,
		}
	}
	modified := v.Modified.Truncate(time.Second)
	switch {
	case len(c.IfMatch) > 0:
		if !matchesAny(v.ETag, c.IfMatch) {
			return failed(objectlayer.KindPreconditionFailed, "If-Match")
		}
	case !c.IfUnmodifiedSince.IsZero():
		if modified.After(c.IfUnmodifiedSince) {
			return failed(objectlayer.KindPreconditionFailed, "If-Unmodified-Since")
		}
	}
	switch {
	case len(c.IfNoneMatch) > 0:
		if matchesAny(v.ETag, c.IfNoneMatch) {
			return failed(objectlayer.KindNotModified, "If-None-Match")
		}
	case !c.IfModifiedSince.IsZero():
		if !modified.After(c.IfModifiedSince) {
			return failed(objectlayer.KindNotModified, "If-Modified-Since")
		}
	}
	return nil
}

func matchesAny(tag objectlayer.ETag, tags []string) bool {
	for _, t := range tags {
		if tag.Matches(t) {
			return true
		}
	}
	return false
}

// JudgeWrite judges the preconditions of a write against the current version, nil if there is none (a delete marker
// is absence). The commit judges them again; this is the early answer, before a body is read. Only If-Match demands a
// key that is there. It returns nil or *objectlayer.Error of KindPreconditionFailed or KindNoSuchKey.
func JudgeWrite(bucket, key string, current *objectlayer.Version, c objectlayer.WriteConditions) error {
	failed := func(kind objectlayer.Kind, condition string) error {
		return &objectlayer.Error{Op: "put", Kind: kind, Bucket: bucket, Key: key, Detail: condition}
	}
	switch {
	case current == nil && c.IfMatch != "":
		return failed(objectlayer.KindNoSuchKey, "")
	case current == nil:
		return nil
	case c.IfNoneMatch:
		return failed(objectlayer.KindPreconditionFailed, "If-None-Match")
	case c.IfMatch != "" && !current.ETag.Matches(c.IfMatch):
		return failed(objectlayer.KindPreconditionFailed, "If-Match")
	case !c.IfMatchModified.IsZero() && !current.Modified.Truncate(time.Second).Equal(c.IfMatchModified.Truncate(time.Second)):
		return failed(objectlayer.KindPreconditionFailed, "x-amz-if-match-last-modified-time")
	case c.IfMatchSize != nil && current.Size != *c.IfMatchSize:
		return failed(objectlayer.KindPreconditionFailed, "x-amz-if-match-size")
	}
	return nil
}

// Conditional reports whether there is any condition.
func Conditional(c objectlayer.WriteConditions) bool {
	return c.IfMatch != "" || c.IfNoneMatch || !c.IfMatchModified.IsZero() || c.IfMatchSize != nil
}
