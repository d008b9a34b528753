package wire

import (
	"mime"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"
)

// HeaderCopySource is the header that ParseCopySource reads.
const HeaderCopySource = "X-Amz-Copy-Source"

// CopySource names the source of a copy.
type CopySource struct {
	Bucket, Key string
	VersionID   string // "" for the current version
}

// ParseCopySource reads x-amz-copy-source: bucket and key, unescaped once, a
// leading slash being optional, with "?versionId=" behind. '+' is literal.
// Errors are *Error: InvalidArgument, or those of CheckBucketName and CheckKey.
func ParseCopySource(value string) (CopySource, error) {
	bad := func(message string) (CopySource, error) {
		return CopySource{}, BadArgument("x-amz-copy-source", value, message)
	}
	path, version := value, ""
	if i := strings.LastIndex(value, "?versionId="); i >= 0 {
		path = value[:i]
		var err error
		if version, err = url.QueryUnescape(value[i+len("?versionId="):]); err != nil || version == "" {
			return bad("Version id cannot be the empty string or badly encoded")
		}
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		return bad("The x-amz-copy-source header must be URL encoded")
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if bucket == "" || key == "" {
		return bad("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if err := CheckBucketName(bucket); err != nil {
		return CopySource{}, err
	}
	if err := CheckKey(key); err != nil {
		return CopySource{}, err
	}
	return CopySource{bucket, key, version}, nil
}

// MaxMetadataBytes bounds an object's user metadata: names without their
// prefix and values, in bytes.
const MaxMetadataBytes = 2 << 10

const metadataPrefix = "X-Amz-Meta-"

// Metadata is one pair of user metadata.
type Metadata struct {
	Name  string // lower case, without x-amz-meta-
	Value string // UTF-8
}

// ParseMetadata reads the user metadata of a request, sorted by name. Several
// headers of a name are joined by commas. Values that are not UTF-8 are taken
// for Latin-1, HTTP's old alphabet; RFC 2047 words stay as they came. More
// than MaxMetadataBytes is MetadataTooLarge.
func ParseMetadata(h http.Header) ([]Metadata, error) {
	var list []Metadata
	size := 0
	for name, values := range h {
		if len(name) < len(metadataPrefix) || !strings.EqualFold(name[:len(metadataPrefix)], metadataPrefix) {
			continue
		}
		m := Metadata{strings.ToLower(name[len(metadataPrefix):]), strings.Join(values, ",")}
		if m.Name == "" {
			return nil, BadArgument("x-amz-meta-", m.Value, "A metadata name must not be empty")
		}
		if !utf8.ValidString(m.Value) {
			m.Value = fromLatin1(m.Value)
		}
		size += len(m.Name) + len(m.Value)
		list = append(list, m)
	}
	if size > MaxMetadataBytes {
		return nil, New(MetadataTooLarge).WithInt("Size", int64(size)).WithInt("MaxSizeAllowed", MaxMetadataBytes)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

func fromLatin1(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// SetMetadata sets the headers of an object's user metadata. A value beyond
// printable ASCII is sent as RFC 2047 words, as S3 does.
func SetMetadata(h http.Header, list []Metadata) {
	for _, m := range list {
		h.Set(metadataPrefix+m.Name, mime.QEncoding.Encode("UTF-8", m.Value))
	}
}

// ContentEncoding returns the Content-Encoding to store: the header as it was
// sent but for aws-chunked, which belongs to the transfer and not to the
// object.
func ContentEncoding(h http.Header) string {
	sent := strings.Join(h["Content-Encoding"], ",")
	var kept []string
	chunked := false
	for word := range strings.SplitSeq(sent, ",") {
		if strings.EqualFold(strings.TrimSpace(word), "aws-chunked") {
			chunked = true
		} else if strings.TrimSpace(word) != "" {
			kept = append(kept, word)
		}
	}
	if !chunked {
		return sent
	}
	return strings.TrimSpace(strings.Join(kept, ","))
}
