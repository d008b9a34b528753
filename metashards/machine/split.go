package machine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// splitRange cuts the range in two. Rows carry no range number, so none of them moves but the range's own: fences and
// usage. The new range begins with the parent's time, floor, sequence and sweep: what the parent promised about them, it
// promises, too. Dedupe rows lie at their keys and go with them.
func (a *applier) splitRange(k *call, c *metapb.SplitRange) (*metapb.Result, error) {
	if !a.alone(k) {
		return invalid("a split among other commands"), nil
	}
	d := a.m.descriptor
	if c.GetIfGeneration() != d.Generation {
		return &metapb.Result{Status: metapb.Status_REVISION_MISMATCH, Range: d}, nil
	}
	left, right, why := SplitDescriptor(d, c.GetAt(), c.GetNewRange())
	if left == nil {
		return invalid(why), nil
	}
	s := a.state
	err := begin(a.b, right, &metapb.RangeState{
		Time: s.Time, Floor: s.Floor, Sequence: s.Sequence, SweepBegun: s.SweepBegun, SweepNext: bytes.Clone(s.SweepNext),
	})
	if err == nil {
		err = a.shareOut(right)
	}
	if err == nil {
		err = a.m.SetDescriptor(a.b, left)
	}
	return &metapb.Result{Range: left, Split: right}, err
}

// SplitDescriptor returns what a range's descriptor becomes and that of the new range when the range is cut at a position;
// nil and what is wrong if it can't be. The generation of both is the range's next one.
func SplitDescriptor(d *metapb.RangeDescriptor, at []byte, newRange uint64) (left, right *metapb.RangeDescriptor, why string) {
	bucket, key, err := keys.ParsePosition(at)
	switch {
	case err != nil:
		return nil, nil, "no position to split at"
	case newRange == 0 || newRange == d.Id:
		return nil, nil, "no id for the new range"
	case bytes.Equal(at, d.Start) || !keys.Contains(d.Start, d.End, bucket, key):
		return nil, nil, "nothing would be left on one side"
	case bucket == 0 && bytes.Compare(key, metapb.RecordKey("")) < 0:
		return nil, nil, "the records of buckets stay beside the count of their ids"
	case Joint(d):
		return nil, nil, "its replicas are being exchanged"
	}
	left, right = d.CloneVT(), d.CloneVT()
	left.Generation, right.Generation = d.Generation+1, d.Generation+1
	left.End, right.Start = bytes.Clone(at), bytes.Clone(at)
	right.Id = newRange
	return left, right, ""
}

// shareOut gives the new range the fences and the usage of what it holds now.
func (a *applier) shareOut(right *metapb.RangeDescriptor) error {
	bucket, key, err := keys.ParsePosition(right.Start)
	if err != nil {
		return err
	}
	amid := len(key) > 0 // both ranges hold a part of the bucket
	if err := a.shareRows(keys.FenceRow, keys.FenceSpan, right.Id, bucket, amid); err != nil {
		return err
	}
	kept := maps.Clone(a.m.fences)
	maps.DeleteFunc(kept, func(b uint64, _ *metapb.Fence) bool { return b > bucket || b == bucket && !amid })
	a.m.fences = kept
	if err := a.shareRows(keys.UsageRow, keys.UsageSpan, right.Id, bucket, false); err != nil {
		return err
	}
	maps.DeleteFunc(a.m.halved, func(b uint64, _ bool) bool { return b >= bucket })
	if !amid {
		return nil
	}
	return a.halve(right, bucket)
}

