package listing

import (
	"context"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/record"
)

// Store implements objectlayer.Listings.
type Store struct{ buckets *bucket.Resolver }

var _ objectlayer.Listings = (*Store)(nil)

// New returns a Store.
func New(buckets *bucket.Resolver) *Store { return &Store{buckets} }

// Keys returns a page of the live keys of a bucket.
func (s *Store) Keys(ctx context.Context, r objectlayer.ListRequest) (objectlayer.Page, error) {
	return s.page(ctx, r, "", walk{
		query: func(c cursor, limit uint32) *metapb.Query {
			return &metapb.Query{Op: &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{
				Prefix: []byte(r.Prefix), Delimiter: []byte(r.Delimiter),
				After: []byte(c.key), AfterPrefix: []byte(c.prefix), Limit: limit,
			}}}
		},
		item: func(it *metapb.ListItem, versioned bool) objectlayer.Item {
			return objectlayer.Item{Version: record.Current(r.Bucket, string(it.Key), it.Current, versioned)}
		},
	})
}

// Versions returns a page of the versions and delete markers of a bucket.
func (s *Store) Versions(ctx context.Context, r objectlayer.ListRequest) (objectlayer.Page, error) {
	if r.VersionIDMarker != "" && r.After == "" && r.Token == "" {
		return objectlayer.Page{}, record.Fail("list", objectlayer.KindInvalidArgument, r.Bucket, "",
			"A version-id marker cannot be specified without a key marker.")
	}
	if r.VersionIDMarker != "" && r.VersionIDMarker != metapb.NullVersionID {
		if _, _, err := metapb.ParseVersionID(r.VersionIDMarker); err != nil {
			return objectlayer.Page{}, record.Fail("list", objectlayer.KindInvalidArgument, r.Bucket, "", "Invalid version id specified")
		}
	}
	return s.page(ctx, r, r.VersionIDMarker, walk{
		query: func(c cursor, limit uint32) *metapb.Query {
			return &metapb.Query{Op: &metapb.Query_ListVersions{ListVersions: &metapb.ListVersions{
				Prefix: []byte(r.Prefix), Delimiter: []byte(r.Delimiter),
				KeyMarker: []byte(c.key), VersionMarker: c.mark, AfterPrefix: []byte(c.prefix), Limit: limit,
			}}}
		},
		item: func(it *metapb.ListItem, versioned bool) objectlayer.Item {
			return objectlayer.Item{Version: record.Version(r.Bucket, string(it.Key), it.Version, it.IsLatest, versioned)}
		},
		mark: func(it objectlayer.Item) string { return it.Version.ID },
	})
}

// Uploads returns a page of the uploads under way in a bucket.
func (s *Store) Uploads(ctx context.Context, r objectlayer.ListRequest) (objectlayer.Page, error) {
	if r.UploadIDMarker != "" && r.After != "" && r.Token == "" {
		if _, ok := record.DecodeUploadID(r.UploadIDMarker); !ok {
			return objectlayer.Page{}, record.Fail("list", objectlayer.KindInvalidArgument, r.Bucket, "", "Invalid uploadId marker")
		}
	}
	return s.page(ctx, r, r.UploadIDMarker, walk{
		query: func(c cursor, limit uint32) *metapb.Query {
			id, _ := record.DecodeUploadID(c.mark)
			return &metapb.Query{Op: &metapb.Query_ListUploads{ListUploads: &metapb.ListUploads{
				Prefix: []byte(r.Prefix), Delimiter: []byte(r.Delimiter),
				KeyMarker: []byte(c.key), UploadMarker: id, AfterPrefix: []byte(c.prefix), Limit: limit,
			}}}
		},
		item: func(it *metapb.ListItem, _ bool) objectlayer.Item {
			return objectlayer.Item{Upload: record.Upload(r.Bucket, string(it.Key), it.Upload)}
		},
		mark: func(it objectlayer.Item) string { return it.Upload.ID },
	})
}

// Parts returns a page of the parts of an upload.
func (s *Store) Parts(ctx context.Context, r objectlayer.ListRequest) (objectlayer.Page, error) {
	const op = "list parts"
	id, ok := record.DecodeUploadID(r.UploadID)
	if !ok {
		return objectlayer.Page{}, record.Fail(op, objectlayer.KindNoSuchUpload, r.Bucket, r.Key, "")
	}
	limit := min(max(r.Limit, 0), objectlayer.PageMax)
	a, _, err := s.buckets.Query(ctx, op, r.Bucket, r.Key, &metapb.Query{Op: &metapb.Query_ListParts{
		ListParts: &metapb.ListParts{Upload: id, After: uint32(max(r.PartMarker, 0)), Limit: uint32(limit)},
	}})
	if err == nil {
		err = record.StatusError(op, r.Bucket, r.Key, a.Status, a.Detail)
	}
	if err != nil {
		return objectlayer.Page{}, err
	}
	p := objectlayer.Page{Upload: record.Upload(r.Bucket, r.Key, a.Upload), Truncated: a.Truncated}
	for _, part := range a.Parts {
		p.Items = append(p.Items, objectlayer.Item{Part: record.Part(part)})
		p.NextPart = int(part.Number)
	}
	return p, nil
}

// walk is what listings differ in.
type walk struct {
	query func(c cursor, limit uint32) *metapb.Query
	item  func(it *metapb.ListItem, versioned bool) objectlayer.Item
	mark  func(objectlayer.Item) string // what tells the lines of one key apart; nil: a key has one line
}

// page gathers a page from as many ranges as it takes. It asks for one line more than it returns, so that it knows
// whether there is more.
func (s *Store) page(ctx context.Context, r objectlayer.ListRequest, mark string, w walk) (objectlayer.Page, error) {
	var p objectlayer.Page
	c, err := begin(r, mark)
	if err != nil {
		return p, err
	}
	limit := min(max(r.Limit, 0), objectlayer.PageMax)
	if limit == 0 {
		_, err := s.buckets.Lookup(ctx, r.Bucket)
		return p, err
	}
	position := max(c.key, c.prefix, r.Prefix)
	for more := true; more && !p.Truncated; {
		q := w.query(c, uint32(limit-len(p.Items)+1))
		a, b, err := s.buckets.Query(ctx, "list", r.Bucket, position, q)
		if err == nil {
			err = record.StatusError("list", r.Bucket, "", a.Status, a.Detail)
		}
		if err != nil {
			return objectlayer.Page{}, err
		}
		for _, it := range a.Items {
			if len(p.Items) == limit {
				p.Truncated = true
				break
			}
			item := objectlayer.Item{Prefix: string(it.Key)}
			c = cursor{prefix: item.Prefix}
			if !it.CommonPrefix {
				item = w.item(it, b.Versioning != 0)
				c = cursor{key: string(it.Key)}
				if w.mark != nil {
					c.mark = w.mark(item)
				}
			}
			p.Items = append(p.Items, item)
		}
		more = a.Truncated && string(a.Next) > position
		position = max(position, string(a.Next))
	}
	if p.Truncated {
		endAt(&p, c)
	}
	return p, nil
}

// endAt says where a page ended.
func endAt(p *objectlayer.Page, c cursor) {
	p.Next = c.token()
	p.NextKey = c.key + c.prefix // one of them is empty
	if last := p.Items[len(p.Items)-1]; last.Prefix == "" {
		p.NextVersionID, p.NextUploadID = last.Version.ID, last.Upload.ID
	}
}
