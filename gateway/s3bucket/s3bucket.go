// Package s3bucket answers the S3 operations on buckets: one file for each.
package s3bucket

import (
	"github.com/contender/contender/objectlayer"
)

// Handlers carries out the operations on buckets. It is safe for concurrent use.
type Handlers struct {
	buckets     objectlayer.Buckets
	xmlBytesMax int64
}

// New returns the handlers over buckets; documents from clients may have xmlBytesMax bytes.
func New(buckets objectlayer.Buckets, xmlBytesMax int64) *Handlers {
	return &Handlers{buckets: buckets, xmlBytesMax: xmlBytesMax}
}

// RegionDefault is the region whose buckets have no location constraint.
const RegionDefault = "us-east-1"
