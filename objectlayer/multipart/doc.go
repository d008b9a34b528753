// Package multipart carries out uploads in parts. A part's bytes are a blob of their own from the beginning; to complete
// an upload is one command that makes a version of the parts' rows, and no byte moves.
package multipart