// shareRows moves the rows of one kind of all buckets from first on to the new range; with keep, the first one's is copied.
func (a *applier) shareRows(row func(rangeID, bucket uint64) []byte, span func(rangeID uint64) disk.Span, to, first uint64, keep bool) error {
	type kv struct {
		bucket uint64
		value  []byte
	}
	var rows []kv
	s := span(a.m.rangeID)
	s.Lower = row(a.m.rangeID, first)
	err := scan(a.b, s, func(r disk.Row) error {
		at, err := keys.ParseLocal(r.Key)
		rows = append(rows, kv{at.Bucket, bytes.Clone(r.Value)})
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := a.b.Set(row(to, r.bucket), r.value); err != nil {
			return err
		}
		if r.bucket == first && keep {
			continue
		}
		if err := a.b.Delete(row(a.m.rangeID, r.bucket)); err != nil {
			return err
		}
	}
	return nil
}

// halve shares the usage of the bucket that both ranges hold a part of: the old range keeps all of it and the new one begins
// with nothing, so that their sum is right at every moment, and each of them is once it has counted what it holds.
func (a *applier) halve(right *metapb.RangeDescriptor, bucket uint64) error {
	u := new(metapb.Usage)
	ok, err := get(a.b, keys.UsageRow(right.Id, bucket), u)
	if err != nil || !ok {
		return err // neither holds anything
	}
	u.Halved = right.Generation
	if mutantHalved {
		u.Halved = 0
	}
	if err := set(a.b, keys.UsageRow(a.m.rangeID, bucket), u); err != nil {
		return err
	}
	a.m.noteHalved(bucket, u.Halved != 0)
	return set(a.b, keys.UsageRow(right.Id, bucket), &metapb.Usage{Halved: right.Generation})
}

// Correction is what a range has to add to what it counts of a bucket.
type Correction struct {
	Bucket uint64
	Change *metapb.CorrectUsage
}

// Corrections counts what a range holds of each bucket whose usage is halved, and returns what is to be added to each. It is
// the same at every moment until the range is split again: what changes meanwhile changes both sides alike. It reads every
// row of those buckets.
func Corrections(r disk.Reader, rangeID uint64) (list []Correction, err error) {
	d, err := readDescriptor(r, rangeID)
	if err != nil {
		return nil, err
	}
	err = scan(r, keys.UsageSpan(rangeID), func(row disk.Row) error {
		at, err := keys.ParseLocal(row.Key)
		if err != nil {
			return err
		}
		u := new(metapb.Usage)
		if err := decode(row.Key, row.Value, u); err != nil || u.Halved == 0 {
			return err
		}
		by, err := countRows(r, d, at.Bucket)
		if err != nil {
			return err
		}
		addUsage(by, negative(u))
		list = append(list, Correction{at.Bucket, &metapb.CorrectUsage{IfHalved: u.Halved, By: by}})
		return nil
	})
	return list, err
}

// First returns the first position of a range.
func First(d *metapb.RangeDescriptor) (bucket uint64, key []byte) {
	bucket, key, _ = keys.ParsePosition(d.GetStart()) // an empty start is that of all
	return bucket, key
}

// FirstKey returns the first key of a bucket that a range may hold.
func FirstKey(d *metapb.RangeDescriptor, bucket uint64) []byte {
	if b, key, err := keys.ParsePosition(d.GetStart()); err == nil && b == bucket {
		return key
	}
	return nil
}

// correctUsage sets a halved usage right.
func (a *applier) correctUsage(k *call, c *metapb.CorrectUsage) (*metapb.Result, error) {
	if k.bucket == nil || c.GetIfHalved() == 0 || c.GetBy() == nil {
		return invalid("no bucket, no split or nothing to add"), nil
	}
	u := k.bucket
	if u.usage.Halved != c.IfHalved {
		return status(metapb.Status_REVISION_MISMATCH), nil
	}
	addUsage(u.usage, c.By)
	u.usage.Halved, u.dirty = 0, true
	return &metapb.Result{}, nil
}

// countRows counts what the range's rows hold of a bucket.
func countRows(r disk.Reader, d *metapb.RangeDescriptor, bucket uint64) (*metapb.Usage, error) {
	u := &bucketRows{bucket: bucket, usage: new(metapb.Usage)}
	for _, c := range []keys.Column{keys.Current, keys.Versions, keys.Uploads} {
		span := clip(keys.PrefixSpan(c, bucket, nil), d, c)
		if bytes.Compare(span.Lower, span.Upper) >= 0 {
			continue
		}
		if err := scan(r, span, func(row disk.Row) error { return u.countRow(c, row) }); err != nil {
			return nil, err
		}
	}
	return u.usage, u.err
}

// countRow counts one row.
func (u *bucketRows) countRow(c keys.Column, row disk.Row) error {
	switch c {
	case keys.Current:
		u.usage.Objects++
	case keys.Versions:
		v := new(metapb.Version)
		if err := decode(row.Key, row.Value, v); err != nil {
			return err
		}
		u.countVersion(v, false)
	case keys.Uploads:
		_, _, _, part, err := keys.ParseUpload(row.Key)
		if err != nil {
			return err
		}
		if !part {
			u.usage.Uploads++
			return nil
		}
		p := new(metapb.Part)
		if err := decode(row.Key, row.Value, p); err != nil {
			return err
		}
		u.countPart(p, false)
	}
	return nil
}

// errCount is the cause of CheckUsage's error.
var errCount = errors.New("the count is not what the rows say")

// CheckUsage compares the usage that a range keeps of a bucket with its rows. A halved one passes: it is not to be compared.
// It reads every row of the bucket, and is for tests.
func CheckUsage(r disk.Reader, rangeID, bucket uint64) error {
	d, err := readDescriptor(r, rangeID)
	if err != nil {
		return err
	}
	kept := new(metapb.Usage)
	if _, err := get(r, keys.UsageRow(rangeID, bucket), kept); err != nil || kept.Halved != 0 {
		return err
	}
	rows, err := countRows(r, d, bucket)
	if err != nil {
		return err
	}
	if !sameUsage(kept, rows) {
		return fmt.Errorf("usage of bucket %d in range %d: %w: kept %v, counted %v", bucket, rangeID, errCount, kept, rows)
	}
	return nil
}

func sameUsage(a, b *metapb.Usage) bool {
	x, errX := a.MarshalVT()
	y, errY := b.MarshalVT()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
