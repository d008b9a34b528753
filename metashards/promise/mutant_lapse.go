//go:build mutant_promiselapse

package promise

// mutantLapse takes a promise that had ended and is given again for the same one. TestHistories must catch it.
const mutantLapse = true
