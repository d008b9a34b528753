// Package s3upload answers the S3 operations on multipart uploads, listings aside: one file for each.
package s3upload

import (
	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// Handlers carries out the operations on uploads. It is safe for concurrent use.
type Handlers struct {
	uploads     objectlayer.Uploads
	objects     objectlayer.Objects // of copied parts' sources
	xmlBytesMax int64
}

// New returns the handlers over uploads; objects tells of the sources of copied parts, and documents from clients may
// have xmlBytesMax bytes.
func New(uploads objectlayer.Uploads, objects objectlayer.Objects, xmlBytesMax int64) *Handlers {
	return &Handlers{uploads: uploads, objects: objects, xmlBytesMax: xmlBytesMax}
}

// uploadID reads the uploadId parameter, which names an upload only if it is not empty.
func uploadID(c *call.Call) (string, error) {
	id := c.Query.Get("uploadId")
	if id == "" {
		return "", wire.New(wire.NoSuchUpload).With("UploadId", id)
	}
	return id, nil
}
