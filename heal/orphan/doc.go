// Package orphan deletes shards that no record names: of a write whose gateway died before it could say so, of a commit that was
// refused after all, of an extent that was written in vain, and of objects that were deleted while the disk was away.
//
// Each node looks through its own disks, group by group, for shards whose blob was begun longer ago than the grace, and asks the
// range that owns the key for which a blob was written (it stands in each shard) whether any row refers to it: a version, a
// part, or a row of the outbox that is still to delete it. If none does, a commit may still be on its way, however slow;
// so the range's write floor is raised above the blob's begin first, through its log, and the range asked again: from then on
// it refuses what first names the blob, and what moves a reference to it finds none. Only then the shard is deleted.
//
// So the metadata alone decides, at one moment of one range. A clock that is wrong costs writes an error that clients repeat, and
// no clock, and no inventory, ever costs a byte of what was acknowledged.
package orphan
