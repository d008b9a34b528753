//go:build mutant_nobirth

package store

// mutantNoBirth asks for a snapshot of a range though a split that is not applied here yet will bring it. TestLateSplitNeedsNoSnapshot
// must catch it.
const mutantNoBirth = true
