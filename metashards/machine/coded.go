package machine

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// addCoded adds bytes to those of their coding and layout, in a list as metapb.Usage keeps it.
func addCoded(list []*metapb.CodedBytes, c *metapb.CodedBytes) []*metapb.CodedBytes {
	if c.Bytes == 0 {
		return list
	}
	i, ok := findCoded(list, c)
	if !ok {
		return slices.Insert(list, i, &metapb.CodedBytes{K: c.K, M: c.M, Layout: c.Layout, Bytes: c.Bytes})
	}
	list[i].Bytes += c.Bytes
	return list
}

// subCoded takes bytes away; false if there are not so many.
func subCoded(list []*metapb.CodedBytes, c *metapb.CodedBytes) ([]*metapb.CodedBytes, bool) {
	if c.Bytes == 0 {
		return list, true
	}
	i, ok := findCoded(list, c)
	if !ok || list[i].Bytes < c.Bytes {
		return list, false
	}
	if list[i].Bytes -= c.Bytes; list[i].Bytes == 0 {
		list = slices.Delete(list, i, i+1)
	}
	return list, true
}

func findCoded(list []*metapb.CodedBytes, c *metapb.CodedBytes) (int, bool) {
	return slices.BinarySearchFunc(list, c, func(a, b *metapb.CodedBytes) int {
		return cmp.Or(cmp.Compare(a.K, b.K), cmp.Compare(a.M, b.M), cmp.Compare(a.Layout, b.Layout))
	})
}

// countBlob counts the extents of a blob that a row names, or names no more.
func (u *bucketRows) countBlob(b *metapb.Blob, gone bool) {
	for _, e := range b.GetExtents() {
		c := codedBytes(e)
		u.dirty = true
		if !gone {
			u.usage.Coded = addCoded(u.usage.Coded, c)
			continue
		}
		var ok bool
		if u.usage.Coded, ok = subCoded(u.usage.Coded, c); !ok {
			u.err = fmt.Errorf("usage of bucket %d is damaged: too few bytes in coding %d+%d of layout %d", u.bucket, c.K, c.M, c.Layout)
			return
		}
	}
}

// codedBytes returns what an extent counts for.
func codedBytes(e *metapb.Extent) *metapb.CodedBytes {
	return &metapb.CodedBytes{
		K: e.GetCoding().GetK(), M: e.GetCoding().GetM(),
		Layout: uint32(disk.GroupID(e.GetGroup()).Layout()), Bytes: e.GetLength(),
	}
}

// countPart counts a part's row that comes or goes.
func (u *bucketRows) countPart(p *metapb.Part, gone bool) {
	u.count(&u.usage.UploadBytes, p.GetSize(), gone)
	u.countBlob(p.GetBlob(), gone)
}

// wholeUsage sums the usage of all buckets of the range.
func (x *reading) wholeUsage() (*metapb.Answer, error) {
	sum := new(metapb.Usage)
	err := scan(x.r, keys.UsageSpan(x.descriptor.Id), func(row disk.Row) error {
		u := new(metapb.Usage)
		if err := decode(row.Key, row.Value, u); err != nil {
			return err
		}
		sum.Objects += u.Objects
		sum.Versions += u.Versions
		sum.Bytes += u.Bytes
		sum.Uploads += u.Uploads
		sum.UploadBytes += u.UploadBytes
		for _, c := range u.Coded {
			sum.Coded = addCoded(sum.Coded, c)
		}
		return nil
	})
	return &metapb.Answer{Usage: sum}, err
}
