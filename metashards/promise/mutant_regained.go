//go:build mutant_promiseregained

package promise

// mutantRegained gives a leader that has given up a transfer its lease back. TestHistories must catch it.
const mutantRegained = true
