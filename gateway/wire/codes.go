package wire

// The error codes of S3, as AWS documents them.
const (
	AccessControlListNotSupported                  Code = "AccessControlListNotSupported"
	AccessDenied                                   Code = "AccessDenied"
	AccountProblem                                 Code = "AccountProblem"
	AllAccessDisabled                              Code = "AllAccessDisabled"
	AmbiguousGrantByEmailAddress                   Code = "AmbiguousGrantByEmailAddress"
	AnnotationNotFound                             Code = "AnnotationNotFound"
	AuthorizationHeaderMalformed                   Code = "AuthorizationHeaderMalformed"
	AuthorizationQueryParametersError              Code = "AuthorizationQueryParametersError"
	BadDigest                                      Code = "BadDigest"
	BadRequest                                     Code = "BadRequest"
	BucketAlreadyExists                            Code = "BucketAlreadyExists"
	BucketAlreadyOwnedByYou                        Code = "BucketAlreadyOwnedByYou"
	BucketNotEmpty                                 Code = "BucketNotEmpty"
	ClientTokenConflict                            Code = "ClientTokenConflict"
	ConditionalRequestConflict                     Code = "ConditionalRequestConflict"
	ConnectionClosedByRequester                    Code = "ConnectionClosedByRequester"
	CredentialsNotSupported                        Code = "CredentialsNotSupported"
	CrossLocationLoggingProhibited                 Code = "CrossLocationLoggingProhibited"
	EntityTooLarge                                 Code = "EntityTooLarge"
	EntityTooSmall                                 Code = "EntityTooSmall"
	ExpiredToken                                   Code = "ExpiredToken"
	IdempotencyParameterMismatch                   Code = "IdempotencyParameterMismatch"
	IllegalLocationConstraintException             Code = "IllegalLocationConstraintException"
	IllegalVersioningConfigurationException        Code = "IllegalVersioningConfigurationException"
	IncompleteBody                                 Code = "IncompleteBody"
	IncorrectEndpoint                              Code = "IncorrectEndpoint"
	IncorrectNumberOfFilesInPostRequest            Code = "IncorrectNumberOfFilesInPostRequest"
	InlineDataTooLarge                             Code = "InlineDataTooLarge"
	InternalError                                  Code = "InternalError"
	InvalidAccessKeyId                             Code = "InvalidAccessKeyId"
	InvalidAddressingHeader                        Code = "InvalidAddressingHeader"
	InvalidArgument                                Code = "InvalidArgument"
	InvalidBucketAclWithObjectOwnership            Code = "InvalidBucketAclWithObjectOwnership"
	InvalidBucketName                              Code = "InvalidBucketName"
	InvalidBucketOwnerAWSAccountID                 Code = "InvalidBucketOwnerAWSAccountID"
	InvalidBucketState                             Code = "InvalidBucketState"
	InvalidChunkSizeError                          Code = "InvalidChunkSizeError"
	InvalidDigest                                  Code = "InvalidDigest"
	InvalidEncryptionAlgorithmError                Code = "InvalidEncryptionAlgorithmError"
	InvalidHostHeader                              Code = "InvalidHostHeader"
	InvalidHttpMethod                              Code = "InvalidHttpMethod"
	InvalidLocationConstraint                      Code = "InvalidLocationConstraint"
	InvalidObjectState                             Code = "InvalidObjectState"
	InvalidPart                                    Code = "InvalidPart"
	InvalidPartNumber                              Code = "InvalidPartNumber"
	InvalidPartOrder                               Code = "InvalidPartOrder"
	InvalidPayer                                   Code = "InvalidPayer"
	InvalidPolicyDocument                          Code = "InvalidPolicyDocument"
	InvalidRange                                   Code = "InvalidRange"
	InvalidRegion                                  Code = "InvalidRegion"
	InvalidRequest                                 Code = "InvalidRequest"
	InvalidSecurity                                Code = "InvalidSecurity"
	InvalidSessionException                        Code = "InvalidSessionException"
	InvalidSignature                               Code = "InvalidSignature"
	InvalidSOAPRequest                             Code = "InvalidSOAPRequest"
	InvalidStorageClass                            Code = "InvalidStorageClass"
	InvalidTag                                     Code = "InvalidTag"
	InvalidTargetBucketForLogging                  Code = "InvalidTargetBucketForLogging"
	InvalidToken                                   Code = "InvalidToken"
	InvalidURI                                     Code = "InvalidURI"
	InvalidWriteOffset                             Code = "InvalidWriteOffset"
	KeyTooLongError                                Code = "KeyTooLongError"
	MalformedACLError                              Code = "MalformedACLError"
	MalformedPOSTRequest                           Code = "MalformedPOSTRequest"
	MalformedPolicy                                Code = "MalformedPolicy"
	MalformedTrailerError                          Code = "MalformedTrailerError"
	MalformedXML                                   Code = "MalformedXML"
	MaxMessageLengthExceeded                       Code = "MaxMessageLengthExceeded"
	MaxPostPreDataLengthExceededError              Code = "MaxPostPreDataLengthExceededError"
	MetadataTooLarge                               Code = "MetadataTooLarge"
	MethodNotAllowed                               Code = "MethodNotAllowed"
	MissingAttachment                              Code = "MissingAttachment"
	MissingAuthenticationToken                     Code = "MissingAuthenticationToken"
	MissingContentLength                           Code = "MissingContentLength"
	MissingRequestBodyError                        Code = "MissingRequestBodyError"
	MissingSecurityElement                         Code = "MissingSecurityElement"
	MissingSecurityHeader                          Code = "MissingSecurityHeader"
	NoLoggingStatusForKey                          Code = "NoLoggingStatusForKey"
	NoSuchAsyncRequest                             Code = "NoSuchAsyncRequest"
	NoSuchBucket                                   Code = "NoSuchBucket"
	NoSuchBucketPolicy                             Code = "NoSuchBucketPolicy"
	NoSuchConfiguration                            Code = "NoSuchConfiguration"
	NoSuchCORSConfiguration                        Code = "NoSuchCORSConfiguration"
	NoSuchKey                                      Code = "NoSuchKey"
	NoSuchLifecycleConfiguration                   Code = "NoSuchLifecycleConfiguration"
	NoSuchObjectLockConfiguration                  Code = "NoSuchObjectLockConfiguration"
	NoSuchPublicAccessBlockConfiguration           Code = "NoSuchPublicAccessBlockConfiguration"
	NoSuchTagSet                                   Code = "NoSuchTagSet"
	NoSuchUpload                                   Code = "NoSuchUpload"
	NoSuchVersion                                  Code = "NoSuchVersion"
	NoSuchWebsiteConfiguration                     Code = "NoSuchWebsiteConfiguration"
	NotDeviceOwnerError                            Code = "NotDeviceOwnerError"
	NotImplemented                                 Code = "NotImplemented"
	NotModified                                    Code = "NotModified"
	NotSignedUp                                    Code = "NotSignedUp"
	ObjectAlreadyInActiveTierError                 Code = "ObjectAlreadyInActiveTierError"
	ObjectLockConfigurationNotFoundError           Code = "ObjectLockConfigurationNotFoundError"
	OperationAborted                               Code = "OperationAborted"
	OwnershipControlsNotFoundError                 Code = "OwnershipControlsNotFoundError"
	PermanentRedirect                              Code = "PermanentRedirect"
	PreconditionFailed                             Code = "PreconditionFailed"
	Redirect                                       Code = "Redirect"
	ReplicationConfigurationNotFoundError          Code = "ReplicationConfigurationNotFoundError"
	RequestHeaderSectionTooLarge                   Code = "RequestHeaderSectionTooLarge"
	RequestIsNotMultiPartContent                   Code = "RequestIsNotMultiPartContent"
	RequestTimeTooSkewed                           Code = "RequestTimeTooSkewed"
	RequestTimeout                                 Code = "RequestTimeout"
	RequestTorrentOfBucketError                    Code = "RequestTorrentOfBucketError"
	ResponseInterrupted                            Code = "ResponseInterrupted"
	RestoreAlreadyInProgress                       Code = "RestoreAlreadyInProgress"
	ServerSideEncryptionConfigurationNotFoundError Code = "ServerSideEncryptionConfigurationNotFoundError"
	ServiceUnavailable                             Code = "ServiceUnavailable"
	SignatureDoesNotMatch                          Code = "SignatureDoesNotMatch"
	SlowDown                                       Code = "SlowDown"
	TemporaryRedirect                              Code = "TemporaryRedirect"
	TokenCodeInvalidError                          Code = "TokenCodeInvalidError"
	TokenRefreshRequired                           Code = "TokenRefreshRequired"
	TooManyAccessPoints                            Code = "TooManyAccessPoints"
	TooManyBuckets                                 Code = "TooManyBuckets"
	TooManyParts                                   Code = "TooManyParts"
	UnauthorizedAccess                             Code = "UnauthorizedAccess"
	UnexpectedContent                              Code = "UnexpectedContent"
	UnresolvableGrantByEmailAddress                Code = "UnresolvableGrantByEmailAddress"
	UnsupportedArgument                            Code = "UnsupportedArgument"
	UnsupportedSignature                           Code = "UnsupportedSignature"
	UserKeyMustBeSpecified                         Code = "UserKeyMustBeSpecified"
	XAmzContentSHA256Mismatch                      Code = "XAmzContentSHA256Mismatch"
)

