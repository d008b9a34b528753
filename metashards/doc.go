// Package metashards is the contract of the metadata space: one ordered, partitioned, replicated space of rows that says
// which objects exist, who may touch them and where their bytes lie. It knows ordered rows, ranges, Raft and the cluster
// map; it knows neither S3's wire forms nor the bytes of shards.
//
// The space is ordered by position: bucket id, then key. A range owns one interval of it and is one Raft group with
// replicas on distinct disks. A position's rows lie in several physical columns, so that each read touches only what it
// needs: current (live keys, what LIST scans), versions, nulls, uploads with their parts, blobs, outbox, dedupe. System
// records (buckets by name, the cluster map, identities) are ordinary rows in front, at bucket id 0.
//
// Everything that changes is a metapb.Command, applied by the range deterministically with its conditions judged there;
// everything that reads is a metapb.Query, answered linearizably. Store is the only door: it finds the range, follows
// leaders and retries with the same request id. (The word shard in this folder's name is the project's; a piece of the
// space is always called a range, because a shard is a piece of an object's bytes on a disk.)
package metashards
