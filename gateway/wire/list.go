package wire

import (
	"strconv"
	"time"
)

// EncodingURL is the one value that encoding-type takes.
const EncodingURL = "url"

// Owner names who an object or bucket belongs to.
type Owner struct{ ID, DisplayName string }

func (o Owner) appendXML(dst []byte, name string) []byte {
	dst = appendOpen(dst, name)
	dst = appendElement(dst, "ID", o.ID)
	dst = appendOptional(dst, "DisplayName", o.DisplayName)
	return appendClose(dst, name)
}

// Object is one line of a list of keys.
type Object struct {
	Key               string
	LastModified      time.Time
	ETag              string // without quotes
	ChecksumAlgorithm string // "" is left out
	ChecksumType      string // "" is left out
	Size              int64  // bytes
	StorageClass      string
	Owner             *Owner // nil is left out
}

// encoder writes the texts to which encoding-type applies.
type encoder struct{ url bool }

func (e encoder) text(dst []byte, text string) []byte {
	if e.url {
		return AppendURLEncoded(dst, text)
	}
	return AppendText(dst, text)
}

func (e encoder) element(dst []byte, name, text string) []byte {
	dst = appendOpen(dst, name)
	dst = e.text(dst, text)
	return appendClose(dst, name)
}

func (e encoder) optional(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	return e.element(dst, name, text)
}

func (e encoder) prefixes(dst []byte, prefixes []string) []byte {
	for _, p := range prefixes {
		dst = append(dst, "<CommonPrefixes>"...)
		dst = e.element(dst, "Prefix", p)
		dst = append(dst, "</CommonPrefixes>"...)
	}
	return dst
}

func (e encoder) contents(dst []byte, objects []Object) []byte {
	for i := range objects {
		o := &objects[i]
		dst = append(dst, "<Contents><Key>"...)
		dst = e.text(dst, o.Key)
		dst = append(dst, "</Key><LastModified>"...)
		dst = AppendTime(dst, o.LastModified)
		dst = append(dst, "</LastModified><ETag>&quot;"...)
		dst = AppendText(dst, o.ETag)
		dst = append(dst, "&quot;</ETag>"...)
		dst = appendOptional(dst, "ChecksumAlgorithm", o.ChecksumAlgorithm)
		dst = appendOptional(dst, "ChecksumType", o.ChecksumType)
		dst = append(dst, "<Size>"...)
		dst = strconv.AppendInt(dst, o.Size, 10)
		dst = append(dst, "</Size>"...)
		if o.Owner != nil {
			dst = o.Owner.appendXML(dst, "Owner")
		}
		dst = appendOptional(dst, "StorageClass", o.StorageClass)
		dst = append(dst, "</Contents>"...)
	}
	return dst
}

// ListObjects is a page of the first version of the list.
type ListObjects struct {
	Name           string // bucket
	Prefix         string
	Marker         string
	NextMarker     string // "" is left out; S3 sends it only with a delimiter
	Delimiter      string // "" is left out
	EncodingType   string // "" or EncodingURL
	MaxKeys        int
	IsTruncated    bool
	Contents       []Object
	CommonPrefixes []string
}

// AppendXML appends the document to dst.
func (l *ListObjects) AppendXML(dst []byte) []byte {
	e := encoder{l.EncodingType == EncodingURL}
	dst = appendRoot(dst, "ListBucketResult")
	dst = appendElement(dst, "Name", l.Name)
	dst = e.element(dst, "Prefix", l.Prefix)
	dst = e.element(dst, "Marker", l.Marker)
	dst = e.optional(dst, "NextMarker", l.NextMarker)
	dst = appendInt(dst, "MaxKeys", int64(l.MaxKeys))
	dst = e.optional(dst, "Delimiter", l.Delimiter)
	dst = appendOptional(dst, "EncodingType", l.EncodingType)
	dst = appendBool(dst, "IsTruncated", l.IsTruncated)
	dst = e.contents(dst, l.Contents)
	dst = e.prefixes(dst, l.CommonPrefixes)
	return append(dst, "</ListBucketResult>"...)
}

