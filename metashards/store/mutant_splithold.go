//go:build mutant_splithold

package store

// mutantSplitHold makes a broken store: what a range is asked to change waits while its buckets are counted after a split.
const mutantSplitHold = true
