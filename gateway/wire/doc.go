// Package wire holds the forms in which S3 speaks: the one table of error
// codes, the XML documents that go out and come in, and the request headers
// that carry a small language of their own (ranges, conditions, copy sources,
// checksums, user metadata, names).
//
// Everything here is pure: no store, no clock, no global state. Values are
// plain and hold what the wire holds; the gateway's handlers translate between
// them and the object layer.
//
// Whatever comes from a client is bounded before it is parsed. A decoder
// answers with an *Error that carries the code AWS would send; no decoder
// panics on any input (each has a fuzz target).
package wire
