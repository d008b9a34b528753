package gateway

import (
	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/s3bucket"
	"github.com/contender/contender/gateway/s3list"
	"github.com/contender/contender/gateway/s3object"
	"github.com/contender/contender/gateway/s3upload"
)

// operations is the table of what this server carries out. An operation that is not in it is NotImplemented.
func operations(o Options) map[route.Op]call.Handler {
	buckets := s3bucket.New(o.Buckets, o.Limits.XMLBytesMax)
	objects := s3object.New(o.Objects, o.Limits.XMLBytesMax)
	uploads := s3upload.New(o.Uploads, o.Objects, o.Limits.XMLBytesMax)
	lists := s3list.New(o.Listings)
	return map[route.Op]call.Handler{
		route.ListBuckets:       buckets.ListBuckets,
		route.CreateBucket:      buckets.CreateBucket,
		route.HeadBucket:        buckets.HeadBucket,
		route.DeleteBucket:      buckets.DeleteBucket,
		route.GetBucketLocation: buckets.GetBucketLocation,

		route.PutObject:     objects.PutObject,
		route.GetObject:     objects.GetObject,
		route.HeadObject:    objects.HeadObject,
		route.DeleteObject:  objects.DeleteObject,
		route.DeleteObjects: objects.DeleteObjects,
		route.CopyObject:    objects.CopyObject,

		route.CreateMultipartUpload:   uploads.CreateMultipartUpload,
		route.UploadPart:              uploads.UploadPart,
		route.UploadPartCopy:          uploads.UploadPartCopy,
		route.CompleteMultipartUpload: uploads.CompleteMultipartUpload,
		route.AbortMultipartUpload:    uploads.AbortMultipartUpload,

		route.ListObjects:          lists.ListObjects,
		route.ListObjectsV2:        lists.ListObjectsV2,
		route.ListMultipartUploads: lists.ListMultipartUploads,
		route.ListParts:            lists.ListParts,
	}
}
