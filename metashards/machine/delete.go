package machine

import "github.com/contender/contender/metashards/metapb"

// deleteVersion removes the current version, hides it behind a delete marker, or removes one version for good.
func (a *applier) deleteVersion(k *call, c *metapb.DeleteVersion) (*metapb.Result, error) {
	newest, err := a.newest(k)
	if err != nil {
		return nil, err
	}
	if r := judgeCondition(c.Condition, current(newest)); r != nil {
		return r, nil
	}
	if c.VersionId == "" && k.bucket.fence.Versioning != versioningNever {
		marker := &metapb.Version{DeleteMarker: true, Nonce: c.Nonce, Owner: c.Owner}
		return a.added(k, marker, newest)
	}
	v := newest
	if c.VersionId != "" {
		found, ok, err := findVersion(a.b, k.Bucket, k.key, c.VersionId)
		if err != nil {
			return nil, err
		}
		if !ok {
			return invalid("no version id"), nil
		}
		v = found
	}
	if v == nil {
		return &metapb.Result{}, nil // what is not there is deleted
	}
	if err := a.remove(k, v, nil); err != nil {
		return nil, err
	}
	if v.Time == newest.Time {
		if err := a.restore(k, v); err != nil {
			return nil, err
		}
	}
	return &metapb.Result{Version: summary(v), DeleteMarker: v.DeleteMarker}, nil
}

// restore makes the current row fit what is the newest version now that the newest before is gone.
func (a *applier) restore(k *call, gone *metapb.Version) error {
	now, err := newestVersion(a.b, k.Bucket, k.key)
	if err != nil {
		return err
	}
	return a.setCurrent(k, now, gone)
}
