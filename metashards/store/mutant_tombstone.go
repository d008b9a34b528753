//go:build mutant_tombstone

package store

// mutantTombstone forgets which replicas were removed from a disk. simtest's TestMembership must catch it.
const mutantTombstone = true
