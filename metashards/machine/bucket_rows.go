package machine

import (
	"bytes"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// Values of Fence.versioning and Bucket.versioning.
const (
	versioningNever     = 0
	versioningEnabled   = 1
	versioningSuspended = 2
)

// bucketRows is what a range holds of a bucket as a whole: its fence and its usage. It is read once per entry and written
// back at the end.
type bucketRows struct {
	bucket uint64
	fence  *metapb.Fence
	usage  *metapb.Usage
	dirty  bool  // usage changed
	err    error // a counter would fall below zero: the rows are damaged
}

func (a *applier) bucketRows(bucket uint64) (*bucketRows, error) {
	for _, u := range a.buckets {
		if u.bucket == bucket {
			return u, nil
		}
	}
	u := &bucketRows{bucket: bucket, fence: a.m.fences.of(bucket), usage: new(metapb.Usage)}
	if _, err := get(a.b, keys.UsageRow(a.m.rangeID, bucket), u.usage); err != nil {
		return nil, err
	}
	a.buckets = append(a.buckets, u)
	return u, nil
}

// write writes the usage if it changed. A row of zeros is no row.
func (u *bucketRows) write(b disk.Batch, rangeID uint64) error {
	switch {
	case u.err != nil || !u.dirty:
		return u.err
	case u.usage.SizeVT() == 0: // all are zero
		return b.Delete(keys.UsageRow(rangeID, u.bucket))
	}
	return set(b, keys.UsageRow(rangeID, u.bucket), u.usage)
}

// count adds a signed number to a counter of the usage. One that is halved may fall below zero: it counts modulo 2^64.
func (u *bucketRows) count(counter *uint64, by uint64, down bool) {
	u.dirty = true
	if !down {
		*counter += by
		return
	}
	if *counter < by && u.usage.Halved == 0 {
		u.err = fmt.Errorf("usage of bucket %d is damaged: %d less %d", u.bucket, *counter, by)
		return
	}
	*counter -= by
}

// countVersion counts a version row that comes or goes.
func (u *bucketRows) countVersion(v *metapb.Version, gone bool) {
	u.count(&u.usage.Versions, 1, gone)
	u.count(&u.usage.Bytes, v.GetSize(), gone)
	u.count(&u.usage.KeptBytes, keptBytes(v), gone)
	u.countBlob(v.GetBlob(), gone)
	for _, p := range v.GetParts() {
		u.countBlob(p.GetBlob(), gone)
	}
}

// keptBytes returns what a replica keeps of a version: its row and its inline payload.
func keptBytes(v *metapb.Version) uint64 { return uint64(v.SizeVT()) + v.GetInline().GetLength() }

// judgeFence refuses what was made with other knowledge of the bucket than the range's.
func judgeFence(f *metapb.Fence, generation uint64, write bool) *metapb.Result {
	switch {
	case mutantFence:
		return nil
	case f.Deleted || f.Generation != generation:
		return &metapb.Result{Status: metapb.Status_STALE_GENERATION, Generation: f.Generation}
	case write && f.Frozen:
		return &metapb.Result{Status: metapb.Status_FROZEN, Generation: f.Generation}
	}
	return nil
}

// fenceBucket takes a later generation of a bucket, for as much of the bucket as lies in the range. The same one again is
// no error. The answer names the range, so that the caller knows where the next one begins.
func (a *applier) fenceBucket(k *call, c *metapb.FenceBucket) (*metapb.Result, error) {
	if k.Bucket == 0 || c.GetFence() == nil {
		return invalid("no bucket or no fence"), nil
	}
	f, known := c.Fence, k.bucket.fence
	answer := func(s metapb.Status, generation uint64) *metapb.Result {
		return &metapb.Result{Status: s, Generation: generation, Range: a.m.descriptor}
	}
	if sameFence(f, known) {
		return answer(metapb.Status_OK, known.Generation), nil
	}
	if f.Generation <= known.Generation || known.Deleted {
		return answer(metapb.Status_STALE_GENERATION, known.Generation), nil
	}
	if !versioningFollows(known.Versioning, f.Versioning) {
		return invalid("a bucket that was versioned stays so"), nil
	}
	if c.IfEmpty {
		empty, err := a.empty(k.Bucket)
		if err != nil {
			return nil, err
		}
		if !empty {
			return answer(metapb.Status_BUCKET_NOT_EMPTY, known.Generation), nil
		}
	}
	f = f.CloneVT()
	k.bucket.fence = f
	return answer(metapb.Status_OK, f.Generation), a.m.setFence(a.b, k.Bucket, f)
}

func sameFence(f, g *metapb.Fence) bool {
	return f.Generation == g.Generation && f.Frozen == g.Frozen && f.Deleted == g.Deleted && f.Versioning == g.Versioning
}

// versioningFollows reports whether a bucket's versioning may change so.
func versioningFollows(from, to uint32) bool {
	return to <= versioningSuspended && (from == versioningNever || to != versioningNever)
}

// empty reports whether the range holds no version, delete marker or upload of a bucket. It looks for rows rather than
// at the counters, and at its own only: the disk may keep other ranges of the bucket.
func (a *applier) empty(bucket uint64) (bool, error) {
	for _, c := range []keys.Column{keys.Versions, keys.Uploads} {
		span := clip(keys.PrefixSpan(c, bucket, nil), a.m.descriptor, c)
		if bytes.Compare(span.Lower, span.Upper) >= 0 {
			continue
		}
		found := false
		err := scan(a.b, span, func(disk.Row) error {
			found = true
			return errStop
		})
		if found || err != nil {
			return false, ignoreStop(err)
		}
	}
	return true, nil
}
