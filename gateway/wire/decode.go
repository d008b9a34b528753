package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// Bounds of documents that clients send.
const (
	MaxDeleteKeys        = 1000    // keys of one DeleteObjects
	MaxParts             = 10000   // parts of one upload
	MaxDeleteBytes       = 8 << 20 // bytes of a Delete document: 1000 keys of 1 KiB, all escaped
	MaxCompleteBytes     = 8 << 20 // bytes of a CompleteMultipartUpload document
	MaxCreateBucketBytes = 64 << 10
	maxDepth             = 8 // nested elements
)

// errMalformed is what the walker below answers with; the decoders turn it
// into MalformedXML.
var errMalformed = errors.New("malformed")

// document walks one XML document, element by element. Namespaces are ignored,
// comments and processing instructions skipped, directives (DTDs) refused.
type document struct {
	d     *xml.Decoder
	depth int
}

// decode reads body wholly, at most maxBytes, and walks the children of its
// root element. The body is read to its end before anything is parsed, so that
// a body whose signature or checksum does not hold never reaches fn. Its
// errors: what the body's Read returned, MaxMessageLengthExceeded,
// MalformedXML, or an *Error of fn.
func decode(body io.Reader, maxBytes int64, root string, fn func(x *document, name string) error) error {
	raw, err := io.ReadAll(io.LimitReader(body, maxBytes+1))
	if err != nil {
		return err
	}
	if int64(len(raw)) > maxBytes {
		return New(MaxMessageLengthExceeded).WithInt("MaxMessageLengthBytes", maxBytes)
	}
	x := &document{d: xml.NewDecoder(bytes.NewReader(raw))}
	err = x.document(root, fn)
	var e *Error
	if err != nil && !errors.As(err, &e) {
		return New(MalformedXML)
	}
	return err
}

func (x *document) document(root string, fn func(x *document, name string) error) error {
	for seen := false; ; {
		t, err := x.d.Token()
		if err == io.EOF && seen {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if seen || t.Name.Local != root {
				return errMalformed
			}
			seen = true
			if err := x.children(fn); err != nil {
				return err
			}
		case xml.CharData:
			if len(bytes.TrimSpace(t)) != 0 {
				return errMalformed
			}
		case xml.Directive:
			return errMalformed
		}
	}
}

// children calls fn for each child of the element just opened, to its end. fn
// must consume the child, by text or by children.
func (x *document) children(fn func(x *document, name string) error) error {
	if x.depth++; x.depth > maxDepth {
		return errMalformed
	}
	for {
		t, err := x.d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := fn(x, t.Name.Local); err != nil {
				return err
			}
		case xml.EndElement:
			x.depth--
			return nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) != 0 {
				return errMalformed
			}
		case xml.Directive:
			return errMalformed
		}
	}
}

// text returns the character data of the element just opened, as it stands.
func (x *document) text() (string, error) {
	var s []byte
	for {
		t, err := x.d.Token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			s = append(s, t...)
		case xml.EndElement:
			return string(s), nil
		case xml.StartElement, xml.Directive:
			return "", errMalformed
		}
	}
}

// once sets *p to the element's text; a second element of the name is refused.
func (x *document) once(p **string) error {
	s, err := x.text()
	if err != nil {
		return err
	}
	if *p != nil {
		return errMalformed
	}
	*p = &s
	return nil
}

// word is once for a text whose surrounding white space means nothing.
func (x *document) word(p **string) error {
	if err := x.once(p); err != nil {
		return err
	}
	s := strings.TrimSpace(**p)
	*p = &s
	return nil
}

// DeleteKey is one object of a Delete document. The pointers are nil where the
// document has no such condition.
type DeleteKey struct {
	Key              string // 1 byte or more; CheckKey is the caller's, key by key
	VersionID        string // "" for none
	ETag             *ETag  // condition
	LastModifiedTime *time.Time
	Size             *int64 // bytes
}

// Delete is the document of DeleteObjects.
type Delete struct {
	Quiet   bool
	Objects []DeleteKey // 1 to MaxDeleteKeys
}

