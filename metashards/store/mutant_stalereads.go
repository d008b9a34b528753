//go:build mutant_stalereads

package store

// mutantStaleReads has a leader answer reads without asking whether it still leads. simtest's TestDeposedLeaderNeverAnswers
// must catch it.
const mutantStaleReads = true
