package machine

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// addCoded adds bytes, modulo 2^64, to those of their coding and layout, in a list as metapb.Usage keeps it.
func addCoded(list []*metapb.CodedBytes, c *metapb.CodedBytes) []*metapb.CodedBytes {
	if c.Bytes == 0 {
		return list
	}
	i, ok := findCoded(list, c)
	if !ok {
		return slices.Insert(list, i, &metapb.CodedBytes{K: c.K, M: c.M, Layout: c.Layout, Copies: c.Copies, Bytes: c.Bytes})
	}
	if list[i].Bytes += c.Bytes; list[i].Bytes == 0 {
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// holdsCoded reports whether a list has so many bytes of a coding and layout.
func holdsCoded(list []*metapb.CodedBytes, c *metapb.CodedBytes) bool {
	i, ok := findCoded(list, c)
	return c.Bytes == 0 || ok && list[i].Bytes >= c.Bytes
}

func findCoded(list []*metapb.CodedBytes, c *metapb.CodedBytes) (int, bool) {
	return slices.BinarySearchFunc(list, c, func(a, b *metapb.CodedBytes) int {
		return cmp.Or(cmp.Compare(a.K, b.K), cmp.Compare(a.M, b.M), cmp.Compare(a.Layout, b.Layout), cmp.Compare(rank(a.Copies), rank(b.Copies)))
	})
}

func rank(copies bool) int {
	if copies {
		return 1
	}
	return 0
}

// countBlob counts the extents of a blob that a row names, or names no more.
func (u *bucketRows) countBlob(b *metapb.Blob, gone bool) {
	for _, e := range b.GetExtents() {
		c := codedBytes(e)
		u.dirty = true
		if gone {
			if u.usage.Halved == 0 && !holdsCoded(u.usage.Coded, c) {
				u.err = fmt.Errorf("usage of bucket %d is damaged: too few bytes in coding %d+%d of layout %d", u.bucket, c.K, c.M, c.Layout)
				return
			}
			c.Bytes = -c.Bytes
		}
		u.usage.Coded = addCoded(u.usage.Coded, c)
	}
}

// codedBytes returns what an extent counts for.
func codedBytes(e *metapb.Extent) *metapb.CodedBytes {
	return &metapb.CodedBytes{
		K: e.GetCoding().GetK(), M: e.GetCoding().GetM(), Copies: e.GetCoding().GetCopies(),
		Layout: uint32(disk.GroupID(e.GetGroup()).Layout()), Bytes: e.GetLength(),
	}
}

// countPart counts a part's row that comes or goes.
func (u *bucketRows) countPart(p *metapb.Part, gone bool) {
	u.count(&u.usage.UploadBytes, p.GetSize(), gone)
	u.count(&u.usage.KeptBytes, uint64(p.SizeVT()), gone)
	u.countBlob(p.GetBlob(), gone)
}

// addUsage adds what another usage counts to sum, modulo 2^64.
func addUsage(sum, u *metapb.Usage) {
	sum.Objects += u.Objects
	sum.Versions += u.Versions
	sum.Bytes += u.Bytes
	sum.Uploads += u.Uploads
	sum.UploadBytes += u.UploadBytes
	sum.KeptBytes += u.KeptBytes
	for _, c := range u.Coded {
		sum.Coded = addCoded(sum.Coded, c)
	}
}

// negative returns what, added to a usage, makes it nothing.
func negative(u *metapb.Usage) *metapb.Usage {
	n := &metapb.Usage{
		Objects: -u.Objects, Versions: -u.Versions, Bytes: -u.Bytes, Uploads: -u.Uploads, UploadBytes: -u.UploadBytes,
		KeptBytes: -u.KeptBytes,
	}
	for _, c := range u.Coded {
		n.Coded = append(n.Coded, &metapb.CodedBytes{K: c.K, M: c.M, Layout: c.Layout, Copies: c.Copies, Bytes: -c.Bytes})
	}
	return n
}

// wholeUsage sums the usage of all buckets of the range, and says which range that is. Halved usages count modulo 2^64:
// the sum over all ranges is right.
func (x *reading) wholeUsage() (*metapb.Answer, error) {
	sum := new(metapb.Usage)
	err := scan(x.r, keys.UsageSpan(x.descriptor.Id), func(row disk.Row) error {
		u := new(metapb.Usage)
		if err := decode(row.Key, row.Value, u); err != nil {
			return err
		}
		addUsage(sum, u)
		sum.Halved = max(sum.Halved, u.Halved)
		return nil
	})
	return &metapb.Answer{Usage: sum, Range: &metapb.RangeReport{Range: x.descriptor}}, err
}
