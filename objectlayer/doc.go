// Package objectlayer is the contract of objects: what a bucket, an object, a version, an upload and a part are, and
// what may be done with them. It knows versions, uploads, stripes and placement; it knows neither HTTP nor Raft nor
// files. Its rooms do the work: object, multipart, listing and bucket carry out the four interfaces below over
// metashards.Store and disk.Fleet; stripe and placement turn bytes into shards on disks and back.
//
// All interfaces are safe for concurrent use. Every method ends when its context ends. Errors are *Error; which S3 error
// a kind becomes is the gateway's one table.
package objectlayer
