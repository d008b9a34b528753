//go:build !mutant_tombstone

package store

const mutantTombstone = false
