package bucket

import (
	"context"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/record"
)

// Hold puts off the deletion of a blob that was written for a key, if it is to be deleted, by the cluster's delete delay from now. The
// bucket is given by its id: its name may be another bucket's by now.
func (r *Resolver) Hold(ctx context.Context, bucket uint64, key string, blob disk.BlobID) error {
	const op = "hold bytes"
	res, err := r.store.Apply(ctx, &metapb.Command{
		Format: record.Format, Bucket: bucket, Key: []byte(key), Time: r.Micros(),
		Op: &metapb.Command_HoldBlob{HoldBlob: &metapb.HoldBlob{Blob: blob[:]}},
	}, nil)
	if err != nil {
		return record.Error(op, "", key, err)
	}
	return record.StatusError(op, "", key, res.Status, res.Detail)
}
