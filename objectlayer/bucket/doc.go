// Package bucket keeps buckets and finds them for everyone else.
//
// # Who decides
//
// A bucket's system record is its one authority: whether it exists, with which id, in which generation of its
// configuration, and whether it is being deleted. The ranges that hold the bucket's objects each keep a fence: the
// generation that they have taken, and whether writes are frozen. Every command and query carries the generation that
// its caller knew, and the range refuses any other; so a caller may remember what it read (see Resolver).
//
// # Deleting
//
// A bucket is deleted in steps, each of which may be the last that a process does:
//
//  1. the record says "deleting", with the next generation;
//  2. the bucket's ranges take that generation, frozen, if they hold nothing of the bucket;
//  3. the record is removed: this decides. The ranges are told that the bucket is gone for good.
//
// If a range is not empty the record goes back to "not deleting" with a further generation, which thaws. Whoever meets
// a record or a range in the middle of this settles it: each step names the generation that it was decided on, so of
// any number of processes one decides and the others follow.
package bucket
