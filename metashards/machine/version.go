package machine

import (
	"math"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// newestVersion returns the newest version of a key, delete markers among them; nil if there is none.
func newestVersion(r disk.Reader, bucket uint64, key []byte) (v *metapb.Version, err error) {
	err = scan(r, keys.KeySpan(keys.Versions, bucket, key), func(row disk.Row) error {
		v = new(metapb.Version)
		if err := decode(row.Key, row.Value, v); err != nil {
			return err
		}
		return errStop
	})
	return v, ignoreStop(err)
}

// currentVersion returns the version that a key's current row names; nil if there is no such row.
func currentVersion(r disk.Reader, bucket uint64, key []byte) (*metapb.Version, error) {
	c := new(metapb.Current)
	row := keys.KeyRow(keys.Current, bucket, key)
	ok, err := get(r, row, c)
	if err != nil || !ok {
		return nil, err
	}
	v, err := versionAt(r, bucket, key, c.Time)
	if err == nil && v == nil {
		err = damage(row, "it names a version that is not there")
	}
	return v, err
}

// versionAt returns the version of a key with the given time; nil if there is none.
func versionAt(r disk.Reader, bucket uint64, key []byte, time uint64) (*metapb.Version, error) {
	v := new(metapb.Version)
	ok, err := get(r, keys.VersionRow(bucket, key, time), v)
	if err != nil || !ok {
		return nil, err
	}
	return v, nil
}

// nullVersion returns the null version of a key; nil if there is none. Where the newest version is the null version
// there may be no pointer to it.
func nullVersion(r disk.Reader, bucket uint64, key []byte, newest *metapb.Version) (*metapb.Version, error) {
	if newest == nil || newest.NullVersion {
		return newest, nil
	}
	p := new(metapb.NullPointer)
	row := keys.KeyRow(keys.Nulls, bucket, key)
	ok, err := get(r, row, p)
	if err != nil || !ok {
		return nil, err
	}
	v, err := versionAt(r, bucket, key, p.Time)
	if err == nil && v == nil {
		err = damage(row, "it names a version that is not there")
	}
	return v, err
}

// findVersion returns the version that a client's version id names, delete markers among them; nil if there is none. ok
// is false if the text is no version id.
func findVersion(r disk.Reader, bucket uint64, key []byte, id string) (v *metapb.Version, ok bool, err error) {
	if id == metapb.NullVersionID {
		newest, err := newestVersion(r, bucket, key)
		if err != nil {
			return nil, true, err
		}
		v, err = nullVersion(r, bucket, key, newest)
		return v, true, err
	}
	time, nonce, err := metapb.ParseVersionID(id)
	if err != nil {
		return nil, false, nil
	}
	v, err = versionAt(r, bucket, key, time)
	if v != nil && (v.NullVersion || v.Nonce != nonce) {
		v = nil
	}
	return v, true, err
}

// newest returns the newest version of a command's key; nil if there is none.
func (a *applier) newest(k *call) (*metapb.Version, error) {
	if k.bucket.fence.Versioning == versioningNever {
		return currentVersion(a.b, k.Bucket, k.key) // there are no delete markers
	}
	return newestVersion(a.b, k.Bucket, k.key)
}

// live reports whether a version is there and no delete marker.
func live(v *metapb.Version) bool { return v != nil && !v.DeleteMarker }

// current returns a version if it is live, else nil.
func current(v *metapb.Version) *metapb.Version {
	if live(v) {
		return v
	}
	return nil
}

// add puts a new version or delete marker on top of a key whose newest version was before, and gives it its time. Where
// the bucket does not keep versions it replaces the null version. It reports false if there is no later time.
func (a *applier) add(k *call, v, before *metapb.Version) (bool, error) {
	v.Format, v.Time = Format, k.Time
	if before != nil {
		if before.Time == math.MaxUint64 {
			return false, nil
		}
		v.Time = max(v.Time, before.Time+1)
	}
	mode := k.bucket.fence.Versioning
	v.NullVersion = mode != versioningEnabled
	k.changed = true
	if v.NullVersion {
		null, err := nullVersion(a.b, k.Bucket, k.key, before)
		if err == nil && null != nil {
			err = a.remove(k, null, v)
		}
		if err != nil {
			return true, err
		}
	}
	if err := set(a.b, keys.VersionRow(k.Bucket, k.key, v.Time), v); err != nil {
		return true, err
	}
	k.bucket.countVersion(v, false)
	if err := a.point(k, v, before); err != nil {
		return true, err
	}
	return true, a.setCurrent(k, v, before)
}

// point keeps the pointer to the null version after v came on top of before.
func (a *applier) point(k *call, v, before *metapb.Version) error {
	null := before
	if v.NullVersion {
		null = v
	}
	if null == nil || !null.NullVersion || k.bucket.fence.Versioning == versioningNever {
		return nil
	}
	return set(a.b, keys.KeyRow(keys.Nulls, k.Bucket, k.key), &metapb.NullPointer{Time: null.Time})
}

// setCurrent makes the current row fit a new newest version, now, where it fitted before.
func (a *applier) setCurrent(k *call, now, before *metapb.Version) error {
	u, row := k.bucket, keys.KeyRow(keys.Current, k.Bucket, k.key)
	if live(now) != live(before) {
		u.count(&u.usage.Objects, 1, live(before))
	}
	switch {
	case live(now):
		return set(a.b, row, currentRow(now))
	case live(before):
		return a.b.Delete(row)
	}
	return nil
}

// remove takes a version's row away and sees to its bytes, but for what its successor holds as well (nil: none). The
// current row is left to the caller.
func (a *applier) remove(k *call, v, successor *metapb.Version) error {
	k.changed = true
	if err := a.b.Delete(keys.VersionRow(k.Bucket, k.key, v.Time)); err != nil {
		return err
	}
	if v.NullVersion && k.bucket.fence.Versioning != versioningNever {
		if err := a.b.Delete(keys.KeyRow(keys.Nulls, k.Bucket, k.key)); err != nil {
			return err
		}
	}
	k.bucket.countVersion(v, true)
	if in := v.GetInline(); in != nil {
		return a.b.DropPayloads(payloadID(in))
	}
	var blobs []*metapb.Blob
	if b := v.GetBlob(); b != nil && string(b.Id) != string(successor.GetBlob().GetId()) {
		blobs = append(blobs, b)
	}
	return a.toDo(k, append(blobs, partBlobs(v.Parts)...))
}

func partBlobs(parts []*metapb.Part) (blobs []*metapb.Blob) {
	for _, p := range parts {
		if p.Blob != nil {
			blobs = append(blobs, p.Blob)
		}
	}
	return blobs
}

// currentRow returns what LIST shows of a version.
func currentRow(v *metapb.Version) *metapb.Current {
	c := &metapb.Current{
		Time: v.Time, Nonce: v.Nonce, Size: v.Size, Etag: v.Etag, EtagParts: v.EtagParts,
		StorageClass: v.GetAttributes().GetStorageClass(), NullVersion: v.NullVersion, Owner: v.Owner,
	}
	if len(v.Checksums) > 0 {
		c.ChecksumAlgorithm = v.Checksums[0].Algorithm
		c.ChecksumComposite = v.Checksums[0].Parts > 0
	}
	return c
}

// summary is what a result tells of a version: small, because dedupe keeps it.
func summary(v *metapb.Version) *metapb.Version {
	if v == nil {
		return nil
	}
	return &metapb.Version{
		Format: v.Format, Time: v.Time, Nonce: v.Nonce, NullVersion: v.NullVersion, DeleteMarker: v.DeleteMarker,
		Size: v.Size, Etag: v.Etag, EtagParts: v.EtagParts, Checksums: v.Checksums,
	}
}
