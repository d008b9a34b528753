// Package s3list answers the S3 operations that list keys, uploads and parts: one file for each.
package s3list

import (
	"strconv"
	"unicode/utf8"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// Handlers carries out the listings. It is safe for concurrent use.
type Handlers struct{ listings objectlayer.Listings }

// New returns the handlers over listings.
func New(listings objectlayer.Listings) *Handlers { return &Handlers{listings: listings} }

// limit reads a parameter such as max-keys: 0 to 2³¹−1, of which at most objectlayer.PageMax counts.
func limit(c *call.Call, name string) (int, error) {
	v, present := c.Query[name]
	if !present || v[0] == "" {
		return objectlayer.PageMax, nil
	}
	n, err := strconv.ParseInt(v[0], 10, 32)
	if err != nil {
		return 0, wire.BadArgument(name, v[0], "Provided "+name+" not an integer or within integer range")
	}
	if n < 0 {
		return 0, wire.BadArgument(name, v[0], "Argument "+name+" must be an integer between 0 and 2147483647")
	}
	return int(min(n, objectlayer.PageMax)), nil
}

// encoding reads encoding-type.
func encoding(c *call.Call) (string, error) {
	switch v := c.Query.Get("encoding-type"); v {
	case "", wire.EncodingURL:
		return v, nil
	default:
		return "", wire.BadArgument("encoding-type", v, "Invalid Encoding Method specified in Request")
	}
}

// text reads a parameter that is compared with keys.
func text(c *call.Call, name string) (string, error) {
	v := c.Query.Get(name)
	if !utf8.ValidString(v) {
		return "", wire.BadArgument(name, v, "The parameter is not UTF-8")
	}
	return v, nil
}

// scope is what the lists of keys and uploads have in common.
type scope struct {
	prefix, delimiter, encoding string
	limit                       int
}

func readScope(c *call.Call, limitName string) (scope, error) {
	var s scope
	var err error
	if s.limit, err = limit(c, limitName); err != nil {
		return s, err
	}
	if s.encoding, err = encoding(c); err != nil {
		return s, err
	}
	if s.prefix, err = text(c, "prefix"); err != nil {
		return s, err
	}
	s.delimiter, err = text(c, "delimiter")
	return s, err
}

// contents splits a page of keys into objects and common prefixes.
func contents(page *objectlayer.Page, withOwner bool) (objects []wire.Object, prefixes []string) {
	for i := range page.Items {
		it := &page.Items[i]
		if it.Prefix != "" {
			prefixes = append(prefixes, it.Prefix)
			continue
		}
		v := &it.Version
		o := wire.Object{
			Key: v.Key, LastModified: v.Modified, ETag: v.ETag.String(), Size: v.Size,
			StorageClass: call.ClassName(v.Attributes.StorageClass), ChecksumType: string(call.ChecksumType(v.Checksums)),
		}
		if len(v.Checksums) > 0 {
			o.ChecksumAlgorithm = string(call.WireAlgorithm(v.Checksums[0].Algorithm))
		}
		if withOwner {
			o.Owner = &wire.Owner{ID: v.Owner, DisplayName: v.Owner}
		}
		objects = append(objects, o)
	}
	return objects, prefixes
}

func owner(name string) wire.Owner { return wire.Owner{ID: name, DisplayName: name} }

// checksumOf names an upload's checksum and its type, both empty if the client asked for none.
func checksumOf(u *objectlayer.Upload) (algorithm, kind string) {
	switch {
	case u.ChecksumAlgorithm == "":
		return "", ""
	case u.ChecksumComposite:
		return string(call.WireAlgorithm(u.ChecksumAlgorithm)), string(wire.Composite)
	}
	return string(call.WireAlgorithm(u.ChecksumAlgorithm)), string(wire.FullObject)
}
