// Package peer is both ends of the wire to other nodes' disks: Handler offers the disks of this node, Store is a disk of
// another node. A caller cannot tell a Store from a local disk, apart from owners of more than OwnerBytesMax, which it
// refuses.
//
// # The protocol
//
// It is HTTP/1.1 with connections that are kept; who may connect, TLS and the address are the caller's. All paths begin
// with /v1/disks/ and the disk's id; a shard is named by the hexadecimal digits of its key.
//
//	PUT  /v1/disks/{disk}/shards/{shard}?epoch=E     writes a shard, see below
//	GET  /v1/disks/{disk}/shards/{shard}?n=N&off=O   its bytes
//	GET  /v1/disks/{disk}/shards/{shard}/info        what is kept beside its bytes
//	POST /v1/disks/{disk}/shards/{shard}/verify      reads every block of it
//	POST /v1/disks/{disk}/delete                     forgets the shards whose keys are the body
//	GET  /v1/disks/{disk}/shards?after=SHARD&group=G a page of the inventory
//
// Contender-Answer tells how a request ended: "ok", or the disk.Error with its kind. The number of a kind is its place in
// the closed list of package disk. Where the answer is known before the body it is a header and the status is one that
// fits. PUT and GET of bytes say 200 as soon as the disk has begun; then the answer follows: to a GET as a trailer, to a
// PUT as a line in the body. Where it is missing the request is broken off, whatever has come. Contender-Node and
// Contender-Boot name the sender, if it says so.
//
// The body of a PUT is a row of frames: a byte that says the kind (data, commit, alive), four bytes for the length,
// big-endian, and so many bytes. Data frames carry what one Append brings, or a part of it in whole blocks. The commit
// frame carries the owner and is the last. A body that ends without one aborts the shard, so that nothing but a whole
// commit frame makes a shard visible. The server answers 200 once the disk has begun the shard and goes on reading; if an
// Append fails it sends the answer at once and stores no more. While its caller is silent the client sends an empty
// alive frame now and then, so that the server tells a slow caller from a dead one.
//
// A GET whose connection breaks after it brought something is asked again from where it stopped. So a server need not
// hold anything for readers that do not read. Contender-Shard, which such a request carries, must then be the same as before.
//
// # Promises
//
// Nothing waits for ever: each step of either end has a time limit, and the end of a caller's context ends the request
// at the server. Memory is bounded: a server holds one pooled buffer of 256 KiB for each stream that moves at that moment
// and has a limit of these; a client holds none, it sends from the memory of its caller and reads into it. A server with
// too much in hand refuses with disk.KindBusy.
//
// There is no checksum of the wire's own: TLS carries one for each record, the disk checks every block that it hands
// out, and seals every block that it takes in. Without TLS only TCP's weak sum guards the way.
//
// An error of the way (no connection, a stall, an answer that makes no sense, a node that does not hold the disk any
// more) never looks like an error of a shard: it is of disk.KindIO or, for a disk that is not there, disk.KindFenced, and
// it is neither io.EOF nor io.ErrUnexpectedEOF.
package peer