// codeRow is one line of the table of error codes.
type codeRow struct {
	code    Code
	status  int // HTTP status
	message string
}

// describe looks a code up. The table is only ever read; errors are rare, so it
// is searched from the front.
func describe(c Code) (status int, message string) {
	for i := range codeTable {
		if codeTable[i].code == c {
			return codeTable[i].status, codeTable[i].message
		}
	}
	return 500, "We encountered an internal error. Please try again."
}

// codeTable is the one table of error codes: never written.
var codeTable = [...]codeRow{
	{AccessControlListNotSupported, 400, "The bucket does not allow ACLs"},
	{AccessDenied, 403, "Access Denied"},
	{AccountProblem, 403, "There is a problem with your account that prevents the operation from completing successfully."},
	{AllAccessDisabled, 403, "All access to this resource has been disabled."},
	{AmbiguousGrantByEmailAddress, 400, "The email address you provided is associated with more than one account."},
	{AnnotationNotFound, 404, "The specified annotation does not exist."},
	{AuthorizationHeaderMalformed, 400, "The authorization header you provided is invalid."},
	{AuthorizationQueryParametersError, 400, "The authorization query parameters that you provided are not valid."},
	{BadDigest, 400, "The Content-MD5 or checksum value that you specified did not match what the server received."},
	{BadRequest, 400, "An error occurred when parsing the HTTP request."},
	{BucketAlreadyExists, 409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	{BucketAlreadyOwnedByYou, 409, "Your previous request to create the named bucket succeeded and you already own it."},
	{BucketNotEmpty, 409, "The bucket you tried to delete is not empty"},
	{ClientTokenConflict, 409, "Your client token was used before with other parameters."},
	{ConditionalRequestConflict, 409, "The conditional request cannot succeed due to a conflicting operation against this resource."},
	{ConnectionClosedByRequester, 400, "Returned to the original caller when an error is encountered while reading the WriteGetObjectResponse body."},
	{CredentialsNotSupported, 400, "This request does not support credentials."},
	{CrossLocationLoggingProhibited, 403, "Cross location logging not allowed. Buckets in one geographic location cannot log information to a bucket in another location."},
	{EntityTooLarge, 400, "Your proposed upload exceeds the maximum allowed size"},
	{EntityTooSmall, 400, "Your proposed upload is smaller than the minimum allowed size"},
	{ExpiredToken, 400, "The provided token has expired."},
	{IdempotencyParameterMismatch, 400, "The request uses the same client token as a previous, but non-identical request."},
	{IllegalLocationConstraintException, 400, "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to."},
	{IllegalVersioningConfigurationException, 400, "The Versioning element must be specified"},
	{IncompleteBody, 400, "The request body terminated unexpectedly"},
	{IncorrectEndpoint, 400, "The specified bucket exists in another Region. Direct requests to the correct endpoint."},
	{IncorrectNumberOfFilesInPostRequest, 400, "POST requires exactly one file upload per request."},
	{InlineDataTooLarge, 400, "Inline data exceeds the maximum allowed size."},
	{InternalError, 500, "We encountered an internal error. Please try again."},
	{InvalidAccessKeyId, 403, "The AWS Access Key Id you provided does not exist in our records."},
	{InvalidAddressingHeader, 400, "You must specify the Anonymous role."},
	{InvalidArgument, 400, "Invalid Argument"},
	{InvalidBucketAclWithObjectOwnership, 400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"},
	{InvalidBucketName, 400, "The specified bucket is not valid."},
	{InvalidBucketOwnerAWSAccountID, 400, "The value of the expected bucket owner parameter must be an AWS account ID."},
	{InvalidBucketState, 409, "The request is not valid with the current state of the bucket."},
	{InvalidChunkSizeError, 403, "Only the last chunk is allowed to have a size less than 8192 bytes"},
	{InvalidDigest, 400, "The Content-MD5 you specified was invalid."},
	{InvalidEncryptionAlgorithmError, 400, "The Encryption request you specified is not valid. Supported value: AES256."},
	{InvalidHostHeader, 400, "The host headers provided in the request used the incorrect style addressing."},
	{InvalidHttpMethod, 400, "The request is made using an unexpected HTTP method."},
	{InvalidLocationConstraint, 400, "The specified location-constraint is not valid"},
	{InvalidObjectState, 403, "The operation is not valid for the object's storage class"},
	{InvalidPart, 400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	{InvalidPartNumber, 416, "The requested partnumber is not satisfiable"},
	{InvalidPartOrder, 400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	{InvalidPayer, 403, "All access to this object has been disabled."},
	{InvalidPolicyDocument, 400, "The content of the form does not meet the conditions specified in the policy document."},
	{InvalidRange, 416, "The requested range is not satisfiable"},
	{InvalidRegion, 403, "The Region in the request is not valid."},
	{InvalidRequest, 400, "The request is not valid."},
	{InvalidSecurity, 403, "The provided security credentials are not valid."},
	{InvalidSessionException, 400, "The session doesn't exist anymore because it timed out or expired."},
	{InvalidSignature, 400, "The server cannot process the request because of a client error in its signature."},
	{InvalidSOAPRequest, 400, "The SOAP request body is invalid."},
	{InvalidStorageClass, 400, "The storage class you specified is not valid"},
	{InvalidTag, 400, "The tag provided was not a valid tag."},
	{InvalidTargetBucketForLogging, 400, "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group."},
	{InvalidToken, 400, "The provided token is malformed or otherwise invalid."},
	{InvalidURI, 400, "Couldn't parse the specified URI."},
	{InvalidWriteOffset, 400, "The write offset value that you specified does not match the current object size."},
	{KeyTooLongError, 400, "Your key is too long"},
	{MalformedACLError, 400, "The XML you provided was not well-formed or did not validate against our published schema"},
	{MalformedPOSTRequest, 400, "The body of your POST request is not well-formed multipart/form-data."},
	{MalformedPolicy, 400, "Policy has invalid resource"},
	{MalformedTrailerError, 400, "The request contained trailing data that was not well-formed or did not conform to our published schema."},
	{MalformedXML, 400, "The XML you provided was not well-formed or did not validate against our published schema"},
	{MaxMessageLengthExceeded, 400, "Your request was too big."},
	{MaxPostPreDataLengthExceededError, 400, "Your POST request fields preceding the upload file were too large."},
	{MetadataTooLarge, 400, "Your metadata headers exceed the maximum allowed metadata size"},
	{MethodNotAllowed, 405, "The specified method is not allowed against this resource."},
	{MissingAttachment, 400, "A SOAP attachment was expected, but none were found."},
	{MissingAuthenticationToken, 403, "The request was not signed."},
	{MissingContentLength, 411, "You must provide the Content-Length HTTP header."},
	{MissingRequestBodyError, 400, "Request Body is empty"},
	{MissingSecurityElement, 400, "The SOAP 1.1 request is missing a security element."},
	{MissingSecurityHeader, 400, "Your request was missing a required header"},
	{NoLoggingStatusForKey, 400, "There is no such thing as a logging status subresource for a key."},
	{NoSuchAsyncRequest, 404, "The specified request was not found."},
	{NoSuchBucket, 404, "The specified bucket does not exist"},
	{NoSuchBucketPolicy, 404, "The bucket policy does not exist"},
	{NoSuchConfiguration, 404, "The specified configuration does not exist."},
	{NoSuchCORSConfiguration, 404, "The CORS configuration does not exist"},
	{NoSuchKey, 404, "The specified key does not exist."},
	{NoSuchLifecycleConfiguration, 404, "The lifecycle configuration does not exist"},
	{NoSuchObjectLockConfiguration, 404, "The specified object does not have a ObjectLock configuration"},
	{NoSuchPublicAccessBlockConfiguration, 404, "The public access block configuration was not found"},
	{NoSuchTagSet, 404, "The TagSet does not exist"},
	{NoSuchUpload, 404, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	{NoSuchVersion, 404, "The specified version does not exist."},
	{NoSuchWebsiteConfiguration, 404, "The specified bucket does not have a website configuration"},
	{NotDeviceOwnerError, 400, "The device that generated the token is not owned by the authenticated user."},
	{NotImplemented, 501, "A header you provided implies functionality that is not implemented"},
	{NotModified, 304, "Not Modified"},
	{NotSignedUp, 403, "Your account is not signed up for the service."},
	{ObjectAlreadyInActiveTierError, 403, "This object is already in the active storage tier."},
	{ObjectLockConfigurationNotFoundError, 404, "Object Lock configuration does not exist for this bucket"},
	{OperationAborted, 409, "A conflicting conditional operation is currently in progress against this resource. Please try again."},
	{OwnershipControlsNotFoundError, 404, "The bucket ownership controls were not found"},
	{PermanentRedirect, 301, "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint."},
	{PreconditionFailed, 412, "At least one of the pre-conditions you specified did not hold"},
	{Redirect, 307, "Temporary redirect. You are being redirected to the bucket while the Domain Name System server is being updated."},
	{ReplicationConfigurationNotFoundError, 404, "The replication configuration was not found"},
	{RequestHeaderSectionTooLarge, 400, "Your request header section exceeds the maximum allowed size."},
	{RequestIsNotMultiPartContent, 400, "Bucket POST must be of the enclosure-type multipart/form-data."},
	{RequestTimeTooSkewed, 403, "The difference between the request time and the current time is too large."},
	{RequestTimeout, 400, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."},
	{RequestTorrentOfBucketError, 400, "Requesting the torrent file of a bucket is not permitted."},
	{ResponseInterrupted, 400, "Returned to the original caller when an error is encountered while reading the WriteGetObjectResponse body."},
	{RestoreAlreadyInProgress, 409, "Object restore is already in progress"},
	{ServerSideEncryptionConfigurationNotFoundError, 404, "The server side encryption configuration was not found"},
	{ServiceUnavailable, 503, "Service is unable to handle request."},
	{SignatureDoesNotMatch, 403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	{SlowDown, 503, "Please reduce your request rate."},
	{TemporaryRedirect, 307, "You are being redirected to the bucket while the Domain Name System server is being updated."},
	{TokenCodeInvalidError, 400, "The serial number and/or token code you provided is not valid."},
	{TokenRefreshRequired, 400, "The provided token must be refreshed."},
	{TooManyAccessPoints, 400, "You have attempted to create more access points than are allowed for an account."},
	{TooManyBuckets, 400, "You have attempted to create more buckets than allowed"},
	{TooManyParts, 400, "You have attempted to upload more parts than are allowed."},
	{UnauthorizedAccess, 403, "The request is not authorized."},
	{UnexpectedContent, 400, "This request contains unsupported content."},
	{UnresolvableGrantByEmailAddress, 400, "The email address you provided does not match any account on record."},
	{UnsupportedArgument, 400, "The request contained an unsupported argument."},
	{UnsupportedSignature, 400, "The provided request is signed with an unsupported STS Token version or the signature version is not supported."},
	{UserKeyMustBeSpecified, 400, "The bucket POST must contain the specified field name. If it is specified, please check the order of the fields."},
	{XAmzContentSHA256Mismatch, 400, "The provided 'x-amz-content-sha256' header does not match what was computed."},
}
