package wire

import "time"

// InitiateMultipartUpload is the answer of CreateMultipartUpload.
type InitiateMultipartUpload struct{ Bucket, Key, UploadID string }

// AppendXML appends the document to dst.
func (r *InitiateMultipartUpload) AppendXML(dst []byte) []byte {
	dst = appendRoot(dst, "InitiateMultipartUploadResult")
	dst = appendElement(dst, "Bucket", r.Bucket)
	dst = appendElement(dst, "Key", r.Key)
	dst = appendElement(dst, "UploadId", r.UploadID)
	return append(dst, "</InitiateMultipartUploadResult>"...)
}

// CompleteMultipartUpload is the answer of the operation of that name.
type CompleteMultipartUpload struct {
	Location     string // URL of the object
	Bucket, Key  string
	ETag         string // without quotes
	Checksums    []Checksum
	ChecksumType string // "" is left out
}

// AppendXML appends the document to dst.
func (r *CompleteMultipartUpload) AppendXML(dst []byte) []byte {
	dst = append(dst, xmlHeader...)
	return r.AppendElement(dst)
}

// AppendElement is AppendXML without the XML declaration: what follows white
// space that was sent to keep the connection alive (StartLong).
func (r *CompleteMultipartUpload) AppendElement(dst []byte) []byte {
	dst = append(dst, `<CompleteMultipartUploadResult xmlns="`+Namespace+`">`...)
	dst = appendElement(dst, "Location", r.Location)
	dst = appendElement(dst, "Bucket", r.Bucket)
	dst = appendElement(dst, "Key", r.Key)
	dst = appendETag(dst, r.ETag)
	dst = appendChecksums(dst, r.Checksums)
	dst = appendOptional(dst, "ChecksumType", r.ChecksumType)
	return append(dst, "</CompleteMultipartUploadResult>"...)
}

// StartLong is what a long operation sends first with its 200: the XML
// declaration. White space may follow as often as needed, and then the result
// or an error, each without a declaration (AppendElement).
func StartLong(dst []byte) []byte { return append(dst, xmlHeader...) }

// AppendElement is AppendXML without the XML declaration.
func (e *Error) AppendElement(dst []byte, requestID, hostID, resource string) []byte {
	return e.appendElement(dst, requestID, hostID, resource)
}

// CopyResult is the answer of CopyObject and, with Part set, of
// UploadPartCopy.
type CopyResult struct {
	Part         bool
	ETag         string // without quotes
	LastModified time.Time
	Checksums    []Checksum
	ChecksumType string // "" is left out
}

// AppendXML appends the document to dst.
func (r *CopyResult) AppendXML(dst []byte) []byte {
	dst = append(dst, xmlHeader...)
	return r.AppendElement(dst)
}

// AppendElement is AppendXML without the XML declaration.
func (r *CopyResult) AppendElement(dst []byte) []byte {
	name := "CopyObjectResult"
	if r.Part {
		name = "CopyPartResult"
	}
	dst = append(append(append(dst, '<'), name...), ` xmlns="`+Namespace+`">`...)
	dst = appendTimeElement(dst, "LastModified", r.LastModified)
	dst = appendETag(dst, r.ETag)
	dst = appendChecksums(dst, r.Checksums)
	dst = appendOptional(dst, "ChecksumType", r.ChecksumType)
	return appendClose(dst, name)
}

// Deleted is one success of DeleteObjects.
type Deleted struct {
	Key                   string
	VersionID             string // of the request, "" is left out
	DeleteMarker          bool   // a marker was made or removed
	DeleteMarkerVersionID string // "" is left out
}

// DeleteFailure is one failure of DeleteObjects.
type DeleteFailure struct {
	Key       string
	VersionID string // of the request, "" is left out
	Err       *Error
}

// DeleteResult is the answer of DeleteObjects. Quiet answers leave Deleted
// empty.
type DeleteResult struct {
	Deleted []Deleted
	Errors  []DeleteFailure
}

// AppendXML appends the document to dst.
func (r *DeleteResult) AppendXML(dst []byte) []byte {
	dst = appendRoot(dst, "DeleteResult")
	for i := range r.Deleted {
		d := &r.Deleted[i]
		dst = append(dst, "<Deleted>"...)
		dst = appendElement(dst, "Key", d.Key)
		dst = appendOptional(dst, "VersionId", d.VersionID)
		if d.DeleteMarker {
			dst = appendBool(dst, "DeleteMarker", true)
			dst = appendOptional(dst, "DeleteMarkerVersionId", d.DeleteMarkerVersionID)
		}
		dst = append(dst, "</Deleted>"...)
	}
	for i := range r.Errors {
		f := &r.Errors[i]
		dst = append(dst, "<Error>"...)
		dst = appendElement(dst, "Key", f.Key)
		dst = appendOptional(dst, "VersionId", f.VersionID)
		dst = appendElement(dst, "Code", string(f.Err.Code))
		dst = appendElement(dst, "Message", f.Err.Message)
		dst = append(dst, "</Error>"...)
	}
	return append(dst, "</DeleteResult>"...)
}

// AppendLocation appends the answer of GetBucketLocation: empty for us-east-1,
// as S3 has it.
func AppendLocation(dst []byte, region string) []byte {
	if region == "us-east-1" {
		region = ""
	}
	dst = appendRoot(dst, "LocationConstraint")
	dst = AppendText(dst, region)
	return append(dst, "</LocationConstraint>"...)
}
