//go:build mutant_stranger

package store

// mutantStranger promises this store to whoever it answers, also to a leader of an earlier term.
const mutantStranger = true
