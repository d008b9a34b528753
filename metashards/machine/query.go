package machine

import (
	"bytes"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// Answer answers a query from the rows that r shows, the range's descriptor, fence and time among them, so that all of
// them are of one moment. It is safe for concurrent use. A query that makes no sense gets a status; an error means that
// a row can't be read.
//
// The payload of an inline version is not filled in: the caller reads it from the log as Answer.version.inline names it.
func (m *Machine) Answer(r disk.Reader, q *metapb.Query) (*metapb.Answer, error) {
	if knownFormat(q.GetFormat()) != nil {
		return unanswered(metapb.Status_INVALID_REQUEST, "a query of an unknown format"), nil
	}
	d, err := readDescriptor(r, m.rangeID)
	if err != nil {
		return nil, err
	}
	s, err := readState(r, m.rangeID)
	if err != nil {
		return nil, err
	}
	x := Moment{descriptor: d, time: s.Time, fences: fences{}}
	if q.Bucket == 0 {
		return x.Answer(r, q)
	}
	f := new(metapb.Fence)
	ok, err := get(r, keys.FenceRow(m.rangeID, q.Bucket), f)
	if err != nil {
		return nil, err
	}
	if ok {
		x.fences[q.Bucket] = f
	}
	return x.Answer(r, q)
}

// Moment is what a range's machine knows without reading rows, as of the entry that was applied last.
type Moment struct {
	descriptor *metapb.RangeDescriptor
	time       uint64
	fences     fences
}

// Moment returns the moment of now. A reader that shows the rows of the same moment can be asked through it, without
// reading the range's own rows again.
func (m *Machine) Moment() Moment { return Moment{m.descriptor, m.state.Time, m.fences} }

// Answer is Machine.Answer for a reader that shows the rows as they were at this moment.
func (m Moment) Answer(r disk.Reader, q *metapb.Query) (*metapb.Answer, error) {
	if knownFormat(q.GetFormat()) != nil {
		return unanswered(metapb.Status_INVALID_REQUEST, "a query of an unknown format"), nil
	}
	x := &reading{Query: q, r: r, descriptor: m.descriptor, fences: m.fences, key: q.GetKey()}
	a, err := x.answer()
	if err != nil {
		return nil, fmt.Errorf("range %d: query: %w", m.descriptor.GetId(), err)
	}
	a.Time = m.time
	return a, nil
}

// reading is one query on its way.
type reading struct {
	*metapb.Query
	r          disk.Reader
	descriptor *metapb.RangeDescriptor
	fences     fences
	key        []byte // its position's key
}

func unanswered(s metapb.Status, detail string) *metapb.Answer {
	return &metapb.Answer{Status: s, Detail: detail}
}

// answer judges span and fence and then reads.
func (x *reading) answer() (*metapb.Answer, error) {
	wantsBucket := true
	switch op := x.GetOp().(type) {
	case *metapb.Query_GetBucket_:
		x.key, wantsBucket = metapb.BucketKey(op.GetBucket_.GetName()), false
	case *metapb.Query_ListBuckets:
		first := metapb.BucketKey(max(op.ListBuckets.GetPrefix(), op.ListBuckets.GetAfter()))
		if bytes.Compare(first, x.key) > 0 { // else it goes on where another range ended
			x.key = first
		}
		wantsBucket = false
	case *metapb.Query_GetSystem:
		x.key, wantsBucket = metapb.RecordKey(op.GetSystem.GetName()), false
	case *metapb.Query_ListOutbox:
		return x.inSpan(x.listOutbox)
	case *metapb.Query_GetRange:
		return x.inSpan(x.getRange)
	case *metapb.Query_FindSplit:
		return x.inSpan(x.findSplit)
	case *metapb.Query_FindShards:
		return x.inSpan(x.findShards)
	case *metapb.Query_ListBlobs:
		return x.inSpan(x.listBlobs)
	case *metapb.Query_GetUsage:
		if op.GetUsage.GetAll() {
			return x.inSpan(x.wholeUsage)
		}
	}
	if wantsBucket != (x.Bucket != 0) {
		return unanswered(metapb.Status_INVALID_REQUEST, "no bucket, or one where none belongs"), nil
	}
	return x.inSpan(x.fenced)
}

// inSpan reads if the query's position lies in the range.
func (x *reading) inSpan(read func() (*metapb.Answer, error)) (*metapb.Answer, error) {
	if !keys.Contains(x.descriptor.Start, x.descriptor.End, x.Bucket, x.key) {
		return unanswered(metapb.Status_WRONG_RANGE, ""), nil
	}
	return read()
}

// fenced reads if the query knows the bucket as the range does.
func (x *reading) fenced() (*metapb.Answer, error) {
	if x.Bucket == 0 {
		return x.read()
	}
	f := x.fences.of(x.Bucket)
	if r := judgeFence(f, x.Generation, false); r != nil {
		return &metapb.Answer{Status: r.Status, Generation: r.Generation}, nil
	}
	a, err := x.read()
	if err == nil {
		a.Generation = f.Generation
	}
	return a, err
}

func (x *reading) read() (*metapb.Answer, error) {
	switch op := x.GetOp().(type) {
	case *metapb.Query_Get:
		return x.getVersion(op.Get)
	case *metapb.Query_ListKeys:
		return x.listKeys(op.ListKeys)
	case *metapb.Query_ListVersions:
		return x.listVersions(op.ListVersions)
	case *metapb.Query_GetUpload:
		return x.getUpload(op.GetUpload)
	case *metapb.Query_ListParts:
		return x.listParts(op.ListParts)
	case *metapb.Query_ListUploads:
		return x.listUploads(op.ListUploads)
	case *metapb.Query_GetBucket_:
		return x.getBucket(op.GetBucket_)
	case *metapb.Query_ListBuckets:
		return x.listBuckets(op.ListBuckets)
	case *metapb.Query_GetSystem:
		return x.getSystem(op.GetSystem)
	case *metapb.Query_GetUsage:
		a := &metapb.Answer{Usage: new(metapb.Usage)}
		_, err := get(x.r, keys.UsageRow(x.descriptor.Id, x.Bucket), a.Usage)
		return a, err
	}
	return unanswered(metapb.Status_INVALID_REQUEST, "no query that this program knows"), nil
}

// getVersion reads the current version or one by id. A delete marker is answered like absence, with the marker.
func (x *reading) getVersion(q *metapb.GetVersion) (*metapb.Answer, error) {
	if q.GetVersionId() == "" {
		v, err := currentVersion(x.r, x.Bucket, x.key)
		if v != nil || err != nil {
			return &metapb.Answer{Version: v, IsLatest: true}, err
		}
		v, err = newestVersion(x.r, x.Bucket, x.key)
		return &metapb.Answer{Status: metapb.Status_NO_SUCH_KEY, Version: v, IsLatest: v != nil}, err
	}
	v, ok, err := findVersion(x.r, x.Bucket, x.key, q.VersionId)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return unanswered(metapb.Status_INVALID_REQUEST, "no version id"), nil
	case v == nil:
		return unanswered(metapb.Status_NO_SUCH_VERSION, ""), nil
	}
	newest, err := newestVersion(x.r, x.Bucket, x.key)
	if err != nil {
		return nil, err
	}
	a := &metapb.Answer{Version: v, IsLatest: newest != nil && newest.Time == v.Time}
	if v.DeleteMarker {
		a.Status = metapb.Status_NO_SUCH_KEY
	}
	return a, nil
}