// ListObjectsV2 is a page of the second version of the list. KeyCount is
// counted from the content.
type ListObjectsV2 struct {
	Name                  string // bucket
	Prefix                string
	Delimiter             string  // "" is left out
	StartAfter            string  // "" is left out
	ContinuationToken     *string // what the request carried, echoed even when empty; nil is left out
	NextContinuationToken string  // "" is left out
	EncodingType          string  // "" or EncodingURL; tokens are never encoded
	MaxKeys               int
	IsTruncated           bool
	Contents              []Object
	CommonPrefixes        []string
}

// AppendXML appends the document to dst.
func (l *ListObjectsV2) AppendXML(dst []byte) []byte {
	e := encoder{l.EncodingType == EncodingURL}
	dst = appendRoot(dst, "ListBucketResult")
	dst = appendElement(dst, "Name", l.Name)
	dst = e.element(dst, "Prefix", l.Prefix)
	dst = e.optional(dst, "StartAfter", l.StartAfter)
	if l.ContinuationToken != nil {
		dst = appendElement(dst, "ContinuationToken", *l.ContinuationToken)
	}
	dst = appendOptional(dst, "NextContinuationToken", l.NextContinuationToken)
	dst = appendInt(dst, "KeyCount", int64(len(l.Contents)+len(l.CommonPrefixes)))
	dst = appendInt(dst, "MaxKeys", int64(l.MaxKeys))
	dst = e.optional(dst, "Delimiter", l.Delimiter)
	dst = appendOptional(dst, "EncodingType", l.EncodingType)
	dst = appendBool(dst, "IsTruncated", l.IsTruncated)
	dst = e.contents(dst, l.Contents)
	dst = e.prefixes(dst, l.CommonPrefixes)
	return append(dst, "</ListBucketResult>"...)
}

// Bucket is one line of the list of buckets.
type Bucket struct {
	Name         string
	CreationDate time.Time
	Region       string // "" is left out; S3 sends it only in paged lists
}

// ListBuckets is the list of an owner's buckets.
type ListBuckets struct {
	Owner             Owner
	Buckets           []Bucket
	Prefix            string // "" is left out
	ContinuationToken string // where the next page begins, "" for the last
}

// AppendXML appends the document to dst.
func (l *ListBuckets) AppendXML(dst []byte) []byte {
	dst = appendRoot(dst, "ListAllMyBucketsResult")
	dst = l.Owner.appendXML(dst, "Owner")
	dst = append(dst, "<Buckets>"...)
	for i := range l.Buckets {
		b := &l.Buckets[i]
		dst = append(dst, "<Bucket>"...)
		dst = appendElement(dst, "Name", b.Name)
		dst = appendTimeElement(dst, "CreationDate", b.CreationDate)
		dst = appendOptional(dst, "BucketRegion", b.Region)
		dst = append(dst, "</Bucket>"...)
	}
	dst = append(dst, "</Buckets>"...)
	dst = appendOptional(dst, "ContinuationToken", l.ContinuationToken)
	dst = appendOptional(dst, "Prefix", l.Prefix)
	return append(dst, "</ListAllMyBucketsResult>"...)
}

// Upload is one line of the list of uploads.
type Upload struct {
	Key, UploadID     string
	Initiator, Owner  Owner
	StorageClass      string
	Initiated         time.Time
	ChecksumAlgorithm string // "" is left out
	ChecksumType      string // "" is left out
}

// ListMultipartUploads is a page of a bucket's unfinished uploads.
type ListMultipartUploads struct {
	Bucket                            string
	KeyMarker, UploadIDMarker         string
	NextKeyMarker, NextUploadIDMarker string
	Prefix, Delimiter                 string
	EncodingType                      string // "" or EncodingURL
	MaxUploads                        int
	IsTruncated                       bool
	Uploads                           []Upload
	CommonPrefixes                    []string
}

