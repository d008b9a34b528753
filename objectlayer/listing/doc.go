// Package listing gives pages of keys, versions, uploads and parts. The metadata space walks its rows; this package
// carries a page over the ranges that it spans and turns the place where it ended into a token for the client.
package listing
