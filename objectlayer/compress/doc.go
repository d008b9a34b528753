// Package compress keeps blobs compressed, between the object layer and its stripes.
//
// A body is cut into blocks of a fixed size, and each is compressed alone into a frame, so that a range of the body is read by
// reading the frames that hold it:
//
//	body   | block 0      | block 1      | last |
//	blob   | frame 0 | frame 1      | frame     |
//	frame  | header: what it is, lengths | bytes |
//
// The record of the blob holds the lengths of the frames; a header says the same again, so that shards alone are enough to salvage an
// object. A block that does not become smaller is kept as it is. Whoever writes and reads sees the body's own bytes, sizes and
// sums.
package compress
