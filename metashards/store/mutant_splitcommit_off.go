//go:build !mutant_splitcommit

package store

const mutantSplitCommit = false
