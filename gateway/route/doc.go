// Package route reads a request line as S3 does: which bucket and key it
// names, which query parameters it carries, and which S3 operation it asks
// for.
//
// Bucket and key come from the raw request line, not from net/http's cleaned
// URL: the path is split first and unescaped once, so that "//", ".", "..",
// "%2F" and a literal "+" reach the key as the client meant them.
//
// The operation comes from one table (table.go) with a row for every operation
// of the S3 service model, whether this server carries it out or not: the
// gateway answers NotImplemented for an operation without a handler. A
// sub-resource that the table does not hold is NotImplemented too, so that
// nothing unknown is ever taken for a plain GET or PUT of the object.
//
// The package is pure and safe for concurrent use.
package route