func (x *reading) getUpload(q *metapb.GetUpload) (*metapb.Answer, error) {
	u, err := readUpload(x.r, x.Bucket, x.key, q.GetUpload())
	if err != nil {
		return nil, err
	}
	if u == nil {
		return unanswered(metapb.Status_NO_SUCH_UPLOAD, ""), nil
	}
	return &metapb.Answer{Upload: u}, nil
}

// listParts answers with the upload and a page of its parts, without their bytes' places.
func (x *reading) listParts(q *metapb.ListParts) (*metapb.Answer, error) {
	a, err := x.getUpload(&metapb.GetUpload{Upload: q.GetUpload()})
	if err != nil || a.Status != metapb.Status_OK {
		return a, err
	}
	limit := pageLimit(q.Limit)
	if limit == 0 {
		return a, nil
	}
	err = scan(x.r, partSpan(x.Bucket, x.key, q.Upload, q.After), func(row disk.Row) error {
		if len(a.Parts) == limit {
			a.Truncated = true
			return errStop
		}
		p := new(metapb.Part)
		if err := decode(row.Key, row.Value, p); err != nil {
			return err
		}
		a.Parts = append(a.Parts, partSummary(p))
		return nil
	})
	return a, ignoreStop(err)
}

// getRange answers with the descriptor. What the leader knows of the replicas is for its store to add.
func (x *reading) getRange() (*metapb.Answer, error) {
	return &metapb.Answer{Range: &metapb.RangeReport{Range: x.descriptor}}, nil
}

