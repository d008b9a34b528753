package listing

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

// tokenFormat is the version of tokens that this program writes.
const tokenFormat = 1

// cursor is a place in a listing: after a key (and, within it, after a version or upload), or after all that begins
// with a common prefix.
type cursor struct {
	key    string
	mark   string // version id or upload id as clients see it
	prefix string
}

// token writes a cursor as opaque text that is safe in a URL: its format, then its fields with their lengths.
func (c cursor) token() string {
	b := []byte{tokenFormat}
	for _, field := range []string{c.key, c.mark, c.prefix} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseToken reads what token wrote; false if s is nothing of the kind.
func parseToken(s string) (c cursor, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) == 0 || b[0] != tokenFormat {
		return cursor{}, false
	}
	b = b[1:]
	for _, field := range []*string{&c.key, &c.mark, &c.prefix} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) || n > objectlayer.KeyBytesMax {
			return cursor{}, false
		}
		*field = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	return c, len(b) == 0 && (c.key == "" || c.prefix == "") && (c.mark == "" || c.key != "")
}

// begin returns where a page starts: where its token says, else after the markers that the client gave.
func begin(r objectlayer.ListRequest, mark string) (cursor, error) {
	if r.Token == "" {
		return cursor{key: r.After, mark: mark}, nil
	}
	c, ok := parseToken(r.Token)
	if !ok {
		return cursor{}, record.Fail("list", objectlayer.KindInvalidArgument, r.Bucket, "",
			"The continuation token provided is incorrect")
	}
	return c, nil
}
