package bucket

import (
	"context"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/record"
)

// abortBatch is how many uploads are given up in one round: each may have 10,000 parts.
const abortBatch = 100

// clear gives up the uploads of a bucket that holds nothing else: they do not keep S3 from deleting it. It reports
// whether the bucket was empty then, false if it holds versions; then nothing is given up.
func (r *Resolver) clear(ctx context.Context, name string) (bool, error) {
	versions, err := r.first(ctx, name, func() *metapb.Query {
		return &metapb.Query{Op: &metapb.Query_ListVersions{ListVersions: &metapb.ListVersions{Limit: 1}}}
	})
	if err != nil || len(versions) > 0 {
		return false, err
	}
	for {
		uploads, err := r.first(ctx, name, func() *metapb.Query {
			return &metapb.Query{Op: &metapb.Query_ListUploads{ListUploads: &metapb.ListUploads{Limit: abortBatch}}}
		})
		if err != nil || len(uploads) == 0 {
			return err == nil, err
		}
		commands := make([]*metapb.Command, len(uploads))
		for i, u := range uploads {
			commands[i] = &metapb.Command{
				Key: u.Key, Op: &metapb.Command_Abort{Abort: &metapb.AbortUpload{Upload: u.Upload.GetId()}},
			}
		}
		// One that another ended meanwhile is answered with NO_SUCH_UPLOAD, which is as good.
		if _, err := r.ApplyEach(ctx, opDelete, name, commands); err != nil {
			return false, err
		}
	}
}

// first returns the first lines of a listing, of the first range of the bucket that has any.
func (r *Resolver) first(ctx context.Context, name string, query func() *metapb.Query) ([]*metapb.ListItem, error) {
	for position := ""; ; {
		a, _, err := r.Query(ctx, opDelete, name, position, query())
		if err == nil {
			err = record.StatusError(opDelete, name, "", a.Status, a.Detail)
		}
		if err != nil {
			return nil, err
		}
		if len(a.Items) > 0 || !a.Truncated || string(a.Next) <= position {
			return a.Items, nil
		}
		position = string(a.Next)
	}
}
