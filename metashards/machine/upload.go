package machine

import (
	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// partNumberMax is the greatest part number.
const partNumberMax = 10_000

// uploadIDLen is the length of an upload id.
const uploadIDLen = 16

func readUpload(r disk.Reader, bucket uint64, key, id []byte) (*metapb.Upload, error) {
	if len(id) != uploadIDLen {
		return nil, nil
	}
	u := new(metapb.Upload)
	ok, err := get(r, keys.UploadRow(bucket, key, id), u)
	if err != nil || !ok {
		return nil, err
	}
	return u, nil
}

// partSpan is the span of the parts of an upload with numbers above after.
func partSpan(bucket uint64, key, id []byte, after uint32) disk.Span {
	upper := keys.PrefixEnd(keys.UploadRow(bucket, key, id))
	if after == ^uint32(0) {
		return disk.Span{Lower: upper, Upper: upper}
	}
	return disk.Span{Lower: keys.PartRow(bucket, key, id, after+1), Upper: upper}
}

// readParts returns the parts of an upload, ascending.
func readParts(r disk.Reader, bucket uint64, key, id []byte) (parts []*metapb.Part, err error) {
	err = scan(r, partSpan(bucket, key, id, 0), func(row disk.Row) error {
		p := new(metapb.Part)
		parts = append(parts, p)
		return decode(row.Key, row.Value, p)
	})
	return parts, err
}

// createUpload begins an upload. The same id again is no error.
func (a *applier) createUpload(k *call, c *metapb.CreateUpload) (*metapb.Result, error) {
	id := c.GetUpload().GetId()
	if len(id) != uploadIDLen {
		return invalid("an upload without its id"), nil
	}
	old, err := readUpload(a.b, k.Bucket, k.key, id)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return &metapb.Result{}, nil
	}
	u := c.Upload.CloneVT()
	u.Format = Format
	if u.Time == 0 {
		u.Time = k.Time
	}
	k.changed = true
	k.bucket.count(&k.bucket.usage.Uploads, 1, false)
	return &metapb.Result{}, set(a.b, keys.UploadRow(k.Bucket, k.key, id), u)
}

// putPart writes a part's row in place of one of the same number. The row remembers its request: a retry that finds it
// is answered the same, one that finds another request's row, written at its time or later, is uncertain.
func (a *applier) putPart(k *call, c *metapb.PutPart) (*metapb.Result, error) {
	p := c.GetPart()
	switch {
	case p.GetNumber() == 0 || p.GetNumber() > partNumberMax:
		return invalid("a part's number is 1 to 10000"), nil
	case p.Blob == nil && p.Size > 0, p.Blob != nil && !wellFormed(p.Blob):
		return invalid("a part without its bytes"), nil
	}
	u, err := readUpload(a.b, k.Bucket, k.key, c.Upload)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return status(metapb.Status_NO_SUCH_UPLOAD), nil
	}
	old, row := new(metapb.Part), keys.PartRow(k.Bucket, k.key, c.Upload, p.Number)
	there, err := get(a.b, row, old)
	if err != nil {
		return nil, err
	}
	now := p.CloneVT()
	now.RequestId, now.Time = k.RequestId, k.Time
	if there {
		switch {
		case k.RequestId != "" && old.RequestId == k.RequestId:
			return &metapb.Result{Part: partSummary(old)}, nil
		case k.Retry && old.Time >= k.Time:
			return status(metapb.Status_UNKNOWN_OUTCOME), nil
		}
		now.Time = max(k.Time, old.Time)
		k.bucket.countPart(old, true)
		if old.Blob != nil && string(old.Blob.Id) != string(now.Blob.GetId()) {
			if err := a.toDo(k, []*metapb.Blob{old.Blob}); err != nil {
				return nil, err
			}
		}
	}
	k.bucket.countPart(now, false)
	return &metapb.Result{Part: partSummary(now)}, set(a.b, row, now)
}

// partSummary is what an answer tells of a part.
func partSummary(p *metapb.Part) *metapb.Part {
	return &metapb.Part{Number: p.Number, Size: p.Size, Etag: p.Etag, Checksums: p.Checksums, Time: p.Time}
}

// abortUpload removes an upload and its parts.
func (a *applier) abortUpload(k *call, c *metapb.AbortUpload) (*metapb.Result, error) {
	u, err := readUpload(a.b, k.Bucket, k.key, c.GetUpload())
	if err != nil {
		return nil, err
	}
	if u == nil {
		return status(metapb.Status_NO_SUCH_UPLOAD), nil
	}
	parts, err := readParts(a.b, k.Bucket, k.key, u.Id)
	if err != nil {
		return nil, err
	}
	return &metapb.Result{}, a.endUpload(k, u.Id, parts, parts)
}

// endUpload removes the rows of an upload and of all its parts, and sees to the bytes of those that are dropped.
func (a *applier) endUpload(k *call, id []byte, parts, dropped []*metapb.Part) error {
	k.changed = true
	if err := a.b.Delete(keys.UploadRow(k.Bucket, k.key, id)); err != nil {
		return err
	}
	k.bucket.count(&k.bucket.usage.Uploads, 1, true)
	for _, p := range parts {
		if err := a.b.Delete(keys.PartRow(k.Bucket, k.key, id, p.Number)); err != nil {
			return err
		}
		k.bucket.countPart(p, true)
	}
	return a.toDo(k, partBlobs(dropped))
}
