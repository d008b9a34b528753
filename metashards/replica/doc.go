// Package replica is one member of one range: Raft, its log on the disk's one log, and the range machine that applies
// what Raft commits. A Replica is stepped from outside as Raft itself is: it has no goroutine, no clock and no lock. It
// is told of ticks, messages and proposals; it says what must be written, sent and answered; its owner, package store,
// writes for all replicas of a disk at once.
//
// One round goes: Collect (what must be written; messages that need not wait for it), the owner's append and sync, Late
// (messages that had to wait), Apply (committed entries, in one batch of rows), Advance.
//
// Raft sees slim entries. The payloads of an entry, for example the bytes of a small object, are named and summed in the
// entry's proposal but travel and lie beside it: they are records of the log under a disk.PayloadID, attached to outgoing
// appends and taken off on arrival. An append whose payloads are missing or wrong is dropped as if the network had lost
// it, so an entry is never acknowledged without its payloads.
//
// What can't be read back from the disk makes the replica fail: it stops for good and says why; it neither votes nor
// answers any more. Failing is per replica: the others of the disk go on.
package replica
