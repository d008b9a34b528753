// Package disk is the contract of one disk: what every other part of Contender may ask of it and what it promises
// back. The machinery lies in the rooms below; this package holds only nouns, interfaces and errors.
//
// A disk is one folder. It keeps one log, a sequence of pre-written, reused segment files, and in it lie all bytes that
// must survive: shards of objects, Raft entries, the payloads that ride in them, and Raft hard states. One sync makes
// everything appended before it durable, whoever appended it (group commit). Beside the log the disk keeps one ordered
// key-value state without a write-ahead log of its own: the index that says where each record lies, and the replicated
// rows of the metadata ranges.
//
// The one rule that makes a crash harmless is the prefix rule. Changes to the state are applied in one order, index
// changes only after the log records that they name are synced; after a crash the state is a prefix of that order, and
// it says itself up to which log position it holds the index. The log is replayed from there; Raft applies again what
// the state had not yet kept.
//
// Three doors lead in: Store (shards), Log (Raft's entries and payloads) and State (ordered rows). One Disk offers all
// three. Fleet finds the Store of any disk of the cluster.
package disk