// AppendXML appends the document to dst.
func (l *ListMultipartUploads) AppendXML(dst []byte) []byte {
	e := encoder{l.EncodingType == EncodingURL}
	dst = appendRoot(dst, "ListMultipartUploadsResult")
	dst = appendElement(dst, "Bucket", l.Bucket)
	dst = e.element(dst, "KeyMarker", l.KeyMarker)
	dst = appendElement(dst, "UploadIdMarker", l.UploadIDMarker)
	dst = e.element(dst, "NextKeyMarker", l.NextKeyMarker)
	dst = appendElement(dst, "NextUploadIdMarker", l.NextUploadIDMarker)
	dst = e.optional(dst, "Delimiter", l.Delimiter)
	dst = e.element(dst, "Prefix", l.Prefix)
	dst = appendOptional(dst, "EncodingType", l.EncodingType)
	dst = appendInt(dst, "MaxUploads", int64(l.MaxUploads))
	dst = appendBool(dst, "IsTruncated", l.IsTruncated)
	for i := range l.Uploads {
		u := &l.Uploads[i]
		dst = append(dst, "<Upload>"...)
		dst = e.element(dst, "Key", u.Key)
		dst = appendElement(dst, "UploadId", u.UploadID)
		dst = u.Initiator.appendXML(dst, "Initiator")
		dst = u.Owner.appendXML(dst, "Owner")
		dst = appendOptional(dst, "StorageClass", u.StorageClass)
		dst = appendTimeElement(dst, "Initiated", u.Initiated)
		dst = appendOptional(dst, "ChecksumAlgorithm", u.ChecksumAlgorithm)
		dst = appendOptional(dst, "ChecksumType", u.ChecksumType)
		dst = append(dst, "</Upload>"...)
	}
	dst = e.prefixes(dst, l.CommonPrefixes)
	return append(dst, "</ListMultipartUploadsResult>"...)
}

// Part is one line of the list of parts.
type Part struct {
	Number       int
	LastModified time.Time
	ETag         string // without quotes
	Size         int64  // bytes
	Checksums    []Checksum
}

// ListParts is a page of an upload's parts.
type ListParts struct {
	Bucket, Key, UploadID string
	PartNumberMarker      int
	NextPartNumberMarker  int
	MaxParts              int
	IsTruncated           bool
	EncodingType          string // "" or EncodingURL
	Parts                 []Part
	Initiator, Owner      Owner
	StorageClass          string
	ChecksumAlgorithm     string // "" is left out
	ChecksumType          string // "" is left out
}

// AppendXML appends the document to dst.
func (l *ListParts) AppendXML(dst []byte) []byte {
	e := encoder{l.EncodingType == EncodingURL}
	dst = appendRoot(dst, "ListPartsResult")
	dst = appendElement(dst, "Bucket", l.Bucket)
	dst = appendOptional(dst, "EncodingType", l.EncodingType)
	dst = e.element(dst, "Key", l.Key)
	dst = appendElement(dst, "UploadId", l.UploadID)
	dst = l.Initiator.appendXML(dst, "Initiator")
	dst = l.Owner.appendXML(dst, "Owner")
	dst = appendOptional(dst, "StorageClass", l.StorageClass)
	dst = appendInt(dst, "PartNumberMarker", int64(l.PartNumberMarker))
	dst = appendInt(dst, "NextPartNumberMarker", int64(l.NextPartNumberMarker))
	dst = appendInt(dst, "MaxParts", int64(l.MaxParts))
	dst = appendBool(dst, "IsTruncated", l.IsTruncated)
	dst = appendOptional(dst, "ChecksumAlgorithm", l.ChecksumAlgorithm)
	dst = appendOptional(dst, "ChecksumType", l.ChecksumType)
	for i := range l.Parts {
		p := &l.Parts[i]
		dst = append(dst, "<Part>"...)
		dst = appendInt(dst, "PartNumber", int64(p.Number))
		dst = appendTimeElement(dst, "LastModified", p.LastModified)
		dst = appendETag(dst, p.ETag)
		dst = appendInt(dst, "Size", p.Size)
		dst = appendChecksums(dst, p.Checksums)
		dst = append(dst, "</Part>"...)
	}
	return append(dst, "</ListPartsResult>"...)
}
