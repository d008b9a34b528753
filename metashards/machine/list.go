package machine

import (
	"bytes"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// pageMax is the most lines of a page, whatever the caller asks.
const pageMax = 10_000

func pageLimit(limit uint32) int { return int(min(limit, pageMax)) }

// clip cuts a span of a column to the range's.
func clip(s disk.Span, d *metapb.RangeDescriptor, c keys.Column) disk.Span {
	own, err := keys.ColumnSpan(c, d.GetStart(), d.GetEnd())
	if err != nil {
		return disk.Span{} // SetDescriptor refuses such bounds
	}
	if bytes.Compare(own.Lower, s.Lower) > 0 {
		s.Lower = own.Lower
	}
	if s.Upper == nil || bytes.Compare(own.Upper, s.Upper) < 0 {
		s.Upper = own.Upper
	}
	return s
}

// page makes a page of keys, versions or uploads of one bucket from one column. It seeks past common prefixes that hold
// many rows, so it costs what it returns.
type page struct {
	*reading
	column    keys.Column
	prefix    []byte
	delimiter []byte
	limit     int
	// line makes a line of the row that the iterator stands at.
	line func(at keys.Row, value []byte) (*metapb.ListItem, error)
	// next moves on from a row; nil: to the next one.
	next func(it disk.Iter, at keys.Row) bool
	// start is the first row to look at; nil: the first with the prefix. (It may lie below it.)
	start []byte
	// upper is the end of the rows that the range has for the page.
	upper []byte
	// wide is how many common prefixes in a row, up to the last one, have held more than narrowRows rows.
	wide int

	answer metapb.Answer
}

// startAfter sets the start of a page that goes on above the key after, and past a whole common prefix.
func (p *page) startAfter(after, afterPrefix []byte) {
	if len(after) > 0 {
		p.startAt(p.above(after))
	}
	if len(afterPrefix) > 0 {
		p.startAt(keys.PrefixSpan(p.column, p.Bucket, afterPrefix).Upper)
	}
}

// startAt moves the start up.
func (p *page) startAt(row []byte) {
	if bytes.Compare(row, p.start) > 0 {
		p.start = row
	}
}

// above returns the first row that may belong to a page after a key: past the key's rows, and past the whole common
// prefix that the key lies in, because that prefix is not above the key.
func (p *page) above(after []byte) []byte {
	if common := p.common(after); common != nil {
		return keys.PrefixSpan(p.column, p.Bucket, common).Upper
	}
	return keys.KeySpan(p.column, p.Bucket, after).Upper
}

// common returns the common prefix that a key is rolled up into, nil if it stands for itself.
func (p *page) common(key []byte) []byte {
	if len(p.delimiter) == 0 || !bytes.HasPrefix(key, p.prefix) {
		return nil
	}
	i := bytes.Index(key[len(p.prefix):], p.delimiter)
	if i < 0 {
		return nil
	}
	return key[:len(p.prefix)+i+len(p.delimiter)]
}

// make walks the rows and fills the answer.
func (p *page) make() (*metapb.Answer, error) {
	a := &p.answer
	if p.limit == 0 {
		return a, nil
	}
	whole := keys.PrefixSpan(p.column, p.Bucket, p.prefix)
	span := clip(whole, p.descriptor, p.column)
	from := span.Lower
	if bytes.Compare(p.start, from) > 0 {
		from = p.start
	}
	if bytes.Compare(from, span.Upper) >= 0 {
		p.cutShort(whole, span, from)
		return a, nil
	}
	p.upper = span.Upper
	it, err := p.r.Iter(from, span.Upper)
	if err != nil {
		return nil, err
	}
	if err := p.walk(it); err != nil {
		it.Close()
		return nil, err
	}
	if !a.Truncated {
		p.cutShort(whole, span, from)
	}
	return a, it.Close()
}

// cutShort says where to go on if the range ends before the list does.
func (p *page) cutShort(whole, span disk.Span, from []byte) {
	if bytes.Equal(span.Upper, whole.Upper) || bytes.Compare(from, whole.Upper) >= 0 {
		return
	}
	if bucket, key, err := keys.ParsePosition(p.descriptor.GetEnd()); err == nil && bucket == p.Bucket {
		p.answer.Truncated, p.answer.Next = true, bytes.Clone(key)
	}
}

func (p *page) walk(it disk.Iter) error {
	a := &p.answer
	for ok := it.First(); ok; {
		at, err := keys.Parse(it.Key())
		if err != nil {
			return err
		}
		if len(a.Items) == p.limit {
			a.Truncated, a.Next = true, a.Items[p.limit-1].Key
			return nil
		}
		if common := p.common(at.Key); common != nil {
			a.Items = append(a.Items, &metapb.ListItem{Key: common, CommonPrefix: true})
			ok = p.past(it, keys.PrefixSpan(p.column, p.Bucket, common).Upper)
			continue
		}
		item, err := p.line(at, it.Value())
		if err != nil {
			return err
		}
		if item != nil {
			item.Key = at.Key
			a.Items = append(a.Items, item)
		}
		if p.next != nil {
			ok = p.next(it, at)
		} else {
			ok = it.Next()
		}
	}
	return it.Err()
}

// A common prefix that holds up to narrowRows rows is left row by row, which costs less than a seek: that goes to every
// level of the store. Once wideMost prefixes in a row have held more, they are left by seeks alone.
const (
	narrowRows = 16
	wideMost   = 2
)

// past moves on from the first row of a common prefix to the first row that is not below its end. There is none where the range
// ends before the prefix does.
func (p *page) past(it disk.Iter, end []byte) bool {
	if bytes.Compare(end, p.upper) >= 0 && !mutantListScan {
		return false
	}
	for n := 0; n < narrowRows && p.wide < wideMost || mutantListScan; n++ {
		if !it.Next() {
			return false
		}
		if bytes.Compare(it.Key(), end) >= 0 {
			p.wide = 0
			return true
		}
	}
	p.wide++
	return it.SeekGE(end)
}

// listKeys answers with a page of live keys.
func (x *reading) listKeys(q *metapb.ListKeys) (*metapb.Answer, error) {
	p := &page{
		reading: x, column: keys.Current, prefix: q.GetPrefix(), delimiter: q.GetDelimiter(), limit: pageLimit(q.GetLimit()),
	}
	var room []keyLine
	p.line = func(at keys.Row, value []byte) (*metapb.ListItem, error) {
		if len(room) == 0 {
			room = make([]keyLine, min(max(len(p.answer.Items), 8), 128))
		}
		l := &room[0]
		room = room[1:]
		l.item.Current, l.item.IsLatest = &l.current, true
		return &l.item, decode(at.Key, value, &l.current)
	}
	p.startAfter(q.GetAfter(), q.GetAfterPrefix())
	return p.make()
}

// keyLine is a line of a page of keys with what it points to: they are made many at a time.
type keyLine struct {
	item    metapb.ListItem
	current metapb.Current
}

// listVersions answers with a page of versions and delete markers: newest first within a key, without the places of their
// bytes. With a version marker it goes on within the key marker's versions.
func (x *reading) listVersions(q *metapb.ListVersions) (*metapb.Answer, error) {
	p := &page{
		reading: x, column: keys.Versions, prefix: q.GetPrefix(), delimiter: q.GetDelimiter(), limit: pageLimit(q.GetLimit()),
	}
	var key, newest []byte // the key that the walk is in, and the suffix of its newest version
	if q.GetVersionMarker() == "" {
		p.startAfter(q.GetKeyMarker(), q.GetAfterPrefix())
	} else {
		start, first, ok, err := x.versionMarker(q.KeyMarker, q.VersionMarker)
		if err != nil {
			return nil, err
		}
		if !ok {
			return unanswered(metapb.Status_INVALID_REQUEST, "no version id"), nil
		}
		if p.common(q.KeyMarker) != nil {
			start = p.above(q.KeyMarker)
		}
		p.startAt(start)
		p.startAfter(nil, q.AfterPrefix)
		key, newest = q.KeyMarker, first
	}
	p.line = func(at keys.Row, value []byte) (*metapb.ListItem, error) {
		v := new(metapb.Version)
		if err := decode(at.Key, value, v); err != nil {
			return nil, err
		}
		if newest == nil || !bytes.Equal(key, at.Key) {
			key, newest = at.Key, bytes.Clone(at.Suffix)
		}
		v.Form, v.Parts = nil, nil
		return &metapb.ListItem{Version: v, IsLatest: bytes.Equal(newest, at.Suffix)}, nil
	}
	return p.make()
}

// versionMarker returns the row after the version that a marker names, and the suffix of the key's newest version. The id
// of a version that is gone still names its place; "null" without a null version names the place before all of them.
func (x *reading) versionMarker(key []byte, id string) (start, newest []byte, ok bool, err error) {
	v, err := newestVersion(x.r, x.Bucket, key)
	if err != nil {
		return nil, nil, false, err
	}
	prefix := keys.KeyRow(keys.Versions, x.Bucket, key)
	if v != nil {
		newest = keys.VersionRow(x.Bucket, key, v.Time)[len(prefix):]
	}
	if id == metapb.NullVersionID {
		null, err := nullVersion(x.r, x.Bucket, key, v)
		if err != nil || null == nil {
			return prefix, newest, true, err
		}
		return append(keys.VersionRow(x.Bucket, key, null.Time), 0), newest, true, nil
	}
	time, _, err := metapb.ParseVersionID(id)
	if err != nil {
		return nil, nil, false, nil
	}
	return append(keys.VersionRow(x.Bucket, key, time), 0), newest, true, nil
}

// listUploads answers with a page of uploads by key, then by id. With an upload marker it goes on within the key marker's
// uploads.
func (x *reading) listUploads(q *metapb.ListUploads) (*metapb.Answer, error) {
	p := &page{
		reading: x, column: keys.Uploads, prefix: q.GetPrefix(), delimiter: q.GetDelimiter(), limit: pageLimit(q.GetLimit()),
	}
	p.line = func(at keys.Row, value []byte) (*metapb.ListItem, error) {
		if len(at.Suffix) != uploadIDLen {
			return nil, nil // a part
		}
		u := new(metapb.Upload)
		return &metapb.ListItem{Upload: u}, decode(at.Key, value, u)
	}
	p.next = func(it disk.Iter, at keys.Row) bool {
		return it.SeekGE(keys.PrefixEnd(keys.UploadRow(x.Bucket, at.Key, at.Suffix[:min(uploadIDLen, len(at.Suffix))])))
	}
	if len(q.GetUploadMarker()) == 0 {
		p.startAfter(q.GetKeyMarker(), q.GetAfterPrefix())
		return p.make()
	}
	if p.common(q.KeyMarker) != nil {
		p.startAt(p.above(q.KeyMarker))
	} else {
		p.startAt(keys.PrefixEnd(keys.UploadRow(x.Bucket, q.KeyMarker, q.UploadMarker)))
	}
	p.startAfter(nil, q.AfterPrefix)
	return p.make()
}
