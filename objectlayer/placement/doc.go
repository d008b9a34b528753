// Package placement decides where bytes go. It is pure: everything it needs is handed in, the same input gives the same
// answer, and nothing is kept between calls.
//
// A policy ("auto", "ec:k+m", "replica:n") asks for k data shards and m parity shards. Build lays placement groups of
// k+m slots over the disks of a cluster map, so that no two slots of a group lie in one domain (a node; with one node
// only a device; with one device only a folder), so that disks are used by their capacity, and so that each disk shares
// groups with a bounded number of others. Pick takes a group for one extent of a blob and, where disks are missing,
// gives up data shards rather than parity. ReplicaDisks chooses disks for the replicas of a metadata range. Tolerates
// says what may be lost, BelowPolicy how many bytes are kept worse than asked.
//
// When disks join, GrowGroups lays new groups over all of them, GrowCopysets mends the sets of disks that ranges lie on,
// and a Planner moves the replicas of ranges, step by step. MoveReplica carries out what an operator orders,
// SpreadLeaders has all disks lead about as many ranges.
package placement