// DecodeDelete reads a Delete document to the body's end. Errors are *Error
// (MalformedXML, MaxMessageLengthExceeded, UserKeyMustBeSpecified) or those of
// body.
func DecodeDelete(body io.Reader) (Delete, error) {
	var doc Delete
	var quiet *string
	err := decode(body, MaxDeleteBytes, "Delete", func(x *document, name string) error {
		switch name {
		case "Quiet":
			return x.word(&quiet)
		case "Object":
			if len(doc.Objects) == MaxDeleteKeys {
				return errMalformed
			}
			k, err := x.deleteKey()
			doc.Objects = append(doc.Objects, k)
			return err
		}
		return errMalformed
	})
	if err != nil {
		return Delete{}, err
	}
	if len(doc.Objects) == 0 {
		return Delete{}, New(MalformedXML)
	}
	if quiet != nil {
		if doc.Quiet, err = strconv.ParseBool(*quiet); err != nil {
			return Delete{}, New(MalformedXML)
		}
	}
	return doc, nil
}

func (x *document) deleteKey() (DeleteKey, error) {
	var key, version, etag, modified, size *string
	err := x.children(func(x *document, name string) error {
		switch name {
		case "Key":
			return x.once(&key)
		case "VersionId":
			return x.word(&version)
		case "ETag":
			return x.word(&etag)
		case "LastModifiedTime":
			return x.word(&modified)
		case "Size":
			return x.word(&size)
		}
		return errMalformed
	})
	if err != nil {
		return DeleteKey{}, err
	}
	if key == nil || *key == "" {
		return DeleteKey{}, New(UserKeyMustBeSpecified)
	}
	k := DeleteKey{Key: *key}
	if version != nil {
		k.VersionID = *version
	}
	if etag != nil {
		e, ok := parseETag(*etag)
		if !ok {
			return DeleteKey{}, errMalformed
		}
		k.ETag = &e
	}
	if modified != nil {
		t, ok := parseTime(*modified)
		if !ok {
			return DeleteKey{}, errMalformed
		}
		k.LastModifiedTime = &t
	}
	if size != nil {
		n, err := strconv.ParseInt(*size, 10, 64)
		if err != nil || n < 0 {
			return DeleteKey{}, errMalformed
		}
		k.Size = &n
	}
	return k, nil
}

// parseTime reads the forms in which clients write a time: RFC 3339, and an
// HTTP date, which the service model asks of LastModifiedTime.
func parseTime(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	return ParseHTTPDate(s)
}

// CompletedPart is one part of a CompleteMultipartUpload document.
type CompletedPart struct {
	Number    int    // 1 to MaxParts
	ETag      string // without quotes
	Checksums []Checksum
}