func (x *reading) getBucket(q *metapb.GetBucket) (*metapb.Answer, error) {
	b, err := readBucket(x.r, q.GetName())
	if err != nil {
		return nil, err
	}
	if b == nil {
		return unanswered(metapb.Status_NO_SUCH_BUCKET, ""), nil
	}
	return &metapb.Answer{Bucket: b, Generation: b.Generation}, nil
}

// listBuckets answers with a page of buckets by name, above after. Where the range ends amid them, next is that position's
// key.
func (x *reading) listBuckets(q *metapb.ListBuckets) (*metapb.Answer, error) {
	a, limit := &metapb.Answer{}, pageLimit(q.GetLimit())
	if limit == 0 {
		return a, nil
	}
	prefix := metapb.BucketKey(q.Prefix)
	if bucket, key, err := keys.ParsePosition(x.descriptor.End); err == nil && bucket == 0 && bytes.HasPrefix(key, prefix) {
		a.Truncated, a.Next = true, key
	}
	span := clip(keys.PrefixSpan(keys.System, 0, prefix), x.descriptor, keys.System)
	if above := append(keys.BucketRecord(q.After), 0); q.After != "" && string(above) > string(span.Lower) {
		span.Lower = above
	}
	if string(span.Lower) >= string(span.Upper) {
		return a, nil
	}
	err := scan(x.r, span, func(row disk.Row) error {
		if len(a.Buckets) == limit {
			a.Truncated, a.Next = true, metapb.BucketKey(a.Buckets[limit-1].Name)
			return errStop
		}
		b := new(metapb.Bucket)
		a.Buckets = append(a.Buckets, b)
		return decode(row.Key, row.Value, b)
	})
	return a, ignoreStop(err)
}

// getSystem answers with a record and its revision; NO_SUCH_KEY if there is none.
func (x *reading) getSystem(q *metapb.GetSystem) (*metapb.Answer, error) {
	a := &metapb.Answer{Record: new(metapb.SystemRecord)}
	ok, err := get(x.r, keys.Record(q.GetName()), a.Record)
	if err == nil && !ok {
		return unanswered(metapb.Status_NO_SUCH_KEY, ""), nil
	}
	return a, err
}

// outboxLooks bounds how many rows that are not due a page of the outbox passes over, per row that it may return.
const outboxLooks = 16

// listOutbox answers with a page of the outbox rows of the range that are due, above a cursor. A page may be short or
// empty although more follow: next says where to go on.
func (x *reading) listOutbox() (*metapb.Answer, error) {
	q, a := x.GetListOutbox(), &metapb.Answer{}
	limit := pageLimit(q.GetLimit())
	if limit == 0 {
		return a, nil
	}
	span, err := keys.ColumnSpan(keys.Outbox, x.descriptor.Start, x.descriptor.End)
	if err != nil {
		return nil, err
	}
	if above := append(append([]byte{}, q.After...), 0); len(q.After) > 0 && string(above) > string(span.Lower) {
		span.Lower = above
	}
	if string(span.Lower) >= string(span.Upper) {
		return a, nil
	}
	var last []byte
	looks := limit * outboxLooks
	err = scan(x.r, span, func(row disk.Row) error {
		if len(a.Outbox) == limit || looks == 0 {
			a.Truncated, a.Next = true, last
			return errStop
		}
		looks--
		last = append(last[:0:0], row.Key...)
		at, notBefore, _, err := keys.ParseOutbox(row.Key)
		if err != nil {
			return err
		}
		if notBefore > q.Due {
			a.Waits = true
			return nil
		}
		item := &metapb.OutboxItem{Row: last, Value: new(metapb.OutboxRow), Bucket: at.Bucket, Key: at.Key}
		a.Outbox = append(a.Outbox, item)
		return decode(row.Key, row.Value, item.Value)
	})
	return a, ignoreStop(err)
}
