// Package sigv4 verifies Amazon's Signature Version 4 as S3 uses it, in every
// form but the browser's POST form: the Authorization header, the presigned
// query, and the bodies that are signed in chunks or end in trailers.
//
// Verify judges the request's head before a byte of the body is read. Body
// then gives the object's bytes:
//
//	header x-amz-content-sha256                what the body is
//	64 hexadecimal digits                      plain; its SHA-256 must match
//	UNSIGNED-PAYLOAD (or a presigned request)  plain
//	STREAMING-AWS4-HMAC-SHA256-PAYLOAD         chunks, each signed, chained
//	STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER the same and a signed trailer
//	STREAMING-UNSIGNED-PAYLOAD-TRAILER         chunks and a trailer, unsigned
//
// Bytes are handed out as they come, before the chunk or body that holds them
// is verified: a client may choose chunks of any size, and nothing is buffered
// for that. This is safe because the last byte of the body is withheld until
// everything is verified (last chunk, closing chunk, trailer, length, hash): a
// reader that saw exactly BodyReader.Length bytes, or io.EOF, has a verified
// body. Whoever uses the bytes must therefore commit nothing before that.
//
// The canonical form is made from the raw request line: each path is encoded
// once, header values lose outer and repeated inner spaces, and every x-amz
// header must be signed. A path that holds %2F is tried with and without that
// escape: both name the same key, and clients differ.
//
// Errors are *wire.Error with the code that AWS answers. Signature Version 2
// and 4A are recognised and refused. The package is pure: clock and secrets are
// handed in; all functions are safe for concurrent use.
package sigv4
