package machine

import (
	"encoding/binary"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

func readBucket(r disk.Reader, name string) (*metapb.Bucket, error) {
	b := new(metapb.Bucket)
	ok, err := get(r, keys.BucketRecord(name), b)
	if err != nil || !ok {
		return nil, err
	}
	return b, nil
}

// createBucket makes a bucket's record and gives it the next id.
func (a *applier) createBucket(k *call, c *metapb.CreateBucket) (*metapb.Result, error) {
	name := c.GetBucket().GetName()
	if name == "" {
		return invalid("a bucket without name"), nil
	}
	old, err := readBucket(a.b, name)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return &metapb.Result{Status: metapb.Status_BUCKET_EXISTS, Bucket: old}, nil
	}
	if c.Bucket.Versioning != versioningNever {
		return invalid("versioning comes with a later generation"), nil
	}
	last, err := counter(a.b, keys.BucketCounter())
	if err != nil {
		return nil, err
	}
	k.changed = true
	b := c.Bucket.CloneVT()
	b.Format, b.Id, b.Created, b.Generation = Format, last+1, k.Time, 1
	b.Pending, b.Deleting = false, false // a range that never heard of a bucket holds its generation 1
	if err := a.b.Set(keys.BucketCounter(), binary.BigEndian.AppendUint64(nil, b.Id)); err != nil {
		return nil, err
	}
	return &metapb.Result{Bucket: b, Generation: b.Generation}, set(a.b, keys.BucketRecord(name), b)
}

// bucketAt reads the record of a bucket whose generation, and id if one is given, must be the given ones.
func (a *applier) bucketAt(name string, generation, id uint64) (*metapb.Bucket, *metapb.Result, error) {
	b, err := readBucket(a.b, name)
	switch {
	case err != nil:
		return nil, nil, err
	case b == nil:
		return nil, status(metapb.Status_NO_SUCH_BUCKET), nil
	case b.Generation != generation || id != 0 && b.Id != id:
		r := &metapb.Result{Status: metapb.Status_REVISION_MISMATCH, Bucket: b, Generation: b.Generation}
		return nil, r, nil
	}
	return b, nil, nil
}

// updateBucket replaces a bucket's record, which the ranges have to hear of then. Id, name and time of creation stay.
func (a *applier) updateBucket(k *call, c *metapb.UpdateBucket) (*metapb.Result, error) {
	old, r, err := a.bucketAt(c.GetBucket().GetName(), c.GetIfGeneration(), c.GetBucket().GetId())
	if r != nil || err != nil {
		return r, err
	}
	if !versioningFollows(old.Versioning, c.Bucket.Versioning) {
		return invalid("a bucket that was versioned stays so"), nil
	}
	k.changed = true
	b := c.Bucket.CloneVT()
	b.Format, b.Id, b.Created, b.Generation = Format, old.Id, old.Created, old.Generation+1
	b.Pending = true
	return &metapb.Result{Bucket: b, Generation: b.Generation}, set(a.b, keys.BucketRecord(b.Name), b)
}

// settleBucket notes that all ranges have taken the generation of a bucket's record.
func (a *applier) settleBucket(k *call, c *metapb.SettleBucket) (*metapb.Result, error) {
	b, r, err := a.bucketAt(c.GetName(), c.GetIfGeneration(), c.GetIfId())
	switch {
	case r != nil || err != nil:
		return r, err
	case b.Deleting:
		return invalid("the bucket is being deleted"), nil
	case !b.Pending:
		return &metapb.Result{Bucket: b, Generation: b.Generation}, nil
	}
	k.changed, b.Pending = true, false
	return &metapb.Result{Bucket: b, Generation: b.Generation}, set(a.b, keys.BucketRecord(b.Name), b)
}

// removeBucket removes a bucket's record. Its id is never given again.
func (a *applier) removeBucket(k *call, c *metapb.RemoveBucket) (*metapb.Result, error) {
	old, r, err := a.bucketAt(c.GetName(), c.GetIfGeneration(), c.GetIfId())
	if r != nil || err != nil {
		return r, err
	}
	k.changed = true
	return &metapb.Result{Bucket: old, Generation: old.Generation}, a.b.Delete(keys.BucketRecord(old.Name))
}

// putSystem replaces a system record.
func (a *applier) putSystem(k *call, c *metapb.PutSystem) (*metapb.Result, error) {
	if c.GetName() == "" {
		return invalid("a record without name"), nil
	}
	row, s := keys.Record(c.Name), new(metapb.SystemRecord)
	if _, err := get(a.b, row, s); err != nil {
		return nil, err
	}
	if s.Revision != c.IfRevision {
		return &metapb.Result{
			Status: metapb.Status_REVISION_MISMATCH, Revision: s.Revision,
			Detail: fmt.Sprintf("revision %d, not %d", s.Revision, c.IfRevision),
		}, nil
	}
	k.changed = true
	s = &metapb.SystemRecord{Revision: c.IfRevision + 1, Value: c.Value}
	return &metapb.Result{Revision: s.Revision}, set(a.b, row, s)
}
