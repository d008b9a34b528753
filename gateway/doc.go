// Package gateway is the HTTP front of the store: it speaks S3 to clients and the object layer's four interfaces to the
// inside. Each request walks one chain, in ServeHTTP's order:
//
//	id and deadline → /-/live, /-/ready, /-/metrics, /-/admin/ → route (which operation, bucket, key)
//	→ sigv4 (who) → call (what the client said) → the operation's handler → the answer
//
// Handlers live in rooms of their own (s3bucket, s3object, s3upload, s3list), one file for each operation; the operation
// table in operations.go names them. An operation that is not in the table is answered with NotImplemented. Handlers
// return errors; only the front writes them (errors.go).
//
// Nothing is read from a body before the request is routed and its signature judged, so that a client that sent
// "Expect: 100-continue" learns of a refusal without sending the body.
package gateway
