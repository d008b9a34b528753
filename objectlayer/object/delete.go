package object

import (
	"context"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/record"
)

// batchMax is how many deletes ride in one command.
const batchMax = 250

// Delete removes a key or a version. A missing key is no error.
func (s *Store) Delete(ctx context.Context, r objectlayer.DeleteRequest) (objectlayer.Deletion, error) {
	c, err := s.deletion(r)
	if err != nil {
		return objectlayer.Deletion{}, err
	}
	res, _, err := s.o.Buckets.Apply(ctx, bucket.Request{Op: "delete", Bucket: r.Bucket, Key: r.Key, Command: c})
	if err != nil {
		return objectlayer.Deletion{}, err
	}
	return deleted(r, res)
}

// DeleteMany removes up to PageMax keys or versions of one bucket; each succeeds or fails by itself.
func (s *Store) DeleteMany(ctx context.Context, name string, rs []objectlayer.DeleteRequest) ([]objectlayer.Deletion, error) {
	if len(rs) > objectlayer.PageMax {
		return nil, record.Fail("delete", objectlayer.KindInvalidRequest, name, "", "too many keys")
	}
	if _, err := s.o.Buckets.Lookup(ctx, name); err != nil {
		return nil, err
	}
	ds := make([]objectlayer.Deletion, len(rs))
	var commands []*metapb.Command
	var places []int
	for i := range rs {
		rs[i].Bucket = name
		ds[i].Key = rs[i].Key
		c, err := s.deletion(rs[i])
		if err != nil {
			ds[i].Err = err
			continue
		}
		commands, places = append(commands, c), append(places, i)
	}
	for len(commands) > 0 {
		n := min(len(commands), batchMax)
		results, err := s.o.Buckets.ApplyEach(ctx, "delete", name, commands[:n])
		if objectlayer.KindOf(err) == objectlayer.KindNoSuchBucket && err != nil {
			return nil, err
		}
		for j, res := range results {
			d := &ds[places[j]]
			if res == nil {
				d.Err = err
				continue
			}
			done, failed := deleted(rs[places[j]], res)
			done.Err = failed
			*d = done
		}
		commands, places = commands[n:], places[n:]
	}
	return ds, nil
}

// deletion makes the command of a delete.
func (s *Store) deletion(r objectlayer.DeleteRequest) (*metapb.Command, error) {
	if err := judgeKey("delete", r.Bucket, r.Key); err != nil {
		return nil, err
	}
	if err := judgeVersionID("delete", r.Bucket, r.Key, r.VersionID); err != nil {
		return nil, err
	}
	nonce, err := s.o.Buckets.NewNonce()
	if err != nil {
		return nil, err
	}
	return &metapb.Command{Key: []byte(r.Key), Op: &metapb.Command_Delete{Delete: &metapb.DeleteVersion{
		VersionId: r.VersionID, Condition: record.PutCondition(r.Conditions), Nonce: nonce, Owner: r.Owner,
	}}}, nil
}

// deleted tells what a delete did.
func deleted(r objectlayer.DeleteRequest, res *metapb.Result) (objectlayer.Deletion, error) {
	d := objectlayer.Deletion{Key: r.Key}
	if err := record.StatusError("delete", r.Bucket, r.Key, res.Status, res.Detail); err != nil {
		return d, err
	}
	d.DeleteMarker = res.DeleteMarker
	switch {
	case r.VersionID != "":
		d.VersionID = r.VersionID // what is not there counts as removed
	case res.DeleteMarker:
		d.VersionID = metapb.VersionID(res.Version)
		d.MarkerVersion = d.VersionID
	}
	return d, nil
}
