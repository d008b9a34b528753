package machine

import (
	"bytes"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// blobLooks bounds how many rows without a blob a page passes over, per row that it may return.
const blobLooks = 16

// listBlobs answers with a page of the rows of the range that name blobs, above a cursor, which is a row: versions, then parts of
// uploads. A page may be short or empty although more follow: next says where to go on.
func (x *reading) listBlobs() (*metapb.Answer, error) {
	q, a := x.GetListBlobs(), &metapb.Answer{}
	limit := pageLimit(q.GetLimit())
	if limit == 0 {
		return a, nil
	}
	looks := limit * blobLooks
	var last []byte
	for _, c := range []keys.Column{keys.Versions, keys.Uploads} {
		span, err := keys.ColumnSpan(c, x.descriptor.Start, x.descriptor.End)
		if err != nil {
			return nil, err
		}
		if q.OneKey {
			span = keys.KeySpan(c, x.Bucket, x.key)
		}
		if above := append(bytes.Clone(q.After), 0); len(q.After) > 0 && string(above) > string(span.Lower) {
			span.Lower = above
		}
		if string(span.Lower) >= string(span.Upper) {
			continue
		}
		err = scan(x.r, span, func(row disk.Row) error {
			if len(a.Blobs) == limit || looks == 0 {
				a.Truncated, a.Next = true, last
				return errStop
			}
			looks--
			last = append(last[:0:0], row.Key...)
			return addBlobs(a, c, row)
		})
		if a.Truncated || ignoreStop(err) != nil {
			return a, ignoreStop(err)
		}
	}
	return a, nil
}

// addBlobs adds a row's blobs to an answer, if it names any.
func addBlobs(a *metapb.Answer, c keys.Column, row disk.Row) error {
	at, err := keys.Parse(row.Key)
	if err != nil {
		return err
	}
	item := &metapb.BlobItem{Bucket: at.Bucket, Key: at.Key}
	if c == keys.Versions {
		v := new(metapb.Version)
		if err := decode(row.Key, row.Value, v); err != nil {
			return err
		}
		if b := v.GetBlob(); b != nil {
			item.Blobs = append(item.Blobs, b)
		}
		for _, p := range v.Parts {
			item.Blobs = append(item.Blobs, p.Blob)
		}
	} else if _, _, _, isPart, err := keys.ParseUpload(row.Key); err != nil {
		return err
	} else if isPart {
		p := new(metapb.Part)
		if err := decode(row.Key, row.Value, p); err != nil {
			return err
		}
		item.Blobs = append(item.Blobs, p.Blob)
	}
	if len(item.Blobs) > 0 {
		a.Blobs = append(a.Blobs, item)
	}
	return nil
}
