//go:build mutant_busydoubt

package store

// mutantBusyDoubt has a replica to which anything comes not doubt a leader that says nothing.
const mutantBusyDoubt = true
