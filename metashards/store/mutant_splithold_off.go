//go:build !mutant_splithold

package store

const mutantSplitHold = false
