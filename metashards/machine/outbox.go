package machine

import (
	"bytes"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// toDo writes an outbox row at the command's position: blobs that no row refers to any more.
func (a *applier) toDo(k *call, blobs []*metapb.Blob) error {
	if len(blobs) == 0 {
		return nil
	}
	notBefore := a.state.Time + a.deleteDelay
	if mutantNoDelay {
		notBefore = a.state.Time
	}
	row := keys.OutboxRow(k.Bucket, k.key, notBefore, a.state.Sequence)
	a.state.Sequence++
	return set(a.b, row, &metapb.OutboxRow{
		Format: Format, NotBefore: notBefore,
		Cause: &metapb.OutboxRow_DeleteBlobs{DeleteBlobs: &metapb.DeleteBlobs{Blobs: blobs}},
	})
}

// outboxDone removes outbox rows. Rows that are gone are no error.
func (a *applier) outboxDone(_ *call, c *metapb.OutboxDone) (*metapb.Result, error) {
	d := a.m.descriptor
	for _, row := range c.GetRows() {
		r, _, _, err := keys.ParseOutbox(row)
		if err != nil {
			return invalid("no key of an outbox row"), nil
		}
		if !keys.Contains(d.Start, d.End, r.Bucket, r.Key) {
			return status(metapb.Status_WRONG_RANGE), nil
		}
	}
	for _, row := range c.GetRows() {
		if err := a.b.Delete(row); err != nil {
			return nil, err
		}
	}
	return &metapb.Result{}, nil
}

// holdBlob puts off the outbox rows of a key that are to delete a blob, so that whoever reads it is not cut off. It is in time if it
// comes before they are due, and the delay is long enough to come again.
func (a *applier) holdBlob(k *call, c *metapb.HoldBlob) (*metapb.Result, error) {
	notBefore := a.state.Time + a.deleteDelay
	type later struct {
		row []byte
		n   uint64
		v   *metapb.OutboxRow
	}
	var list []later
	err := scan(a.b, keys.KeySpan(keys.Outbox, k.Bucket, k.key), func(row disk.Row) error {
		_, due, n, err := keys.ParseOutbox(row.Key)
		if err != nil || due >= notBefore {
			return err
		}
		v := new(metapb.OutboxRow)
		if err := decode(row.Key, row.Value, v); err != nil {
			return err
		}
		if slices.ContainsFunc(v.GetDeleteBlobs().GetBlobs(), func(b *metapb.Blob) bool { return bytes.Equal(b.Id, c.GetBlob()) }) {
			list = append(list, later{bytes.Clone(row.Key), n, v})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, x := range list {
		if err := a.b.Delete(x.row); err != nil {
			return nil, err
		}
		x.v.NotBefore = notBefore
		if err := set(a.b, keys.OutboxRow(k.Bucket, k.key, notBefore, x.n), x.v); err != nil {
			return nil, err
		}
	}
	return &metapb.Result{}, nil
}
