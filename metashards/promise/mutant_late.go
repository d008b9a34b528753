//go:build mutant_promiselate

package promise

// mutantLate counts a promise from when the answer came instead of from when it was asked for. TestHistories must catch it.
const mutantLate = true
