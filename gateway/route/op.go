package route

// Op is the name of an S3 operation, as the service model spells it.
type Op string

// Name returns the operation's name, such as "PutObject".
func (o Op) Name() string { return string(o) }

// Read reports whether the operation only reads.
func (o Op) Read() bool {
	for i := range table {
		if table[i].op == o {
			return table[i].method == "GET" || table[i].method == "HEAD" || o == SelectObjectContent
		}
	}
	return o == OptionsObject
}

// Two operations that AWS documents outside the service model: the browser's
// form upload and the CORS preflight.
const (
	PostObject    Op = "PostObject"
	OptionsObject Op = "OptionsObject"
)

// The operations of the service model. The older names of one and the same
// request (GetBucketLifecycle, PutBucketLifecycle, GetBucketNotification,
// PutBucketNotification) are answered under the newer ones.
const (
	AbortMultipartUpload                             Op = "AbortMultipartUpload"
	CompleteMultipartUpload                          Op = "CompleteMultipartUpload"
	CopyObject                                       Op = "CopyObject"
	CreateBucket                                     Op = "CreateBucket"
	CreateBucketMetadataConfiguration                Op = "CreateBucketMetadataConfiguration"
	CreateBucketMetadataTableConfiguration           Op = "CreateBucketMetadataTableConfiguration"
	CreateMultipartUpload                            Op = "CreateMultipartUpload"
	CreateSession                                    Op = "CreateSession"
	DeleteBucket                                     Op = "DeleteBucket"
	DeleteBucketAnalyticsConfiguration               Op = "DeleteBucketAnalyticsConfiguration"
	DeleteBucketCors                                 Op = "DeleteBucketCors"
	DeleteBucketEncryption                           Op = "DeleteBucketEncryption"
	DeleteBucketIntelligentTieringConfiguration      Op = "DeleteBucketIntelligentTieringConfiguration"
	DeleteBucketInventoryConfiguration               Op = "DeleteBucketInventoryConfiguration"
	DeleteBucketLifecycle                            Op = "DeleteBucketLifecycle"
	DeleteBucketMetadataConfiguration                Op = "DeleteBucketMetadataConfiguration"
	DeleteBucketMetadataTableConfiguration           Op = "DeleteBucketMetadataTableConfiguration"
	DeleteBucketMetricsConfiguration                 Op = "DeleteBucketMetricsConfiguration"
	DeleteBucketOwnershipControls                    Op = "DeleteBucketOwnershipControls"
	DeleteBucketPolicy                               Op = "DeleteBucketPolicy"
	DeleteBucketReplication                          Op = "DeleteBucketReplication"
	DeleteBucketTagging                              Op = "DeleteBucketTagging"
	DeleteBucketWebsite                              Op = "DeleteBucketWebsite"
	DeleteObject                                     Op = "DeleteObject"
	DeleteObjectAnnotation                           Op = "DeleteObjectAnnotation"
	DeleteObjectTagging                              Op = "DeleteObjectTagging"
	DeleteObjects                                    Op = "DeleteObjects"
	DeletePublicAccessBlock                          Op = "DeletePublicAccessBlock"
	GetBucketAbac                                    Op = "GetBucketAbac"
	GetBucketAccelerateConfiguration                 Op = "GetBucketAccelerateConfiguration"
	GetBucketAcl                                     Op = "GetBucketAcl"
	GetBucketAnalyticsConfiguration                  Op = "GetBucketAnalyticsConfiguration"
	GetBucketCors                                    Op = "GetBucketCors"
	GetBucketEncryption                              Op = "GetBucketEncryption"
	GetBucketIntelligentTieringConfiguration         Op = "GetBucketIntelligentTieringConfiguration"
	GetBucketInventoryConfiguration                  Op = "GetBucketInventoryConfiguration"
	GetBucketLifecycleConfiguration                  Op = "GetBucketLifecycleConfiguration"
	GetBucketLocation                                Op = "GetBucketLocation"
	GetBucketLogging                                 Op = "GetBucketLogging"
	GetBucketMetadataConfiguration                   Op = "GetBucketMetadataConfiguration"
	GetBucketMetadataTableConfiguration              Op = "GetBucketMetadataTableConfiguration"
	GetBucketMetricsConfiguration                    Op = "GetBucketMetricsConfiguration"
	GetBucketNotificationConfiguration               Op = "GetBucketNotificationConfiguration"
	GetBucketOwnershipControls                       Op = "GetBucketOwnershipControls"
	GetBucketPolicy                                  Op = "GetBucketPolicy"
	GetBucketPolicyStatus                            Op = "GetBucketPolicyStatus"
	GetBucketReplication                             Op = "GetBucketReplication"
	GetBucketRequestPayment                          Op = "GetBucketRequestPayment"
	GetBucketTagging                                 Op = "GetBucketTagging"
	GetBucketVersioning                              Op = "GetBucketVersioning"
	GetBucketWebsite                                 Op = "GetBucketWebsite"
	GetObject                                        Op = "GetObject"
	GetObjectAcl                                     Op = "GetObjectAcl"
	GetObjectAnnotation                              Op = "GetObjectAnnotation"
	GetObjectAttributes                              Op = "GetObjectAttributes"
	GetObjectLegalHold                               Op = "GetObjectLegalHold"
	GetObjectLockConfiguration                       Op = "GetObjectLockConfiguration"
	GetObjectRetention                               Op = "GetObjectRetention"
	GetObjectTagging                                 Op = "GetObjectTagging"
	GetObjectTorrent                                 Op = "GetObjectTorrent"
	GetPublicAccessBlock                             Op = "GetPublicAccessBlock"
	HeadBucket                                       Op = "HeadBucket"
	HeadObject                                       Op = "HeadObject"
	ListBucketAnalyticsConfigurations                Op = "ListBucketAnalyticsConfigurations"
	ListBucketIntelligentTieringConfigurations       Op = "ListBucketIntelligentTieringConfigurations"
	ListBucketInventoryConfigurations                Op = "ListBucketInventoryConfigurations"
	ListBucketMetricsConfigurations                  Op = "ListBucketMetricsConfigurations"
	ListBuckets                                      Op = "ListBuckets"
	ListDirectoryBuckets                             Op = "ListDirectoryBuckets"
	ListMultipartUploads                             Op = "ListMultipartUploads"
	ListObjectAnnotations                            Op = "ListObjectAnnotations"
	ListObjectVersions                               Op = "ListObjectVersions"
	ListObjects                                      Op = "ListObjects"
	ListObjectsV2                                    Op = "ListObjectsV2"
	ListParts                                        Op = "ListParts"
	PutBucketAbac                                    Op = "PutBucketAbac"
	PutBucketAccelerateConfiguration                 Op = "PutBucketAccelerateConfiguration"
	PutBucketAcl                                     Op = "PutBucketAcl"
	PutBucketAnalyticsConfiguration                  Op = "PutBucketAnalyticsConfiguration"
	PutBucketCors                                    Op = "PutBucketCors"
	PutBucketEncryption                              Op = "PutBucketEncryption"
	PutBucketIntelligentTieringConfiguration         Op = "PutBucketIntelligentTieringConfiguration"
	PutBucketInventoryConfiguration                  Op = "PutBucketInventoryConfiguration"
	PutBucketLifecycleConfiguration                  Op = "PutBucketLifecycleConfiguration"
	PutBucketLogging                                 Op = "PutBucketLogging"
	PutBucketMetricsConfiguration                    Op = "PutBucketMetricsConfiguration"
	PutBucketNotificationConfiguration               Op = "PutBucketNotificationConfiguration"
	PutBucketOwnershipControls                       Op = "PutBucketOwnershipControls"
	PutBucketPolicy                                  Op = "PutBucketPolicy"
	PutBucketReplication                             Op = "PutBucketReplication"
	PutBucketRequestPayment                          Op = "PutBucketRequestPayment"
	PutBucketTagging                                 Op = "PutBucketTagging"
	PutBucketVersioning                              Op = "PutBucketVersioning"
	PutBucketWebsite                                 Op = "PutBucketWebsite"
	PutObject                                        Op = "PutObject"
	PutObjectAcl                                     Op = "PutObjectAcl"
	PutObjectAnnotation                              Op = "PutObjectAnnotation"
	PutObjectLegalHold                               Op = "PutObjectLegalHold"
	PutObjectLockConfiguration                       Op = "PutObjectLockConfiguration"
	PutObjectRetention                               Op = "PutObjectRetention"
	PutObjectTagging                                 Op = "PutObjectTagging"
	PutPublicAccessBlock                             Op = "PutPublicAccessBlock"
	RenameObject                                     Op = "RenameObject"
	RestoreObject                                    Op = "RestoreObject"
	SelectObjectContent                              Op = "SelectObjectContent"
	UpdateBucketMetadataAnnotationTableConfiguration Op = "UpdateBucketMetadataAnnotationTableConfiguration"
	UpdateBucketMetadataInventoryTableConfiguration  Op = "UpdateBucketMetadataInventoryTableConfiguration"
	UpdateBucketMetadataJournalTableConfiguration    Op = "UpdateBucketMetadataJournalTableConfiguration"
	UpdateObjectEncryption                           Op = "UpdateObjectEncryption"
	UploadPart                                       Op = "UploadPart"
	UploadPartCopy                                   Op = "UploadPartCopy"
	WriteGetObjectResponse                           Op = "WriteGetObjectResponse"
)
