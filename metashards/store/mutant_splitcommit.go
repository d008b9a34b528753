//go:build mutant_splitcommit

package store

// mutantSplitCommit makes a broken store: the log does not keep that a split is committed before the new range speaks.
const mutantSplitCommit = true
