// Package identity is the identity file of a disk's folder: which cluster and which disk it is, how often it was opened,
// and what it was founded with. A folder is used only after its identity was read and found right, so that a foreign
// disk, a folder whose file system is not mounted, and an image of some earlier day are refused instead of served.
//
// The file is called "identity" and has two lines: a JSON object, and "xxh3 " with 16 hexadecimal digits, the XXH3 hash
// of the first line without its end. It is never changed in place: a new one is written beside it, synced, and renamed
// over it. docs/format.md lists its fields.
package identity