// DecodeComplete reads a CompleteMultipartUpload document to the body's end.
// Part numbers ascend strictly in what it returns. Errors are *Error
// (MalformedXML, InvalidPartOrder, InvalidArgument for a number out of range,
// MaxMessageLengthExceeded) or those of body.
func DecodeComplete(body io.Reader) ([]CompletedPart, error) {
	var parts []CompletedPart
	ordered := true
	err := decode(body, MaxCompleteBytes, "CompleteMultipartUpload", func(x *document, name string) error {
		if name != "Part" || len(parts) == MaxParts {
			return errMalformed
		}
		p, err := x.completedPart()
		if err != nil {
			return err
		}
		if len(parts) > 0 && parts[len(parts)-1].Number >= p.Number {
			ordered = false
		}
		parts = append(parts, p)
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(parts) == 0:
		return nil, New(MalformedXML)
	case !ordered:
		return nil, New(InvalidPartOrder)
	}
	return parts, nil
}

func (x *document) completedPart() (CompletedPart, error) {
	var number, etag *string
	var p CompletedPart
	err := x.children(func(x *document, name string) error {
		switch name {
		case "PartNumber":
			return x.word(&number)
		case "ETag":
			return x.word(&etag)
		}
		for i := range algorithms {
			if algorithms[i].element == name {
				return x.partChecksum(&p, algorithms[i].name)
			}
		}
		return errMalformed
	})
	if err != nil {
		return CompletedPart{}, err
	}
	if number == nil || etag == nil {
		return CompletedPart{}, errMalformed
	}
	if p.Number, err = strconv.Atoi(*number); err != nil {
		return CompletedPart{}, errMalformed
	}
	if err := CheckPartNumber(p.Number); err != nil {
		return CompletedPart{}, err
	}
	p.ETag = strings.Trim(*etag, `"`)
	return p, nil
}

func (x *document) partChecksum(p *CompletedPart, a Algorithm) error {
	for _, c := range p.Checksums {
		if c.Algorithm == a {
			return errMalformed
		}
	}
	var value *string
	if err := x.word(&value); err != nil {
		return err
	}
	p.Checksums = append(p.Checksums, Checksum{a, *value})
	return nil
}

// CheckPartNumber returns nil for 1 to MaxParts, else InvalidArgument.
func CheckPartNumber(n int) error {
	if n < 1 || n > MaxParts {
		return BadArgument("partNumber", strconv.Itoa(n), "Part number must be an integer between 1 and 10000, inclusive")
	}
	return nil
}

// Tag is a key with a value.
type Tag struct{ Key, Value string }

// CreateBucket is the document of CreateBucket; all empty for an empty body.
type CreateBucket struct {
	LocationConstraint string
	LocationName       string // directory buckets: Location/Name
	LocationType       string
	BucketType         string // directory buckets: Bucket/Type
	DataRedundancy     string
	Tags               []Tag
}

// maxBucketTags bounds the tags of a bucket.
const maxBucketTags = 50

// DecodeCreateBucket reads a CreateBucketConfiguration document, or nothing,
// to the body's end. Errors are *Error (MalformedXML,
// MaxMessageLengthExceeded) or those of body.
func DecodeCreateBucket(body io.Reader) (CreateBucket, error) {
	raw, err := io.ReadAll(io.LimitReader(body, MaxCreateBucketBytes+1))
	if err != nil {
		return CreateBucket{}, err
	}
	if len(bytes.TrimSpace(raw)) == 0 && len(raw) <= MaxCreateBucketBytes {
		return CreateBucket{}, nil
	}
	var constraint, locName, locType, bucketType, redundancy *string
	var doc CreateBucket
	err = decode(bytes.NewReader(raw), MaxCreateBucketBytes, "CreateBucketConfiguration", func(x *document, name string) error {
		switch name {
		case "LocationConstraint":
			return x.word(&constraint)
		case "Location":
			return x.words(map[string]**string{"Name": &locName, "Type": &locType})
		case "Bucket":
			return x.words(map[string]**string{"Type": &bucketType, "DataRedundancy": &redundancy})
		case "Tags":
			return x.tags(&doc.Tags)
		}
		return errMalformed
	})
	if err != nil {
		return CreateBucket{}, err
	}
	doc.LocationConstraint = orEmpty(constraint)
	doc.LocationName, doc.LocationType = orEmpty(locName), orEmpty(locType)
	doc.BucketType, doc.DataRedundancy = orEmpty(bucketType), orEmpty(redundancy)
	return doc, nil
}

func orEmpty(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// words reads an element whose children are all single words.
func (x *document) words(into map[string]**string) error {
	return x.children(func(x *document, name string) error {
		if p := into[name]; p != nil {
			return x.word(p)
		}
		return errMalformed
	})
}

func (x *document) tags(tags *[]Tag) error {
	return x.children(func(x *document, name string) error {
		if name != "Tag" || len(*tags) == maxBucketTags {
			return errMalformed
		}
		var key, value *string
		err := x.children(func(x *document, name string) error {
			switch name {
			case "Key":
				return x.once(&key)
			case "Value":
				return x.once(&value)
			}
			return errMalformed
		})
		if err != nil {
			return err
		}
		if key == nil || value == nil {
			return errMalformed
		}
		*tags = append(*tags, Tag{*key, *value})
		return nil
	})
}
