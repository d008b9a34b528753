// Package local is the one disk: disk.Disk over one folder of a file system.
//
// The folder holds log/, the segments of the disk's one log (see disk/segment), and state/, one Pebble that runs without
// a write-ahead log. Shards, Raft entries, payloads and hard states lie in the log; Pebble holds the index that says
// where, and beside it the rows of the metadata ranges.
//
// A write goes like this. Append encodes records into memory, in log order (wal.go). Sync registers a waiter; one
// goroutine, the syncer, takes all that is gathered, writes it with one call, syncs the segment once, and hands the
// changes that the records make to the index on to a second goroutine, the applier (apply.go), which commits them to
// Pebble together with the log position that they reach and then lets the waiters go. While one sync runs the next batch
// gathers. So index rows only ever name synced records, they enter Pebble in log order, and whatever prefix a crashed
// Pebble comes back with, it says from where the log must be replayed (recover.go).
//
// Space comes back by whole segments (slots.go, compact.go): the bytes still referenced are counted per segment, in the
// same batches; a segment with few is copied to the head of the log; an empty one is used again once its emptiness has
// been flushed, the flushed position lies behind it, and nobody reads from it or still writes a shard that lies in it.
//
// Rows that were deleted slow down whoever reads across them until Pebble has compacted them away. Iterators count their
// steps; where they waste many, the stretch is flushed or rewritten in the background (iter.go, thin.go, rewrite.go).
//
// A write or sync that fails is never tried again: the disk is fenced, every call answers so, nobody waits any longer.
// Pebble runs on a file system that does the same for its files, and the goroutine that met the error never returns into
// Pebble. A fenced Pebble is not closed; its goroutines are the one exception to the rule that none outlives its owner.
package local
